//! The forms in which a program puts the cache in front of its client.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use restow::{
    Cache,
    client::{Body, tower::CacheService},
    exchange::{Answered, OutcomeKind},
};
use restow_testkit::http_client;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// A client with the cache in it.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// `cache.client(inner)` and `.with(cache.middleware())`.
    Reqwest(ClientWithMiddleware),
    /// `cache.layer()`.
    Tower(CacheService<Http>),
}

/// What a test looks at in an answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) answered: Answered,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn outcome(&self) -> OutcomeKind {
        self.answered.outcome.kind
    }
}

/// Whether a fetch goes on when its caller goes before the answer's head is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetches {
    Detached,
    InTheirCaller,
}

/// Every form, over a client without a cache.
pub(crate) fn all(cache: &Cache) -> [(&'static str, Client, Fetches); 3] {
    let inner = http_client().build().unwrap();
    let middleware = ClientBuilder::new(inner.clone()).with(cache.middleware());
    [
        (
            "client",
            Client::Reqwest(cache.client(inner.clone())),
            Fetches::Detached,
        ),
        (
            "middleware",
            Client::Reqwest(middleware.build()),
            Fetches::InTheirCaller,
        ),
        (
            "tower",
            Client::Tower(cache.layer().layer(Http(inner))),
            Fetches::Detached,
        ),
    ]
}

impl Client {
    /// The form that most programs use.
    pub(crate) fn of(cache: &Cache) -> Self {
        Self::Reqwest(cache.client(http_client().build().unwrap()))
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.ask(url, &[]).await.unwrap()
    }

    pub(crate) async fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(url, headers).await.unwrap()
    }

    /// Asks, and reads the answer to its end; an error where either breaks off.
    pub(crate) async fn ask(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let mut request = http::Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::new()).unwrap();
        self.send(request).await
    }

    /// Asks, and returns what has a body to be read yet.
    pub(crate) async fn open(&self, request: http::Request<Bytes>) -> Result<Open, String> {
        match self {
            Self::Reqwest(client) => {
                let request = reqwest::Request::try_from(request).unwrap();
                let response = client.execute(request).await;
                Ok(Open::Reqwest(
                    response.map_err(|e| format!("{e:?}"))?.into(),
                ))
            }
            Self::Tower(service) => {
                let response = service.clone().call(request).await;
                Ok(Open::Tower(response.map_err(|e| e.to_string())?))
            }
        }
    }

    pub(crate) async fn send(&self, request: http::Request<Bytes>) -> Result<Answer, String> {
        let (parts, body) = match self.open(request).await? {
            Open::Reqwest(response) => {
                let (parts, body) = response.into_parts();
                (parts, body.collect().await.map_err(|e| format!("{e:?}"))?)
            }
            Open::Tower(response) => {
                let (parts, body) = response.into_parts();
                (parts, body.collect().await.map_err(|e| e.to_string())?)
            }
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
            answered: parts.extensions.get::<Answered>().unwrap().clone(),
        })
    }
}

/// An answer whose body is not read.
pub(crate) enum Open {
    Reqwest(http::Response<reqwest::Body>),
    Tower(http::Response<Body>),
}

/// A service that makes requests through reqwest.
#[derive(Clone, Debug)]
pub(crate) struct Http(reqwest::Client);

impl Service<http::Request<Bytes>> for Http {
    type Response = http::Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Bytes>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)?;
            client.execute(request).await.map(Into::into)
        })
    }
}
