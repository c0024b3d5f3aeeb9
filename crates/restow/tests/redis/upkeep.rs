//! What a cache does in the background over Redis, and what a sweep finds wrong.

use crate::support::*;
use restow::{
    Cache, RouteEndpoint, Scope, Text,
    store::{Budget, Store, Table},
};
use restow_testkit::redis::Redis;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

type Pages = RouteEndpoint<String, Text>;

/// Far more than it may take.
const PATIENCE: Duration = Duration::from_secs(60);
const ENTRIES: usize = 1_000;

fn pages(name: &str) -> Pages {
    Pages::get(name, &format!("https://api.example/{name}/{{id}}")).unwrap()
}

async fn cache(server: &Redis) -> Cache {
    let url = format!("{}?buckets=16&timeout=5s", server.url());
    Cache::builder().url(url).build().await.unwrap()
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: never"));
}

/// The keys of a repository's buckets that end so.
fn keys(server: &Redis, repository: &str, end: char) -> Vec<String> {
    let field = format!("repository:{repository}");
    let declared: String = server.ask(&["HGET", "restow:meta", &field]);
    let number = declared.split(' ').next().unwrap();
    let key = |bucket| format!("restow{{{number}.{bucket:x}}}{end}");
    (0..16).map(key).collect()
}

fn unlink<K: redis::ToRedisArgs>(server: &Redis, keys: &[K]) {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(keys).exec(&mut server.connection()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repositorys_own_budget_is_kept() {
    let server = Redis::start();
    let cache = cache(&server).await;
    let budget = Budget {
        entries: Some(2),
        bytes: None,
    };
    let few = pages("few").budget(budget);
    let few = cache.create_repository(few).await.unwrap();
    for id in 0..8 {
        few.save(&id.to_string(), &"x".to_owned()).await.unwrap();
    }
    until("it shrinks", async || {
        few.count(Scope::All).await.unwrap() <= 2
    })
    .await;
    assert_eq!(few.count(Scope::All).await.unwrap(), 2);
    cache.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_budget_what_expired_leaves_the_index_and_a_lost_index_comes_back() {
    let server = Redis::start();
    let cache = cache(&server).await;
    let soon = Duration::from_millis(50);
    let brief = pages("brief").expire_after(soon).keep(soon);
    let brief = cache.create_repository(brief).await.unwrap();
    let lasting = cache.create_repository(pages("lasting")).await.unwrap();
    let all: Vec<_> = (0..100)
        .map(|id| (id.to_string(), "x".to_owned()))
        .collect();
    brief.save_many(&all).await.unwrap();
    lasting.save_many(&all).await.unwrap();
    unlink(&server, &keys(&server, "lasting", 'i'));
    assert_eq!(lasting.count(Scope::All).await.unwrap(), 0);
    let named = || -> u64 {
        let index = keys(&server, "brief", 'i').into_iter();
        index.map(|key| server.ask::<u64>(&["ZCARD", &key])).sum()
    };
    assert_eq!(named(), 100);
    until("both are as they should be", async || {
        named() == 0 && lasting.count(Scope::All).await.unwrap() == 100
    })
    .await;
    cache.close().await.unwrap();
}

/// A table whose buckets have 62 entries each in the mean.
async fn filled(server: &Redis) -> (Arc<dyn Store>, Arc<dyn Table>) {
    let store = open(&format!("{}?buckets=16", server.url())).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..ENTRIES, 10), T0).await.unwrap();
    (store, table)
}

/// The index and the numbers of these buckets.
fn lists(server: &Redis, buckets: std::ops::Range<usize>) -> Vec<String> {
    let of = |end| keys(server, "tracks", end)[buckets.clone()].to_vec();
    [of('i'), of('c')].concat()
}

/// Sweeps, and returns how often the server's keys were looked through meanwhile.
async fn walks(server: &Redis, table: &Arc<dyn Table>) -> u64 {
    let _: String = server.ask(&["CONFIG", "RESETSTAT"]);
    assert_eq!(table.sweep(10, T0).await.unwrap(), 0);
    let said: String = server.ask(&["INFO", "commandstats"]);
    let mut lines = said.lines();
    let scans = lines.find_map(|line| line.strip_prefix("cmdstat_scan:calls="));
    scans.map_or(0, |scans| scans.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn buckets_that_lost_all_they_said_of_themselves_are_made_anew_in_one_walk() {
    let server = Redis::start();
    let (_store, table) = filled(&server).await;
    assert_eq!(walks(&server, &table).await, 0, "nothing is wrong");
    unlink(&server, &lists(&server, 3..4));
    assert!(held(&table).await < ENTRIES as u64);
    let one = walks(&server, &table).await;
    assert_eq!(held(&table).await, ENTRIES as u64);
    assert!(one > 0);
    unlink(&server, &lists(&server, 0..8));
    let many = walks(&server, &table).await;
    assert!(many < 2 * one, "{many} for eight, and {one} for one");
    assert_eq!(agrees(&table, 0..ENTRIES).await, ENTRIES as u64);
    assert_eq!(walks(&server, &table).await, 0, "nothing is wrong");
}

#[tokio::test]
async fn a_bucket_whose_entries_are_lost_too_is_looked_for_once() {
    let server = Redis::start();
    let (_store, table) = filled(&server).await;
    let [index] = &keys(&server, "tracks", 'i')[5..6] else {
        panic!("there are 16");
    };
    let all = format!("{}*", index.trim_end_matches('i'));
    let all: Vec<Vec<u8>> = server.ask(&["KEYS", &all]);
    assert!(all.len() > 10);
    unlink(&server, &all);
    assert!(walks(&server, &table).await > 0);
    assert_eq!(walks(&server, &table).await, 0);
    agrees(&table, 0..ENTRIES).await;
}
