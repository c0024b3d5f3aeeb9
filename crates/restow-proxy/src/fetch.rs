//! Requests to the APIs.

use crate::{
    decode::land,
    fields::{self, Received},
    idle::{Fault, Idle},
    interim::Ears,
    options::Options,
    refusal::Refusal,
    serve::Shared,
    status::{self, CACHE_STATUS},
    tls::Ca,
    upstream::{Upstream, Upstreams},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, Version, request::Parts};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use restow::{
    Error, ErrorKind, Result,
    client::{Body, Landed, causes, response},
    exchange::{Answered, Invalidation, Ticket},
};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::ring};
use std::{io, sync::Arc};

type Client = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// The most that is read of an API's answer ahead of whoever takes it, and so the longest head of one, in bytes.
const MOST_READ: usize = 128 << 10;

/// One client for all APIs that whom the system trusts vouches for, and one for each authority of upstreams: a connection that one of them
/// trusts is used for no other's requests.
#[derive(Debug)]
pub(crate) struct Clients {
    of_system: Client,
    /// Whether it was made for https.
    has_system: bool,
    of_authorities: Vec<(Ca, Client)>,
}

impl Clients {
    /// Makes what these upstreams need; what there was before goes on with its connections.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the system's certificates cannot be read and an upstream is asked by https.
    pub(crate) fn new(
        options: &Options,
        upstreams: &Upstreams,
        before: Option<&Self>,
    ) -> Result<Self> {
        let needed = upstreams.need_system();
        let kept = before.filter(|b| b.has_system || !needed);
        let (of_system, has_system) = match kept {
            Some(before) => (before.of_system.clone(), before.has_system),
            None => (client(options, tls(needed)?), needed),
        };
        let mut of_authorities: Vec<(Ca, Client)> = Vec::new();
        for ca in upstreams.authorities() {
            if find(&of_authorities, ca).is_none() {
                let kept = before.and_then(|b| find(&b.of_authorities, ca)).cloned();
                let client =
                    kept.map_or_else(|| Ok(client(options, tls_by(ca)?)), Ok::<_, Error>)?;
                of_authorities.push((ca.clone(), client));
            }
        }
        Ok(Self {
            of_system,
            has_system,
            of_authorities,
        })
    }

    /// The client for an upstream.
    fn of(&self, upstream: &Upstream) -> &Client {
        let own = upstream.trusts();
        own.and_then(|ca| find(&self.of_authorities, ca))
            .unwrap_or(&self.of_system)
    }
}

fn find<'c>(of_authorities: &'c [(Ca, Client)], ca: &Ca) -> Option<&'c Client> {
    let mut all = of_authorities.iter();
    all.find_map(|(its, client)| (its == ca).then_some(client))
}

/// Makes a client: pooled connections, HTTP/2 where an API speaks it over TLS, no redirects.
fn client(options: &Options, tls: ClientConfig) -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .http1_max_buf_size(MOST_READ)
        .build(connector)
}

/// Trusts whom the system trusts.
fn tls(needed: bool) -> Result<ClientConfig> {
    let wrong = |e: rustls::Error| {
        let message = "the system's certificates cannot be read, and an upstream is asked by https; install ca-certificates";
        Error::new(ErrorKind::Config, message).with_source(e)
    };
    let builder = builder().map_err(wrong)?;
    if needed {
        let trusting = builder.try_with_platform_verifier().map_err(wrong)?;
        Ok(trusting.with_no_client_auth())
    } else {
        let nobody = builder.with_root_certificates(RootCertStore::empty());
        Ok(nobody.with_no_client_auth())
    }
}

/// Trusts an authority alone.
fn tls_by(ca: &Ca) -> Result<ClientConfig> {
    let trusting = builder().and_then(|b| Ok(b.with_root_certificates(ca.roots()?)));
    let wrong = |e| Error::new(ErrorKind::Config, "TLS cannot be set up").with_source(e);
    Ok(trusting.map_err(wrong)?.with_no_client_auth())
}

fn builder() -> std::result::Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
}

/// Says whose fault it is that a request came to nothing: the client's, whose body it was, or the API's.
fn refused(error: &legacy::Error) -> Refusal {
    let chain = || {
        let first: &(dyn std::error::Error + 'static) = error;
        std::iter::successors(Some(first), |e| e.source())
    };
    let why = || causes(error).into();
    if let Some(fault) = chain().find_map(|e| e.downcast_ref::<Fault>()) {
        return (*fault).into();
    }
    let mut of_http = chain().filter_map(|e| e.downcast_ref::<hyper::Error>());
    if of_http.any(hyper::Error::is_user) {
        return Refusal::Body(why());
    }
    let mut of_system = chain().filter_map(|e| e.downcast_ref::<io::Error>());
    if error.is_connect() && of_system.any(|e| e.kind() == io::ErrorKind::TimedOut) {
        return Refusal::TimedOut(why());
    }
    Refusal::Unreachable(why())
}

/// A request that got no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) refusal: Refusal,
    /// Whether the API may have carried it out all the same: for all that is known it got the whole request.
    may_be_done: bool,
}

/// What is asked of an API, again where it must be.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) uri: Uri,
    pub(crate) parts: Parts,
    /// The body of a request that may be made twice.
    pub(crate) body: Bytes,
    /// What comes before the answer is for somebody.
    pub(crate) ears: Option<Ears>,
}

impl Shared {
    /// Makes one request; its answer still has the fields of its connection.
    pub(crate) async fn send(
        &self,
        upstream: &Upstream,
        uri: Uri,
        parts: &Parts,
        headers: HeaderMap,
        body: Body,
        ears: Option<Ears>,
    ) -> std::result::Result<Response<Incoming>, Unanswered> {
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        upstream.prepare(request.headers_mut());
        self.via.add(request.headers_mut(), parts.version);
        if let Some(ears) = ears {
            ears.attach(&mut request);
        }
        let sent = self.clients.of(upstream).request(request);
        let sent = tokio::time::timeout(self.options.upstream_timeout, sent);
        match sent.await {
            Ok(Ok(mut response)) => {
                fields::date(response.headers_mut(), self.exchange.now());
                let received = Received(response.version());
                response.extensions_mut().insert(received);
                *response.version_mut() = Version::HTTP_11;
                Ok(response)
            }
            Ok(Err(error)) => {
                let refusal = refused(&error);
                let is_whole = matches!(refusal, Refusal::Unreachable(_) | Refusal::TimedOut(_));
                Err(Unanswered {
                    may_be_done: is_whole && !error.is_connect(),
                    refusal,
                })
            }
            Err(_) => Err(Unanswered {
                refusal: Refusal::TimedOut(
                    format!("no answer within {:?}", self.options.upstream_timeout).into(),
                ),
                may_be_done: true,
            }),
        }
    }

    /// Makes a request past the cache: once, for its body comes but once.
    pub(crate) async fn forward(
        &self,
        call: Call,
        body: Body,
    ) -> std::result::Result<Response<Incoming>, Unanswered> {
        let Call {
            upstream,
            uri,
            mut parts,
            ears,
            ..
        } = call;
        let headers = std::mem::take(&mut parts.headers);
        self.send(&upstream, uri, &parts, headers, body, ears).await
    }

    /// The same for a request that makes stored answers invalid where the API has carried it out, or may have.
    pub(crate) async fn change(
        self: Arc<Self>,
        call: Call,
        body: Body,
        invalidation: Invalidation,
    ) -> std::result::Result<Response<Incoming>, Unanswered> {
        match self.forward(call, body).await {
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers());
                invalidation.answered(status, headers).await;
                Ok(answer)
            }
            Err(unanswered) => {
                if unanswered.may_be_done {
                    invalidation.unanswered().await;
                }
                Err(unanswered)
            }
        }
    }

    /// Makes the request of a ticket.
    pub(crate) async fn drive(
        &self,
        mut ticket: Ticket,
        call: &Call,
    ) -> std::result::Result<Response<Body>, Refusal> {
        let method = &call.parts.method;
        loop {
            let mut headers = call.parts.headers.clone();
            ticket.prepare(&mut headers);
            let body = Body::whole(call.body.clone());
            let (uri, ears) = (call.uri.clone(), call.ears.clone());
            let sent = self.send(&call.upstream, uri, &call.parts, headers, body, ears);
            let answer = match sent.await {
                Ok(answer) => answer,
                Err(Unanswered { refusal, .. }) => {
                    let now = self.exchange.now();
                    return match ticket.fail(refusal.to_string().into()) {
                        Some((entry, part, answered)) => {
                            let status = status::held(&self.options.name, &answered, &entry, now);
                            let mut response = response(&entry, method, part, answered, now);
                            response.headers_mut().append(CACHE_STATUS, status);
                            Ok(response)
                        }
                        None => Err(refusal),
                    };
                }
            };
            let answer = answer.map(|body| self.guard(body));
            let fetched = answer.status();
            // Boxed: thousands may wait for an API at once, and this is most of what each would hold.
            let landing = land(ticket, method, answer, call.uri.to_string());
            match Box::pin(landing).await? {
                Landed::Response(mut response) => {
                    fields::clean_response(response.headers_mut());
                    if let Some(answered) = response.extensions().get::<Answered>() {
                        let status = status::fetched(&self.options.name, answered, fetched);
                        response.headers_mut().append(CACHE_STATUS, status);
                    }
                    return Ok(*response);
                }
                Landed::Again(again) => ticket = *again,
            }
        }
    }

    /// Refreshes what was served stale: read to its end, it is stored.
    pub(crate) async fn refresh(self: Arc<Self>, mut ticket: Ticket, mut call: Call) {
        if !ticket.may_refresh().await {
            return;
        }
        call.parts.method.clone_from(ticket.method());
        match self.drive(ticket, &call).await {
            Ok(response) => _ = response.into_body().bytes().await,
            Err(refusal) => {
                tracing::debug!(target: "restow", %refusal, "a refresh behind a stale answer failed");
            }
        }
    }

    /// A body of an API: it fails where it stands still.
    pub(crate) fn guard(&self, body: Incoming) -> Idle<Incoming> {
        Idle::new(body, self.options.idle_timeout, u64::MAX)
    }
}
