//! Many requests at once.

use crate::kit::before;
use futures_util::{StreamExt as _, stream};
use restow_testkit::{Gate, Origin, Reply};

/// R10 over connections; the full number is for the library, where a request costs no socket.
#[tokio::test(flavor = "multi_thread")]
async fn identical_misses_make_one_request() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::ok("a")
            .header("cache-control", "max-age=60")
            .behind(&held)
    })
    .await;
    let proxy = before(&origin).await;
    let all = stream::iter(0..200)
        .map(|_| proxy.get("/"))
        .buffer_unordered(200)
        .collect::<Vec<_>>();
    let (all, ()) = tokio::join!(all, async {
        gate.reached(1).await;
        gate.open();
    });
    assert!(all.iter().all(|a| a.body == "a"));
    assert_eq!(origin.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_one_is_fetched_by_each_at_the_same_time() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        let reply = Reply::ok(call.nth.to_string()).header("cache-control", "no-store");
        if call.nth == 0 {
            reply
        } else {
            reply.behind(&held)
        }
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    let all = stream::iter(0..20)
        .map(|_| proxy.get("/"))
        .buffer_unordered(20)
        .collect::<Vec<_>>();
    let (all, ()) = tokio::join!(all, async {
        // All of them are under way together: none waits for another.
        gate.reached(20).await;
        gate.open();
    });
    let mut bodies: Vec<_> = all.into_iter().map(|a| a.body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_never_wait_for_each_other() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        Reply::ok(call.header("authorization").to_owned())
            .header("cache-control", "max-age=60")
            .behind(&held)
    })
    .await;
    let proxy = before(&origin).await;
    let alice = proxy.get_with("/", &[("authorization", "alice")]);
    let bob = proxy.get_with("/", &[("authorization", "bob")]);
    let nobody = proxy.get("/");
    let (alice, bob, nobody, ()) = tokio::join!(alice, bob, nobody, async {
        gate.reached(3).await;
        gate.open();
    });
    assert_eq!(
        (&*alice.body, &*bob.body, &*nobody.body),
        ("alice", "bob", "")
    );
}
