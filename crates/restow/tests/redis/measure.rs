//! Figures, for a release build: `cargo test --release -p restow --features redis,conformance --test redis -- --ignored --nocapture`.

use crate::support::*;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use restow::store::{Parts, Table};
use restow_testkit::redis::Redis;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const BYTES: usize = 2_200;
const ENTRIES: usize = 10_000;

async fn gets(table: &Arc<dyn Table>, tasks: usize, each: usize) -> f64 {
    let begun = Instant::now();
    let all = (0..tasks).map(|t| {
        let table = table.clone();
        tokio::spawn(async move {
            for i in 0..each {
                let at = address(&((t * 7919 + i * 31) % ENTRIES).to_string());
                let found = table.read(&at, Parts::Whole, T0).await.unwrap();
                assert_eq!(found.len(), 1);
            }
        })
    });
    futures_util::future::join_all(all.collect::<Vec<_>>()).await;
    (tasks * each) as f64 / begun.elapsed().as_secs_f64()
}

async fn plain(connection: &MultiplexedConnection, tasks: usize, each: usize) -> f64 {
    let begun = Instant::now();
    let all = (0..tasks).map(|t| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            for i in 0..each {
                let key = format!("plain:{}", (t * 7919 + i * 31) % ENTRIES);
                let got: Vec<u8> = connection.get(key).await.unwrap();
                assert!(got.len() >= BYTES);
            }
        })
    });
    futures_util::future::join_all(all.collect::<Vec<_>>()).await;
    (tasks * each) as f64 / begun.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn figures() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    for part in 0..ENTRIES / 1_000 {
        table
            .write(&numbered(part * 1_000..(part + 1) * 1_000, BYTES), T0)
            .await
            .unwrap();
    }
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let size = held_bytes(&server);
    for n in 0..ENTRIES {
        let () = connection
            .set(format!("plain:{n}"), body(n, size))
            .await
            .unwrap();
    }
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..7 {
        theirs.push(plain(&connection, 64, 1_000).await);
        ours.push(gets(&table, 64, 1_000).await);
        ratios.push(ours.last().unwrap() / theirs.last().unwrap());
    }
    println!(
        "get, 64 tasks: {:.0}/s, GET {:.0}/s: {:.2}",
        median(ours),
        median(theirs),
        median(ratios)
    );

    let at: Vec<_> = (0..1_000)
        .map(|n| address(&(n * 7 % ENTRIES).to_string()))
        .collect();
    let keys: Vec<_> = (0..1_000)
        .map(|n| format!("plain:{}", n * 7 % ENTRIES))
        .collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let begun = Instant::now();
        let got: Vec<Vec<u8>> = connection.mget(&keys).await.unwrap();
        theirs.push(begun.elapsed().as_secs_f64());
        assert_eq!(got.len(), 1_000);
        let begun = Instant::now();
        let found = table.read_many(&at, Parts::Whole, T0).await.unwrap();
        ours.push(begun.elapsed().as_secs_f64());
        assert!(found.iter().all(|f| f.len() == 1));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "get_many(1000): {:.2} ms, MGET {:.2} ms: {:.2}",
        ours * 1e3,
        theirs * 1e3,
        theirs / ours
    );

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..40 {
        let some = numbered(round * 1_000..(round + 1) * 1_000, BYTES);
        let values: Vec<_> = (0..1_000).map(|n| body(n, size)).collect();
        let begun = Instant::now();
        let mut pipe = redis::pipe();
        for (n, value) in values.iter().enumerate() {
            let key = format!("hand:{round}:{n}");
            pipe.hset(&key, "v", value).ignore();
            pipe.zadd("hand:index", &key, 1_800_000_000_000_u64)
                .ignore();
            pipe.pexpire(&key, 86_400_000).ignore();
        }
        let () = pipe.query_async(&mut connection).await.unwrap();
        theirs.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        table.write(&some, T0).await.unwrap();
        ours.push(begun.elapsed().as_secs_f64());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "save_many(1000): {:.2} ms, by hand {:.2} ms: {:.2}",
        ours * 1e3,
        theirs * 1e3,
        theirs / ours
    );
}

/// Bytes of the values of an entry.
fn held_bytes(server: &Redis) -> usize {
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "restow{1.0}e*"]);
    let mut len = redis::cmd("STRLEN");
    len.arg(&keys[0]).query(&mut server.connection()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn a_million() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let mut written = 0;
    for million in [10_000, 100_000, 1_000_000] {
        while written < million {
            let last = (written + 2_000).min(million);
            table
                .write(&numbered(written..last, 100), T0)
                .await
                .unwrap();
            written = last;
        }
        let mut took = Vec::new();
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(held(&table).await as usize, million);
            took.push(begun.elapsed().as_secs_f64());
        }
        let begun = Instant::now();
        let stats = table.stats(T0).await.unwrap();
        let stats_took = begun.elapsed();
        assert_eq!(stats.entries as usize, million);
        let index: u64 = (0..256)
            .map(|bucket| {
                let of = |kind| -> u64 {
                    let key = format!("restow{{1.{bucket:x}}}{kind}");
                    server
                        .ask::<Option<u64>>(&["MEMORY", "USAGE", &key, "SAMPLES", "0"])
                        .unwrap_or(0)
                };
                of("i") + of("c")
            })
            .sum();
        println!(
            "{million} entries: count {:.2} ms, stats {stats_took:?}, index {:.1} bytes an entry",
            median(took) * 1e3,
            index as f64 / million as f64
        );
    }
    let begun = Instant::now();
    use futures_util::TryStreamExt;
    let everything = restow::Selection::default();
    let scanned = table
        .scan(&everything, Parts::Meta, T0)
        .try_fold(0_u64, |n, _| async move { Ok(n + 1) })
        .await
        .unwrap();
    println!("scan of {scanned}: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(120));
}
