//! The server's memory is full, and it removes what it likes.

use crate::support::*;
use restow::{
    ErrorKind, Selection,
    store::{
        Budget, Parts, Store, Table,
        redis::{RedisOptions, RedisStore},
    },
};
use restow_testkit::redis::Redis;
use std::sync::Arc;

const ENTRIES: usize = 1_000;
const BYTES: usize = 24_000;

/// Fills a server with more than it can hold, and then lets it rest; returns how many keys it removed.
async fn filled(policy: &str) -> (Redis, Arc<dyn Store>, Arc<dyn Table>, u64) {
    let server = Redis::with(&["--maxmemory", "12mb", "--maxmemory-policy", policy]);
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    for part in 0..ENTRIES / 100 {
        let some = numbered(part * 100..(part + 1) * 100, BYTES);
        table.write(&some, T0).await.unwrap();
    }
    // Answers take memory too: from now on nothing more is removed.
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let said: String = server.ask(&["INFO", "stats"]);
    let mut lines = said.lines();
    let evicted = lines.find_map(|line| line.strip_prefix("evicted_keys:"));
    let evicted = evicted.unwrap().parse().unwrap();
    (server, store, table, evicted)
}

#[tokio::test]
async fn what_a_volatile_policy_removes_goes_out_of_the_index() {
    let (_server, store, table, evicted) = filled("volatile-lru").await;
    assert!(evicted > 500, "{evicted} were removed");
    // A clear of nothing walks over all.
    let nothing = Selection::default().eq("kind", "none");
    assert_eq!(table.clear(&nothing, 1, T0).await.unwrap(), 0);
    let left = agrees(&table, 0..ENTRIES).await;
    assert_eq!(
        left,
        ENTRIES as u64 - evicted,
        "the server removes entries alone"
    );
    let stats = table.stats(T0).await.unwrap();
    assert_eq!(stats.entries, left);
    // The numbers follow with the sweeps.
    for _ in 0..300 {
        table.sweep(100, T0).await.unwrap();
    }
    let size = entry("0", body(0, BYTES)).size();
    let numbers = store.trim(Budget::default(), 1).await.unwrap();
    assert_eq!((numbers.entries, numbers.bytes), (left, left * size));
}

#[tokio::test]
async fn an_index_that_an_allkeys_policy_removed_is_made_anew() {
    let (_server, store, table, evicted) = filled("allkeys-random").await;
    assert!(evicted > 500, "{evicted} were removed");
    table.sweep(1, T0).await.unwrap();
    let nothing = Selection::default().eq("kind", "none");
    assert_eq!(table.clear(&nothing, 1, T0).await.unwrap(), 0);
    // What was removed together with the numbers of its bucket comes back when it is read, sooner or later.
    let at: Vec<_> = (0..ENTRIES).map(|n| address(&n.to_string())).collect();
    for _ in 0..5_000 {
        let found = table.read_many(&at, Parts::Meta, T0).await.unwrap();
        let found = found.iter().filter(|found| !found.is_empty()).count();
        store.commit().await.unwrap();
        if held(&table).await == found as u64 {
            break;
        }
    }
    agrees(&table, 0..ENTRIES).await;
}

#[tokio::test]
async fn a_server_that_removes_nothing_refuses_to_save_and_says_what_to_do() {
    let server = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let store = RedisStore::open(RedisOptions::parse(&server.url()).unwrap())
        .await
        .unwrap();
    let policy = store.memory_policy().await.unwrap().unwrap();
    assert_eq!(
        (policy.most, &*policy.policy),
        (Some(3 << 20), "noeviction")
    );
    assert!(policy.advice().unwrap().contains("volatile-lru"));
    let store: &dyn Store = &store;
    let table = store.open(&spec()).await.unwrap();
    let mut refused = None;
    for part in 0..20 {
        let some = numbered(part * 100..(part + 1) * 100, 4_000);
        if let Err(error) = table.write(&some, T0).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("it is full");
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
    // What is held is answered, and can be removed.
    let left = agrees(&table, 0..2_000).await;
    assert_eq!(
        table
            .clear(&Selection::default(), 10_000, T0)
            .await
            .unwrap(),
        left
    );
    table.write(&numbered(0..10, 100), T0).await.unwrap();
}
