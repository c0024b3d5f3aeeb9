//! One budget over all tables of a file.

use crate::support::*;
use restow::{
    Field,
    store::{Budget, Parts, Store, TableSpec},
};
use std::time::Duration;

fn entries(most: u64) -> Budget {
    Budget {
        entries: Some(most),
        bytes: None,
    }
}

fn indexes(path: &std::path::Path) -> i64 {
    let sql =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE '%\"used_at\"'";
    plain(path).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_order_of_use_is_indexed_once_a_budget_over_all_tables_asks_for_it() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    for id in ["1", "2", "3"] {
        save(&*table, at(id), "x").await;
    }
    store.trim(entries(3), 10).await.unwrap();
    assert_eq!(indexes(&path), 0, "nothing had to go");
    assert_eq!(store.trim(entries(2), 10).await.unwrap().removed, 1);
    assert_eq!(indexes(&path), 1);
    // Who opens it without a budget leaves the index to those who have one.
    let other = TableSpec {
        keep: HOUR,
        ..tracks()
    };
    assert!(store.open(&other).await.unwrap().spec().ranked);
    assert_eq!(indexes(&path), 1);
}

#[tokio::test]
async fn a_table_that_will_be_trimmed_has_its_index_from_the_beginning() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let mut spec = TableSpec::new("songs", [Field::text("id")]).unwrap();
    spec.ranked = true;
    store.open(&spec).await.unwrap();
    assert_eq!(indexes(&path), 1);
}

#[tokio::test]
async fn a_large_surplus_goes_in_one_call() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let all: Vec<_> = (0..3_500)
        .map(|id| write(entry(at(&id.to_string()), "x")))
        .collect();
    table.write(&all, T0).await.unwrap();
    let trimmed = store.trim(entries(100), 10_000).await.unwrap();
    assert_eq!((trimmed.removed, trimmed.entries), (3_400, 100));
    let trimmed = store.trim(entries(0), 30).await.unwrap();
    assert_eq!((trimmed.removed, trimmed.entries), (30, 70));
}

#[tokio::test]
async fn a_use_is_written_where_there_is_a_budget_and_else_a_week_later() {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let year = minutes(365 * 24 * 60);
    for (budget, after, written) in [
        (entries(10), minutes(9), false),
        (entries(10), minutes(11), true),
        (Budget::default(), minutes(11), false),
        (Budget::default(), minutes(6 * 24 * 60), false),
        (Budget::default(), minutes(8 * 24 * 60), true),
    ] {
        let folder = folder();
        let path = folder.path().join("a.db");
        let store = open(&path).await;
        let spec = TableSpec {
            budget,
            keep: year,
            ..tracks()
        };
        let table = store.open(&spec).await.unwrap();
        save(&*table, at("1"), "x").await;
        let now = T0.plus(after);
        let found = table.read(&at("1"), Parts::Whole, now).await.unwrap();
        assert_eq!(found.len(), 1);
        store.close().await.unwrap();
        let used: i64 = plain(&path)
            .query_row("SELECT used_at FROM tracks", [], |row| row.get(0))
            .unwrap();
        let last = if written { now } else { T0 };
        assert_eq!(used, last.0, "{budget:?} {after:?}");
    }
}
