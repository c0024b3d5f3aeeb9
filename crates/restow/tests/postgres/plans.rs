//! Which indexes the server reads, also of a table whose statistics are not there yet, and what it prepares.

use crate::{liar::Liar, support::*};
use restow::store::{Budget, Parts, Renewal, TableSpec};
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

/// Nobody closes what is prepared before the connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_again_and_again_is_prepared_once() {
    let server = Postgres::shared();
    let liar = Liar::before(server).await;
    let store = open(&liar.through(server, &server.fresh())).await.unwrap();
    let budget = Budget {
        entries: Some(1),
        ..Budget::default()
    };
    let spec = TableSpec { budget, ..tracks() };
    let mut prepared = Vec::new();
    for _ in 0..5 {
        // Whoever opens it again has the same statements.
        let table = store.open(&spec).await.unwrap();
        for id in ["a", "b", "c"] {
            save(&*table, id, "body").await.unwrap();
            assert!(body(&*table, id).await.unwrap().is_some());
        }
        assert_eq!(table.sweep(1, T0).await.unwrap(), 1);
        assert_eq!(store.trim(budget, 1).await.unwrap().removed, 1);
        prepared.push(liar.prepared());
    }
    assert!(prepared[0] > 0);
    assert_eq!(prepared[1..], [prepared[1]; 4]);
}
