//! What the server knows of repositories, and what is left where it was lost.

use crate::support::*;
use restow_testkit::redis::Redis;

#[tokio::test]
async fn where_all_numbers_were_lost_a_new_repository_has_none_of_the_old_ones() {
    let server = Redis::start();
    let url = format!("{}?buckets=16", server.url());
    let store = open(&url).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..100, 10), T0).await.unwrap();
    // As a policy of allkeys-* may do.
    let lost: u64 = server.ask(&["UNLINK", "restow:meta"]);
    assert_eq!(lost, 1);
    let store = open(&url).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    assert_eq!(held(&table).await, 0);
    table.write(&numbered(50..60, 10), T0).await.unwrap();
    assert_eq!(agrees(&table, 0..100).await, 10);
    let stats = table.stats(T0).await.unwrap();
    assert_eq!(stats.entries, 10);
}
