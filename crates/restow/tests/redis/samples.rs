//! Repositories of so many entries that their numbers are those of a sample.

use crate::support::*;
use restow::store::{Budget, Parts, Stats, Store, Table, TableSpec, Write};
use restow_testkit::redis::Redis;
use std::{sync::Arc, time::Duration};

const ENTRIES: usize = 5_000;
const SIZES: [usize; 3] = [50, 200, 700];
const DAYS: Duration = Duration::from_secs(2 * 86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// Half of the entries are of two days ago, and every fourth has expired.
fn nth(n: usize) -> Write {
    let mut entry = entry(&n.to_string(), body(n, SIZES[n % 3]));
    let stored = match n % 2 {
        0 => T0,
        _ => T0.minus(DAYS),
    };
    entry.meta.stored_at = stored;
    entry.meta.checked_at = stored;
    entry.meta.expires_at = match n % 4 {
        0 => T0.minus(Duration::from_secs(1)),
        _ => T0.plus(HOUR / 2),
    };
    Write {
        entry: Arc::new(entry),
        fence: None,
    }
}

async fn filled(budget: Budget) -> (Redis, Arc<dyn Store>, Arc<dyn Table>, u64) {
    let server = Redis::start();
    let store = open(&format!("{}?buckets=16", server.url())).await.unwrap();
    let spec = TableSpec {
        budget,
        keep: DAY,
        ..spec()
    };
    let table = store.open(&spec).await.unwrap();
    let all: Vec<_> = (0..ENTRIES).map(nth).collect();
    let (new, old): (Vec<_>, Vec<_>) = all
        .iter()
        .cloned()
        .partition(|write| write.entry.meta.stored_at == T0);
    for (some, at) in [(old, T0.minus(DAYS)), (new, T0)] {
        for part in some.chunks(500) {
            table.write(part, at).await.unwrap();
        }
    }
    let bytes = all.iter().map(|write| write.entry.size()).sum();
    (server, store, table, bytes)
}

/// What all these estimates say in the mean is right within some percent.
fn about(what: &str, all: &[Stats], of: impl Fn(&Stats) -> u64, right: u64) {
    let mean = all.iter().map(of).sum::<u64>() / all.len() as u64;
    let off = mean.abs_diff(right) * 100;
    assert!(off <= right * 8, "{what}: {mean} is not about {right}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_many_entries_are_right_within_some_percent() {
    let (_server, store, table, bytes) = filled(Budget::default()).await;
    let entries = ENTRIES as u64;
    let mut all = Vec::new();
    for _ in 0..20 {
        let stats = table.stats(T0).await.unwrap();
        // What each bucket says of itself is exact all the same.
        assert!(!stats.exact && !stats.ages.exact, "{stats:?}");
        assert_eq!((stats.entries, stats.bytes), (entries, bytes));
        assert_eq!(stats.expired, entries / 4);
        assert_eq!(stats.newest, Some(T0));
        assert_eq!(stats.oldest, Some(T0.minus(DAYS)));
        all.push(stats);
    }
    let stored = |span: usize| move |stats: &Stats| stats.ages.stored[span].entries;
    about("of today", &all, stored(0), entries / 2);
    about("of two days ago", &all, stored(2), entries / 2);
    about(
        "that expire soon",
        &all,
        |s| s.ages.expires[0].entries,
        entries / 4 * 3,
    );
    about(
        "bytes of today",
        &all,
        |s| s.ages.stored[0].bytes,
        bytes / 2,
    );
    let sums = |s: &Stats| s.ages.stored.iter().map(|share| share.entries).sum();
    about("all", &all, sums, entries);
    let trimmed = store.trim(Budget::default(), 0).await.unwrap();
    assert_eq!((trimmed.entries, trimmed.bytes), (entries, bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_entries_are_kept_within_their_budget() {
    let most = 3_000;
    let budget = Budget {
        entries: Some(most as u64),
        ..Budget::default()
    };
    let (_server, _store, table, _) = filled(budget).await;
    // No more than that at once.
    assert_eq!(table.sweep(100, T0).await.unwrap(), 100);
    assert_eq!(held(&table).await, ENTRIES as u64 - 100);
    while table.sweep(10_000, T0).await.unwrap() > 0 {}
    assert_eq!(held(&table).await, most as u64);
    let all: Vec<_> = (0..ENTRIES).map(|n| address(&n.to_string())).collect();
    let found = table.read_many(&all, Parts::Meta, T0).await.unwrap();
    let is_there = |n: &usize| !found[*n].is_empty();
    // Those of two days ago go first.
    let old = (0..ENTRIES).filter(|n| n % 2 == 1).filter(is_there).count();
    assert_eq!(old, most - ENTRIES / 2);
}
