//! reqwest: a client that caches by itself, and a middleware for `reqwest-middleware`.

use super::{
    body::Body,
    fetch::Fetch,
    land::{Landed, land, refusal, response},
};
use crate::{
    BoxFuture, Cache, Error, ErrorKind, RequestHead,
    endpoint::Account,
    exchange::{Answered, Background, Begin, Exchange, FromCache, Invalidation, Ticket},
    route::Target,
};
use http::{Extensions, HeaderMap};
use reqwest::{Request, Response, ResponseBuilderExt, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

impl Cache {
    /// Returns a client that answers from this cache and fetches through `inner`: a `reqwest::Client`, a client with middlewares of its
    /// own, or one [built](build) with headers that the cache is to know.
    ///
    /// The cache owns what is beneath it: a fetch goes on when its caller goes, and stale answers are refreshed behind.
    /// Credentials that `inner` adds by itself (default headers, a cookie store) cannot be seen: use [`build`], or name a principal.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = restow::connect("sqlite://music.db").await?;
    /// let client = cache.client(reqwest::Client::new());
    /// let response = client.get("https://api.example.com/v1/tracks/6").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn client(&self, inner: impl Into<Underneath>) -> ClientWithMiddleware {
        let Underneath { client, headers } = inner.into();
        let outer = AsRef::<reqwest::Client>::as_ref(&client).clone();
        ClientBuilder::new(outer)
            .with(Owning {
                exchange: self.exchange(),
                inner: client,
                headers,
            })
            .build()
    }

    /// Returns the cache as a middleware, for a stack that the program builds.
    ///
    /// It borrows the client beneath it: a request that is dropped hands its fetch to one that waits for the same answer, and what is
    /// stale is validated while the caller waits. A `PUT` or `DELETE` that is dropped before its answer makes nothing invalid, though the API may
    /// have carried it out. [`client`](Self::client) does better where it can be used.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = restow::connect("sqlite://music.db").await?;
    /// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(cache.middleware()).build();
    /// # Ok(()) }
    /// ```
    pub fn middleware(&self) -> CacheMiddleware {
        CacheMiddleware {
            exchange: self.exchange(),
        }
    }
}

/// Builds a reqwest client with default headers that the cache knows too, so that their credentials tell users apart.
///
/// # Errors
/// What [`reqwest::ClientBuilder::build`] says.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut headers = http::HeaderMap::new();
/// headers.insert(http::header::AUTHORIZATION, "Bearer a-token".parse()?);
/// let inner = restow::client::reqwest::build(reqwest::Client::builder(), headers)?;
/// let client = restow::connect("memory:").await?.client(inner);
/// # Ok(()) }
/// ```
pub fn build(builder: reqwest::ClientBuilder, headers: HeaderMap) -> reqwest::Result<Underneath> {
    let client = builder.default_headers(headers.clone()).build()?;
    Ok(Underneath {
        client: client.into(),
        headers,
    })
}

/// A client beneath the cache, and the headers that it adds to every request.
#[derive(Clone, Debug)]
pub struct Underneath {
    client: ClientWithMiddleware,
    headers: HeaderMap,
}

impl From<reqwest::Client> for Underneath {
    fn from(client: reqwest::Client) -> Self {
        Self {
            client: client.into(),
            headers: HeaderMap::new(),
        }
    }
}

impl From<ClientWithMiddleware> for Underneath {
    fn from(client: ClientWithMiddleware) -> Self {
        Self {
            client,
            headers: HeaderMap::new(),
        }
    }
}

/// The cache as a middleware that borrows its client. Made by [`Cache::middleware`].
#[derive(Clone, Debug)]
pub struct CacheMiddleware {
    exchange: Exchange,
}

#[async_trait::async_trait]
impl Middleware for CacheMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if has_userinfo(request.url()) {
            let begun = self.exchange.unseen(extensions);
            let through = Through::Borrowed(next, extensions);
            return settle(begun, request, through, &self.exchange).await;
        }
        match self
            .exchange
            .begin(
                head(&request, request.headers(), extensions),
                Background::Impossible,
            )
            .await
        {
            Begin::Fetch(ticket) => {
                drive(*ticket, request, Through::Borrowed(next, extensions)).await
            }
            other => {
                settle(
                    other,
                    request,
                    Through::Borrowed(next, extensions),
                    &self.exchange,
                )
                .await
            }
        }
    }
}

/// The cache as a middleware that owns its client.
#[derive(Debug)]
struct Owning {
    exchange: Exchange,
    inner: ClientWithMiddleware,
    headers: HeaderMap,
}

#[async_trait::async_trait]
impl Middleware for Owning {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        _: Next<'_>,
    ) -> Result<Response> {
        if has_userinfo(request.url()) {
            let begun = self.exchange.unseen(extensions);
            let through = Through::Owned(self.inner.clone(), extensions.clone());
            return settle(begun, request, through, &self.exchange).await;
        }
        let begun = if self.headers.is_empty() {
            self.exchange
                .begin(
                    head(&request, request.headers(), extensions),
                    Background::Possible,
                )
                .await
        } else {
            let all = with_defaults(request.headers(), &self.headers);
            self.exchange
                .begin(head(&request, &all, extensions), Background::Possible)
                .await
        };
        match begun {
            Begin::Fetch(ticket) => {
                let through = Through::Owned(self.inner.clone(), extensions.clone());
                // A task of its own: the fetch goes on when its caller goes.
                match tokio::spawn(drive(*ticket, request, through)).await {
                    Ok(response) => response,
                    Err(lost) => Err(failed(&format!("its task ended early: {lost}"))),
                }
            }
            Begin::Answer {
                entry,
                part,
                answered,
                refresh,
            } => {
                if let Some((ticket, again)) = refresh
                    .filter(|t| !t.should_rest())
                    .zip(request.try_clone())
                {
                    tokio::spawn(refresh_behind(
                        *ticket,
                        again,
                        Through::Owned(self.inner.clone(), extensions.clone()),
                    ));
                }
                let begun = Begin::Answer {
                    entry,
                    part,
                    answered,
                    refresh: None,
                };
                settle(
                    begun,
                    request,
                    Through::Owned(self.inner.clone(), Extensions::new()),
                    &self.exchange,
                )
                .await
            }
            Begin::Bypass(answered, Some(invalidation)) => {
                let through = Through::Owned(self.inner.clone(), extensions.clone());
                // A task of its own: what the API carries out is done, though its caller goes.
                match tokio::spawn(change(request, through, invalidation)).await {
                    Ok(response) => Ok(attach(response?, answered)),
                    Err(lost) => Err(failed(&format!("its task ended early: {lost}"))),
                }
            }
            other => {
                settle(
                    other,
                    request,
                    Through::Owned(self.inner.clone(), extensions.clone()),
                    &self.exchange,
                )
                .await
            }
        }
    }
}

/// How a request goes on to the API.
enum Through<'a> {
    Owned(ClientWithMiddleware, Extensions),
    Borrowed(Next<'a>, &'a mut Extensions),
}

impl Through<'_> {
    async fn send(&mut self, request: Request) -> Result<Response> {
        match self {
            Self::Owned(client, extensions) => {
                client.execute_with_extensions(request, extensions).await
            }
            Self::Borrowed(next, extensions) => next.clone().run(request, extensions).await,
        }
    }
}

/// Makes the request of a ticket.
async fn drive(mut ticket: Ticket, request: Request, mut through: Through<'_>) -> Result<Response> {
    let (method, url) = (request.method().clone(), request.url().clone());
    let mut next = Some(request);
    loop {
        let Some(mut request) = next.take() else {
            return Err(failed("its body cannot be sent twice"));
        };
        // Only an answer to a condition of ours can ask for a second try.
        next = ticket
            .is_conditional()
            .then(|| request.try_clone())
            .flatten();
        ticket.prepare(request.headers_mut());
        let response = match through.send(request).await {
            Ok(response) => response,
            Err(error) => {
                let now = ticket.now();
                return match ticket.fail(reason(&error).into()) {
                    Some((entry, part, answered)) => Ok(finish(
                        self::response(&entry, &method, part, answered, now),
                        entry.meta.head.url(),
                        &url,
                    )),
                    None => Err(error),
                };
            }
        };
        let end = response.url().to_string();
        match land(ticket, &method, unpack(response), Some(end.clone())).await {
            Landed::Response(response) => return Ok(finish(*response, Some(&end), &url)),
            Landed::Again(again) => ticket = *again,
        }
    }
}

async fn refresh_behind(mut ticket: Ticket, mut request: Request, through: Through<'static>) {
    if !ticket.may_refresh().await {
        return;
    }
    request.method_mut().clone_from(ticket.method());
    match drive(ticket, request, through).await {
        // Read to its end, it is stored.
        Ok(response) => _ = response.bytes().await,
        Err(error) => {
            tracing::debug!(target: "restow", error = reason(&error), "a refresh behind a stale answer failed")
        }
    }
}

/// Makes a request past the cache that makes stored answers invalid where the API has carried it out, or may have.
async fn change(
    request: Request,
    mut through: Through<'_>,
    invalidation: Invalidation,
) -> Result<Response> {
    match through.send(request).await {
        Ok(response) => {
            let (status, headers) = (response.status(), response.headers());
            invalidation.answered(status, headers).await;
            Ok(response)
        }
        Err(error) => {
            if !(error.is_connect() || error.is_builder()) {
                invalidation.unanswered().await;
            }
            Err(error)
        }
    }
}

/// Does what needs no ticket.
async fn settle(
    begun: Begin,
    request: Request,
    mut through: Through<'_>,
    exchange: &Exchange,
) -> Result<Response> {
    let url = request.url().clone();
    match begun {
        Begin::Answer {
            entry,
            part,
            answered,
            ..
        } => {
            let response = response(&entry, request.method(), part, answered, exchange.now());
            Ok(finish(response, entry.meta.head.url(), &url))
        }
        Begin::Refuse(answered) => Ok(finish(refusal(answered), None, &url)),
        Begin::Failed(why) => Err(failed(&why)),
        Begin::Fetch(ticket) => drive(*ticket, request, through).await,
        Begin::Bypass(answered, None) => Ok(attach(through.send(request).await?, answered)),
        Begin::Bypass(answered, Some(invalidation)) => {
            let response = change(request, through, invalidation).await?;
            Ok(attach(response, answered))
        }
    }
}

fn head<'a>(
    request: &'a Request,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
) -> RequestHead<'a> {
    let body = request.body();
    let bytes = body.and_then(reqwest::Body::as_bytes);
    RequestHead {
        method: request.method(),
        target: target(request.url()),
        headers,
        extensions,
        body: bytes,
        streams: body.is_some() && bytes.is_none(),
        account: Account::of(extensions),
    }
}

pub(crate) fn target(url: &Url) -> Target<'_> {
    Target {
        scheme: url.scheme(),
        host: url.host_str().unwrap_or(""),
        port: url.port(),
        path: url.path(),
        query: url.query(),
    }
}

/// The request's headers, and those of the client's defaults that it does not have itself.
fn with_defaults(headers: &HeaderMap, defaults: &HeaderMap) -> HeaderMap {
    let mut all = headers.clone();
    for (name, value) in defaults {
        if !headers.contains_key(name) {
            all.append(name.clone(), value.clone());
        }
    }
    all
}

/// A response as an `http` one, its body in a box.
fn unpack(response: Response) -> http::Response<reqwest::Body> {
    http::Response::<reqwest::Body>::from(response)
}

/// A response as reqwest has it, with the URL that it came from: mostly the one that was asked for.
fn finish(response: http::Response<Body>, end: Option<&str>, asked: &Url) -> Response {
    let end = end
        .filter(|end| *end != asked.as_str())
        .and_then(|end| Url::parse(end).ok())
        .unwrap_or_else(|| asked.clone());
    let (parts, body) = response.into_parts();
    let mut out = http::Response::builder()
        .url(end)
        .body(())
        .unwrap_or_default();
    out.extensions_mut().extend(parts.extensions);
    *out.status_mut() = parts.status;
    *out.version_mut() = parts.version;
    *out.headers_mut() = parts.headers;
    Response::from(out.map(|()| reqwest::Body::wrap(body)))
}

fn attach(mut response: Response, answered: Answered) -> Response {
    response.extensions_mut().insert(answered);
    response
}

/// A URL that carries a name and a password: whose request it is cannot be seen in its headers yet.
fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn failed(why: &str) -> reqwest_middleware::Error {
    reqwest_middleware::Error::middleware(Error::new(
        ErrorKind::Upstream,
        format!("the fetch failed: {why}"),
    ))
}

/// What went wrong, without the URL: a query may hold a secret, and others who wait will read this.
fn reason(error: &reqwest_middleware::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = match error {
        reqwest_middleware::Error::Reqwest(e) => std::error::Error::source(e),
        reqwest_middleware::Error::Middleware(e) => return e.to_string(),
    };
    let mut words = Vec::new();
    while let Some(error) = source {
        words.push(error.to_string());
        source = error.source();
    }
    if words.is_empty() {
        "the request could not be sent".to_owned()
    } else {
        words.join(": ")
    }
}

impl Fetch for ClientWithMiddleware {
    fn fetch(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> BoxFuture<'_, crate::Result<http::Response<Body>>> {
        Box::pin(async move {
            let wrong = |e: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Upstream, format!("the request failed: {e}"))
            };
            let mut extensions = request.extensions().clone();
            extensions.insert(FromCache);
            let request = Request::try_from(request).map_err(|e| wrong(&e.without_url()))?;
            match self.execute_with_extensions(request, &mut extensions).await {
                Ok(response) => {
                    let url = response.url().to_string();
                    let mut response = unpack(response).map(Body::passing);
                    response
                        .extensions_mut()
                        .insert(super::fetch::FinalUrl(url));
                    Ok(response)
                }
                Err(error) => Err(wrong(&reason(&error))),
            }
        })
    }
}

impl Fetch for reqwest::Client {
    fn fetch(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> BoxFuture<'_, crate::Result<http::Response<Body>>> {
        Box::pin(async move {
            ClientWithMiddleware::from(self.clone())
                .fetch(request)
                .await
        })
    }
}
