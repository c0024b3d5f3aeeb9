//! Many requests at once.

use crate::{
    kit::{Running, Seen, asked_with, before, tenants_of},
    streams::Herd,
};
use futures_util::{StreamExt as _, future::join_all, stream};
use restow_proxy::Upstream;
use restow_testkit::{Call, Gate, Origin, Reply, allow_files};
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

/// An answer with a tag, or that it still holds.
fn confirming(call: &Call) -> Reply {
    let reply = match call.header("if-none-match") {
        "\"v\"" => Reply::status(304),
        _ => Reply::ok("a"),
    };
    reply.header("etag", "\"v\"")
}

/// Asks `many` times for the same, until the API has the first of them and the others wait for it.
async fn waiting(proxy: &Running, many: usize, first: &Gate) -> Vec<JoinHandle<Seen>> {
    let mut herd = Herd::of(many, proxy).await;
    let asked = herd.ask("/same", |_| Vec::new());
    first.reached(1).await;
    herd.had_its_turn("/other").await;
    asked
}

/// The same, and lets the API answer it then.
async fn behind_one(proxy: &Running, many: usize, first: &Gate) -> Vec<JoinHandle<Seen>> {
    let asked = waiting(proxy, many, first).await;
    first.open();
    asked
}

/// RFC 9111 section 4: an answer is given to several only where it could be used again unasked. Else each of them asks whether it still holds, at
/// the same time.
#[tokio::test]
async fn an_answer_that_has_to_be_validated_is_validated_by_each_who_waited() {
    const MANY: usize = 100;
    allow_files(4 * MANY as u64);
    for says in ["no-cache, max-age=60", "max-age=0", "public"] {
        let (first, rest) = (Gate::closed(), Gate::closed());
        let (one, others) = (first.clone(), rest.clone());
        let origin = Origin::start(move |call| {
            let reply = confirming(call).header("cache-control", says);
            match (&*call.target, call.nth) {
                ("/same", 0) => reply.behind(&one),
                ("/same", _) => reply.behind(&others),
                _ => reply,
            }
        })
        .await;
        let proxy = before(&origin).await;
        let asked = behind_one(&proxy, MANY, &first).await;
        rest.reached(MANY - 1).await;
        rest.open();
        let all = answers(asked).await;
        assert!(
            all.iter().all(|a| a.status == 200 && a.body == "a"),
            "{says}"
        );
        let conditions = asked_with(&origin, "/same", "if-none-match");
        assert!(conditions[1..].iter().all(|tag| tag == "\"v\""), "{says}");
        assert_eq!(conditions.len(), MANY, "{says}");
        assert!(!all.iter().any(Seen::is_collapsed), "{says}");
    }
}

/// What was fresh when the API sent it, and took longer, is given to all who waited: to ask again each would take longer still.
#[tokio::test]
async fn an_answer_that_took_longer_than_it_is_fresh_is_given_to_all_who_waited() {
    const MANY: usize = 100;
    allow_files(4 * MANY as u64);
    for confirmed in [false, true] {
        let first = Gate::closed();
        let gate = first.clone();
        let slow = usize::from(confirmed);
        let origin = Origin::start(move |call| {
            let reply = confirming(call).header("cache-control", "max-age=60");
            match (&*call.target, call.nth) {
                ("/same", nth) if nth == slow => reply.behind(&gate),
                _ => reply,
            }
        })
        .await;
        let proxy = before(&origin).await;
        if confirmed {
            proxy.get("/same").await;
            proxy.advance(100);
        }
        let asked = waiting(&proxy, MANY, &first).await;
        proxy.advance(100);
        first.open();
        let all = answers(asked).await;
        assert!(all.iter().all(|a| a.status == 200 && a.body == "a"));
        assert_eq!(origin.calls_to("/same").len(), slow + 1, "{confirmed}");
    }
}

/// The same of what a 304 says: the entry was everyone's, and is no one's from then on.
#[tokio::test]
async fn what_a_304_forbids_to_be_shared_is_fetched_by_each_who_waited() {
    const MANY: usize = 100;
    allow_files(4 * MANY as u64);
    for says in ["no-store", "private", "no-cache"] {
        let (first, rest) = (Gate::closed(), Gate::closed());
        let (one, others) = (first.clone(), rest.clone());
        let origin = Origin::start(move |call| {
            let reply = confirming(call);
            match (&*call.target, call.nth) {
                ("/same", 0) => reply.header("cache-control", "max-age=60"),
                ("/same", 1) => reply.header("cache-control", says).behind(&one),
                ("/same", _) => reply.header("cache-control", says).behind(&others),
                _ => reply,
            }
        })
        .await;
        let proxy = before(&origin).await;
        proxy.get("/same").await;
        proxy.advance(100);
        let asked = behind_one(&proxy, MANY, &first).await;
        rest.reached(MANY - 1).await;
        rest.open();
        let all = answers(asked).await;
        assert!(
            all.iter().all(|a| a.status == 200 && a.body == "a"),
            "{says}"
        );
        assert!(!all.iter().any(Seen::is_collapsed), "{says}");
    }
}

/// RFC 9111 section 5.1: whoever is given what another asked for is told how old it is.
#[tokio::test]
async fn what_one_request_brings_for_all_is_for_all_as_old_as_it_is() {
    const MANY: usize = 50;
    const THEN: &str = "Sat, 01 Aug 2026 00:00:00 GMT";
    const NOW: &str = "Sat, 01 Aug 2026 00:08:30 GMT";
    // What the API says first, and later: its status, how old its answer is then, and how old what they are given is.
    for (first_says, status, age, expected) in [
        ("max-age=60, stale-if-error=3600", 503, "0", "510"),
        ("max-age=60", 304, "20", "20"),
        ("max-age=60", 200, "20", "20"),
        ("max-age=0, stale-while-revalidate=60", 200, "0", "0"),
    ] {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |call| match (&*call.target, call.nth) {
            ("/same", 0) => Reply::ok("a")
                .header("date", THEN)
                .header("etag", "\"v\"")
                .header("cache-control", first_says),
            ("/same", _) => Reply::status(status)
                .then(if status == 200 { "a" } else { "" })
                .header("date", NOW)
                .header("age", age)
                .header("etag", "\"v\"")
                .header("cache-control", first_says)
                .behind(&held),
            _ => Reply::ok(""),
        })
        .await;
        let proxy = before(&origin).await;
        proxy.get("/same").await;
        proxy.advance(510);
        let asked = behind_one(&proxy, MANY, &gate).await;
        let all = answers(asked).await;
        assert_eq!(origin.calls_to("/same").len(), 2, "{first_says}");
        for one in all {
            assert_eq!(
                (one.status.as_u16(), &*one.body),
                (200, "a"),
                "{first_says}"
            );
            assert_eq!(one.header("age"), expected, "{status}, {first_says}");
        }
    }
}

/// Only the origin can judge `If-Match` (RFC 9110 section 13.1.1): such a request waits for nobody's answer, nor is its own another's.
#[tokio::test]
async fn a_precondition_is_judged_by_the_api_whoever_else_asks() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        match call.header("if-match") {
            "" => Reply::ok("a").header("cache-control", "max-age=60"),
            _ => Reply::status(412),
        }
        .behind(&held)
    })
    .await;
    let proxy = before(&origin).await;
    let (all, condition) = (proxy.get("/"), [("if-match", "\"x\"")]);
    let judged = [(); 2].map(|()| proxy.get_with("/", &condition));
    let (all, judged, ()) = tokio::join!(all, join_all(judged), async {
        gate.reached(3).await;
        gate.open();
    });
    assert_eq!((all.status.as_u16(), &*all.body), (200, "a"));
    for one in &judged {
        assert_eq!(one.status.as_u16(), 412);
        let told = one.header("cache-status");
        assert!(
            told.ends_with("; fwd-status=412; detail=precondition"),
            "{told}"
        );
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
