//! Many requests at once.

use crate::{
    kit::{Running, Seen, before, tenants_of},
    streams::Herd,
};
use futures_util::{StreamExt as _, future::join_all, stream};
use restow_proxy::Upstream;
use restow_testkit::{Gate, Origin, Reply, allow_files};
use std::collections::BTreeSet;
use tokio::task::JoinHandle;

async fn answers(asked: Vec<JoinHandle<Seen>>) -> Vec<Seen> {
    let all = join_all(asked).await;
    all.into_iter().map(Result::unwrap).collect()
}

/// R10.
#[tokio::test]
async fn ten_thousand_identical_misses_make_one_request() {
    const MANY: usize = 10_000;
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| match &*call.target {
        "/same" => Reply::ok("a")
            .header("cache-control", "max-age=60")
            .behind(&held),
        _ => Reply::ok(""),
    })
    .await;
    let proxy = before(&origin).await;
    let mut herd = Herd::of(MANY, &proxy).await;
    let asked = herd.ask("/same", |_| Vec::new());
    gate.reached(1).await;
    herd.had_its_turn("/other").await;
    gate.open();

    let all = answers(asked).await;
    assert!(all.iter().all(|a| a.status == 200 && a.body == "a"));
    assert_eq!(origin.calls_to("/same").len(), 1);
    // None came too late to wait: each but the one that asked was given another's answer.
    let collapsed = |a: &&Seen| a.header("cache-status").contains("; collapsed");
    assert_eq!(all.iter().filter(collapsed).count(), MANY - 1);
}

/// R10: as soon as the first answer is seen to be for one alone, all who waited for it ask, at the same time.
#[tokio::test]
async fn who_waited_for_an_answer_that_is_not_for_all_asks_at_once() {
    const MANY: usize = 500;
    allow_files(4 * MANY as u64);
    for says in ["no-store", "private, max-age=60", "max-age=0, no-cache=x,"] {
        let (first, rest) = (Gate::closed(), Gate::closed());
        let (one, others) = (first.clone(), rest.clone());
        let origin = Origin::start(move |call| match (&*call.target, call.nth) {
            ("/same", 0) => Reply::ok("0").header("cache-control", says).behind(&one),
            ("/same", nth) => Reply::ok(nth.to_string())
                .header("cache-control", says)
                .behind(&others),
            _ => Reply::ok(""),
        })
        .await;
        let proxy = before(&origin).await;
        let mut herd = Herd::of(MANY, &proxy).await;
        let asked = herd.ask("/same", |_| Vec::new());
        first.reached(1).await;
        herd.had_its_turn("/other").await;
        assert_eq!(origin.calls_to("/same").len(), 1, "{says}");
        first.open();
        rest.reached(MANY - 1).await;
        rest.open();
        let all = answers(asked).await;
        let bodies: BTreeSet<_> = all.iter().map(|a| &*a.body).collect();
        assert_eq!(bodies.len(), MANY, "{says}: somebody was given another's");
    }
}

const USERS: usize = 100;

fn user(nth: usize) -> String {
    format!("user-{}", nth % USERS)
}

/// R10: ten requests of each of a hundred users.
#[tokio::test]
async fn users_are_never_merged() {
    const MANY: usize = 10 * USERS;
    allow_files(4 * MANY as u64);
    for by_principal in [false, true] {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |call| match &*call.target {
            "/same" => Reply::ok(call.header("authorization").to_owned())
                .header("cache-control", "private, max-age=60")
                .behind(&held),
            _ => Reply::ok(""),
        })
        .await;
        let options = tenants_of("127.0.0.1/32");
        let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
        let proxy = Running::start(upstreams, options, "").await;
        let mut herd = Herd::of(MANY, &proxy).await;
        let asked = herd.ask("/same", |nth| {
            let mut headers = vec![("authorization", user(nth))];
            if by_principal {
                headers.push(("x-tenant", user(nth)));
            }
            headers
        });
        gate.reached(USERS).await;
        herd.had_its_turn("/other").await;
        // One of each waits for the API, and the others of the same user for it.
        let calls = origin.calls_to("/same");
        assert_eq!(calls.len(), USERS);
        let whose: BTreeSet<_> = calls.iter().map(|c| c.header("authorization")).collect();
        assert_eq!(whose.len(), USERS);
        gate.open();
        for (nth, answer) in answers(asked).await.into_iter().enumerate() {
            assert_eq!(answer.body, user(nth), "by principal: {by_principal}");
        }
        // An answer that is private is shared by the requests of one principal, and by no two of a token.
        let expected = if by_principal { USERS } else { MANY };
        assert_eq!(origin.calls_to("/same").len(), expected);
    }
}

/// The same over connections of their own.
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
