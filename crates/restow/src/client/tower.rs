//! tower: a layer for any service that answers HTTP requests.

use super::{
    body::{Body, BoxError},
    land::{Landed, land, refusal, response},
};
use crate::{
    Cache, RequestHead,
    exchange::{Background, Begin, Exchange, Invalidation, Ticket},
};
use bytes::Bytes;
use http::{Request, Response};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::task::JoinError;
use tower_layer::Layer;
use tower_service::Service;

impl Cache {
    /// Returns the cache as a tower layer.
    ///
    /// The service is always ready itself, so that a hit does not wait for a busy API; each fetch clones the service beneath, waits
    /// until it is ready, and runs in a task of its own. Requests need a body that can be made anew: `Bytes`, or nothing.
    pub fn layer(&self) -> CacheLayer {
        CacheLayer {
            exchange: self.exchange(),
        }
    }
}

/// The cache as a tower layer. Made by [`Cache::layer`].
#[derive(Clone, Debug)]
pub struct CacheLayer {
    exchange: Exchange,
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService {
            exchange: self.exchange.clone(),
            inner,
        }
    }
}

/// A service that answers from the cache, or through the service beneath.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    exchange: Exchange,
    inner: S,
}

/// Why a request through [`CacheService`] failed.
#[derive(Debug)]
pub enum ServiceError<E> {
    /// The service beneath failed.
    Inner(E),
    /// The fetch that this request waited for failed.
    Shared(Arc<str>),
}

impl<E: fmt::Display> fmt::Display for ServiceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => fmt::Display::fmt(error, f),
            Self::Shared(why) => write!(f, "the fetch that this request waited for failed: {why}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ServiceError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            Self::Shared(_) => None,
        }
    }
}

/// A request's body that the layer can look at and send again.
pub trait RequestBody: Clone + Default + Send + 'static {
    /// Returns the bytes.
    fn bytes(&self) -> &[u8];
}

impl RequestBody for () {
    fn bytes(&self) -> &[u8] {
        &[]
    }
}

impl RequestBody for Bytes {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl RequestBody for http_body_util::Empty<Bytes> {
    fn bytes(&self) -> &[u8] {
        &[]
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: fmt::Display + Send + 'static,
    B: RequestBody,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = ServiceError<S::Error>;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<Body>, ServiceError<S::Error>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (exchange, inner) = (self.exchange.clone(), self.inner.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.bytes().to_vec();
            let head = RequestHead {
                body: (!bytes.is_empty()).then_some(&bytes[..]),
                ..RequestHead::from(&parts)
            };
            let begun = exchange.begin(head, Background::Possible).await;
            let method = parts.method.clone();
            match begun {
                Begin::Answer {
                    entry,
                    part,
                    answered,
                    refresh,
                } => {
                    if let Some(ticket) = refresh.filter(|t| !t.should_rest()) {
                        tokio::spawn(refresh_behind(
                            *ticket,
                            Request::from_parts(parts, body),
                            inner,
                        ));
                    }
                    Ok(response(&entry, &method, part, answered, exchange.now()))
                }
                Begin::Fetch(ticket) => {
                    match tokio::spawn(drive(*ticket, Request::from_parts(parts, body), inner))
                        .await
                    {
                        Ok(end) => end,
                        Err(lost) => Err(ended_early(&lost)),
                    }
                }
                Begin::Refuse(answered) => Ok(refusal(answered)),
                Begin::Failed(why) => Err(ServiceError::Shared(why)),
                Begin::Bypass(answered, invalidation) => {
                    let request = Request::from_parts(parts, body);
                    let mut response = match invalidation {
                        None => {
                            let sent = oneshot(inner, request).await;
                            sent.map_err(ServiceError::Inner)?.map(pass)
                        }
                        // A task of its own: what the API carries out is done, though its caller goes.
                        Some(invalidation) => {
                            match tokio::spawn(change(request, inner, invalidation)).await {
                                Ok(sent) => sent.map_err(ServiceError::Inner)?,
                                Err(lost) => return Err(ended_early(&lost)),
                            }
                        }
                    };
                    response.extensions_mut().insert(answered);
                    Ok(response)
                }
            }
        })
    }
}

/// Makes the request of a ticket.
async fn drive<S, B, R>(
    mut ticket: Ticket,
    request: Request<B>,
    inner: S,
) -> Result<Response<Body>, ServiceError<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: fmt::Display,
    B: RequestBody,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let method = request.method().clone();
    let url = request.uri().to_string();
    loop {
        let mut next = request.clone();
        ticket.prepare(next.headers_mut());
        let response = match oneshot(inner.clone(), next).await {
            Ok(response) => response,
            Err(error) => {
                let now = ticket.now();
                return match ticket.fail(error.to_string().into()) {
                    Some((entry, part, answered)) => {
                        Ok(self::response(&entry, &method, part, answered, now))
                    }
                    None => Err(ServiceError::Inner(error)),
                };
            }
        };
        match land(ticket, &method, response, Some(url.clone())).await {
            Landed::Response(response) => return Ok(*response),
            Landed::Again(again) => ticket = *again,
        }
    }
}

async fn refresh_behind<S, B, R>(mut ticket: Ticket, mut request: Request<B>, inner: S)
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: fmt::Display,
    B: RequestBody,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    if !ticket.may_refresh().await {
        return;
    }
    request.method_mut().clone_from(ticket.method());
    match drive(ticket, request, inner).await {
        // Read to its end, it is stored.
        Ok(response) => _ = response.into_body().bytes().await,
        Err(error) => {
            tracing::debug!(target: "restow", %error, "a refresh behind a stale answer failed")
        }
    }
}

/// Makes a request past the cache that makes stored answers invalid where the API has carried it out, or may have.
async fn change<S, B, R>(
    request: Request<B>,
    inner: S,
    invalidation: Invalidation,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    match oneshot(inner, request).await {
        Ok(response) => {
            let response = response.map(pass);
            let (status, headers) = (response.status(), response.headers());
            invalidation.answered(status, headers).await;
            Ok(response)
        }
        Err(error) => {
            invalidation.unanswered().await;
            Err(error)
        }
    }
}

fn ended_early<E>(lost: &JoinError) -> ServiceError<E> {
    ServiceError::Shared(format!("its task ended early: {lost}").into())
}

async fn oneshot<S: Service<Q>, Q>(mut service: S, request: Q) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

fn pass<R>(body: R) -> Body
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    Body::passing(body)
}
