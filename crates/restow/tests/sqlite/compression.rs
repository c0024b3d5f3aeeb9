//! Compressed repositories: the same entries in fewer bytes, whatever is switched on, off, trained or lost.

use crate::support::*;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restow::{
    Millis,
    entry::{Entry, EntryId, Head, Variant},
    store::{
        Compression, OnSchemaChange, Parts, Renewal, Store, Table, TableName, TableSpec, Write,
        sqlite::{Depth, Finding, Rewritten, SqliteOptions, SqliteStore},
    },
};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const PLAIN: i64 = 0;
const BARE: i64 = -1;

fn spec(compression: Compression) -> TableSpec {
    TableSpec {
        compression,
        ..tracks()
    }
}

fn name() -> TableName {
    TableName::new("tracks").unwrap()
}

/// Header lines as an API sends them, which one `edition` of it has in common.
fn api_head(edition: &str) -> Head {
    let lines = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "public, max-age=3600"),
        ("etag", "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("vary", "Accept, Accept-Language"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("server", "envoy"),
        ("x-edition", edition),
    ];
    let headers: HeaderMap = lines
        .into_iter()
        .map(|(n, v)| {
            (
                HeaderName::from_static(n),
                HeaderValue::from_str(v).unwrap(),
            )
        })
        .collect();
    let url = Some("https://api.example.com/v1/items/item0000001");
    Head::new(StatusCode::OK, &headers, url, T0, T0)
}

/// A body of about 2 KB.
fn api_body(edition: &str, i: usize) -> String {
    let artists: Vec<_> = (0..4)
        .map(|a| serde_json::json!({ "id": format!("artist{}", i % 97 + a), "name": format!("Artist number {a} of item {i}"), "type": "artist" }))
        .collect();
    let markets: Vec<_> = (0..180)
        .map(|m| {
            let letter = |n: usize| char::from(b'A' + (n % 26) as u8);
            format!("{}{}", letter(m / 26 + i % 7), letter(m))
        })
        .collect();
    serde_json::json!({
        "id": i, "name": format!("The item with the number {i}"), "duration_ms": 180_000 + i, edition: i.is_multiple_of(3),
        "popularity": i % 101, "preview_url": format!("https://p.example.com/{edition}/{i}"), "artists": artists,
        "available_markets": markets, "external_ids": { "isrc": format!("XX{i:010}") }, "note": edition.repeat(240 / edition.len()),
    })
    .to_string()
}

fn api_entry(edition: &str, i: usize) -> Entry {
    let id = EntryId {
        address: at(&format!("{edition}{i}")),
        variant: Variant::NONE,
    };
    let body = Bytes::from(api_body(edition, i));
    Entry::new(id, api_head(edition), body, T0, T0.plus(HOUR))
}

async fn fill(table: &dyn Table, edition: &str, ids: std::ops::Range<usize>) {
    let entries: Vec<Write> = ids.map(|i| write(api_entry(edition, i))).collect();
    for some in entries.chunks(200) {
        table.write(some, T0).await.unwrap();
    }
}

/// Every entry of an edition is there, byte for byte, whichever part is asked for.
async fn assert_held(table: &dyn Table, edition: &str, ids: std::ops::Range<usize>) {
    for i in ids {
        let wanted = api_entry(edition, i);
        let at = &wanted.id.address;
        for parts in [Parts::Whole, Parts::Meta, Parts::Body] {
            let found = table.read(at, parts, T0).await.unwrap();
            let found = found.iter().next().unwrap_or_else(|| panic!("{at:?}"));
            assert_eq!(found.meta.seal, wanted.meta.seal);
            if parts != Parts::Body {
                assert_eq!(found.meta.head, wanted.meta.head);
            }
            if parts != Parts::Meta {
                assert_eq!(found.body, wanted.body);
            }
        }
    }
}

async fn reopen(store: &SqliteStore, compression: Compression) -> Arc<dyn Table> {
    store.open(&spec(compression)).await.unwrap()
}

async fn train(store: &SqliteStore) -> Option<i64> {
    let trained = store.train(&name(), T0).await.unwrap().unwrap();
    assert!(trained.measured > 0 && trained.samples > trained.measured);
    trained.dictionary
}

async fn rewrite(store: &SqliteStore) -> Rewritten {
    let steps: Vec<Rewritten> = store.rewrite(&name()).try_collect().await.unwrap();
    steps.last().copied().unwrap_or_default()
}

fn number(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// How many rows have which coding.
fn codings(path: &Path) -> Vec<(i64, i64)> {
    plain(path)
        .prepare("SELECT coding, count(*) FROM tracks GROUP BY coding ORDER BY coding")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn dictionaries(path: &Path) -> Vec<i64> {
    plain(path)
        .prepare("SELECT id FROM restow_dictionaries ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn entries_stay_readable_whatever_is_switched_and_trained() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    fill(&*reopen(&store, Compression::None).await, "plain", 0..50).await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "bare", 0..50).await;
    assert_eq!(train(&store).await, Some(1));
    fill(&*table, "first", 0..50).await;
    // What is held out has to be like what comes: this is another kind of entry.
    fill(&*table, "quite-another-edition", 0..900).await;
    assert_eq!(train(&store).await, Some(2));
    fill(&*table, "second", 0..50).await;
    fill(&*reopen(&store, Compression::None).await, "off", 0..50).await;
    let expected = [(BARE, 50), (PLAIN, 100), (1, 950), (2, 50)];
    assert_eq!(codings(&path), expected);
    let elsewhere = open(&path).await;
    let read_only = SqliteOptions::file(&path).read_only();
    let read_only = SqliteStore::open(read_only).await.unwrap();
    for table in [
        table,
        reopen(&elsewhere, Compression::None).await,
        reopen(&elsewhere, Compression::Zstd).await,
        reopen(&read_only, Compression::None).await,
    ] {
        for edition in ["plain", "bare", "first", "second", "off"] {
            assert_held(&*table, edition, 0..50).await;
        }
        let all: Vec<_> = table
            .scan(&Default::default(), Parts::Whole, T0)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(all.len(), 1_150);
        assert!(all.iter().all(|entry| entry.is_intact()));
    }
}

#[tokio::test]
async fn a_repository_gets_a_dictionary_by_itself_and_what_came_before_uses_it_too() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "a", 0..300).await;
    fill(&*table, "a", 300..500).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut i = 500;
    // It is made behind the saves, and nothing tells when: a save comes to use it, then none is left without.
    while codings(&path) != [(1, i as i64)] {
        assert!(Instant::now() < deadline, "{:?}", codings(&path));
        fill(&*table, "a", i..i + 1).await;
        i += 1;
    }
    assert_eq!(dictionaries(&path), [1]);
    assert_held(&*table, "a", 0..i).await;
}

#[tokio::test]
async fn a_file_takes_a_quarter_of_what_it_holds() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "a", 0..200).await;
    train(&store).await.unwrap();
    fill(&*table, "a", 200..4_000).await;
    store.close().await.unwrap();
    let conn = plain(&path);
    let held = number(&conn, "SELECT sum(size) FROM tracks");
    drop(conn);
    let file = std::fs::metadata(&path).unwrap().len();
    let ratio = file as f64 / held as f64;
    println!("{file} bytes for {held}: {ratio:.3}");
    assert!(ratio <= 0.25, "{ratio}");
}

#[tokio::test]
async fn a_renewed_head_belongs_to_its_body_whatever_that_is_stored_as() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    fill(&*reopen(&store, Compression::None).await, "plain", 0..1).await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "bare", 0..100).await;
    train(&store).await.unwrap();
    fill(&*table, "first", 0..900).await;
    train(&store).await.unwrap();
    fill(&*table, "second", 0..1).await;
    let before = codings(&path);
    for edition in ["plain", "bare", "first", "second"] {
        let old = api_entry(edition, 0);
        let read = table.read(&old.id.address, Parts::Whole, T0).await.unwrap();
        let read = read.iter().next().unwrap();
        let mut meta = read.meta.clone();
        meta.head = Arc::new(api_head("renewed"));
        meta.checked_at = T0.plus(HOUR);
        let renewal = Renewal {
            id: old.id.clone(),
            read: read.generation,
            meta: meta.clone(),
        };
        assert_eq!(table.renew(&[renewal], T0).await.unwrap(), 1, "{edition}");
        let found = get(&*table, &old.id.address).await;
        let found = found.iter().next().unwrap();
        assert_eq!(found.meta.head, meta.head);
        assert_eq!(found.body, old.body);
    }
    assert_eq!(codings(&path), before);
}

#[tokio::test]
async fn what_does_not_get_smaller_stays_as_it_came() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::Zstd).await;
    let noise = noise(2_000);
    let head = Head::new(StatusCode::OK, &HeaderMap::new(), None, T0, T0);
    let id = EntryId {
        address: at("noise"),
        variant: Variant::NONE,
    };
    let entry = Entry::new(id, head, noise.clone().into(), T0, T0.plus(HOUR));
    table.write(&[write(entry)], T0).await.unwrap();
    save(&*table, at("short"), "{}").await;
    assert_eq!(codings(&path), [(PLAIN, 2)]);
    assert_eq!(body(&*table, &at("noise")).await.unwrap(), noise);
    assert_eq!(body(&*table, &at("short")).await.unwrap(), "{}");
}

/// Bytes without a pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[tokio::test]
async fn a_dictionary_of_another_process_is_found_and_used() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let (one, other) = (open(&path).await, open(&path).await);
    let mine = reopen(&one, Compression::Zstd).await;
    let theirs = reopen(&other, Compression::Zstd).await;
    fill(&*mine, "a", 0..100).await;
    assert_held(&*theirs, "a", 0..100).await;
    let id = train(&other).await.unwrap();
    fill(&*mine, "b", 0..10).await;
    assert_eq!(codings(&path), [(BARE, 100), (id, 10)]);
    assert_held(&*theirs, "b", 0..10).await;
    rewrite(&other).await;
    assert_eq!(codings(&path), [(id, 110)]);
    assert_held(&*mine, "a", 0..100).await;
}

#[tokio::test]
async fn rewriting_changes_what_is_stored_and_nothing_that_is_read() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::None).await;
    fill(&*table, "a", 0..1_000).await;
    let generations = "SELECT sum(generation) FROM tracks WHERE entry_id <= 1000";
    let before = number(&plain(&path), generations);
    reopen(&store, Compression::Zstd).await;
    let first = train(&store).await.unwrap();
    let done = rewrite(&store).await;
    assert_eq!(
        (done.entries, done.seen, done.changed),
        (1_000, 1_000, 1_000)
    );
    assert!(done.after * 4 < done.before, "{done:?}");
    assert_eq!(codings(&path), [(first, 1_000)]);
    assert_held(&*table, "a", 0..1_000).await;
    let again = rewrite(&store).await;
    assert_eq!((again.seen, again.changed), (1_000, 0));
    // A dictionary stays as long as a row uses it.
    fill(&*table, "another-kind-of-entry", 0..900).await;
    let second = train(&store).await.unwrap();
    assert_eq!(dictionaries(&path), [first, second]);
    rewrite(&store).await;
    assert_eq!(codings(&path), [(second, 1_900)]);
    assert_eq!(dictionaries(&path), [second]);
    reopen(&store, Compression::None).await;
    let done = rewrite(&store).await;
    assert_eq!(done.changed, 1_900);
    assert_eq!(codings(&path), [(PLAIN, 1_900)]);
    assert_held(&*table, "a", 0..1_000).await;
    let conn = plain(&path);
    let texts =
        "SELECT count(*) FROM tracks WHERE typeof(body) = 'text' AND typeof(headers) = 'text'";
    assert_eq!(number(&conn, texts), 1_900);
    assert_eq!(number(&conn, generations), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_during_a_rewrite_is_not_lost() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::None).await;
    fill(&*table, "a", 0..2_000).await;
    let table = reopen(&store, Compression::Zstd).await;
    train(&store).await.unwrap();
    let mut steps = store.rewrite(&name());
    let mut i = 0;
    while let Some(now) = steps.try_next().await.unwrap() {
        assert_eq!(now.entries, 2_000);
        // Entries that were passed, and entries that were not.
        for id in [i, 1_999 - i] {
            let mut new = api_entry("a", id);
            let changed = api_entry("b", id);
            new.body = changed.body;
            new.meta = changed.meta;
            table.write(&[write(new)], T0).await.unwrap();
        }
        i += 1;
    }
    drop(steps);
    assert!(i > 4, "{i}");
    for id in 0..i {
        for id in [id, 1_999 - id] {
            let found = body(&*table, &at(&format!("a{id}"))).await.unwrap();
            assert_eq!(found, api_body("b", id));
        }
    }
    assert_held(&*table, "a", i..2_000 - i).await;
}

/// Counts what `doctor` calls damaged.
async fn damaged(path: &Path) -> u64 {
    let report = SqliteStore::check(SqliteOptions::file(path), Depth::Whole);
    let findings = report.await.unwrap().findings;
    findings
        .iter()
        .map(|f| match f {
            Finding::DamagedEntries(_, count) => *count,
            other => panic!("{other}"),
        })
        .sum()
}

#[tokio::test]
async fn without_its_dictionary_an_entry_is_a_miss_and_new_ones_do_without() {
    for spoil in [
        "DELETE FROM restow_dictionaries",
        "UPDATE restow_dictionaries SET dictionary = zeroblob(length(dictionary))",
        "UPDATE restow_dictionaries SET dictionary = substr(dictionary, 1, 100)",
        "UPDATE restow_dictionaries SET dictionary = 7",
    ] {
        let folder = folder();
        let path = folder.path().join("a.db");
        let store = open(&path).await;
        let table = reopen(&store, Compression::Zstd).await;
        fill(&*table, "a", 0..100).await;
        train(&store).await.unwrap();
        fill(&*table, "b", 0..10).await;
        store.close().await.unwrap();
        assert_eq!(damaged(&path).await, 0);
        plain(&path).execute(spoil, []).unwrap();
        assert_eq!(damaged(&path).await, 10, "{spoil}");
        let store = open(&path).await;
        let table = reopen(&store, Compression::Zstd).await;
        for i in 0..10 {
            assert!(get(&*table, &at(&format!("b{i}"))).await.is_empty());
        }
        assert_held(&*table, "a", 0..100).await;
        fill(&*table, "b", 0..10).await;
        assert_held(&*table, "b", 0..10).await;
        assert_eq!(codings(&path), [(BARE, 110)], "{spoil}");
    }
}

/// A frame of so many runs of a letter, each of 128 KiB at most, that says it holds `claimed` bytes.
fn frame(claimed: u64, runs: &[u32]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend_from_slice(&claimed.to_le_bytes());
    for (i, run) in runs.iter().enumerate() {
        let last = u32::from(i + 1 == runs.len());
        let block = last | 1 << 1 | run << 3;
        frame.extend_from_slice(block.to_le_bytes().first_chunk::<3>().unwrap());
        frame.push(b'x');
    }
    frame
}

#[tokio::test]
async fn a_frame_that_holds_more_than_its_seal_says_is_a_miss() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::Zstd).await;
    let kib = 1 << 10;
    let body = "x".repeat(64 * kib);
    let len = body.len() as u64;
    // Made by hand, it is read as zstd's own would be.
    let conn = plain(&path);
    for (what, column, frame, held) in [
        ("right", "body", frame(len, &[64 << 10]), true),
        (
            "claims one more",
            "body",
            frame(len + 1, &[64 << 10]),
            false,
        ),
        (
            "holds more",
            "body",
            frame(len, &[64 << 10, 64 << 10]),
            false,
        ),
        (
            "holds and claims more",
            "body",
            frame(2 * len, &[64 << 10, 64 << 10]),
            false,
        ),
        (
            "claims a terabyte",
            "body",
            frame(1 << 40, &[64 << 10]),
            false,
        ),
        (
            "a long head",
            "headers",
            frame(4 << 20, &[128 << 10; 32]),
            false,
        ),
        ("no frame", "body", b"xx".to_vec(), false),
        ("nothing", "body", Vec::new(), false),
    ] {
        let entry = entry(at(what), body.clone());
        table.write(&[write(entry)], T0).await.unwrap();
        let sql = format!("UPDATE tracks SET {column} = ?1 WHERE id = ?2");
        conn.execute(&sql, rusqlite::params![frame, what]).unwrap();
        let found = get(&*table, &at(what)).await;
        assert_eq!(!found.is_empty(), held, "{what}");
    }
}

#[tokio::test]
async fn dictionaries_go_where_their_table_goes() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "a", 0..100).await;
    train(&store).await.unwrap();
    fill(&*table, "b", 0..10).await;
    let other = TableSpec {
        compression: Compression::Zstd,
        on_schema_change: OnSchemaChange::SetAside,
        ..TableSpec::new("tracks", vec![restow::Field::text("isrc")]).unwrap()
    };
    store.open(&other).await.unwrap();
    let old = store.tables().await.unwrap();
    let old = old.iter().find(|s| s.name != name()).unwrap();
    assert_held(&*store.open(old).await.unwrap(), "b", 0..10).await;
    let conn = plain(&path);
    let owner: String = conn
        .query_row("SELECT repository FROM restow_dictionaries", [], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(owner, old.name.as_str());
    assert!(store.remove(&old.name).await.unwrap());
    assert!(dictionaries(&path).is_empty());
}

#[tokio::test]
async fn too_few_entries_teach_nothing_and_no_table_is_an_error() {
    let store = memory().await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "a", 0..5).await;
    assert_eq!(store.train(&name(), Millis(0)).await.unwrap(), None);
    let none = TableName::new("none").unwrap();
    let error = store.train(&none, Millis(0)).await.unwrap_err();
    assert_eq!(error.kind(), restow::ErrorKind::NoSuchRepository);
    let error = store.rewrite(&none).try_next().await.unwrap_err();
    assert_eq!(error.kind(), restow::ErrorKind::NoSuchRepository);
}

#[tokio::test]
async fn a_store_in_memory_learns_too() {
    let store = memory().await;
    let table = reopen(&store, Compression::Zstd).await;
    fill(&*table, "a", 0..300).await;
    let trained = store.train(&name(), T0).await.unwrap().unwrap();
    assert!(trained.after * 2 < trained.before, "{trained:?}");
    assert!(trained.after * 5 < trained.plain, "{trained:?}");
    fill(&*table, "a", 300..310).await;
    assert_eq!(rewrite(&store).await.changed, 300);
    assert_held(&*table, "a", 0..310).await;
}
