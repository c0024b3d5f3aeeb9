//! Answers that are under way while what they tell of is changed, or purged.

use crate::{
    admin::{self, ask},
    kit::{Running, Seen, before},
};
use restow::Scope;
use restow_proxy::{Admin, EVERYTHING};
use restow_testkit::{Gate, Origin, Reply, dropping::in_time};

/// An API whose first answer for `/a` is slow: it was made before the change. What is changed, it tells.
async fn slow(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| {
        let reply = match (call.method.as_str(), &*call.target, call.nth) {
            ("GET", "/a", 0) => Reply::ok("before").behind(&gate),
            ("GET", ..) => Reply::ok("after"),
            (_, "/names", _) => Reply::status(204).header("content-location", "/a"),
            (_, "/group", _) => Reply::status(204).header("cache-group-invalidation", "\"g\""),
            (_, "/fails", _) => Reply::status(500).header("content-location", "/a"),
            _ => Reply::status(204),
        };
        reply
            .header("cache-control", "max-age=60")
            .header("cache-groups", "\"g\"")
    })
    .await
}

/// What changes or purges something.
async fn happens(proxy: &Running, origin: &Origin, what: &str) {
    let everything = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    let everything = everything.everyone();
    let purge = async |query: &str| {
        let url = admin::serve(Admin::new(&proxy.proxy, None)).await;
        let (status, _) = ask("POST", &format!("{url}/purge?{query}"), "", "").await;
        assert_eq!(status, 200, "{query}");
    };
    match what.split_once(' ').unwrap() {
        ("purge", "where") => purge(&format!("where=url%3D{}", origin.url("/a"))).await,
        ("purge", query) => purge(query).await,
        ("clear", "all") => _ = everything.clear(Scope::All).await.unwrap(),
        ("clear", "expired") => _ = everything.clear(Scope::Expired).await.unwrap(),
        (method, path) => _ = proxy.ask(method, path, &[]).await,
    }
}

async fn after(proxy: &Running, what: &str) -> Seen {
    let answer = in_time("an answer that waits for none before", proxy.get("/a")).await;
    assert_eq!(answer.body, "after", "{what}");
    answer
}

/// RFC 9111 section 4.4: whoever changed it reads the change, and no answer from before takes its place later.
#[tokio::test]
async fn what_was_asked_for_before_a_change_is_neither_waited_for_nor_stored_after_it() {
    for what in [
        "PUT /a",
        "POST /names",
        "POST /group",
        "purge url=/a",
        "purge tag=g",
        "purge all",
        "purge live",
        "purge where",
        "purge until=2030-01-01",
        "clear all",
    ] {
        for reads_before_it_comes in [true, false] {
            let gate = Gate::closed();
            let origin = slow(&gate).await;
            let proxy = before(&origin).await;
            let first = async {
                let first = proxy.get("/a").await;
                // Who asked before gets what was so before.
                assert_eq!(first.body, "before", "{what}");
            };
            let then = async {
                gate.reached(1).await;
                happens(&proxy, &origin, what).await;
                if reads_before_it_comes {
                    assert!(!after(&proxy, what).await.is_hit(), "{what}");
                }
                gate.open();
            };
            tokio::join!(first, then);
            let next = after(&proxy, what).await;
            assert_eq!(next.is_hit(), reads_before_it_comes, "{what}");
            assert!(after(&proxy, what).await.is_hit(), "{what}");
        }
    }
}

/// What concerns something else keeps no answer out, and lets nobody ask twice.
#[tokio::test]
async fn a_change_of_something_else_leaves_an_answer_under_way_alone() {
    for what in [
        "PUT /b",
        "POST /fails",
        "purge url=/b",
        "purge tag=h",
        "purge status=404",
        "purge expired",
        "purge until=2020-01-01",
        "purge principal=alice",
        "clear expired",
    ] {
        let gate = Gate::closed();
        let origin = slow(&gate).await;
        let proxy = before(&origin).await;
        let then = async {
            gate.reached(1).await;
            happens(&proxy, &origin, what).await;
            gate.open();
        };
        let (first, ()) = tokio::join!(proxy.get("/a"), then);
        assert_eq!(first.body, "before", "{what}");
        let next = proxy.get("/a").await;
        assert!(next.is_hit() && next.body == "before", "{what}: {next:?}");
    }
}
