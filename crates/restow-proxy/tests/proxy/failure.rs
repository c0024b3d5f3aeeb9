//! APIs that fail.

use crate::kit::{Running, before};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Gate, Origin, RawOrigin, Reply};
use std::time::Duration;

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
    let whole =
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\n".to_vec();
    let head = whole.len();
    let whole = [whole, vec![b'x'; 100]].concat();
    for offset in head..head + 100 {
        let cut = whole[..offset].to_vec();
        let origin = RawOrigin::start(move |_| cut.clone()).await;
        let proxy = Running::start(
            vec![Upstream::new(&origin.url("")).unwrap()],
            Options::default(),
            "",
        )
        .await;
        for _ in 0..2 {
            let answer = restow_testkit::http_client()
                .build()
                .unwrap()
                .get(proxy.url("/"))
                .send()
                .await;
            if let Ok(answer) = answer {
                assert!(!answer.headers().contains_key("age"));
                assert!(
                    answer.bytes().await.is_err(),
                    "{offset} bytes look like an answer"
                );
            }
        }
        assert_eq!(held(&proxy).await, 0);
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

/// R20.
#[tokio::test]
async fn while_the_api_is_down_every_held_key_is_answered() {
    let origin = Origin::start(|call| {
        Reply::ok(call.target.clone()).header("cache-control", "max-age=1, stale-if-error=3600")
    })
    .await;
    let proxy = before(&origin).await;
    for n in 0..50 {
        proxy.get(&format!("/{n}")).await;
    }
    drop(origin);
    for _ in 0..60 {
        proxy.advance(1);
        let n = proxy.clock_seconds() % 50;
        let answer = proxy.get(&format!("/{n}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body),
            (200, format!("/{n}"))
        );
    }
}
