//! What answers in the place of the network, and the floor that no cache gets under.

use crate::{Outcome, api};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// An API in the place of the network. It counts how often it was asked: a hit does not ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(Arc<AtomicU64>);

impl Origin {
    /// A client that has only this at its end; a cache goes between.
    pub(crate) fn behind(&self, cache: impl Middleware) -> ClientWithMiddleware {
        ClientBuilder::new(reqwest::Client::new())
            .with(cache)
            .with(self.clone())
            .build()
    }

    /// A client without any cache.
    pub(crate) fn client(&self) -> ClientWithMiddleware {
        ClientBuilder::new(reqwest::Client::new())
            .with(self.clone())
            .build()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[async_trait::async_trait]
impl Middleware for Origin {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.0.fetch_add(1, Relaxed);
        let name = request.url().path().rsplit('/').next().unwrap_or_default();
        let i = name.trim_start_matches("item").parse().unwrap_or(0);
        let mut built = http::Response::builder();
        built = reqwest::ResponseBuilderExt::url(built, request.url().clone());
        let (parts, body) = api::response(i).into_parts();
        let mut out = built.body(body).unwrap_or_default();
        *out.headers_mut() = parts.headers;
        Ok(out.into())
    }
}

/// The floor: a map from URLs to whole answers, behind a middleware.
#[derive(Clone, Debug)]
pub(crate) struct PlainMap(Arc<HashMap<String, Response<Bytes>>>);

impl PlainMap {
    pub(crate) fn new(entries: usize) -> Self {
        let answers = (0..entries).map(|i| (api::url(i), api::response(i)));
        Self(Arc::new(answers.collect()))
    }
}

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

/// A server on loopback that answers every request with one item.
pub(crate) async fn loopback() -> Outcome<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/item", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(api::response(7).map(Full::new))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(url)
}
