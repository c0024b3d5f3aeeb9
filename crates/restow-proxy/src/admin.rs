//! The listener for operators: numbers, health, purging, the mode, and what a request would come to.

use crate::{metrics, purge, serve::Shared, server::Proxy};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE},
    uri::Authority,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use restow::{
    BoxFuture, Error, ErrorKind, Millis, Mode, Principal, Result, client::BoxError, entry::Entry,
    exchange::Begin,
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::net::TcpListener;

/// The listener for operators.
///
/// | request | answer |
/// |---|---|
/// | `GET /healthz` | 200 while the process answers |
/// | `GET /readyz` | 200 while the store answers and the proxy takes requests, else 503; it tells of endpoints whose requests bypass the cache. A store behind a circuit breaker may be down: the proxy is ready all the same, and says so |
/// | `GET /metrics` | numbers in the text format of Prometheus |
/// | `POST /purge?..` | removes entries: `repository=`, `where=FIELD=VALUE`, `url=`, `principal=`, `tag=`, `status=`, `since=`, `until=`, `changed-since=`, `expired`, `live`; at least one of them, or `all` |
/// | `GET /mode`, `PUT /mode` | how network and store may be used: the body is its name |
/// | `GET /explain?url=..` | what a request for this path of the proxy would come to, as JSON; nothing is fetched. `principal=NAME`: as a request of that user; `header=NAME:VALUE`: with that header |
/// | `POST /reload` | replaces the settings, where the program can: see [`reloads_by`](Self::reloads_by) |
#[derive(Clone, Debug)]
pub struct Admin {
    proxy: Proxy,
    token: Arc<ArcSwapOption<blake3::Hash>>,
    reload: Option<Reload>,
}

/// Replaces the settings of a proxy, and tells which of them stay as they are.
#[derive(Clone)]
struct Reload(Arc<dyn Fn() -> BoxFuture<'static, Reloaded> + Send + Sync>);

type Reloaded = std::result::Result<Vec<String>, BoxError>;

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reload")
    }
}

impl Admin {
    /// Makes the listener of a proxy. With a `token`, all but `/healthz` and `/readyz` ask for it as a bearer token; without one they refuse
    /// with 403 what a browser may send for a page of elsewhere: a request with `Origin`, or whose `Host` is not this machine's.
    pub fn new(proxy: &Proxy, token: Option<&str>) -> Self {
        let admin = Self {
            proxy: proxy.clone(),
            token: Arc::default(),
            reload: None,
        };
        if let Some(token) = token {
            admin.set_token(token);
        }
        admin
    }

    /// Asks for another token from now on.
    pub fn set_token(&self, token: &str) {
        let digest = blake3::hash(token.as_bytes());
        self.token.store(Some(Arc::new(digest)));
    }

    /// Lets `POST /reload` call this: it reads the settings anew, gives them to [`Proxy::reload`], and returns what stays as it is until the
    /// program is started again, such as the address of a listener. Its error is what the operator is told.
    ///
    /// ```
    /// # use restow_proxy::{Admin, Proxy};
    /// # fn with(proxy: &Proxy) -> Admin {
    /// let admin = Admin::new(proxy, Some("secret")).reloads_by(|| async { Err("there is no configuration to read".into()) });
    /// # admin
    /// # }
    /// ```
    #[must_use]
    pub fn reloads_by<F, T>(mut self, reload: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = std::result::Result<Vec<String>, BoxError>> + Send + 'static,
    {
        self.reload = Some(Reload(Arc::new(move || Box::pin(reload()))));
        self
    }

    /// Serves operators until `stop` is ready.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it listens beyond this machine and has no token.
    ///
    /// # Cancel safety
    /// Dropped, it accepts no more, and each connection ends with the request that is under way on it.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
        let address = listener.local_addr().map_err(|e| {
            Error::new(ErrorKind::Config, "the admin listener has no address").with_source(e)
        })?;
        if !address.ip().is_loopback() && self.token.load().is_none() {
            let message = format!(
                "the admin listener at {address} can be reached from other machines and has no token; give it one, or let it listen on 127.0.0.1"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        // Gone with this future, it tells all connections to end.
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => return Ok(()),
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let admin = self.clone();
            let service = service_fn(move |request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watcher().watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(target: "restow", %error, "a connection of the admin listener ended early");
                }
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let open = matches!(path, "/healthz" | "/readyz");
        if !open && !self.allows(parts.headers.get(AUTHORIZATION)) {
            let mut response = text(
                StatusCode::UNAUTHORIZED,
                "the admin listener asks for its token: Authorization: Bearer TOKEN",
            );
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        if !open && self.token.load().is_none() && is_of_a_page(&parts.headers) {
            return text(
                StatusCode::FORBIDDEN,
                "without a token the admin listener answers programs of this machine alone, which ask for localhost or a loopback address and send no Origin; give it a token for others",
            );
        }
        let query = parts.uri.query().unwrap_or("");
        match (&parts.method, path) {
            (&Method::GET, "/healthz") => text(StatusCode::OK, "ok"),
            (&Method::GET, "/readyz") => self.ready().await,
            (&Method::GET, "/metrics") => self.metrics().await,
            (&Method::GET, "/mode") => json(
                StatusCode::OK,
                &json!({ "mode": self.proxy.cache().mode().to_string() }),
            ),
            (&Method::PUT, "/mode") => self.set_mode(body).await,
            (&Method::POST, "/purge") => {
                let shared = self.proxy.shared();
                match purge::purge(&shared, &shared.cache, query).await {
                    Ok(removed) => json(StatusCode::OK, &json!({ "removed": removed })),
                    Err(error) => failure(&error),
                }
            }
            (&Method::GET, "/explain") => match self.explain(query).await {
                Ok(value) => json(StatusCode::OK, &value),
                Err(error) => failure(&error),
            },
            (&Method::POST, "/reload") => self.reload().await,
            (
                _,
                "/healthz" | "/readyz" | "/metrics" | "/mode" | "/purge" | "/explain" | "/reload",
            ) => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "this is asked with another method",
            ),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz, /metrics, /mode, /purge, /explain and /reload",
            ),
        }
    }

    /// Compares digests, in a time that does not depend on them.
    fn allows(&self, shown: Option<&HeaderValue>) -> bool {
        let token = self.token.load();
        let Some(token) = &*token else {
            return true;
        };
        let shown = shown
            .and_then(|v| v.as_bytes().split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        shown.is_some_and(|(_, value)| blake3::hash(value) == **token)
    }

    async fn ready(&self) -> Response<Full<Bytes>> {
        let shared = self.proxy.shared();
        if shared.draining.load(Relaxed) {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the proxy is about to stop",
            );
        }
        let asked = shared.cache.store().tables();
        match tokio::time::timeout(Duration::from_secs(1), asked).await {
            // Without a token nobody is told which they are.
            Ok(Ok(_)) => match shared.cache.bypassed().len() {
                0 => text(StatusCode::OK, "ready"),
                n => text(
                    StatusCode::OK,
                    &format!(
                        "ready, but the requests of {n} endpoints bypass the cache, whose tables do not fit them; /explain says why"
                    ),
                ),
            },
            // Behind a breaker a store that is down costs misses alone: to take the proxy out would cost its answers too.
            Ok(Err(_)) | Err(_) if shared.cache.health().is_some() => text(
                StatusCode::OK,
                "ready, but the store is down: requests go to the API",
            ),
            Ok(Err(error)) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("the store fails: {error}"),
            ),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let shared = self.proxy.shared();
        match metrics::page(&shared.metrics, &shared.cache).await {
            Ok(page) => {
                let mut response = Response::new(Full::from(page));
                response.headers_mut().insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static(
                        "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    ),
                );
                response
            }
            Err(_) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the numbers cannot be written",
            ),
        }
    }

    async fn set_mode(&self, body: Incoming) -> Response<Full<Bytes>> {
        let Ok(body) = Limited::new(body, 256).collect().await else {
            return text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is the name of a mode",
            );
        };
        let body = body.to_bytes();
        let name = std::str::from_utf8(&body).unwrap_or("").trim();
        match name.parse::<Mode>() {
            Ok(mode) => {
                self.proxy.cache().set_mode(mode);
                tracing::info!(target: "restow", %mode, "the mode was set");
                json(StatusCode::OK, &json!({ "mode": mode.to_string() }))
            }
            Err(error) => failure(&error),
        }
    }

    async fn reload(&self) -> Response<Full<Bytes>> {
        let Some(Reload(reload)) = &self.reload else {
            return text(
                StatusCode::NOT_IMPLEMENTED,
                "this program has no settings to read anew",
            );
        };
        match reload().await {
            Ok(kept) => json(StatusCode::OK, &json!({ "reloaded": true, "kept": kept })),
            Err(error) => json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "reloaded": false, "error": error.to_string() }),
            ),
        }
    }

    async fn explain(&self, query: &str) -> Result<Value> {
        let wrong = |message: String| Error::new(ErrorKind::Key, message);
        let (mut url, mut principal, mut headers) = (None, None, HeaderMap::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "url" => url = Some(value),
                "principal" => principal = Some(Principal::new(&value)?),
                "header" => {
                    let (name, value) = field(&value).ok_or_else(|| {
                        wrong("a header is written header=NAME:VALUE, percent-encoded".into())
                    })?;
                    headers.append(name, value);
                }
                _ => {
                    return Err(wrong(format!(
                        "{name:?} explains nothing; there are url, principal and header"
                    )));
                }
            }
        }
        let url = url.ok_or_else(|| {
            wrong("say which: /explain?url=/path, as a client would ask the proxy for it".into())
        })?;
        let shared = self.proxy.shared();
        let mut parts = shared.asked(&url)?;
        parts.headers.extend(headers);
        let principal = principal.or_else(|| shared.default_principal.clone());
        if let Some(principal) = principal {
            parts.extensions.insert(principal);
        }
        let destination = shared
            .upstreams
            .find(&parts)
            .map_err(|r| Error::new(ErrorKind::Key, r.to_string()))?;
        let head = crate::serve::head(&parts, &destination, None, false);
        let now = shared.exchange.now();
        let upstream = shared.shown(&destination.target().to_string());
        let (answered, entry) = match shared.exchange.foresee(head).await {
            Begin::Answer {
                entry, answered, ..
            } => (answered, Some(entry)),
            Begin::Fetch(ticket) => {
                let address = ticket.address();
                return Ok(json!({
                    "upstream": upstream,
                    "outcome": ticket.outcome().to_string(),
                    "asks": if ticket.is_conditional() { "with a condition" } else { "without a condition" },
                    "repository": ticket.repository(),
                    "key": address.key.to_string(),
                    "partition": address.partition.to_string(),
                    "entry": ticket.held().map(|entry| told(entry, now)),
                }));
            }
            Begin::Refuse(answered) | Begin::Bypass(answered, _) => (answered, None),
            _ => {
                return Ok(json!({
                    "upstream": upstream,
                    "outcome": "failed: the fetch that this request waited for did",
                }));
            }
        };
        Ok(json!({
            "upstream": upstream,
            "outcome": answered.outcome.to_string(),
            "why": unfit(&shared, answered.repository.as_deref()),
            "repository": answered.repository.as_deref(),
            "key": answered.key.as_ref().map(|(key, _)| key.to_string()),
            "partition": answered.key.as_ref().map(|(_, partition)| partition.to_string()),
            "entry": entry.map(|entry| told(&entry, now)),
        }))
    }
}

/// A header of the request that is to be explained.
fn field(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let name = name.trim().parse().ok()?;
    Some((name, value.trim().parse().ok()?))
}

/// What is told of an entry: its body and its header lines stay where they are.
fn told(entry: &Entry, now: Millis) -> Value {
    let meta = &entry.meta;
    json!({
        "status": meta.head.status().as_u16(),
        "stored_at": meta.stored_at.to_string(),
        "checked_at": meta.checked_at.to_string(),
        "expires_at": (meta.expires_at != Millis::MAX).then(|| meta.expires_at.to_string()),
        "age": meta.head.facts().age_seconds(now.0),
        "vary": meta.head.vary(),
        "bytes": entry.body.len(),
        "tags": meta.tags.iter().map(|t| &**t).collect::<Vec<_>>(),
    })
}

/// Tells whether a browser may have sent this because a page of elsewhere said so: it tells of the page's origin, or asks for a name, which
/// its owner may have pointed at this machine.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let is_local = |host: &HeaderValue| {
        let authority = host.to_str().ok().and_then(|h| h.parse::<Authority>().ok());
        authority.is_some_and(|authority| {
            let host = authority.host().trim_matches(['[', ']']);
            let address = host.parse::<IpAddr>();
            host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.is_loopback())
        })
    };
    headers.contains_key(ORIGIN) || !headers.get_all(HOST).iter().all(is_local)
}

/// Why the requests of this repository's endpoint bypass the cache, where they do.
fn unfit(shared: &Shared, repository: Option<&str>) -> Option<String> {
    let bypassed = shared.cache.bypassed();
    let why = bypassed.iter().find(|why| why.repository() == repository)?;
    Some(why.message().to_owned())
}

fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{line}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = text(status, &value.to_string());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn failure(error: &Error) -> Response<Full<Bytes>> {
    let status = match error.kind() {
        ErrorKind::Store | ErrorKind::Down | ErrorKind::Busy | ErrorKind::Closed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    json(status, &json!({ "error": error.to_string() }))
}
