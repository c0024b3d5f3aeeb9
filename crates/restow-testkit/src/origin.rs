//! An API whose answers a test writes.

use crate::{Gate, dropping::in_time};
use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// An HTTP server that answers by a function and remembers what it was asked. It ends when it is dropped.
pub struct Origin {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    answer: Box<dyn Fn(&Call) -> Reply + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    connections: AtomicUsize,
    /// How many bytes of bodies came.
    received: watch::Sender<usize>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The version of HTTP.
    pub version: Version,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// How many requests to the same target came before.
    pub nth: usize,
}

impl Call {
    /// Returns the value of a header; nothing where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().unwrap_or(""))
    }
}

/// What to answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    before: Option<Gate>,
    pieces: Vec<Piece>,
    closes: bool,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Gate(Gate),
    Endless(Bytes),
}

impl Reply {
    /// Answers 200 with this body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200).then(body)
    }

    /// Answers with a status and no body yet.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            before: None,
            pieces: Vec::new(),
            closes: false,
        }
    }

    /// Closes the connection in place of an answer.
    pub fn closed() -> Self {
        Self {
            closes: true,
            ..Self::status(200)
        }
    }

    /// Adds header lines as they are, in place of those of the same name.
    #[must_use]
    pub fn headers(mut self, lines: HeaderMap) -> Self {
        self.headers.extend(lines);
        self
    }

    /// Adds a header line; one that is there already stays.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        self
    }

    /// Holds the whole answer back behind a gate.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Goes on with a piece of the body. A body of several pieces is sent in chunks.
    #[must_use]
    pub fn then(mut self, body: impl Into<Bytes>) -> Self {
        self.pieces.push(Piece::Data(body.into()));
        self
    }

    /// Holds the rest of the body back behind a gate.
    #[must_use]
    pub fn then_gate(mut self, gate: &Gate) -> Self {
        self.pieces.push(Piece::Gate(gate.clone()));
        self
    }

    /// Sends a piece again and again, until nobody reads it.
    #[must_use]
    pub fn then_for_ever(mut self, piece: impl Into<Bytes>) -> Self {
        self.pieces.push(Piece::Endless(piece.into()));
        self
    }
}

impl Origin {
    /// Starts a server on a free port.
    pub async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// Starts a server that accepts from this listener.
    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::over(listener, None, answer)
    }

    /// Starts a server that speaks TLS on a free port: with this certificate and its key, in PEM, and these protocols, the best first (ALPN);
    /// HTTP/2 where a client agrees to `h2`, else HTTP/1.1.
    pub async fn secure(
        (certificate, key): (String, String),
        protocols: &[&str],
        answer: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        tls.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Self::over(listener, Some(TlsAcceptor::from(Arc::new(tls))), answer)
    }

    fn over(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let scheme = tls.as_ref().map_or("http", |_| "https");
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            calls: Mutex::default(),
            connections: AtomicUsize::default(),
            received: watch::Sender::default(),
        });
        let server = tokio::spawn(serve(listener, tls, shared.clone()));
        Self {
            address,
            scheme,
            shared,
            server,
        }
    }

    /// Returns the URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme, self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the requests to a target, in the order in which they came.
    pub fn calls_to(&self, target: &str) -> Vec<Call> {
        let calls = self.shared.calls.lock().unwrap();
        calls
            .iter()
            .filter(|c| c.target == target)
            .cloned()
            .collect()
    }

    /// Returns how many requests came.
    pub fn asked(&self) -> usize {
        self.shared.calls.lock().unwrap().len()
    }

    /// Returns how many connections came.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until so many bytes of requests' bodies have come.
    pub async fn received(&self, bytes: usize) {
        let mut received = self.shared.received.subscribe();
        let came = received.wait_for(|came| *came >= bytes);
        in_time("a body on its way", came).await.unwrap();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("address", &self.address)
            .field("asked", &self.asked())
            .finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // In a set, so that the connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(accepted(stream, tls.clone(), shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until its end, which is the client's affair.
async fn accepted(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let Some(tls) = tls else {
        return talk(stream, false, shared).await;
    };
    if let Ok(stream) = tls.accept(stream).await {
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        talk(stream, is_h2, shared).await;
    }
}

async fn talk<S>(stream: S, is_h2: bool, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let builder = Builder::new(TokioExecutor::new());
    // Strictly what was agreed on.
    let builder = if is_h2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    let service = service_fn(move |request| answer(shared.clone(), request));
    _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;
type Answer = Response<http_body_util::Either<http_body_util::Full<Bytes>, Body>>;

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = body.map_frame(|frame| {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        shared.received.send_modify(|came| *came += bytes);
        frame
    });
    let body = body.collect().await?.to_bytes();
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    let call = {
        let mut calls = shared.calls.lock().unwrap();
        let call = Call {
            method: parts.method,
            version: parts.version,
            target: target.to_owned(),
            headers: parts.headers,
            body,
            nth: calls.iter().filter(|c| c.target == target).count(),
        };
        calls.push(call.clone());
        call
    };
    let reply = (shared.answer)(&call);
    if reply.closes {
        return Err("the connection is closed".into());
    }
    if let Some(gate) = &reply.before {
        gate.pass().await;
    }
    let body = match &reply.pieces[..] {
        [] => http_body_util::Either::Left(http_body_util::Full::default()),
        [Piece::Data(all)] => http_body_util::Either::Left(http_body_util::Full::new(all.clone())),
        _ => http_body_util::Either::Right(StreamBody::new(
            stream::iter(reply.pieces).flat_map(send).boxed(),
        )),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

fn send(piece: Piece) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    match piece {
        Piece::Data(data) => stream::iter([Ok(Frame::data(data))]).boxed(),
        Piece::Endless(data) => stream::repeat_with(move || Ok(Frame::data(data.clone()))).boxed(),
        Piece::Gate(gate) => stream::once(async move { gate.pass().await })
            .filter_map(|()| std::future::ready(None))
            .boxed(),
    }
}
