//! The write-ahead log: how long it may get, and in which order what is saved comes into it.

use crate::support::*;
use bytes::Bytes;
use restow::{
    Answer, ErrorKind,
    store::{Store, Table},
};
use std::{path::Path, sync::Arc};
use tokio::sync::Mutex;

/// What the log is cut back to, and what it never exceeds.
const CAP: u64 = 64 << 20;
const MOST: u64 = 2 * CAP;
const LARGE: usize = 1 << 20;

fn length(path: &Path) -> u64 {
    let log = format!("{}-wal", path.display());
    std::fs::metadata(log).map_or(0, |log| log.len())
}

/// One of eight large bodies.
fn large(n: u8) -> Bytes {
    vec![n; LARGE].into()
}

async fn save_large(table: &dyn Table, n: u8) -> restow::Result<()> {
    let entries = [write(entry(at(&format!("large-{}", n % 8)), large(n)))];
    table.write(&entries, T0).await
}

#[tokio::test]
async fn a_save_beyond_an_overlong_log_is_refused_and_succeeds_once_the_log_can_be_cut() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("small"), "small").await;
    let reader = plain(&path);
    let look = || {
        let sql = "SELECT count(*) FROM tracks";
        reader.query_row(sql, [], |row| row.get::<_, i64>(0))
    };
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(look().unwrap(), 1);
    let (mut saved, mut last) = (0, [0; 8]);
    let error = loop {
        assert!(saved < 200, "{} bytes of log, and no end", length(&path));
        match save_large(&*table, saved).await {
            Ok(()) => last[usize::from(saved % 8)] = saved,
            Err(error) => break error,
        }
        saved += 1;
    };
    assert_eq!(error.kind(), ErrorKind::Busy);
    let said = error.to_string();
    assert!(said.contains("a.db") && said.contains("reads an old state"));
    let longest = length(&path);
    assert!((CAP..=MOST).contains(&longest), "{longest} bytes of log");
    // What is small is refused as well, and small or large it adds nothing.
    for n in 0..20 {
        let error = match n % 2 {
            0 => save_large(&*table, 201).await,
            _ => table.write(&[write(entry(at("small"), "other"))], T0).await,
        };
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy, "save {n}");
    }
    assert_eq!(length(&path), longest);
    // Whoever reads is answered, and so is the one who holds on.
    assert_eq!(body(&*table, &at("small")).await.unwrap(), "small");
    for (key, n) in last.iter().enumerate() {
        let found = body(&*table, &at(&format!("large-{key}"))).await;
        assert_eq!(found.unwrap(), large(*n), "large-{key}");
    }
    assert_eq!(look().unwrap(), 1);
    reader.execute_batch("COMMIT").unwrap();
    for n in 0..40 {
        save_large(&*table, n).await.unwrap();
    }
    assert!(length(&path) <= CAP, "{} bytes of log", length(&path));
    store.close().await.unwrap();
    assert_eq!(length(&path), 0);
}

#[tokio::test]
async fn nobody_is_refused_because_of_a_log_that_only_has_to_be_brought_back() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("small"), "small").await;
    let mut n = 0;
    for _ in 0..3 {
        let reader = plain(&path);
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM tracks;")
            .unwrap();
        while length(&path) < MOST - CAP / 4 {
            save_large(&*table, n).await.unwrap();
            n = n.wrapping_add(1);
        }
        // It lets go before anybody has been refused; upkeep now has much to do, and those who save go on.
        drop(reader);
        for _ in 0..60 {
            save_large(&*table, n).await.unwrap();
            n = n.wrapping_add(1);
        }
        assert!(length(&path) <= MOST, "{} bytes of log", length(&path));
    }
    store.close().await.unwrap();
}

/// How saves went: on the spot, or in turn with others.
#[derive(Debug, Default)]
struct Ways {
    on_the_spot: u64,
    in_turn: u64,
}

/// Saves the next version of a key, and reads it back.
async fn save_next(table: &dyn Table, key: &str, version: &mut u64, ways: &mut Ways) {
    *version += 1;
    let text = format!("{key} {version}");
    let entries = [write(entry(at(key), text.clone()))];
    let answer = table.write(&entries, T0);
    match answer {
        Answer::Ready(_) => ways.on_the_spot += 1,
        Answer::Later(_) => ways.in_turn += 1,
    }
    answer.await.unwrap();
    assert_eq!(body(table, &at(key)).await.unwrap(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn saves_on_the_spot_and_saves_in_turn_keep_their_order() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    // Its saves come from everywhere, each after the one before was acknowledged.
    let shared = Arc::new(Mutex::new(0));
    let tasks = (0..6).map(|task| {
        let (table, shared) = (table.clone(), shared.clone());
        tokio::spawn(async move {
            let (key, mut own, mut ways) = (format!("own-{task}"), 0, Ways::default());
            for _ in 0..150 {
                save_next(&*table, &key, &mut own, &mut ways).await;
                let mut version = shared.lock().await;
                save_next(&*table, "shared", &mut version, &mut ways).await;
            }
            ways
        })
    });
    let mut all = Ways::default();
    for task in tasks.collect::<Vec<_>>() {
        let ways = task.await.unwrap();
        all.on_the_spot += ways.on_the_spot;
        all.in_turn += ways.in_turn;
    }
    assert!(all.on_the_spot > 20 && all.in_turn > 20, "{all:?}");
    store.close().await.unwrap();
    // The file says the same.
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    assert_eq!(body(&*table, &at("shared")).await.unwrap(), "shared 900");
    for task in 0..6 {
        let key = format!("own-{task}");
        let found = body(&*table, &at(&key)).await.unwrap();
        assert_eq!(found, format!("{key} 150"));
    }
}
