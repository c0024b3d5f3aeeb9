//! An API whose answers a test writes.

use crate::Gate;
use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// An HTTP server that answers by a function and remembers what it was asked. It ends when it is dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    answer: Box<dyn Fn(&Call) -> Reply + Send + Sync>,
    calls: Mutex<Vec<Call>>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
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
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            calls: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Self {
            address,
            shared,
            server,
        }
    }

    /// Returns the URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
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

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // In a set, so that the connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;
type Answer = Response<http_body_util::Either<http_body_util::Full<Bytes>, Body>>;

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    let call = {
        let mut calls = shared.calls.lock().unwrap();
        let call = Call {
            method: parts.method,
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
