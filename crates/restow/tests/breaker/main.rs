//! A store that is slow or down: calls are bounded in time, and it is left alone until it is back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "what tests share is no test to clippy"
)]

#[macro_use]
#[path = "../common/forward.rs"]
mod forward;
mod faulty;
mod late;
mod requests;
mod start;
#[path = "../sqlite/support.rs"]
mod support;

use faulty::{Faulty, Mood};
use restow::{
    ErrorKind, Result, Selection, conformance,
    store::{
        BreakerOptions, BreakerState, GuardedStore, MemoryStore, Parts, SqliteOptions, SqliteStore,
        Store, Table, connect,
    },
};
use std::{sync::Arc, time::Duration};
use support::*;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(200);

/// A faulty store that is well, its guard and a table of it with one entry.
async fn guarded() -> (Faulty, GuardedStore, Arc<dyn Table>) {
    let faulty = Faulty::new(Mood::Well);
    let store = GuardedStore::new(Arc::new(faulty.clone()), BreakerOptions::default());
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, at("a"), "one").await;
    (faulty, store, table)
}

async fn read(table: &dyn Table) -> Result<usize> {
    let found = table.read(&at("a"), Parts::Whole, T0).await?;
    Ok(found.len())
}

async fn fails(table: &dyn Table, kind: ErrorKind) {
    assert_eq!(read(table).await.unwrap_err().kind(), kind);
}

/// Lets tasks run that are ready.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn patient() -> BreakerOptions {
    BreakerOptions::default().timeout(Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn around_memory_it_keeps_every_promise() {
    let fresh = || async {
        let inner = Arc::new(MemoryStore::default());
        Ok(Arc::new(GuardedStore::new(inner, patient())) as Arc<dyn Store>)
    };
    conformance::run(&fresh).await.assert();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn around_sqlite_it_keeps_every_promise() {
    let fresh = || async {
        let inner = Arc::new(SqliteStore::open(SqliteOptions::temporary()).await?);
        Ok(Arc::new(GuardedStore::new(inner, patient())) as Arc<dyn Store>)
    };
    conformance::run(&fresh).await.assert();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_the_timeout_until_the_breaker_opens_and_then_nothing() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Hangs);
    for _ in 0..5 {
        let begun = Instant::now();
        fails(&*table, ErrorKind::Store).await;
        // A timer counts whole milliseconds.
        let took = begun.elapsed();
        assert!(
            took >= TIMEOUT && took <= TIMEOUT + Duration::from_millis(2),
            "{took:?}"
        );
    }
    let (begun, calls) = (Instant::now(), faulty.calls());
    for _ in 0..1_000 {
        fails(&*table, ErrorKind::Down).await;
        let written = table.write(&[write(entry(at("a"), "two"))], T0).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Down);
    }
    assert_eq!((begun.elapsed(), faulty.calls()), (Duration::ZERO, calls));
    let health = store.health().unwrap();
    assert_eq!(health.reads.state, BreakerState::Open);
    let counts = (
        health.reads.opens,
        health.reads.timeouts,
        health.reads.failures,
    );
    assert_eq!(counts, (1, 5, 5));
    assert_eq!(
        (health.reads.refused, health.changes.refused),
        (1_000, 1_000)
    );
    assert!(health.reads.last_failure.unwrap().contains("50ms"));
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_out_whether_it_is_back_does_not_wait() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Hangs);
    for _ in 0..5 {
        fails(&*table, ErrorKind::Store).await;
    }
    for pause in [1, 2, 4, 5, 5] {
        tokio::time::advance(PAUSE * pause).await;
        let (begun, calls) = (Instant::now(), faulty.calls());
        for _ in 0..3 {
            fails(&*table, ErrorKind::Down).await;
            settle().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(faulty.calls(), calls + 1, "one at a time");
        assert_eq!(store.health().unwrap().reads.state, BreakerState::HalfOpen);
        // It is given up after a while.
        tokio::time::advance(TIMEOUT * 21).await;
        settle().await;
        assert_eq!(store.health().unwrap().reads.state, BreakerState::Open);
    }
    faulty.set(Mood::Well);
    tokio::time::advance(PAUSE * 5).await;
    fails(&*table, ErrorKind::Down).await;
    settle().await;
    assert!(store.health().unwrap().is_up());
    assert_eq!(read(&*table).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_too_slowly_stays_down() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Slow(TIMEOUT * 2));
    for _ in 0..5 {
        fails(&*table, ErrorKind::Store).await;
    }
    tokio::time::advance(PAUSE).await;
    fails(&*table, ErrorKind::Down).await;
    tokio::time::sleep(TIMEOUT * 3).await;
    assert_eq!(store.health().unwrap().reads.state, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_writes_is_still_read() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::FailsChanges);
    let writes = [write(entry(at("a"), "two"))];
    for n in 0..8 {
        let error = table.write(&writes, T0).await.unwrap_err();
        let expected = if n < 5 {
            ErrorKind::Store
        } else {
            ErrorKind::Down
        };
        assert_eq!(error.kind(), expected);
        assert_eq!(read(&*table).await.unwrap(), 1);
    }
    let health = store.health().unwrap();
    assert_eq!(health.reads.state, BreakerState::Closed);
    assert_eq!(health.changes.state, BreakerState::Open);
    assert!(!health.is_up());
    // The write that finds out is made, though its caller was told that it was not waited for.
    faulty.set(Mood::Well);
    tokio::time::advance(PAUSE).await;
    table.write(&writes, T0).await.unwrap_err();
    settle().await;
    assert!(store.health().unwrap().is_up());
    assert_eq!(body(&*table, &at("a")).await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_not_the_stores_own_open_nothing() {
    let (faulty, store, table) = guarded().await;
    for kind in [
        ErrorKind::Key,
        ErrorKind::SchemaMismatch,
        ErrorKind::Fenced,
        ErrorKind::Closed,
        ErrorKind::NoSuchRepository,
        ErrorKind::ReadOnly,
        ErrorKind::TooLarge,
    ] {
        faulty.set(Mood::Fails(kind));
        for _ in 0..50 {
            fails(&*table, kind).await;
        }
    }
    assert!(store.health().unwrap().is_up());
    assert_eq!(store.health().unwrap().reads.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_says_nothing_and_a_dropped_probe_holds_nobody_up() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Hangs);
    for _ in 0..50 {
        let at = at("a");
        let mut call = Box::pin(async { table.read(&at, Parts::Whole, T0).await });
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    assert!(store.health().unwrap().is_up());
    for _ in 0..5 {
        fails(&*table, ErrorKind::Store).await;
    }
    tokio::time::advance(PAUSE).await;
    // A call that is waited for is the probe, and is dropped.
    let which = Selection::default();
    let mut count = Box::pin(async { table.count(&which, T0).await });
    assert!(futures_util::poll!(&mut count).is_pending());
    assert_eq!(store.health().unwrap().reads.state, BreakerState::HalfOpen);
    drop(count);
    faulty.set(Mood::Well);
    assert_eq!(table.count(&which, T0).await.unwrap(), 1);
    assert!(store.health().unwrap().is_up());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_take_long_holds_reads_up_for_a_while_only() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Hangs);
    for _ in 0..5 {
        fails(&*table, ErrorKind::Store).await;
    }
    tokio::time::advance(PAUSE).await;
    // It finds out whether the store is back, and is waited for.
    let mut stats = Box::pin(async { table.stats(T0).await });
    assert!(futures_util::poll!(&mut stats).is_pending());
    faulty.set(Mood::Well);
    let calls = faulty.calls();
    tokio::time::advance(TIMEOUT * 20).await;
    fails(&*table, ErrorKind::Down).await;
    settle().await;
    assert_eq!(faulty.calls(), calls, "one at a time");
    tokio::time::advance(TIMEOUT * 5).await;
    fails(&*table, ErrorKind::Down).await;
    settle().await;
    assert!(store.health().unwrap().is_up());
    assert_eq!(read(&*table).await.unwrap(), 1);
    // What it comes to is of no matter any more.
    stats.await.unwrap_err();
    assert!(store.health().unwrap().is_up());
}

#[tokio::test(start_paused = true)]
async fn bulk_work_and_large_bodies_may_take_longer() {
    let (faulty, _, table) = guarded().await;
    let large = "x".repeat(8 << 20);
    save(&*table, at("large"), &large).await;
    faulty.set(Mood::Slow(Duration::from_millis(400)));
    let found = table.read(&at("large"), Parts::Whole, T0).await.unwrap();
    assert_eq!(found.len(), 1);
    table
        .write(&[write(entry(at("large"), large))], T0)
        .await
        .unwrap();
    let many: Vec<_> = (0..1_000).map(|n| at(&n.to_string())).collect();
    table.read_many(&many, Parts::Meta, T0).await.unwrap();
    faulty.set(Mood::Slow(Duration::from_secs(29)));
    table.count(&Selection::default(), T0).await.unwrap();
    faulty.set(Mood::Slow(Duration::from_secs(31)));
    let error = table.count(&Selection::default(), T0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_there_are_timeouts_alone() {
    let faulty = Faulty::new(Mood::Well);
    let options = BreakerOptions::default().breaker(false);
    let store = GuardedStore::new(Arc::new(faulty.clone()), options);
    let table = store.open(&tracks()).await.unwrap();
    faulty.set(Mood::Hangs);
    for _ in 0..50 {
        fails(&*table, ErrorKind::Store).await;
    }
    let health = store.health().unwrap();
    assert_eq!((health.is_up(), health.reads.timeouts), (true, 50));
}

#[tokio::test]
async fn a_url_asks_for_it_and_memory_goes_before_it() {
    let store = connect("sqlite::temp:?memory=1MiB&timeout=2s&breaker=3")
        .await
        .unwrap();
    let shown = format!("{store:?}");
    let (tier, guard) = (shown.find("TieredStore"), shown.find("GuardedStore"));
    assert!(tier.is_some() && tier < guard, "{shown}");
    assert!(
        shown.contains("timeout: 2s") && shown.contains("failures: 3"),
        "{shown}"
    );
    assert!(store.health().unwrap().opened);
    let plain = connect("sqlite::temp:").await.unwrap();
    assert!(plain.health().is_none());
}
