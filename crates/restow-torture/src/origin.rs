//! The API behind the cache, and a program that asks it through the cache.

use crate::{content, place::Place};
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use restow::exchange::Answered;
use std::convert::Infallible;
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// The version of every body that comes from the API.
pub(crate) const FRESH: u64 = 1_000_000;

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    FromOrigin,
    /// With the version that was stored.
    FromStore(u64),
    /// It is no body of this key.
    Wrong,
}

/// Asks for an item through the cache.
///
/// # Errors
/// Where the caller got one: that is never to happen.
pub(crate) async fn ask(place: &Place, key: &str) -> Result<Came> {
    let api = service_fn(|request: Request<Bytes>| async move {
        let key = request.uri().path().rsplit('/').next().unwrap_or("");
        Ok::<_, Infallible>(Response::new(Full::new(content::body(key, FRESH))))
    });
    let service = ServiceBuilder::new()
        .layer(place.cache.layer())
        .service(api);
    let request = Request::get(format!("https://example.com/items/{key}")).body(Bytes::new())?;
    let response = service.oneshot(request).await?;
    let answered = response.extensions().get::<Answered>();
    let stored = answered.is_some_and(|a| a.outcome.is_from_store());
    let body = response.into_body().bytes().await;
    let body = body.map_err(|e| anyhow::anyhow!("{e}")).context("a body")?;
    Ok(match content::version(key, &body) {
        None => Came::Wrong,
        Some(version) if stored => Came::FromStore(version),
        Some(FRESH) => Came::FromOrigin,
        Some(_) => Came::Wrong,
    })
}
