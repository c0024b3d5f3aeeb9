//! Which indexes the server reads, also of a table whose statistics are not there yet.

use crate::support::*;
use restow::store::{Parts, Renewal};
use restow_testkit::Postgres;

/// How often an index of the table `tracks` was read.
fn reads_of(schema: &str, index: &str) -> u64 {
    let sql = format!(
        "SELECT idx_scan FROM pg_stat_all_indexes WHERE schemaname = '{schema}' AND relname = 'tracks' \
         AND indexrelname LIKE '%{index}'"
    );
    Postgres::shared().sql(&sql).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_found_by_their_own_index_alone() {
    let url = Postgres::shared().fresh();
    let schema = url.split_once("schema=").unwrap().1;
    let store = open(&url).await.unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let places: Vec<_> = (0..2_000).map(|i| at(&format!("t{i}"))).collect();
    let writes: Vec<_> = places
        .iter()
        .map(|at| write(entry(at.clone(), "a body")))
        .collect();
    table.write(&writes, T0).await.unwrap();
    let before = reads_of(schema, "expires_at");
    let found = table.read_many(&places, Parts::Whole, T0).await.unwrap();
    for (place, parts) in places
        .iter()
        .zip([Parts::Meta, Parts::Body, Parts::Whole].iter().cycle())
        .take(300)
    {
        assert_eq!(table.read(place, *parts, T0).await.unwrap().len(), 1);
    }
    let renewals: Vec<_> = found
        .iter()
        .flat_map(|found| found.iter())
        .map(|entry| Renewal {
            id: entry.id.clone(),
            read: entry.generation,
            meta: entry.meta.clone(),
        })
        .collect();
    assert_eq!(table.renew(&renewals, T0).await.unwrap(), 2_000);
    // Each connection counts for itself, and tells it when it ends.
    store.close().await.unwrap();
    while reads_of(schema, "key") < 2_000 + 300 + 2_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reads_of(schema, "expires_at"), before);
}
