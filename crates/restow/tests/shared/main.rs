//! One fetch across processes that share a store.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

#[macro_use]
#[path = "../common/forward.rs"]
mod forward;

#[cfg(any(feature = "postgres", feature = "redis"))]
mod changing;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod failing;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod format;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod memory;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod networked;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod passwords;
mod processes;
mod refresh;
mod renewal;

use restow::{
    Cache, Millis, RouteEndpoint, TestClock, Text,
    endpoint::Coalesce,
    exchange::{Answered, Missed, OutcomeKind, Saved},
    store::{MemoryStore, Store},
};
use restow_testkit::{Gate, Origin, Reply, http_client};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3_600);

fn file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("cache.db").display());
    (folder, url)
}

processes::over!(four_processes_make_one_request, one_request, file());
processes::over!(
    a_leader_that_is_killed_is_followed_by_one_other,
    leader_killed,
    file()
);
processes::over!(
    a_fetch_that_outlives_its_lease_is_made_once,
    lease_outlived,
    file()
);

fn pages(origin: &Origin) -> RouteEndpoint<String, Text> {
    let pages = RouteEndpoint::get("pages", &origin.url("/pages/{id}")).unwrap();
    pages.coalesce(Coalesce::Shared)
}

/// A cache of its own over a store that others have too: as another process.
async fn process(store: &Arc<dyn Store>, clock: &TestClock, origin: &Origin) -> Cache {
    open(store, clock, pages(origin)).await
}

async fn open(
    store: &Arc<dyn Store>,
    clock: &TestClock,
    pages: RouteEndpoint<String, Text>,
) -> Cache {
    let cache = Cache::builder().store(store.clone()).clock(clock.clone());
    let cache = cache.build().await.unwrap();
    cache.create_repository(pages).await.unwrap();
    cache
}

async fn every_store() -> Vec<Arc<dyn Store>> {
    let sqlite = restow::store::connect("sqlite::temp:").await.unwrap();
    vec![Arc::new(MemoryStore::default()), sqlite]
}

type Asked = tokio::task::JoinHandle<(String, Answered)>;

fn ask(cache: &Cache, url: &str) -> Asked {
    let (client, url) = (cache.client(http_client().build().unwrap()), url.to_owned());
    tokio::spawn(async move {
        let answer = client.get(url).send().await.unwrap();
        let answered = answer.extensions().get::<Answered>().unwrap().clone();
        (answer.text().await.unwrap(), answered)
    })
}

#[tokio::test]
async fn a_stale_holder_answers_its_caller_and_overwrites_nothing() {
    for store in every_store().await {
        let (first, clock) = (Gate::closed(), TestClock::at(Millis(1_800_000_000_000)));
        let gate = first.clone();
        let origin = Origin::start(move |call| match call.nth {
            0 => Reply::ok("first").behind(&gate),
            n => Reply::ok(n.to_string()),
        })
        .await;
        // So long that it is not renewed before it has ended.
        let pages = || pages(&origin).rules(|rules| rules.lease = HOUR);
        let one = open(&store, &clock, pages()).await;
        let two = open(&store, &clock, pages()).await;
        let url = origin.url("/pages/a");
        let late = ask(&one, &url);
        first.reached(1).await;
        let waiting = ask(&two, &url);
        clock.advance(HOUR);
        let (text, answered) = waiting.await.unwrap();
        assert_eq!((&*text, answered.saved()), ("1", Some(&Saved::Stored)));
        first.open();
        let (text, answered) = late.await.unwrap();
        assert_eq!(text, "first");
        assert_eq!(answered.saved(), Some(&Saved::Superseded));
        for cache in [&one, &two] {
            let (text, answered) = ask(cache, &url).await.unwrap();
            assert_eq!((&*text, answered.outcome.kind), ("1", OutcomeKind::Hit));
        }
    }
}

#[tokio::test]
async fn what_may_not_be_stored_is_fetched_by_all_at_the_same_time() {
    for store in every_store().await {
        let (first, rest) = (Gate::closed(), Gate::closed());
        let gates = [first.clone(), rest.clone()];
        let origin = Origin::start(move |call| {
            let reply = Reply::ok(call.nth.to_string()).header("cache-control", "no-store");
            reply.behind(&gates[call.nth.min(1)])
        })
        .await;
        let clock = TestClock::at(Millis(1_800_000_000_000));
        let url = origin.url("/pages/a");
        let leader = ask(&process(&store, &clock, &origin).await, &url);
        first.reached(1).await;
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(ask(&process(&store, &clock, &origin).await, &url));
        }
        first.open();
        leader.await.unwrap();
        // None of them waits for another one's answer.
        rest.reached(5).await;
        rest.open();
        for one in others {
            one.await.unwrap();
        }
        assert_eq!(origin.asked(), 6);
    }
}

#[tokio::test]
async fn an_answer_that_another_process_fetches_is_a_hit_for_whoever_waits() {
    for store in every_store().await {
        let gate = Gate::closed();
        let closed = gate.clone();
        let origin = Origin::start(move |_| Reply::ok("the answer").behind(&closed)).await;
        let clock = TestClock::at(Millis(1_800_000_000_000));
        let url = origin.url("/pages/a");
        let leader = ask(&process(&store, &clock, &origin).await, &url);
        gate.reached(1).await;
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(ask(&process(&store, &clock, &origin).await, &url));
        }
        // Elsewhere nobody waits.
        let other = origin.url("/pages/b");
        let elsewhere = ask(&process(&store, &clock, &origin).await, &other);
        gate.reached(2).await;
        gate.open();
        for one in others {
            let (text, answered) = one.await.unwrap();
            assert_eq!(text, "the answer");
            assert_eq!(answered.outcome.kind, OutcomeKind::Hit);
        }
        let (_, answered) = leader.await.unwrap();
        assert_eq!(answered.outcome.kind, OutcomeKind::Miss(Missed::Absent));
        elsewhere.await.unwrap();
        assert_eq!(origin.asked(), 2);
    }
}
