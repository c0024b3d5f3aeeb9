//! The server removes by itself what is past its keep.

use crate::support::*;
use restow::{
    Millis,
    store::{Parts, TableSpec},
};
use restow_testkit::redis::{Redis, until};
use std::time::Duration;

#[tokio::test]
async fn an_entry_goes_by_itself_at_the_end_of_its_keep_and_its_index_with_the_next_sweep() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let brief = TableSpec {
        keep: Duration::from_millis(100),
        ..spec()
    };
    let table = store.open(&brief).await.unwrap();
    let mut soon = entry("a", "soon over");
    soon.meta.expires_at = T0.plus(Duration::from_millis(100));
    let mut never = entry("b", "stays");
    never.meta.expires_at = Millis::MAX;
    table.write(&writes([soon, never]), T0).await.unwrap();
    let keys = || -> Vec<Vec<u8>> { server.ask(&["KEYS", "restow{*}e*"]) };
    assert_eq!(keys().len(), 2);
    until("the server removes it", || keys().len() == 1);
    // Whoever's clock stands still sees it in the index until it is looked for.
    let later = T0.plus(Duration::from_millis(200));
    assert_eq!(table.count(&Default::default(), later).await.unwrap(), 1);
    assert_eq!(table.sweep(10, later).await.unwrap(), 1);
    assert_eq!(table.sweep(10, later).await.unwrap(), 0);
    assert_eq!(held(&table).await, 1);
    let found = table.read(&address("b"), Parts::Whole, later).await;
    assert_eq!(found.unwrap().len(), 1);
    // A policy that removes keys with a time to live may remove every entry, and nothing else.
    let number: u64 = server.ask(&["HGET", "restow:meta", "next"]);
    let ours = format!("restow{{{number}.");
    for key in server.ask::<Vec<Vec<u8>>>(&["KEYS", "*"]) {
        let mut ttl = redis::cmd("PTTL");
        let ttl: i64 = ttl.arg(&key).query(&mut server.connection()).unwrap();
        let is_entry = key.starts_with(ours.as_bytes()) && key.len() > 25;
        assert_eq!(ttl > 0, is_entry, "{}", String::from_utf8_lossy(&key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_may_come_and_go_while_the_rest_is_counted() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..300, 10), T0).await.unwrap();
    let mut live = restow::Selection::default();
    live.scope = restow::Scope::Live;
    let other = open(&server.url()).await.unwrap();
    let others = other.open(&spec()).await.unwrap();
    let comes_and_goes = tokio::spawn(async move {
        let expired = (0..100).map(|n| {
            let mut expired = entry(&format!("expired{n}"), "over");
            expired.meta.expires_at = T0.minus(Duration::from_secs(1));
            expired
        });
        let expired = writes(expired);
        let at: Vec<_> = expired.iter().map(|w| w.entry.id.address.clone()).collect();
        for _ in 0..100 {
            others.write(&expired, T0).await.unwrap();
            assert_eq!(others.delete(&at, T0).await.unwrap(), 100);
        }
    });
    let mut counted = 0;
    while !comes_and_goes.is_finished() {
        assert_eq!(table.count(&live, T0).await.unwrap(), 300);
        counted += 1;
    }
    comes_and_goes.await.unwrap();
    assert!(counted > 10, "{counted}");
}

#[tokio::test]
async fn a_scan_takes_out_of_the_index_what_is_not_there_any_more() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..100, 10), T0).await.unwrap();
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "restow{*}e*"]);
    let mut unlink = redis::cmd("UNLINK");
    let gone = keys.iter().filter(|key| key.len() > 25).take(30);
    for key in gone {
        unlink.arg(key);
    }
    unlink.exec(&mut server.connection()).unwrap();
    assert_eq!(agrees_after_scan(&table).await, 70);
}

async fn agrees_after_scan(table: &std::sync::Arc<dyn restow::store::Table>) -> u64 {
    use futures_util::TryStreamExt;
    let everything = restow::Selection::default();
    let all = table.scan(&everything, Parts::Meta, T0);
    let _: Vec<_> = all.try_collect().await.unwrap();
    agrees(table, 0..100).await
}

#[tokio::test]
async fn many_written_over_others_go_on_from_their_generations() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..20, 10), T0).await.unwrap();
    let first = table.read(&address("3"), Parts::Whole, T0).await.unwrap();
    // Half of them are there already, and larger ones take their place.
    let over = numbered(10..30, 500);
    table.write(&over, T0).await.unwrap();
    table.write(&numbered(0..10, 10), T0).await.unwrap();
    assert_eq!(agrees(&table, 0..30).await, 30);
    for write in &over {
        let at = &write.entry.id.address;
        let found = table.read(at, Parts::Whole, T0).await.unwrap();
        let bodies: Vec<_> = found.iter().map(|e| e.body.clone()).collect();
        assert_eq!(bodies, std::slice::from_ref(&write.entry.body));
    }
    let again = table.read(&address("3"), Parts::Whole, T0).await.unwrap();
    let (first, again) = (first.iter().next().unwrap(), again.iter().next().unwrap());
    assert_eq!(again.generation, first.generation.next());
}
