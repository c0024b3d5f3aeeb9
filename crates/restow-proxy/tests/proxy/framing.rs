//! Bytes that are no clear request: nothing of them reaches an API.

use crate::kit::{Running, before};
use restow_testkit::{Origin, Reply, dropping::in_time};
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
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, _) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let head = head.to_ascii_lowercase();
    assert!(
        !head.contains("; hit") || !head.contains("\r\nset-cookie:"),
        "{answer}"
    );
    answer
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

/// Requests that are refused as a whole, with 4xx and the end of the connection: targets and authorities that two servers could read
/// differently, and heads that are none.
const MALFORMED: [&str; 24] = [
    "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\rx: b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n\tfolded\r\n\r\n",
    "GET / HTTP/1.1\r\n host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nno-colon\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n\0x: 1\r\n\r\n",
    "G\0T / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /a\0b HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /a\tb HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET a HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1 x\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.10\r\nhost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    "GET / ICAP/1.0\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a:80:80\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a#b\r\n\r\n",
];

/// Whether an answer says that a request is the client's fault, is the only one, and says that the connection ends.
fn is_refusal(answer: &str) -> bool {
    let refused = answer.starts_with("HTTP/1.1 4");
    let only = answer.matches("HTTP/1.1 ").count() == 1;
    refused && only && answer.to_ascii_lowercase().contains("connection: close")
}

#[tokio::test]
async fn what_is_malformed_is_refused_and_ends_the_connection() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    let mut wrong = Vec::new();
    for request in MALFORMED {
        let both = format!("{request}GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = in_time(request, raw(&proxy, &both)).await;
        if !is_refusal(&answer) {
            wrong.push((request, answer));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(origin.asked(), 0);
}

/// A request that can be read in one way alone, how often it reaches the API, and with which target and body.
struct Clear {
    request: &'static str,
    target: &'static str,
    body: &'static str,
}

const CLEAR: [Clear; 12] = [
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y;z\r\nhello\r\n0\r\n\r\n",
        target: "/",
        body: "hello",
    },
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n00005\r\nhello\r\n0\r\nx: 1\r\n\r\n",
        target: "/",
        body: "hello",
    },
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        target: "/",
        body: "hello",
    },
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        target: "/",
        body: "hello",
    },
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0005\r\n\r\nhello",
        target: "/",
        body: "hello",
    },
    // No length: no body (RFC 9112 section 6.3), and what follows is another request.
    Clear {
        request: "POST / HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/",
        body: "",
    },
    // Lines that end in LF alone may be read (RFC 9112 section 2.2).
    Clear {
        request: "GET /lf HTTP/1.1\nhost: a\n\n",
        target: "/lf",
        body: "",
    },
    Clear {
        request: "\r\nGET /empty-line HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/empty-line",
        body: "",
    },
    // What no URL may hold is passed on as it came, or not at all: never as something else.
    Clear {
        request: "GET /%zz%2 HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/%zz%2",
        body: "",
    },
    Clear {
        request: "GET /%2e%2e/%2F?a=%00 HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/%2e%2e/%2F?a=%00",
        body: "",
    },
    Clear {
        request: "GET /\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/\u{e9}",
        body: "",
    },
    Clear {
        request: "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
        target: "/a",
        body: "",
    },
];

#[tokio::test]
async fn what_is_clear_is_one_request_and_what_follows_is_another() {
    for Clear {
        request,
        target,
        body,
    } in CLEAR
    {
        let origin = Origin::start(|_| Reply::ok("origin")).await;
        let proxy = before(&origin).await;
        let both = format!("{request}GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = in_time(request, raw(&proxy, &both)).await;
        if is_refusal(&answer) {
            assert_eq!(origin.asked(), 0, "{request:?}");
            continue;
        }
        assert_eq!(
            answer.matches("HTTP/1.1 200 OK").count(),
            2,
            "{request:?}: {answer}"
        );
        let calls = origin.calls_to(target);
        assert_eq!((calls.len(), origin.asked()), (1, 2), "{request:?}");
        assert_eq!(calls[0].body, body, "{request:?}");
        assert_eq!(origin.calls_to("/next").len(), 1, "{request:?}");
    }
}

/// RFC 9112 section 6.3: chunks override a length, which goes no further, and nothing may follow.
#[tokio::test]
async fn chunks_beside_a_length_are_what_counts_and_end_the_connection() {
    for lines in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 300",
    ] {
        let origin = Origin::start(|_| Reply::ok("origin")).await;
        let proxy = before(&origin).await;
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        let answer = in_time(lines, raw(&proxy, &request)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let calls = origin.calls_to("/");
        assert_eq!((calls.len(), origin.asked()), (1, 1), "{lines}");
        assert_eq!(&calls[0].body[..], b"hello");
        assert_eq!(calls[0].header("content-length"), "");
    }
}

/// HTTP/1.0 has no chunks and needs no `Host`.
#[tokio::test]
async fn http_1_0_is_read_as_what_it_is() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    let smuggles = "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = in_time("chunks", raw(&proxy, smuggles)).await;
    assert!(
        answer.starts_with("HTTP/1.") && answer.contains(" 400 "),
        "{answer}"
    );
    assert_eq!(origin.asked(), 0);
    let plain = "GET /plain HTTP/1.0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = in_time("no host", raw(&proxy, plain)).await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    assert_eq!((origin.calls_to("/plain").len(), origin.asked()), (1, 1));
}

/// RFC 9112 section 3.2.2: the target is what counts, whatever `Host` says; and it is not one that anybody may name.
#[tokio::test]
async fn an_absolute_target_with_another_host_goes_nowhere_else() {
    let origin = Origin::start(|call| {
        Reply::ok(call.header("host").to_owned()).header("cache-control", "max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    let own = origin.url("/own");
    let request = format!("GET {own} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    let answer = raw(&proxy, &request).await;
    assert!(answer.ends_with(&origin.address().to_string()), "{answer}");
    let clean = proxy.get("/own").await;
    assert!(clean.is_hit());
    assert_eq!(clean.body, origin.address().to_string());
    for target in [
        "http://evil.example/own".to_owned(),
        format!("http://{}@evil.example/own", origin.address()),
        format!("http://evil.example@{}/own", origin.address()),
        format!("http://{}.evil.example/own", origin.address()),
        "http:///own".to_owned(),
        "http://".to_owned(),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            origin.address()
        );
        let answer = in_time(&target, raw(&proxy, &request)).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
    }
    assert_eq!(origin.asked(), 1);
}

/// Lines between chunks that never end: refused, or read as what they say, and nothing of them is kept.
#[tokio::test]
async fn lines_around_chunks_may_be_long_and_change_nothing() {
    let origin = Origin::start(|call| Reply::ok(call.body.clone())).await;
    let proxy = before(&origin).await;
    let long = "x".repeat(1 << 20);
    for body in [
        format!("5;{long}\r\nhello\r\n0\r\n\r\n"),
        format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(1 << 20)),
        format!("5\r\nhello\r\n0\r\nx: {long}\r\n\r\n"),
    ] {
        let head =
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        let what = &body[..8];
        let answer = in_time(what, raw(&proxy, &format!("{head}{body}"))).await;
        let read = answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello");
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400 ");
        assert!(read || refused, "{what}: {answer}");
    }
    // An API sees a body as a whole or not at all.
    assert!(origin.calls_to("/").iter().all(|call| call.body == "hello"));
}

#[tokio::test]
async fn an_empty_body_in_chunks_with_a_length_beside_it_is_one_request() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let proxy = before(&origin).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = in_time("an answer", raw(&proxy, request)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let calls = origin.calls_to("/");
    assert_eq!((calls.len(), origin.asked()), (1, 1), "{answer}");
    assert_eq!(calls[0].header("content-length"), "");
    assert!(calls[0].body.is_empty());
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
    let long = |length: usize| {
        let begin = "GET / HTTP/1.1\r\nhost: a\r\nx: ";
        format!("{begin}{}", "x".repeat(length - begin.len()))
    };
    // All of it is read: whoever closes with something unread may take back what was said.
    let answer = in_time("as long as may be", raw(&proxy, &long(64 << 10))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let whole = format!("{}\r\n\r\n", long(1 << 20));
    let answer = in_time("much longer", raw(&proxy, &whole)).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(origin.asked(), 0);
    // And it poisons nothing.
    assert_eq!(proxy.get("/").await.body, "origin");
}
