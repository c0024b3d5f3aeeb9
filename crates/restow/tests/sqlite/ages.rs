//! Ages of entries: counted where there are few, estimated from a sample where there are many.

use crate::support::*;
use restow::{
    Millis,
    store::{Ages, Share, Table, sqlite::SqliteStore},
};
use std::{sync::Arc, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);
const HOURS: [u32; 5] = [0, 5, 50, 500, 5_000];

/// Writes so many entries, in turn stored now, 5, 50, 500 and 5,000 hours ago, that expire as far ahead.
async fn filled(count: u64) -> (SqliteStore, Arc<dyn Table>) {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let entries: Vec<_> = (0..count)
        .map(|id| {
            let distance = HOUR * HOURS[usize::try_from(id % 5).unwrap()];
            let mut entry = entry(at(&id.to_string()), "x".repeat(100));
            entry.meta.stored_at = T0.minus(distance);
            entry.meta.expires_at = T0.plus(distance).plus(DAY / 48);
            write(entry)
        })
        .collect();
    for chunk in entries.chunks(1_000) {
        table.write(chunk, T0).await.unwrap();
    }
    (store, table)
}

fn entries(shares: [Share; 5]) -> [u64; 5] {
    shares.map(|share| share.entries)
}

async fn ages(table: &dyn Table, now: Millis) -> Ages {
    table.stats(now).await.unwrap().ages
}

#[tokio::test]
async fn few_entries_are_counted_one_by_one() {
    let (_store, table) = filled(2_000).await;
    let found = ages(&*table, T0).await;
    assert!(found.exact);
    assert_eq!(entries(found.stored), [400; 5]);
    assert_eq!(entries(found.expires), [400; 5]);
    let later = ages(&*table, T0.plus(DAY)).await;
    assert_eq!(entries(later.stored), [0, 0, 1_200, 400, 400]);
    assert_eq!(entries(later.expires), [0, 0, 400, 400, 400]);
}

#[tokio::test]
async fn many_entries_are_sampled_and_said_to_be() {
    let (_store, table) = filled(10_000).await;
    let stats = table.stats(T0).await.unwrap();
    let found = stats.ages;
    assert!(!found.exact);
    for shares in [found.stored, found.expires] {
        for share in shares {
            assert!((1_700..2_300).contains(&share.entries), "{shares:?}");
            let mean = stats.bytes / stats.entries;
            assert!(
                share.bytes.abs_diff(share.entries * mean) < share.bytes / 5,
                "{shares:?}"
            );
        }
        let sum: u64 = entries(shares).iter().sum();
        assert!((9_900..=10_000).contains(&sum), "{shares:?}");
    }
}

#[tokio::test]
async fn a_table_full_of_gaps_is_sampled_too() {
    let (_store, table) = filled(60_000).await;
    // One in ten of each age is left.
    let gone: Vec<_> = (0..60_000_u64)
        .filter(|id| id / 5 % 10 != 0)
        .map(|id| at(&id.to_string()))
        .collect();
    for chunk in gone.chunks(5_000) {
        table.delete(chunk, T0).await.unwrap();
    }
    let found = ages(&*table, T0).await;
    assert!(!found.exact);
    let sum: u64 = entries(found.stored).iter().sum();
    assert!((5_900..=6_000).contains(&sum), "{found:?}");
}
