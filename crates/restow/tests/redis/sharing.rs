//! Several stores in one place: what one changes, the others hear of.

use crate::support::*;
use futures_util::StreamExt;
use restow::{
    BoxStream, Selection,
    store::{Change, TierOptions, TieredStore},
};
use restow_testkit::redis::{Redis, RedisCluster};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Within this time a change is heard of.
const SOON: Duration = Duration::from_secs(1);

async fn next(changes: &mut BoxStream<'static, Change>) -> Change {
    let heard = timeout(SOON, changes.next()).await;
    heard.expect("it is heard of soon").expect("it goes on")
}

async fn hears(url: &str) {
    let (ours, theirs) = (open(url).await.unwrap(), open(url).await.unwrap());
    let (our_table, their_table) = (
        ours.open(&spec()).await.unwrap(),
        theirs.open(&spec()).await.unwrap(),
    );
    let mut changes = ours.changes().expect("it can tell");
    assert!(matches!(next(&mut changes).await, Change::Everything));
    let before = our_table.foreign_changes().expect("it listens");
    // What we do ourselves is no news.
    our_table.write(&numbered(0..1, 10), T0).await.unwrap();
    their_table.write(&numbered(1..2, 10), T0).await.unwrap();
    match next(&mut changes).await {
        Change::Address(table, at) => assert_eq!((table, at), (spec().name, address("1"))),
        other => panic!("{other:?}"),
    }
    assert!(our_table.foreign_changes().unwrap() > before);
    let read = their_table
        .read(&address("0"), restow::store::Parts::Whole, T0)
        .await
        .unwrap();
    let read = read.iter().next().unwrap();
    let renewal = restow::store::Renewal {
        id: read.id.clone(),
        read: read.generation,
        meta: read.meta.clone(),
    };
    assert_eq!(their_table.renew(&[renewal], T0).await.unwrap(), 1);
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("0")));
    their_table.delete(&[address("1")], T0).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("1")));
    their_table
        .clear(&Selection::default(), 10, T0)
        .await
        .unwrap();
    assert!(matches!(next(&mut changes).await, Change::Table(name) if name == spec().name));
    theirs.remove(&spec().name).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Table(name) if name == spec().name));
}

#[tokio::test]
async fn what_others_change_is_heard_of() {
    let server = Redis::start();
    hears(&server.url()).await;
}

#[tokio::test]
async fn what_others_change_in_a_cluster_is_heard_of() {
    let cluster = RedisCluster::start();
    hears(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_anything_may_have_changed() {
    let mut server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let mut changes = store.changes().unwrap();
    assert!(matches!(next(&mut changes).await, Change::Everything));
    server.kill();
    let again = tokio::spawn(async move { (changes.next().await, changes.next().await) });
    let deaf = async {
        while table.foreign_changes().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, deaf)
        .await
        .expect("it knows that it hears nothing");
    server.restart();
    let heard = timeout(Duration::from_secs(5), again).await.unwrap();
    assert!(matches!(
        heard.unwrap(),
        (Some(Change::Silence), Some(Change::Everything))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_tier_forgets_what_others_change() {
    let server = Redis::start();
    let theirs = open(&server.url()).await.unwrap();
    let their_table = theirs.open(&spec()).await.unwrap();
    their_table
        .write(&writes([entry("1", "before")]), T0)
        .await
        .unwrap();
    let beneath = open(&server.url()).await.unwrap();
    // Longer than this test: only what is heard makes it forget.
    let options = TierOptions::new(1 << 20).recheck(Duration::from_secs(3_600));
    let tiered: Arc<dyn restow::store::Store> =
        Arc::new(TieredStore::new(beneath, options).unwrap());
    let table = tiered.open(&spec()).await.unwrap();
    let listens = async {
        while table.foreign_changes().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, listens).await.unwrap();
    assert_eq!(bodies(&table, "1").await.unwrap(), ["before"]);
    their_table
        .write(&writes([entry("1", "after")]), T0)
        .await
        .unwrap();
    let seen = async {
        while bodies(&table, "1").await.unwrap() != ["after"] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, seen)
        .await
        .expect("it is seen within a second");
}
