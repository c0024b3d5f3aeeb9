//! Bodies that are too large together: a server and its clients hold few of them at once.

use crate::support::*;
use futures_util::TryStreamExt;
use restow::{
    Selection,
    store::{Column, OnSchemaChange, Parts, Table, TableSpec},
};
use restow_testkit::redis::{Redis, RedisCluster};
use std::sync::Arc;

const ENTRIES: usize = 96;
const BYTES: usize = 1 << 20;
/// A server that ends whoever does not read, or sends, so much at once.
const STRICT: [&str; 7] = [
    "--client-output-buffer-limit",
    "normal",
    "16mb",
    "0",
    "0",
    "--client-query-buffer-limit",
    "16mb",
];

/// Many large entries, and small ones between them.
async fn filled(url: &str) -> (Arc<dyn restow::store::Store>, Arc<dyn Table>) {
    let store = open(url).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    for n in 0..ENTRIES {
        table.write(&numbered(n..n + 1, BYTES), T0).await.unwrap();
    }
    let small = numbered(ENTRIES..2 * ENTRIES, 100);
    table.write(&small, T0).await.unwrap();
    (store, table)
}

async fn all_are_scanned(table: &Arc<dyn Table>) {
    let everything = Selection::default();
    let all = table.scan(&everything, Parts::Whole, T0);
    let all: Vec<_> = all.try_collect().await.unwrap();
    let mut bodies: Vec<_> = all.iter().map(|entry| entry.body.clone()).collect();
    let mut expected: Vec<_> = (0..2 * ENTRIES)
        .map(|n| body(n, if n < ENTRIES { BYTES } else { 100 }))
        .collect();
    bodies.sort();
    expected.sort();
    // They are too long to be shown.
    assert!(bodies == expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_large_bodies_asks_for_a_few_at_a_time() {
    let server = Redis::with(&STRICT);
    let (_store, table) = filled(&server.url()).await;
    all_are_scanned(&table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_of_a_cluster() {
    let cluster = RedisCluster::with(&STRICT);
    let (_store, table) = filled(&format!("{}?buckets=16", cluster.url())).await;
    all_are_scanned(&table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_migrated_a_few_at_a_time() {
    let server = Redis::with(&STRICT);
    let (store, _) = filled(&server.url()).await;
    let another = TableSpec {
        columns: [Column {
            name: "sort".into(),
            pointer: "/sort".into(),
        }]
        .into(),
        on_schema_change: OnSchemaChange::Migrate,
        ..spec()
    };
    let table = store.open(&another).await.unwrap();
    all_are_scanned(&table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_entries_are_scanned_many_at_a_time() {
    let server = Redis::start();
    let store = open(&format!("{}?buckets=16", server.url())).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..1_000, 100), T0).await.unwrap();
    let _: String = server.ask(&["CONFIG", "RESETSTAT"]);
    let everything = Selection::default();
    let all = table.scan(&everything, Parts::Whole, T0);
    let all: Vec<_> = all.try_collect().await.unwrap();
    assert_eq!(all.len(), 1_000);
    let said: String = server.ask(&["INFO", "commandstats"]);
    assert!(said.contains("cmdstat_mget:calls=4,"), "{said}");
}
