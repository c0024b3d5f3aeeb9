//! Interim answers (RFC 9110 section 15.2) reach the client whose request they are of, before the answer, and nobody else.

use crate::kit::Running;
use restow_proxy::{Options, Upstream};
use restow_testkit::{RawOrigin, dropping::in_time, http_client};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </v1/a.css>; rel=preload\r\nx-early: 1\r\n\
     connection: x-hop\r\nx-hop: 1\r\ncontent-length: 7\r\n\r\n";
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nwhole";

/// An API that says something before each answer, and answers once it is let.
struct Announcing {
    address: String,
    go: Arc<Notify>,
    asked: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Announcing {
    async fn start(before: impl Into<String>) -> Self {
        let before = before.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (go, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let server = tokio::spawn({
            let (go, asked) = (go.clone(), asked.clone());
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let (go, asked, before) = (go.clone(), asked.clone(), before.clone());
                    tokio::spawn(async move {
                        while head(&mut stream).await.is_some() {
                            asked.fetch_add(1, SeqCst);
                            stream.write_all(before.as_bytes()).await.unwrap();
                            go.notified().await;
                            stream.write_all(ANSWER.as_bytes()).await.unwrap();
                        }
                    });
                }
            }
        });
        Self {
            address,
            go,
            asked,
            server,
        }
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(&format!("http://{}", self.address)).unwrap()
    }

    async fn proxy(&self) -> Running {
        Running::start(vec![self.upstream()], Options::default(), "").await
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads the head of a message and nothing of what follows it; `None` at the end of the connection.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Reads the head of an answer in time.
async fn said(stream: &mut (impl AsyncRead + Unpin)) -> String {
    in_time("an answer", head(stream)).await.expect("an answer")
}

/// Reads the answer of the API.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let head = said(stream).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let mut body = [0; 5];
    in_time("a body", stream.read_exact(&mut body))
        .await
        .unwrap();
    assert_eq!(&body, b"whole");
    head
}

async fn ask(stream: &mut (impl AsyncWrite + Unpin), request: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn they_come_before_the_answer_and_are_not_stored() {
    let api = Announcing::start(HINTS).await;
    let proxy = api.proxy().await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut client, GET).await;
    // The API has not answered yet.
    let hints = said(&mut client).await;
    assert_eq!(
        hints,
        "HTTP/1.1 103 Early Hints\r\nlink: </v1/a.css>; rel=preload\r\nx-early: 1\r\nvia: 1.1 restow\r\n\r\n"
    );
    api.go.notify_one();
    let head = answer(&mut client).await;
    assert!(!head.contains("x-early"), "{head}");
    // On the same connection, from the cache.
    ask(&mut client, GET).await;
    let head = answer(&mut client).await;
    assert!(head.contains("; hit"), "{head}");
    assert_eq!(api.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn each_comes_in_its_turn_and_for_each_request_anew() {
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let odd = "HTTP/1.1 199 \r\nx-n: 2\r\n\r\n";
    let api = Announcing::start([processing, HINTS, odd].concat()).await;
    let proxy = api.proxy().await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    for (path, at_once) in [("/a", false), ("/b", true), ("/c", true), ("/d", false)] {
        if at_once {
            // All of it in one go.
            api.go.notify_one();
        }
        let get = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        ask(&mut client, &get).await;
        let first = said(&mut client).await;
        assert_eq!(first, "HTTP/1.1 102 Processing\r\nvia: 1.1 restow\r\n\r\n");
        let second = said(&mut client).await;
        assert!(second.starts_with("HTTP/1.1 103 "), "{second}");
        let third = said(&mut client).await;
        assert_eq!(third, "HTTP/1.1 199 \r\nx-n: 2\r\nvia: 1.1 restow\r\n\r\n");
        if !at_once {
            api.go.notify_one();
        }
        answer(&mut client).await;
    }
}

#[tokio::test]
async fn none_is_overtaken_by_an_answer_that_comes_at_once() {
    let origin = RawOrigin::start(|_| [HINTS, HINTS, HINTS, ANSWER].concat().into_bytes()).await;
    let upstream = Upstream::new(&origin.url("")).unwrap();
    let proxy = Running::start(vec![upstream], Options::default(), "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    for method in ["POST", "PUT", "GET"].repeat(8) {
        let request = format!(
            "{method} /a HTTP/1.1\r\nhost: a\r\ncache-control: no-cache\r\ncontent-length: 0\r\n\r\n"
        );
        ask(&mut client, &request).await;
        for _ in 0..3 {
            let hints = said(&mut client).await;
            assert!(hints.starts_with("HTTP/1.1 103 "), "{method}: {hints}");
        }
        answer(&mut client).await;
    }
}

#[tokio::test]
async fn what_is_never_stored_has_them_too_and_expect_is_answered_once() {
    // That 100 answers nobody: the proxy asks for none.
    let api = Announcing::start(["HTTP/1.1 100 Continue\r\n\r\n", HINTS].concat()).await;
    let proxy = api.proxy().await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let post = "POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n";
    ask(&mut client, post).await;
    let hints = said(&mut client).await;
    assert!(hints.starts_with("HTTP/1.1 103 "), "{hints}");
    api.go.notify_one();
    answer(&mut client).await;

    let post =
        "POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n";
    ask(&mut client, post).await;
    // The API speaks before the body came, the proxy where somebody wants the body: either may be first.
    let (one, other) = (said(&mut client).await, said(&mut client).await);
    let both = [one, other].concat();
    assert_eq!(
        both.matches("HTTP/1.1 100 Continue\r\n").count(),
        1,
        "{both}"
    );
    assert_eq!(both.matches("HTTP/1.1 103 ").count(), 1, "{both}");
    ask(&mut client, "0\r\n\r\n").await;
    api.go.notify_one();
    answer(&mut client).await;
}

#[tokio::test]
async fn their_links_lead_through_the_proxy_as_those_of_an_answer() {
    let api = Announcing::start(HINTS).await;
    let upstream = format!("http://{}/v1", api.address);
    let upstream = Upstream::new(&upstream).unwrap().mount("/api").unwrap();
    let upstream = upstream.rewrite_links();
    let proxy = Running::start(vec![upstream], Options::default(), "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut client, "GET /api/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let hints = said(&mut client).await;
    assert!(
        hints.contains("\r\nlink: </api/a.css>; rel=preload\r\n"),
        "{hints}"
    );
    api.go.notify_one();
    answer(&mut client).await;
}

#[tokio::test]
async fn who_waits_for_anothers_request_and_who_speaks_http_1_0_get_none() {
    let api = Announcing::start(HINTS).await;
    let proxy = api.proxy().await;
    let mut first = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut first, GET).await;
    said(&mut first).await;
    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut second, GET).await;
    // Once a third has been asked for, the second has had its turn.
    let mut third = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut third, "GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    said(&mut third).await;
    api.go.notify_one();
    answer(&mut first).await;
    let head = answer(&mut second).await;
    assert!(head.contains("; collapsed"), "{head}");
    api.go.notify_one();
    answer(&mut third).await;
    assert_eq!(api.asked.load(SeqCst), 2);

    let mut old = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut old, "GET /old HTTP/1.0\r\nhost: a\r\n\r\n").await;
    api.go.notify_one();
    let head = said(&mut old).await;
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");

    // The library's HTTP/2 has none to give.
    let client = http_client().http2_prior_knowledge().build().unwrap();
    api.go.notify_one();
    let sent = client.get(proxy.url("/2")).send();
    let answer = in_time("an answer", sent).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "whole");
}

#[tokio::test]
async fn what_a_client_does_not_read_is_bounded_and_breaks_nothing() {
    let long = format!(
        "HTTP/1.1 103 Early Hints\r\nx-long: {}\r\n\r\n",
        "a".repeat(60 << 10)
    );
    // More than the system holds for a client that does not read.
    let api = Announcing::start(long.repeat(400)).await;
    let proxy = api.proxy().await;
    let client = TcpStream::connect(proxy.address).await.unwrap();
    let mut client = BufStream::new(client);
    ask(&mut client, GET).await;
    api.go.notify_one();
    let mut came = 0;
    let head = loop {
        let head = said(&mut client).await;
        if !head.starts_with("HTTP/1.1 103 ") {
            break head;
        }
        assert_eq!(head.len(), long.len() + "via: 1.1 restow\r\n".len());
        came += 1;
    };
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!((1..=400).contains(&came), "{came}");
    let mut body = [0; 5];
    client.read_exact(&mut body).await.unwrap();
    // The connection serves on.
    ask(&mut client, GET).await;
    let head = answer(&mut client).await;
    assert!(head.contains("; hit"), "{head}");
}
