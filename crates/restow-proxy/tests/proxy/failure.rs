//! APIs that fail.

use crate::kit::{Running, before};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Gate, Origin, RawOrigin, Reply, dropping::in_time, http_client};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[tokio::test]
async fn a_dead_api_is_a_clear_502_and_what_is_held_stands_in() {
    let origin = Origin::start(|_| Reply::ok("held").header("cache-control", "max-age=1")).await;
    let proxy = before(&origin).await;
    proxy.get("/held").await;
    proxy.advance(10);
    drop(origin);
    let held = proxy.get("/held").await;
    assert_eq!((held.status.as_u16(), &*held.body), (200, "held"));
    assert!(
        held.header("cache-status").contains("stale-if-unreachable"),
        "{}",
        held.header("cache-status")
    );
    assert_eq!(held.header("age"), "10");
    let other = proxy.get("/other").await;
    assert_eq!(other.status.as_u16(), 502);
    assert!(
        other.body.starts_with("502: the API cannot be reached"),
        "{}",
        other.body
    );
    assert_eq!(other.header("cache-control"), "no-store");
    assert_eq!(other.header("cache-status"), "restow; fwd=uri-miss");
    // What is never stored goes past the cache, and says so.
    let posted = proxy.ask("POST", "/other", &[]).await;
    assert_eq!(posted.status.as_u16(), 502);
    assert_eq!(posted.header("cache-status"), "restow; fwd=method");
    let only = proxy
        .get_with("/other", &[("cache-control", "only-if-cached")])
        .await;
    assert_eq!(only.status.as_u16(), 504);
    assert_eq!(only.header("cache-status"), "restow; detail=only-if-cached");
}

/// RFC 9211 section 2: what an intermediary makes itself, and not of a stored answer, is no matter of its cache.
#[tokio::test]
async fn what_the_proxy_refuses_itself_tells_of_no_cache() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let api = Upstream::new(&origin.url("")).unwrap().mount("/api");
    let proxy = Running::start(vec![api.unwrap()], Options::default(), "").await;
    for (method, path, status) in [
        ("GET", "/elsewhere", 404),
        ("GET", "/api/..%2fa", 400),
        ("TRACE", "/api/a", 405),
    ] {
        let refused = proxy.ask(method, path, &[]).await;
        assert_eq!(refused.status.as_u16(), status, "{path}");
        assert_eq!(refused.header("cache-status"), "", "{path}");
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn what_forbids_it_is_never_served_stale() {
    for forbids in [
        "max-age=1, must-revalidate",
        "max-age=1, proxy-revalidate",
        "s-maxage=1",
        "no-cache",
    ] {
        let origin = Origin::start(move |_| {
            Reply::ok("held")
                .header("cache-control", forbids)
                .header("etag", "\"v\"")
        })
        .await;
        let proxy = before(&origin).await;
        proxy.get("/").await;
        proxy.advance(10);
        drop(origin);
        assert_eq!(proxy.get("/").await.status.as_u16(), 502, "{forbids}");
    }
}

#[tokio::test]
async fn an_error_is_passed_on_unless_the_answer_says_that_it_may_stand_in() {
    let origin = Origin::start(|call| match (call.nth, &*call.target) {
        (0, "/sie") => Reply::ok("held").header("cache-control", "max-age=1, stale-if-error=60"),
        (0, _) => Reply::ok("held").header("cache-control", "max-age=1"),
        _ => Reply::status(503).then("down"),
    })
    .await;
    let proxy = before(&origin).await;
    for path in ["/sie", "/plain"] {
        proxy.get(path).await;
    }
    proxy.advance(10);
    assert_eq!(proxy.get("/sie").await.body, "held");
    assert_eq!(proxy.get("/plain").await.status.as_u16(), 503);
    proxy.advance(60);
    assert_eq!(proxy.get("/sie").await.status.as_u16(), 503);
}

#[tokio::test]
async fn an_api_that_says_nothing_is_a_504_in_time() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let options = Options {
        upstream_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, options, "").await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status.as_u16(), 504);
    assert!(answer.body.contains("50ms"), "{}", answer.body);
}

/// R19.
#[tokio::test]
async fn an_answer_that_breaks_off_is_never_stored_and_never_looks_whole() {
    let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\n";
    cut_wherever(head, &"x".repeat(100)).await;
}

/// R19: within chunks, within the lines around them, and within the trailer.
#[tokio::test]
async fn an_answer_in_chunks_that_breaks_off_is_never_stored_and_never_looks_whole() {
    let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n";
    let alphabet = "abcdefghijklmnopqrstuvwxyz";
    let body = format!("5\r\nhello\r\n01a;name=value\r\n{alphabet}\r\n0\r\nx-trailer: 1\r\n\r\n");
    cut_wherever(head, &body).await;
}

/// Lets an API break off at each place within this body, and lets nobody take that for an answer; the whole is one.
async fn cut_wherever(head: &str, body: &str) {
    let client = http_client().build().unwrap();
    for length in 0..=body.len() {
        let answer = [head, &body[..length]].concat();
        let origin = RawOrigin::start(move |_| answer.clone().into_bytes()).await;
        let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
        let proxy = Running::start(upstreams, Options::default(), "").await;
        let is_whole = length == body.len();
        for _ in 0..2 {
            let sent = client.get(proxy.url("/")).send();
            let Ok(answer) = in_time("an answer", sent).await else {
                assert!(!is_whole);
                continue;
            };
            assert!(is_whole || !answer.headers().contains_key("age"));
            let read = in_time("its body", answer.bytes()).await;
            assert_eq!(read.is_ok(), is_whole, "{length} bytes of {body:?}");
        }
        assert_eq!(held(&proxy).await, u64::from(is_whole), "{length}");
    }
}

async fn held(proxy: &Running) -> u64 {
    let everything = proxy
        .proxy
        .cache()
        .repository(restow_proxy::EVERYTHING)
        .unwrap();
    everything
        .everyone()
        .count(restow::Scope::All)
        .await
        .unwrap()
}

/// R20: nobody gets an error or waits, and the API is not asked each time: after a second, after two more, four, eight and so on.
#[tokio::test]
async fn while_the_api_is_down_every_held_key_is_answered_and_the_api_is_left_alone() {
    for unreachable in [false, true] {
        let down = Arc::new(AtomicBool::new(false));
        let is_down = down.clone();
        let origin = Origin::start(move |call| match is_down.load(Ordering::SeqCst) {
            true if unreachable => Reply::closed(),
            true => Reply::status(503),
            false => Reply::ok(format!("{} {}", call.target, call.nth))
                .header("cache-control", "max-age=1, stale-if-error=3600"),
        })
        .await;
        let proxy = before(&origin).await;
        let paths: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
        for path in &paths {
            proxy.get(path).await;
        }
        down.store(true, Ordering::SeqCst);
        for _ in 0..60 {
            proxy.advance(1);
            for path in &paths {
                let answer = proxy.get(path).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.body),
                    (200, format!("{path} 0"))
                );
            }
        }
        for path in &paths {
            let asked = origin.calls_to(path).len() - 1;
            // A client may try once more where a connection was closed under it.
            let most = if unreachable { 12 } else { 6 };
            assert!(
                (3..=most).contains(&asked),
                "{path} was asked for {asked} times"
            );
        }
        // It is back: each key is asked for once behind an answer, and is fresh from then on.
        down.store(false, Ordering::SeqCst);
        proxy.advance(30);
        let before = origin.asked();
        for path in &paths {
            in_time("an answer that is new", async {
                while proxy.get(path).await.body == format!("{path} 0") {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        assert_eq!(origin.asked() - before, paths.len());
    }
}

/// An API that says nothing costs its time limit once, not each request; who demands an answer of their own still waits for it.
#[tokio::test]
async fn an_api_that_says_nothing_is_waited_for_once() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        let reply = Reply::ok(call.nth.to_string()).header("cache-control", "max-age=1");
        match call.nth {
            0 => reply,
            _ => reply.behind(&held),
        }
    })
    .await;
    let options = Options {
        upstream_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, options, "").await;
    proxy.get("/").await;
    proxy.advance(10);
    for _ in 0..100 {
        assert_eq!(proxy.get("/").await.body, "0");
    }
    assert_eq!(origin.asked(), 2);
    let demanded = proxy.get_with("/", &[("cache-control", "no-cache")]).await;
    assert_eq!(demanded.body, "0");
    assert_eq!(origin.asked(), 3);
    // Behind the next answer after the pause it is asked once more, and answers.
    proxy.advance(1);
    let stale = proxy.get("/").await;
    assert!(
        stale
            .header("cache-status")
            .contains("stale-if-unreachable"),
        "{}",
        stale.header("cache-status")
    );
    gate.reached(3).await;
    gate.open();
    in_time("the new answer", async {
        while proxy.get("/").await.body == "0" {
            proxy.advance(1);
        }
    })
    .await;
}

/// RFC 9110 section 10.2.3: an API that says how long is asked again then, and what is held stands in until then.
#[tokio::test]
async fn an_api_that_says_for_how_long_is_left_alone_for_as_long() {
    let origin = Origin::start(|call| match call.nth {
        0 | 2 => Reply::ok(call.nth.to_string())
            .header("cache-control", "max-age=1, stale-if-error=3600"),
        _ => Reply::status(503).header("retry-after", "300"),
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    proxy.advance(10);
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.body, "0");
        proxy.advance(90);
    }
    assert_eq!(origin.asked(), 2);
    proxy.advance(30);
    assert_eq!(proxy.get("/").await.body, "2");
}

/// A HEAD and a part are answered by what answers a GET, whatever the API does.
#[tokio::test]
async fn a_head_and_a_part_of_what_is_held_stand_in_for_an_api_that_fails() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        let says = "max-age=1, stale-if-error=3600";
        match (call.nth, &call.target[..2]) {
            (0, _) => Reply::ok("whole").header("cache-control", says),
            (_, "/c") => Reply::closed(),
            (_, "/h") => Reply::ok("late").behind(&held),
            _ => Reply::status(503).then("down"),
        }
    })
    .await;
    let options = Options {
        upstream_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, options, "").await;
    for (path, tells) in [
        (
            "/closes",
            "restow; hit; ttl=-9; detail=stale-if-unreachable",
        ),
        ("/hangs", "restow; hit; ttl=-9; detail=stale-if-unreachable"),
        (
            "/fails",
            "restow; fwd=stale; fwd-status=503; detail=stale-if-error",
        ),
    ] {
        for (method, range, status, body) in [
            ("HEAD", "", 200, ""),
            ("GET", "bytes=0-2", 206, "who"),
            ("GET", "bytes=9-", 416, ""),
        ] {
            let path = format!("{path}?{method}{}", range.len());
            proxy.get(&path).await;
            proxy.advance(10);
            let headers = [("range", range)];
            let headers = if range.is_empty() {
                &headers[..0]
            } else {
                &headers
            };
            let answer = proxy.ask(method, &path, headers).await;
            let what = format!("{method} {path}");
            assert_eq!(
                (answer.status.as_u16(), &*answer.body),
                (status, body),
                "{what}"
            );
            assert_eq!(answer.header("cache-status"), tells, "{what}");
            assert_eq!(answer.header("age"), "10", "{what}");
        }
    }
}

const OF_HEAD_AND_PART: [(&str, &[(&str, &str)]); 2] =
    [("HEAD", &[]), ("GET", &[("range", "bytes=0-2")])];

/// An API that says nothing costs its time limit once, whoever found out.
#[tokio::test]
async fn an_api_that_says_nothing_to_a_head_or_a_part_is_waited_for_once() {
    for (method, headers) in OF_HEAD_AND_PART {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |call| match call.nth {
            0 => Reply::ok("held").header("cache-control", "max-age=1"),
            _ => Reply::ok("late").behind(&held),
        })
        .await;
        let options = Options {
            upstream_timeout: Duration::from_millis(50),
            ..Options::default()
        };
        let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
        let proxy = Running::start(upstreams, options, "").await;
        proxy.get("/").await;
        proxy.advance(10);
        for _ in 0..20 {
            let answer = proxy.ask(method, "/", headers).await;
            assert!(answer.status.is_success(), "{method}");
            assert_eq!(proxy.get("/").await.body, "held", "{method}");
        }
        assert_eq!(origin.asked(), 2, "{method}");
    }
}

/// In an outage one request asks whether the API is back, of whatever kind; the others are answered at once.
#[tokio::test]
async fn in_an_outage_one_head_or_part_asks_and_the_others_do_not_wait() {
    for (method, headers) in OF_HEAD_AND_PART {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |call| {
            let reply =
                Reply::ok(call.nth.to_string()).header("etag", &format!("\"{}\"", call.nth));
            match call.nth {
                0 => reply.header("cache-control", "max-age=1, stale-if-error=3600"),
                1 => Reply::status(503),
                _ => reply.behind(&held),
            }
        })
        .await;
        let proxy = before(&origin).await;
        proxy.get("/").await;
        proxy.advance(10);
        assert_eq!(proxy.get("/").await.body, "0");
        let answer = proxy.ask(method, "/", headers).await;
        assert!(answer.header("cache-status").contains("stale-if-error"));
        assert_eq!(origin.asked(), 2, "{method}");
        proxy.advance(1);
        let asks = proxy.ask(method, "/", headers);
        let others = async {
            gate.reached(1).await;
            for (method, headers) in OF_HEAD_AND_PART {
                let answer = in_time("one that need not wait", proxy.ask(method, "/", headers));
                let told = answer.await.header("cache-status");
                assert!(told.contains("stale-if-error"), "{told}");
            }
            let whole = in_time("one that need not wait", proxy.get("/")).await;
            assert_eq!(whole.body, "0", "{method}");
            assert_eq!(origin.asked(), 3, "{method}");
            gate.open();
        };
        let (back, ()) = tokio::join!(asks, others);
        let told = back.header("cache-status");
        assert!(told.contains("fwd-status=200"), "{method}: {told}");
        assert_eq!(proxy.get("/").await.body, "3", "{method}");
    }
}

/// Some APIs fail each HEAD: that makes no answer to a GET stale.
#[tokio::test]
async fn an_error_of_a_head_says_nothing_of_a_get() {
    let origin = Origin::start(|call| match call.method.as_str() {
        "HEAD" => Reply::status(503),
        _ => Reply::ok(call.nth.to_string())
            .header("cache-control", "max-age=1, stale-if-error=3600"),
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    proxy.advance(10);
    let head = proxy.ask("HEAD", "/", &[]).await;
    assert_eq!(head.status.as_u16(), 200);
    assert_eq!(proxy.get("/").await.body, "2");
}
