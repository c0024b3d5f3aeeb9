//! An API that has had enough of one of its users (429): the others are not answered stale for that.

use crate::kit::{Running, Seen};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Origin, Reply, dropping::in_time};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

const HOW_LONG: &str = "public, max-age=1, stale-if-error=7200";
const BEHIND: &str = "public, max-age=1, stale-while-revalidate=7200";

/// An API whose answers are numbered, and that refuses Alice once she has used up her limit.
async fn api(says: &'static str) -> (Origin, Arc<AtomicBool>) {
    let limited = Arc::new(AtomicBool::new(false));
    let is_limited = limited.clone();
    let origin = Origin::start(move |call| {
        if call.header("authorization") == "alice" && is_limited.load(SeqCst) {
            return Reply::status(429).header("retry-after", "3600");
        }
        Reply::ok(call.nth.to_string()).header("cache-control", says)
    })
    .await;
    (origin, limited)
}

async fn ask(proxy: &Running, path: &str, who: &str) -> Seen {
    proxy.get_with(path, &[("authorization", who)]).await
}

#[tokio::test]
async fn one_user_s_limit_makes_nobody_else_s_answers_stale() {
    let shared = "share = true\nexpire_after = \"1 second\"";
    let without = "credentials = []\nexpire_after = \"1 second\"";
    for rules in ["", "freshness = \"http\"", shared, without] {
        let (origin, limited) = api(HOW_LONG).await;
        let route = origin.url("/{id}");
        let endpoint = match rules {
            "" => String::new(),
            _ => format!("[[endpoint]]\nname = \"items\"\nroute = \"GET {route}\"\n{rules}"),
        };
        let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
        let proxy = Running::start(upstreams, Options::default(), &endpoint).await;
        assert_eq!(ask(&proxy, "/a", "alice").await.body, "0", "{rules}");
        proxy.advance(10);
        limited.store(true, SeqCst);
        for _ in 0..3 {
            assert_eq!(ask(&proxy, "/a", "alice").await.body, "0", "{rules}");
            proxy.advance(60);
        }
        // Of her own requests one asked, for she is to leave the API alone.
        assert_eq!(origin.asked(), 2, "{rules}");
        assert_eq!(ask(&proxy, "/a", "bob").await.body, "2", "{rules}");
        assert_eq!(ask(&proxy, "/a", "alice").await.body, "2", "{rules}");
        proxy.advance(10);
        assert_eq!(proxy.get("/a").await.body, "3", "{rules}");
    }
}

#[tokio::test]
async fn one_user_s_limit_keeps_nobody_else_from_refreshing_behind() {
    let (origin, limited) = api(BEHIND).await;
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, Options::default(), "").await;
    for path in ["/a", "/b"] {
        ask(&proxy, path, "alice").await;
    }
    proxy.advance(10);
    limited.store(true, SeqCst);
    // What is new is asked for while she waits, and the API says how long it wants to be left alone.
    assert_eq!(ask(&proxy, "/c", "alice").await.status.as_u16(), 429);
    assert_eq!(ask(&proxy, "/a", "alice").await.body, "0");
    for path in ["/a", "/b"] {
        in_time("a refresh behind", async {
            while ask(&proxy, path, "bob").await.body == "0" {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(origin.calls_to(path).len(), 2, "{path}");
    }
}

#[tokio::test]
async fn one_account_s_limit_lets_another_account_s_requests_be() {
    let (origin, limited) = api(BEHIND).await;
    let account = |mount: &str, token: &str| {
        let upstream = Upstream::new(&origin.url("")).unwrap();
        let upstream = upstream.mount(mount).unwrap();
        upstream.header("authorization", token).unwrap()
    };
    let upstreams = vec![account("/alice", "alice"), account("/bob", "bob")];
    let proxy = Running::start(upstreams, Options::default(), "").await;
    for path in ["/alice/a", "/bob/b"] {
        proxy.get(path).await;
    }
    proxy.advance(10);
    limited.store(true, SeqCst);
    assert_eq!(proxy.get("/alice/c").await.status.as_u16(), 429);
    // All clients of hers leave the API alone, by whatever credential of their own.
    assert_eq!(proxy.get("/alice/a").await.body, "0");
    let client = proxy.get_with("/alice/a", &[("cookie", "a=b")]).await;
    assert_eq!(client.body, "0");
    in_time("a refresh behind", async {
        while proxy.get("/bob/b").await.body == "0" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(origin.calls_to("/a").len(), 1);
}
