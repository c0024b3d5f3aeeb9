//! Bytes that are no clear request: nothing of them reaches an API.

use crate::kit::{Running, before};
use restow_testkit::{Origin, Reply};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends bytes and returns everything that comes back until the other side ends the connection.
pub(crate) async fn raw(proxy: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    // It may be cut before all of it was taken.
    _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    // A connection that is cut has said what it had to say.
    _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Requests whose framing two servers could read differently, with a second request hidden behind each.
const AMBIGUOUS: [&str; 26] = [
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding\r\n: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloXX\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n folded: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    "GET /\r\nHTTP/1.1\r\nhost: a\r\n\r\n",
];

#[tokio::test]
async fn what_is_ambiguous_is_refused_and_what_hides_behind_it_is_not_asked() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    for request in AMBIGUOUS {
        let smuggled =
            format!("{request}GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(&proxy, &smuggled).await;
        assert!(
            answer.is_empty()
                || answer.starts_with("HTTP/1.1 4")
                || answer.starts_with("HTTP/1.1 5"),
            "{request:?}: {answer}"
        );
        assert!(origin.calls_to("/smuggled").is_empty(), "{request:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_with_a_length_beside_it_is_one_request_at_most() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    raw(&proxy, request).await;
    for call in origin.calls_to("/") {
        assert!(
            call.header("content-length").is_empty() || call.header("transfer-encoding").is_empty()
        );
        assert!(call.body.is_empty());
    }
}

#[tokio::test]
async fn a_hit_with_a_body_leaves_nothing_behind_on_the_connection() {
    let origin = Origin::start(|_| Reply::ok("origin").header("cache-control", "max-age=60")).await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{hidden}GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        hidden.len()
    );
    raw(&proxy, &request).await;
    assert!(origin.calls_to("/hidden").is_empty());
}

#[tokio::test]
async fn methods_that_no_cache_passes_on_are_refused() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    for request in [
        "CONNECT a:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        let answer = raw(&proxy, request).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on() {
    let origin = Origin::start(|call| {
        Reply::ok(format!(
            "{}{}",
            call.header("upgrade"),
            call.header("connection")
        ))
    })
    .await;
    let proxy = before(&origin).await;
    let answer = raw(
        &proxy,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !answer.contains("websocket"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    let long = "x".repeat(1 << 20);
    let answer = raw(
        &proxy,
        &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{}",
        answer.len()
    );
    assert_eq!(origin.asked(), 0);
    // And it poisons nothing.
    assert_eq!(proxy.get("/").await.body, "origin");
}
