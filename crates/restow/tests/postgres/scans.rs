//! Scans of what is large.

use crate::support::*;
use futures_util::StreamExt as _;
use restow::{Selection, store::Parts};
use restow_testkit::Postgres;
use std::time::Duration;

const SMALL: usize = 950;
const LARGE: usize = 70;
/// Of those that are large.
const SIZE: usize = 512 << 10;
/// However busy a machine is, it is done by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of the session that scans.
fn scanning(server: &Postgres, what: &str) -> String {
    server.sql(&format!(
        "SELECT {what} FROM pg_stat_activity WHERE query LIKE 'FETCH %' AND pid <> pg_backend_pid()"
    ))
}

/// As many small ones as make a page that would be a large one of many that are large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_comes_as_it_is_taken_and_few_at_once() {
    let server = Postgres::start();
    let store = open(&server.fresh()).await.unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let small: Vec<_> = (0..SMALL)
        .map(|n| write(entry(at(&format!("small {n}")), "body")))
        .collect();
    table.write(&small, T0).await.unwrap();
    let large = "x".repeat(SIZE);
    for n in 0..LARGE {
        save(&*table, &format!("large {n}"), &large).await.unwrap();
    }
    let everything = Selection::default();
    let mut all = table.scan(&everything, Parts::Whole, T0);
    for _ in 0..SMALL {
        let entry = all.next().await.unwrap().unwrap();
        assert!(entry.body.len() < SIZE);
    }
    assert_eq!(all.next().await.unwrap().unwrap().body.len(), SIZE);
    // Nobody takes more, and the server holds what it has.
    let waits = async {
        while scanning(&server, "wait_event") != "ClientWrite" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waits = tokio::time::timeout(PATIENCE, waits).await;
    waits.expect("the server waits");
    for _ in 1..LARGE {
        assert_eq!(all.next().await.unwrap().unwrap().body.len(), SIZE);
    }
    assert_eq!(scanning(&server, "query"), "FETCH 1 FROM restow_scan");
    assert!(all.next().await.is_none());
}
