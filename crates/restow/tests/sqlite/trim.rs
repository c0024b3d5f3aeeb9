//! One budget over all tables of a file.

use crate::support::*;
use restow::{
    Field,
    store::{Budget, Store, TableSpec},
};

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
