//! What comes late: because this process is busy, or after its caller has gone.

use crate::{
    PAUSE, T0, TIMEOUT, fails,
    faulty::{Faulty, Mood},
    guarded, patient, read,
    requests::fetch,
    settle,
};
use restow::{
    Cache, Clock as _, ErrorKind, FieldRef, RawKey, Result, RouteEndpoint, SystemClock, Text,
    endpoint::Coalesce,
    entry::{Address, Partition},
    store::{BreakerOptions, GuardedStore, Lease, Leases, Store, Table, TableName},
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

const HOLD: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_store_is_not_to_blame_for_what_waits_for_its_turn() {
    let (faulty, store, table) = guarded().await;
    faulty.set(Mood::Late(TIMEOUT, 5));
    for _ in 0..20 {
        assert_eq!(read(&*table).await.unwrap(), 1);
    }
    assert!(store.health().unwrap().is_up());
    // In a process that has nothing else to do the turns are over at once.
    faulty.set(Mood::Late(TIMEOUT, 1_000));
    let begun = Instant::now();
    fails(&*table, ErrorKind::Store).await;
    assert!(begun.elapsed() <= TIMEOUT + Duration::from_millis(1));
    let health = store.health().unwrap();
    assert_eq!(health.reads.timeouts, 1);
}

/// Begins a read that is answered after so long; it says what it came to, and when.
async fn reads(
    faulty: &Faulty,
    table: &Arc<dyn Table>,
    answers: Duration,
) -> JoinHandle<(Result<usize>, Instant)> {
    faulty.set(Mood::Slow(answers));
    let table = table.clone();
    let reading = tokio::spawn(async move { (read(&*table).await, Instant::now()) });
    settle().await;
    reading
}

#[tokio::test(start_paused = true)]
async fn what_waits_while_others_are_answered_has_longer() {
    let (faulty, store, table) = guarded().await;
    let ms = Duration::from_millis;
    // When it would be answered, when others are, and when it ends.
    let cases: [(u64, &[u64], Result<u64, u64>); 6] = [
        (60, &[], Err(50)),
        (80, &[40], Ok(80)),
        // As long again since the last of them,
        (95, &[20, 40], Err(90)),
        (95, &[40, 88], Ok(95)),
        // and twice as long at most.
        (1_000, &[40, 80, 95], Err(100)),
        // What answers nobody is down.
        (1_000, &[], Err(50)),
    ];
    for (answers, others, ends) in cases {
        let begun = Instant::now();
        let waits = reads(&faulty, &table, ms(answers)).await;
        faulty.set(Mood::Slow(ms(1)));
        for other in others {
            tokio::time::sleep_until(begun + ms(other - 1)).await;
            assert_eq!(read(&*table).await.unwrap(), 1);
        }
        let (answer, at) = waits.await.unwrap();
        let (Ok(wanted) | Err(wanted)) = ends;
        let took = at - begun;
        let case = format!("{answers} {others:?}: {took:?}");
        assert_eq!(answer.is_ok(), ends.is_ok(), "{case}");
        // A timer counts whole milliseconds.
        assert!(took >= ms(wanted) && took <= ms(wanted + 3), "{case}");
    }
    assert_eq!(store.health().unwrap().reads.timeouts, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_too_late_speaks_for_nobody() {
    let (faulty, _store, table) = guarded().await;
    let ms = Duration::from_millis;
    let begun = Instant::now();
    let late = reads(&faulty, &table, ms(80)).await;
    tokio::time::sleep_until(begun + ms(35)).await;
    let soon = reads(&faulty, &table, ms(5)).await;
    tokio::time::sleep_until(begun + ms(45)).await;
    let hangs = reads(&faulty, &table, ms(1_000)).await;
    assert!(soon.await.unwrap().0.is_ok());
    let (answer, at) = late.await.unwrap();
    assert!(answer.is_ok() && at - begun > TIMEOUT);
    let (answer, at) = hangs.await.unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Store);
    assert!(at - begun <= ms(100), "{:?}", at - begun);
}

fn at() -> Address {
    Address {
        key: RawKey::new([FieldRef::Text("a")], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

async fn is_free(leases: &dyn Leases) -> bool {
    let name = TableName::new("pages").unwrap();
    let asked = leases
        .acquire(&name, &at(), Duration::from_millis(1), SystemClock.now())
        .await;
    matches!(asked, Ok(Lease::Held(_)))
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_comes_too_late_is_given_back() {
    let faulty = Faulty::new(Mood::Well).with_leases();
    let store = GuardedStore::new(Arc::new(faulty.clone()), BreakerOptions::default());
    let (name, leases) = (TableName::new("pages").unwrap(), store.leases().unwrap());
    faulty.set(Mood::Slow(TIMEOUT * 2));
    let late = leases.acquire(&name, &at(), HOLD, T0).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Store);
    faulty.set(Mood::Well);
    let second = leases.acquire(&name, &at(), HOLD, T0).await.unwrap();
    assert!(matches!(second, Lease::Busy { .. }), "it was given");
    tokio::time::advance(TIMEOUT * 2).await;
    settle().await;
    let third = leases.acquire(&name, &at(), HOLD, T0).await.unwrap();
    assert!(
        matches!(third, Lease::Held(_)),
        "others need not wait for its end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_not_be_given_back_is_given_back_later() {
    let faulty = Faulty::new(Mood::Well).with_leases();
    let store = GuardedStore::new(Arc::new(faulty.clone()), patient());
    let leases = store.leases().unwrap();
    let cache = Cache::builder()
        .store(Arc::new(store))
        .build()
        .await
        .unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", "https://api.example.com/{id}");
    let pages = pages.unwrap().coalesce(Coalesce::Shared);
    let pages = pages.rules(|rules| rules.lease = HOLD);
    cache.create_repository(pages).await.unwrap();
    let ticket = fetch(&cache, "a").await;
    faulty.set(Mood::FailsChanges);
    drop(ticket);
    settle().await;
    assert!(!is_free(&*leases).await);
    faulty.set(Mood::Well);
    assert!(!is_free(&*leases).await);
    // Well before it ends by itself.
    tokio::time::advance(PAUSE * 2).await;
    settle().await;
    assert!(is_free(&*leases).await);
}
