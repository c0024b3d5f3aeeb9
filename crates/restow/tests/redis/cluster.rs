//! A cluster that changes while it is used.

use crate::{failures::Load, support::*};
use restow_testkit::redis::RedisCluster;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_may_move_and_a_master_restart_under_load() {
    let mut cluster = RedisCluster::with(&["--appendonly", "yes"]);
    let store = open(&format!("{}?buckets=16&server_timeout=2s", cluster.url()))
        .await
        .unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..300, 500), T0).await.unwrap();
    let load = Load::start(&table);
    load.goes_on().await;
    // The slots of all buckets go to the first server, key by key.
    let number: u64 = cluster.ask(&["HGET", "restow:meta", "next"]);
    for bucket in 0..16 {
        let key = format!("restow{{{number}.{bucket:x}}}i");
        let slot: u16 = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &key]);
        let moving = &cluster;
        tokio::task::block_in_place(|| moving.migrate(slot, 0, || {}));
        load.goes_on().await;
    }
    load.failed.store(0, Ordering::Release);
    let node = &mut cluster.nodes_mut()[0];
    node.kill();
    node.restart();
    tokio::task::block_in_place(|| cluster.wait());
    load.goes_on().await;
    load.end().await;
    assert_eq!(agrees(&table, 0..300).await, 300);
}
