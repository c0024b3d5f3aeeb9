//! The sample answers: items of 2.2 KB with the head that a real API sends.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use reqwest_middleware::{Middleware, Next};
use restow::RouteEndpoint;
use std::{collections::HashMap, sync::Arc};

pub(crate) type Items = RouteEndpoint<String, restow::Binary>;

/// The endpoint of every bench.
pub(crate) fn items() -> restow::Result<Items> {
    RouteEndpoint::get("items", "https://api.example.com/v1/items/{id}")
}

pub(crate) fn key(i: usize) -> String {
    format!("item{i:07}")
}

pub(crate) fn url(i: usize) -> String {
    format!("https://api.example.com/v1/items/{}", key(i))
}

/// A body of 2.2 KB, different for each item.
pub(crate) fn body(i: usize) -> Bytes {
    let artists: Vec<_> = (0..4).map(|a| serde_json::json!({ "id": format!("artist{}", i % 97 + a), "name": format!("Artist number {a} of item {i}"), "type": "artist" })).collect();
    let markets: Vec<_> = (0..180)
        .map(|m| {
            format!(
                "{}{}",
                char::from(b'A' + (m / 26 + i % 7) as u8 % 26),
                char::from(b'A' + m as u8 % 26)
            )
        })
        .collect();
    let value = serde_json::json!({
        "id": key(i), "name": format!("The item with the number {i}"), "duration_ms": 180_000 + i, "explicit": i.is_multiple_of(3),
        "popularity": i % 101, "preview_url": format!("https://p.example.com/{}", key(i)), "artists": artists, "available_markets": markets,
        "external_ids": { "isrc": format!("XX{i:010}") }, "note": "x".repeat(240),
    });
    value.to_string().into()
}

pub(crate) fn headers() -> HeaderMap {
    let lines = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "public, max-age=3600"),
        ("etag", "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("date", "Sun, 01 Nov 2026 10:00:00 GMT"),
        ("vary", "Accept, Accept-Language"),
        ("x-robots-tag", "noindex, nofollow"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("server", "envoy"),
    ];
    lines
        .into_iter()
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect()
}

pub(crate) fn response(i: usize) -> Response<Bytes> {
    let mut response = Response::new(body(i));
    *response.headers_mut() = headers();
    response
}

/// An API in the place of the network.
#[derive(Clone, Debug)]
pub(crate) struct Origin;

#[async_trait::async_trait]
impl Middleware for Origin {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let name = request.url().path().rsplit('/').next().unwrap_or_default();
        let i = name.trim_start_matches("item").parse().unwrap_or(0);
        let mut built = http::Response::builder();
        built = reqwest::ResponseBuilderExt::url(built, request.url().clone());
        let (parts, body) = response(i).into_parts();
        let mut out = built.body(body).unwrap_or_default();
        *out.headers_mut() = parts.headers;
        Ok(out.into())
    }
}

/// The floor: a map from URLs to whole answers, behind a middleware.
#[derive(Clone, Debug)]
pub(crate) struct PlainMap(pub(crate) Arc<HashMap<String, Response<Bytes>>>);

#[async_trait::async_trait]
impl Middleware for PlainMap {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        match self.0.get(request.url().as_str()) {
            Some(held) => Ok(held.clone().into()),
            None => next.run(request, extensions).await,
        }
    }
}
