//! One request, from its head to the head of its answer.

use crate::{
    access_log::Line,
    bodies, coding,
    counted::Counted,
    fetch::{Call, Clients, Unanswered},
    fields::{self, Via},
    fit,
    idle::Idle,
    interim::{Lane, listen},
    links,
    log_thread::LogThread,
    metrics::Metrics,
    options::Options,
    refusal::Refusal,
    status::{self, CACHE_STATUS},
    upstream::{Destination, Upstreams},
    whole::{self, Read},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header::HOST, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use restow::{
    AnyRepository, Cache, Mode, Principal, RequestHead,
    client::{Body, refusal, stored_response},
    exchange::{Answered, Background, Begin, Exchange, Invalidation},
};
use rustls::ServerConfig;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: Cache,
    pub(crate) exchange: Exchange,
    pub(crate) upstreams: Upstreams,
    pub(crate) options: Options,
    pub(crate) clients: Clients,
    pub(crate) via: Via,
    /// Whether an endpoint's key holds a digest of the request's body.
    pub(crate) reads_bodies: bool,
    pub(crate) default_principal: Option<Principal>,
    /// The certificate of the listener.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) metrics: Arc<Metrics>,
    /// The thread of the access log, where there is a log.
    pub(crate) log: Option<LogThread>,
    /// Set once the proxy was told to stop.
    pub(crate) draining: Arc<AtomicBool>,
}

/// An answer, and what the cache says of it: beside it, for among its extensions it would cost a hit three allocations.
struct Reply {
    response: Response<Body>,
    answered: Option<Answered>,
    /// How long the whole body is, where it is held.
    length: Option<u64>,
}

impl From<Response<Body>> for Reply {
    fn from(mut response: Response<Body>) -> Self {
        let answered = response.extensions_mut().remove();
        Self {
            response,
            answered,
            length: None,
        }
    }
}

/// The longest request body that is read into memory for the key of an endpoint that asks by POST.
const MOST_KEYED: u64 = 1 << 20;

impl Shared {
    /// Answers a request.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        lane: &Lane,
    ) -> Response<Body> {
        let begun = Instant::now();
        let (mut parts, body) = request.into_parts();
        let version = parts.version;
        let Reply {
            mut response,
            answered,
            ..
        } = match self.serve(&mut parts, body, peer, lane).await {
            Ok(reply) => reply,
            Err(refusal) => {
                tracing::debug!(target: "restow", %refusal, method = %parts.method, "a request was refused");
                Reply::from(refusal.response())
            }
        };
        self.via.add_received(&mut response);
        let time = begun.elapsed();
        let answered = answered.as_ref();
        let bytes = length(&response, &parts.method);
        let outcome = answered.map(|a| a.outcome.kind);
        self.metrics.note(outcome, time, bytes.unwrap_or(0));
        if let (Some(log), Some(thread)) = (self.options.access_log, &self.log) {
            let line = log.text(&Line {
                at: self.exchange.now(),
                peer,
                method: &parts.method,
                path: parts.uri.path(),
                version,
                status: response.status(),
                bytes,
                time,
                outcome: answered,
            });
            if !thread.write(line) {
                self.metrics.dropped.fetch_add(1, Relaxed);
            }
        }
        match bytes {
            Some(_) => response,
            None => response.map(|body| {
                let counted = Counted::new(body, self.metrics.clone(), outcome);
                Body::passing(counted)
            }),
        }
    }

    async fn serve(
        self: &Arc<Self>,
        parts: &mut Parts,
        body: Incoming,
        peer: IpAddr,
        lane: &Lane,
    ) -> Result<Reply, Refusal> {
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(Refusal::Method);
        }
        self.name_principal(parts, peer);
        fields::clean_request(&mut parts.headers);
        let has_body = !body.is_end_stream();
        if has_body && coding::length(&parts.headers) > Some(self.options.max_request_body) {
            return Err(Refusal::BodyTooLarge);
        }
        let (known, body) = if has_body {
            // Boxed, as all that a hit does without: its future is small to move.
            Box::pin(self.take_in(parts, body)).await?
        } else {
            (None, Body::default())
        };
        // What a GET asks for by a body is in no key. Offline it is refused for that.
        if has_body && parts.method.is_safe() && self.cache.mode() != Mode::Offline {
            parts.extensions.insert(Mode::Bypass);
        }
        let destination = self.upstreams.find(parts)?;
        let lane = (parts.version == Version::HTTP_11).then_some(lane);
        let asked = self.ask(parts, &destination, known, body, has_body, lane);
        let mut reply = asked.await?;
        if destination.upstream.rewrites_links() {
            links::rewrite(reply.response.headers_mut(), &destination.upstream);
        }
        if !destination.upstream.pointers().is_empty() {
            let (upstream, options) = (&destination.upstream, &self.options);
            let scheme = options.tls.as_ref().map_or("http", |_| "https");
            let most = options.max_body;
            let rewritten = bodies::rewrite(reply.response, parts, upstream, scheme, most);
            reply.response = Box::pin(rewritten).await;
        }
        if fit::is_due(&reply.response, parts, reply.answered.as_ref()) {
            let answered = reply.answered.as_ref();
            let options = &self.options;
            // Boxed, as all that a hit in plain does without.
            let fitted = fit::fit(reply.response, parts, answered, reply.length, options);
            reply.response = Box::pin(fitted).await;
        }
        Ok(reply)
    }

    /// Answers a request whose destination is known: from the cache, or by asking.
    async fn ask(
        self: &Arc<Self>,
        parts: &Parts,
        destination: &Destination<'_>,
        known: Option<Bytes>,
        body: Body,
        has_body: bool,
        lane: Option<&Lane>,
    ) -> Result<Reply, Refusal> {
        let head = head(parts, destination, known.as_deref(), has_body);
        match self.exchange.begin(head, Background::Possible).await {
            Begin::Answer {
                entry,
                part,
                answered,
                refresh,
            } => {
                let now = self.exchange.now();
                let status = status::held(&self.options.name, &answered, &entry, now);
                let from_store = answered.outcome.is_from_store();
                let mut response = stored_response(&entry, &parts.method, part, from_store, now);
                response.headers_mut().append(CACHE_STATUS, status);
                if let Some(ticket) = refresh.filter(|t| !t.should_rest()) {
                    let call = call(destination, parts, known)?;
                    tokio::spawn(self.clone().refresh(*ticket, call));
                }
                Ok(Reply {
                    response,
                    answered: Some(answered),
                    length: Some(entry.body.len() as u64),
                })
            }
            Begin::Fetch(ticket) => {
                let mut call = call(destination, parts, known)?;
                let (ears, heard) = listen(lane, &destination.upstream, &self.via);
                call.ears = ears;
                let shared = self.clone();
                let forward = status::forward(ticket.outcome());
                // A task of its own: the fetch goes on when its client goes.
                let fetch = tokio::spawn(async move { shared.drive(*ticket, &call).await });
                let fetched = heard.until(fetch).await;
                let fetched = fetched
                    .unwrap_or_else(|_| Err(Refusal::Unreachable("its task ended early".into())));
                match fetched {
                    Ok(response) => Ok(response.into()),
                    Err(refusal) => self.unanswered(refusal, forward, false),
                }
            }
            Begin::Refuse(answered) => {
                let status = status::refused(&self.options.name, &answered);
                let mut response = refusal(answered);
                response.headers_mut().append(CACHE_STATUS, status);
                Ok(response.into())
            }
            Begin::Failed(why) => self.unanswered(Refusal::told(&why), "miss", true),
            Begin::Bypass(answered, invalidation) => {
                let passed = self.pass(parts, destination, body, answered, invalidation, lane);
                Box::pin(passed).await
            }
            _ => Err(Refusal::Target),
        }
    }

    /// Answers where the API gives no answer: why it was asked is said all the same.
    fn unanswered(
        &self,
        refusal: Refusal,
        forward: &str,
        collapsed: bool,
    ) -> Result<Reply, Refusal> {
        if !matches!(refusal, Refusal::Unreachable(_) | Refusal::TimedOut(_)) {
            return Err(refusal);
        }
        tracing::debug!(target: "restow", %refusal, "an API gave no answer");
        let status = status::unanswered(&self.options.name, forward, collapsed);
        let mut response = refusal.response();
        response.headers_mut().append(CACHE_STATUS, status);
        Ok(response.into())
    }

    /// Sends a request past the cache.
    async fn pass(
        self: &Arc<Self>,
        parts: &Parts,
        destination: &Destination<'_>,
        body: Body,
        answered: Answered,
        invalidation: Option<Invalidation>,
        lane: Option<&Lane>,
    ) -> Result<Reply, Refusal> {
        let mut call = call(destination, parts, None)?;
        let (ears, heard) = listen(lane, &destination.upstream, &self.via);
        call.ears = ears;
        let sent = match invalidation {
            None => heard.until(self.forward(call, body)).await,
            Some(invalidation) => {
                // A task of its own: what the API carries out is done, though its client goes.
                let sent = tokio::spawn(self.clone().change(call, body, invalidation));
                let sent = heard.until(sent).await;
                sent.map_err(|_| Refusal::Unreachable("its task ended early".into()))?
            }
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(Unanswered { refusal, .. }) => {
                return self.unanswered(refusal, status::forward(answered.outcome), false);
            }
        };
        let status = status::forwarded(&self.options.name, &answered, answer.status());
        let mut response = answer.map(|body| Body::passing(self.guard(body)));
        fields::clean_response(response.headers_mut());
        response.headers_mut().append(CACHE_STATUS, status);
        Ok(Reply {
            response,
            answered: Some(answered),
            length: None,
        })
    }

    /// The request that a client would make for this path of the proxy.
    pub(crate) fn asked(&self, url: &str) -> restow::Result<Parts> {
        let wrong = || {
            let shown = self.shown(url);
            let message =
                format!("{shown:?} is no path of the proxy, and no URL that it may ask for");
            restow::Error::new(restow::ErrorKind::Key, message)
        };
        let request = Request::get(url).header(HOST, "localhost").body(());
        let (parts, ()) = request.map_err(|_| wrong())?.into_parts();
        Ok(parts)
    }

    /// Finds the repository and the key of a path of the proxy.
    pub(crate) fn locate(&self, url: &str) -> restow::Result<(Arc<str>, restow::RawKey)> {
        let parts = self.asked(url)?;
        let wrong = |why: String| restow::Error::new(restow::ErrorKind::Key, why);
        let destination = self
            .upstreams
            .find(&parts)
            .map_err(|r| wrong(r.to_string()))?;
        self.exchange
            .locate(&head(&parts, &destination, None, false))
            .ok_or_else(|| {
                wrong(format!(
                    "{:?} has no key in any repository",
                    self.shown(url)
                ))
            })
    }

    /// A URL as operators are told it: without what any endpoint takes for a credential.
    pub(crate) fn shown(&self, url: &str) -> String {
        let strip = |url: String, r: &AnyRepository| r.credentials().strip(&url);
        self.cache
            .iter()
            .fold(url.to_owned(), |url, r| strip(url, &r))
    }

    /// Says whose request it is, where a header says so that is to be believed; nobody else's header goes on.
    fn name_principal(&self, parts: &mut Parts, peer: IpAddr) {
        if let Some(rule) = &self.options.principal {
            let value = parts.headers.remove(&rule.header);
            let named = value
                .filter(|_| rule.trusts(peer))
                .and_then(|v| v.to_str().ok().and_then(|name| Principal::new(name).ok()));
            if let Some(principal) = named {
                parts.extensions.insert(principal);
                return;
            }
        }
        if parts.extensions.get::<Principal>().is_none()
            && let Some(principal) = &self.default_principal
        {
            parts.extensions.insert(principal.clone());
        }
    }

    /// The request's body: its bytes where a key may hold their digest, and what goes to the API.
    async fn take_in(
        &self,
        parts: &Parts,
        body: Incoming,
    ) -> Result<(Option<Bytes>, Body), Refusal> {
        let body = Idle::new(
            body,
            self.options.idle_timeout,
            self.options.max_request_body,
        );
        if !self.reads_bodies || parts.method != Method::POST {
            return Ok((None, Body::passing(body)));
        }
        match whole::read(body, MOST_KEYED).await {
            Read::Whole(bytes) => Ok((Some(bytes.clone()), Body::whole(bytes))),
            Read::Longer(body) => Ok((None, body)),
            Read::Broken(_, error) => Err(Refusal::of_body(&error)),
        }
    }
}

/// How long the body of an answer is, where that is known; without a body it is none, whatever the head says.
fn length(response: &Response<Body>, method: &Method) -> Option<u64> {
    let bodiless = *method == Method::HEAD
        || response.status() == StatusCode::NOT_MODIFIED
        || response.status() == StatusCode::NO_CONTENT;
    if bodiless {
        return Some(0);
    }
    let exact = response.body().size_hint().exact();
    exact.or_else(|| coding::length(response.headers()))
}

/// The request as the cache sees it.
pub(crate) fn head<'a>(
    parts: &'a Parts,
    destination: &'a Destination<'_>,
    body: Option<&'a [u8]>,
    has_body: bool,
) -> RequestHead<'a> {
    RequestHead {
        method: &parts.method,
        target: destination.target(),
        headers: &parts.headers,
        extensions: &parts.extensions,
        body,
        streams: has_body && body.is_none(),
        account: destination.upstream.account().headers(),
    }
}

/// What is to be asked of an API; the request's parts go with it.
fn call(
    destination: &Destination<'_>,
    parts: &Parts,
    body: Option<Bytes>,
) -> Result<Call, Refusal> {
    Ok(Call {
        upstream: destination.upstream.clone(),
        uri: destination.uri()?,
        parts: parts.clone(),
        body: body.unwrap_or_default(),
        ears: None,
    })
}
