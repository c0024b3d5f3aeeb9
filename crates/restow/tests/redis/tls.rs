//! A server that speaks TLS, with certificates made here.

use crate::support::*;
use futures_util::StreamExt as _;
use restow::{
    ErrorKind, Selection,
    store::{Change, Store},
};
use restow_testkit::{
    Authority,
    redis::{Redis, RedisCluster, RedisSentinel, Tls},
};
use std::sync::Arc;

#[tokio::test]
async fn a_certificate_that_is_vouched_for_is_taken() {
    let ours = Authority::make();
    let (certificate, key) = ours.vouch(&["localhost"]);
    let (_server, port) = Redis::with_tls(&certificate, &key);
    let url = format!("rediss://localhost:{port}?ca={}", ours.file().display());
    let store = open(&url).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let mut changes = store.changes().unwrap();
    assert!(matches!(changes.next().await, Some(Change::Everything)));
    table.write(&numbered(0..10, 100), T0).await.unwrap();
    assert_eq!(agrees(&table, 0..10).await, 10);
    // What is shown leads there again.
    open(&store.to_string()).await.unwrap();
}

#[tokio::test]
async fn whoever_nobody_vouches_for_is_refused_with_the_way_out() {
    let (ours, other) = (Authority::make(), Authority::make());
    let (certificate, key) = ours.vouch(&["localhost"]);
    let (server, tls) = Redis::with_tls(&certificate, &key);
    let (certificate, key) = ours.vouch_until(&["localhost"], 2020);
    let (_old, old) = Redis::with_tls(&certificate, &key);
    let (ours, other) = (ours.file(), other.file());
    let (ours, other) = (ours.display(), other.display());
    let plain = server.port();
    for (url, kind, says) in [
        (
            format!("rediss://localhost:{tls}?ca={other}"),
            ErrorKind::Config,
            "(PEM) with ca=",
        ),
        (
            format!("rediss://localhost:{tls}"),
            ErrorKind::Config,
            "(PEM) with ca=",
        ),
        (
            format!("rediss-cluster://localhost:{tls}?ca={other}"),
            ErrorKind::Config,
            "(PEM) with ca=",
        ),
        (
            format!("rediss://127.0.0.1:{tls}?ca={ours}"),
            ErrorKind::Config,
            "another host name",
        ),
        (
            format!("rediss://localhost:{old}?ca={ours}"),
            ErrorKind::Store,
            "expired",
        ),
        (
            format!("rediss://localhost:{plain}?ca={ours}&server_timeout=1s"),
            // It waits for the end of a line.
            ErrorKind::Store,
            "in time",
        ),
        (
            format!("rediss://localhost:{tls}?ca=/no/such.pem"),
            ErrorKind::Config,
            "ca=/no/such.pem: the file cannot be read",
        ),
    ] {
        let error = open(&url).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
    let keys: u64 = server.ask(&["DBSIZE"]);
    assert_eq!(keys, 0, "nothing was made");
}

/// Makes every kind of call, over whichever servers there are.
async fn does_all(store: &Arc<dyn Store>) {
    let table = store.open(&spec()).await.unwrap();
    let mut changes = store.changes().unwrap();
    assert!(matches!(changes.next().await, Some(Change::Everything)));
    table.write(&numbered(0..100, 100), T0).await.unwrap();
    assert_eq!(agrees(&table, 0..100).await, 100);
    assert_eq!(bodies(&table, "7").await.unwrap(), [body(7, 100)]);
    let gone = table.delete(&[address("7")], T0).await.unwrap();
    assert_eq!(gone, 1);
    let cleared = table.clear(&Selection::default(), u64::MAX, T0).await;
    assert_eq!(cleared.unwrap(), 99);
    assert_eq!(held(&table).await, 0);
}

/// A URL with one more parameter.
fn with(url: &str, ca: &Authority) -> String {
    format!("{url}?ca={}", ca.file().display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_speaks_tls_alone_is_used_and_followed_where_slots_move() {
    let (ours, other) = (Authority::make(), Authority::make());
    let named = [
        "--cluster-announce-hostname",
        "localhost",
        "--cluster-preferred-endpoint-type",
        "hostname",
    ];
    // Servers are told of by their address, unless they say by which name.
    for (names, args) in [
        (&["localhost", "127.0.0.1"][..], &[][..]),
        (&["localhost"], &named),
    ] {
        let (certificate, key) = ours.vouch(names);
        let tls = Tls {
            certificate: &certificate,
            key: &key,
            authority: &ours.file(),
        };
        let cluster = RedisCluster::with_tls(tls, args);
        let url = format!(
            "{}&buckets=16&server_timeout=5s",
            with(&cluster.url(), &ours)
        );
        let store = open(&url).await.unwrap();
        does_all(&store).await;
        // What it knows of slots is wrong from now on.
        let table = store.open(&spec()).await.unwrap();
        table.write(&numbered(0..100, 100), T0).await.unwrap();
        tokio::task::block_in_place(|| {
            let number: u64 = cluster.ask(&["HGET", "restow:meta", "next"]);
            // One server after the other gets what it is to have, for which the servers need not agree each time.
            let mut buckets: Vec<_> = (0..16).collect();
            buckets.sort_by_key(|bucket| bucket % 3);
            for bucket in buckets {
                let key = format!("restow{{{number}.{bucket:x}}}i");
                let slot = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &key]);
                cluster.migrate(slot, bucket % 3, || {});
            }
        });
        // On a busy machine the servers take a while to agree on it themselves.
        let agreed = async { while table.count(&Selection::default(), T0).await.is_err() {} };
        let agreed = tokio::time::timeout(std::time::Duration::from_secs(30), agreed).await;
        agreed.unwrap();
        assert_eq!(agrees(&table, 0..100).await, 100);
        table.write(&numbered(100..200, 100), T0).await.unwrap();
        assert_eq!(agrees(&table, 0..200).await, 200);
        let error = open(&with(&cluster.url(), &other)).await.map(drop);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("(PEM) with ca="), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_speak_tls_alone_lead_to_the_master() {
    let (ours, other) = (Authority::make(), Authority::make());
    let (certificate, key) = ours.vouch(&["localhost", "127.0.0.1"]);
    let tls = Tls {
        certificate: &certificate,
        key: &key,
        authority: &ours.file(),
    };
    let mut all = RedisSentinel::with_tls(tls);
    let store = open(&with(&all.url(), &ours)).await.unwrap();
    does_all(&store).await;
    let table = store.open(&spec()).await.unwrap();
    let error = open(&with(&all.url(), &other)).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("(PEM) with ca="), "{error}");
    all.first.kill();
    tokio::task::block_in_place(|| all.wait_for_failover());
    // The first call may find that the connection is lost.
    let write = numbered(0..10, 100);
    let written = async { while table.write(&write, T0).await.is_err() {} };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, written).await.unwrap();
    assert_eq!(agrees(&table, 0..10).await, 10);
}
