//! A server that speaks TLS, with certificates made here.

use crate::{certificates::Authority, support::*};
use futures_util::StreamExt as _;
use restow::{ErrorKind, store::Change};
use restow_testkit::redis::Redis;

#[tokio::test]
async fn a_certificate_that_is_vouched_for_is_taken() {
    let ours = Authority::new();
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
    let (ours, other) = (Authority::new(), Authority::new());
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
