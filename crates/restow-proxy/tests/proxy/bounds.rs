//! Connections on which nothing goes on, more of them than there may be, and requests that do not end.

use crate::kit::{Running, connections_left};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use restow_proxy::{Options, Tls, Upstream};
use restow_testkit::{Gate, Origin, Reply, dropping::in_time};
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, interval},
};
use tokio_rustls::TlsConnector;

/// Short, for tests that wait until it is over.
const SHORT: Duration = Duration::from_millis(200);

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn short_heads() -> Options {
    Options {
        head_timeout: SHORT,
        ..Options::default()
    }
}

async fn with(origin: &Origin, options: Options) -> Running {
    Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await
}

/// Sends bytes, and waits until the proxy ends the connection.
async fn until_the_end(proxy: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let what = String::from_utf8_lossy(bytes);
    // What is left of it may be cut.
    _ = in_time(&what, stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn who_asks_for_nothing_loses_its_place() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = with(&origin, short_heads()).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settled = format!("{preface}\0\0\0\u{4}\0\0\0\0\0");
    for bytes in [
        "",
        "G",
        "GET / HTTP/1.1\r\nhost: a\r\n",
        "PRI * HT",
        preface,
        &settled,
    ] {
        let answer = until_the_end(&proxy, bytes.as_bytes()).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{bytes:?}");
        connections_left(&proxy.proxy, 0).await;
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn who_asks_for_nothing_after_a_handshake_or_within_it_loses_its_place() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some(Tls {
        certificate,
        key,
        client_authority: None,
    });
    let proxy = with(
        &origin,
        Options {
            tls,
            ..short_heads()
        },
    )
    .await;
    assert!(until_the_end(&proxy, b"").await.is_empty());
    assert!(until_the_end(&proxy, b"\x16\x03\x01").await.is_empty());

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = in_time("a handshake", shaken).await.unwrap();
    let mut answer = Vec::new();
    _ = in_time("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    connections_left(&proxy.proxy, 0).await;
}

#[tokio::test]
async fn a_head_of_which_there_is_always_more_is_not_waited_for() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = with(&origin, short_heads()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut pace = interval(Duration::from_millis(5));
    let drips = async {
        while stream.write_all(b"x: 1\r\n").await.is_ok() {
            pace.tick().await;
        }
    };
    in_time("it is cut", drips).await;
    connections_left(&proxy.proxy, 0).await;
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn a_connection_without_a_next_request_ends() {
    let origin = Origin::start(|_| Reply::ok("whole")).await;
    let proxy = with(&origin, short_heads()).await;
    let next = [GET, b"GET /next HT"].concat();
    for bytes in [GET, &next] {
        let answer = until_the_end(&proxy, bytes).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\n\r\nwhole"), "{answer}");
        connections_left(&proxy.proxy, 0).await;
    }
    assert!(origin.calls_to("/next").is_empty());
}

#[tokio::test]
async fn one_client_more_than_there_may_be_waits_for_a_place() {
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    let options = Options {
        max_connections: 2,
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        ask(&mut stream).await;
        held.push(stream);
    }
    let mut third = TcpStream::connect(proxy.address).await.unwrap();
    third
        .write_all(b"GET /third HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    // More turns than it would need.
    for _ in 0..50 {
        ask(&mut held[0]).await;
    }
    assert!(origin.calls_to("/third").is_empty());
    held.pop();
    let mut answer = String::new();
    in_time("its answer", third.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.ends_with("/third"), "{answer}");
    ask(&mut held[0]).await;
}

/// Asks, and reads the whole answer.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n/") {
        let read = in_time("an answer", stream.read_buf(&mut answer)).await;
        assert!(read.unwrap() > 0, "{answer:?}");
    }
}

/// The clock stands still but for what nobody does anything before.
#[tokio::test]
async fn a_request_that_does_not_end_does_not_keep_it_from_stopping() {
    const DRAIN: Duration = Duration::from_secs(5);
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let options = Options {
        drain_timeout: DRAIN,
        ..Options::default()
    };
    let mut proxy = with(&origin, options).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    gate.reached(1).await;
    tokio::time::pause();
    let begun = Instant::now();
    proxy.stop();
    (&mut proxy.served).await.unwrap().unwrap();
    let took = begun.elapsed();
    assert!(took >= DRAIN && took < 2 * DRAIN, "{took:?}");
}

/// A client of HTTP/2 that reads and answers all that concerns the connection, and of an answer only what its test takes.
struct Client {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    /// Connects; the proxy may send `window` bytes of an answer before they are taken.
    async fn connect(proxy: &Running, window: u32) -> Self {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        Self {
            sender,
            connection: tokio::spawn(connection),
        }
    }

    async fn get(&mut self, proxy: &Running, path: &str) -> Response<Incoming> {
        let request = Request::get(proxy.url(path)).body(Empty::new()).unwrap();
        let answer = self.sender.send_request(request);
        in_time("the head of an answer", answer).await.unwrap()
    }

    /// Waits until the proxy ends the connection.
    async fn until_the_end(self) -> hyper::Result<()> {
        in_time("the end", self.connection).await.unwrap()
    }
}

#[tokio::test]
async fn an_idle_client_of_http_2_is_asked_to_go() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = with(&origin, short_heads()).await;
    let mut client = Client::connect(&proxy, 1 << 16).await;
    let answer = client.get(&proxy, "/").await;
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "a");
    client.until_the_end().await.unwrap();
    connections_left(&proxy.proxy, 0).await;
}

#[tokio::test]
async fn a_client_of_http_2_that_reads_nothing_loses_its_place() {
    const LONG: usize = 1 << 20;
    let origin = Origin::start(|call| {
        let reply = match &*call.target {
            "/short" => Reply::ok("short"),
            "/long" => Reply::ok(vec![b'x'; LONG]),
            _ => Reply::ok("x").then_for_ever(vec![b'x'; 1 << 16]),
        };
        reply.header("cache-control", "max-age=60")
    })
    .await;
    let options = Options {
        idle_timeout: SHORT,
        ..short_heads()
    };
    let proxy = with(&origin, options).await;
    for path in ["/short", "/long"] {
        proxy.get(path).await;
    }
    for (path, window) in [
        ("/short", 0),
        ("/short", 1),
        ("/long", 0),
        ("/long", 1 << 16),
        ("/for-ever", 0),
        ("/for-ever", 1 << 16),
    ] {
        let mut client = Client::connect(&proxy, window).await;
        let answer = client.get(&proxy, path).await;
        // It ends by an error or none, and the answer never looks whole.
        _ = client.until_the_end().await;
        assert!(answer.collect().await.is_err(), "{path}, {window}");
        connections_left(&proxy.proxy, 0).await;
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_waits_for_an_api_keeps_its_place() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| match &*call.target {
        "/late" => Reply::ok("late").behind(&held),
        _ => Reply::ok("a"),
    })
    .await;
    let options = Options {
        idle_timeout: SHORT,
        ..short_heads()
    };
    let proxy = with(&origin, options).await;
    let mut waits = Client::connect(&proxy, 1 << 16).await;
    let request = Request::get(proxy.url("/late")).body(Empty::new()).unwrap();
    let late = tokio::spawn(waits.sender.send_request(request));
    gate.reached(1).await;
    // Longer than one that waits for nothing is kept.
    for _ in 0..3 {
        let mut idle = Client::connect(&proxy, 1 << 16).await;
        idle.get(&proxy, "/").await.collect().await.unwrap();
        idle.until_the_end().await.unwrap();
    }
    gate.open();
    let late = in_time("the answer", late).await.unwrap().unwrap();
    assert_eq!(late.collect().await.unwrap().to_bytes(), "late");
}
