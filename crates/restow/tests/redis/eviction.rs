//! The server's memory is full, and it removes what it likes.

use crate::support::*;
use restow::{
    ErrorKind, Selection,
    store::redis::{RedisOptions, RedisStore},
};
use restow_testkit::redis::Redis;

/// Fills a server with more than it can hold, and returns how many entries are left.
async fn filled(policy: &str) -> (Redis, std::sync::Arc<dyn restow::store::Table>, u64) {
    let server = Redis::with(&["--maxmemory", "12mb", "--maxmemory-policy", policy]);
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    for part in 0..60 {
        let some = numbered(part * 100..(part + 1) * 100, 4_000);
        table.write(&some, T0).await.unwrap();
    }
    let evicted: String = server.ask(&["INFO", "stats"]);
    let evicted = evicted
        .lines()
        .find_map(|line| line.strip_prefix("evicted_keys:"))
        .unwrap()
        .parse()
        .unwrap();
    (server, table, evicted)
}

#[tokio::test]
async fn what_a_volatile_policy_removes_goes_out_of_the_index() {
    let (_server, table, evicted) = filled("volatile-lru").await;
    assert!(evicted > 1_000, "{evicted} were removed");
    // A clear of nothing walks over all.
    let nothing = Selection::default().eq("kind", "none");
    assert_eq!(table.clear(&nothing, 1, T0).await.unwrap(), 0);
    let left = agrees(&table, 0..6_000).await;
    assert_eq!(left, 6_000 - evicted, "the server removes entries alone");
    let stats = table.stats(T0).await.unwrap();
    assert_eq!(stats.entries, left);
    // The numbers follow with the sweeps.
    for _ in 0..300 {
        table.sweep(100, T0).await.unwrap();
    }
    let size = entry("0", body(0, 4_000)).size();
    let stats = table.stats(T0).await.unwrap();
    assert_eq!(stats.bytes.div_ceil(size), left);
}

#[tokio::test]
async fn an_index_that_an_allkeys_policy_removed_is_made_anew() {
    let (server, table, evicted) = filled("allkeys-random").await;
    assert!(evicted > 1_000, "{evicted} were removed");
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    for _ in 0..2 {
        table.sweep(1, T0).await.unwrap();
    }
    // What was removed together with the numbers of its bucket comes back when it is read.
    let at: Vec<_> = (0..6_000).map(|n| address(&n.to_string())).collect();
    for _ in 0..100 {
        for at in at.chunks(1_000) {
            let found = table.read_many(at, restow::store::Parts::Meta, T0).await;
            found.unwrap();
        }
    }
    table.sweep(1, T0).await.unwrap();
    let nothing = Selection::default().eq("kind", "none");
    assert_eq!(table.clear(&nothing, 1, T0).await.unwrap(), 0);
    agrees(&table, 0..6_000).await;
}

#[tokio::test]
async fn a_server_that_removes_nothing_refuses_to_save_and_says_what_to_do() {
    let server = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let store = RedisStore::open(RedisOptions::parse(&server.url()).unwrap())
        .await
        .unwrap();
    let policy = store.memory_policy().await.unwrap();
    assert_eq!(
        (policy.most, &*policy.policy),
        (Some(3 << 20), "noeviction")
    );
    assert!(policy.advice().unwrap().contains("volatile-lru"));
    let store: &dyn restow::store::Store = &store;
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
