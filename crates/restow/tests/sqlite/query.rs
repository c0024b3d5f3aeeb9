//! SQL by people: the same on compressed repositories as on others, and nothing is ever written.

use crate::support::*;
use restow::{
    ErrorKind, Millis,
    store::{
        Column, Compression, Store, TableName, TableSpec,
        sqlite::{SqlValue, SqliteOptions, SqliteStore},
    },
};
use std::path::Path;

async fn ask(path: &Path, sql: &str) -> restow::Result<Vec<Vec<SqlValue>>> {
    let mut rows = SqliteStore::query(SqliteOptions::file(path), sql).await?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().await? {
        assert_eq!(row.len(), rows.columns().len());
        all.push(row);
    }
    Ok(all)
}

/// A file of a hundred songs, one of them in bytes that are no text.
async fn songs(path: &Path, compression: Compression) {
    let store = open(path).await;
    let spec = TableSpec {
        compression,
        columns: [Column {
            name: "artist".into(),
            pointer: "/artist".into(),
        }]
        .into(),
        ..tracks()
    };
    let table = store.open(&spec).await.unwrap();
    let song = |i: usize| {
        let note = "a note that all songs have in common, and that a dictionary learns ".repeat(3);
        let body = format!(r#"{{"name":"Song {i}","artist":"0OdU","note":"{note}"}}"#);
        let mut entry = entry(at(&format!("{i:03}")), body);
        entry.meta.label = Some(format!("Song {i}").into());
        entry.meta.expires_at = Millis::MAX;
        entry.meta.columns = [restow::FieldValue::from("0OdU")].into();
        write(entry)
    };
    let half: Vec<_> = (0..50).map(song).collect();
    table.write(&half, T0).await.unwrap();
    if compression != Compression::None {
        let name = TableName::new("tracks").unwrap();
        store.train(&name, T0).await.unwrap().unwrap();
    }
    let half: Vec<_> = (50..99).map(song).collect();
    table.write(&half, T0).await.unwrap();
    let mut bytes = entry(at("099"), b"\xff\x00".repeat(100));
    bytes.meta.expires_at = Millis::MAX;
    table.write(&[write(bytes)], T0).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_compressed_repository_answers_as_a_plain_one() {
    let folder = folder();
    let (plain_path, path) = (folder.path().join("a.db"), folder.path().join("b.db"));
    songs(&plain_path, Compression::None).await;
    songs(&path, Compression::Zstd).await;
    let page = include_str!("../../../../docs/FORMAT.md");
    let of_the_page = page.split("```sql").nth(1).unwrap();
    let of_the_page = of_the_page.split("```").next().unwrap();
    let statements = of_the_page.split(';').filter(|s| s.contains("SELECT")).chain([
        "SELECT id, json_extract(body, '$.name') FROM restow_tracks WHERE json_valid(body) ORDER BY id",
        "SELECT json_extract(body, '$.name') FROM tracks WHERE id = '060'",
        "SELECT headers, body, typeof(headers), typeof(body), length(body) FROM tracks ORDER BY id",
        "SELECT headers, body FROM restow_tracks ORDER BY id DESC",
        "SELECT count(*) FROM tracks WHERE body LIKE '%Song 7%'",
        "SELECT count(*) FROM tracks JOIN restow_tracks USING (entry_id)",
    ]);
    for sql in statements {
        // What is stored differs, and what the repositories are declared as.
        if sql.contains("restow_meta") || sql.contains("coding") {
            assert!(!ask(&path, sql).await.unwrap().is_empty());
            continue;
        }
        let found = ask(&plain_path, sql).await.unwrap();
        assert_eq!(ask(&path, sql).await.unwrap(), found, "{sql}");
    }
    let stored = "SELECT count(*) FROM main.tracks WHERE coding <> 0 AND typeof(body) = 'blob'";
    assert_eq!(
        ask(&path, stored).await.unwrap(),
        [[SqlValue::Integer(100)]]
    );
    let both = "SELECT count(*) FROM main.tracks AS t JOIN tracks USING (entry_id) WHERE restow_plain(t.body, t.coding, t.size) = tracks.body";
    assert_eq!(ask(&path, both).await.unwrap(), [[SqlValue::Integer(100)]]);
}

#[tokio::test]
async fn what_is_damaged_is_null_and_bombs_stay_shut() {
    let folder = folder();
    let path = folder.path().join("a.db");
    songs(&path, Compression::Zstd).await;
    plain(&path)
        .execute(
            "UPDATE tracks SET body = x'28b52ffde0ffffffff00000000010000' WHERE id = '001'",
            [],
        )
        .unwrap();
    plain(&path)
        .execute("UPDATE tracks SET coding = 77 WHERE id = '002'", [])
        .unwrap();
    let sql = "SELECT count(*) FROM tracks WHERE body IS NULL";
    assert_eq!(ask(&path, sql).await.unwrap(), [[SqlValue::Integer(2)]]);
    let sql = "SELECT restow_plain(body, coding, 10) IS NULL FROM main.tracks WHERE id = '003'";
    assert_eq!(ask(&path, sql).await.unwrap(), [[SqlValue::Integer(1)]]);
}

#[tokio::test]
async fn nothing_but_one_statement_that_reads_is_run() {
    let folder = folder();
    let path = folder.path().join("a.db");
    songs(&path, Compression::Zstd).await;
    let before = std::fs::read(&path).unwrap();
    let copy = folder.path().join("copy.db");
    let vacuum = format!("VACUUM INTO '{}'", copy.display());
    for (sql, kind, says) in [
        ("DELETE FROM tracks", ErrorKind::Selection, "view"),
        ("DELETE FROM main.tracks", ErrorKind::ReadOnly, "only read"),
        (
            "DELETE FROM main.tracks RETURNING id",
            ErrorKind::ReadOnly,
            "only read",
        ),
        (
            "UPDATE main.tracks SET label = ''",
            ErrorKind::ReadOnly,
            "only read",
        ),
        ("CREATE TEMP TABLE x (y)", ErrorKind::ReadOnly, "only read"),
        ("ATTACH 'x.db' AS x", ErrorKind::ReadOnly, "only read"),
        (&vacuum, ErrorKind::ReadOnly, "only read"),
        ("PRAGMA query_only = 0", ErrorKind::ReadOnly, "only read"),
        ("SELECT 1; SELECT 2", ErrorKind::Selection, "more than one"),
        (
            "SELECT 1; DELETE FROM main.tracks",
            ErrorKind::Selection,
            "more than one",
        ),
        (" -- nothing", ErrorKind::Selection, "no statement"),
        ("", ErrorKind::Selection, "no statement"),
        ("SELECT ?1", ErrorKind::Selection, "parameters"),
        ("SELEC 1", ErrorKind::Selection, "syntax error"),
        (
            "SELECT x FROM tracks",
            ErrorKind::Selection,
            "no such column: x",
        ),
        (
            "SELECT \"x\" FROM tracks",
            ErrorKind::Selection,
            "no such column: \"x\"",
        ),
        (
            "SELECT * FROM albums",
            ErrorKind::Selection,
            "there are \"restow_tracks\", \"tracks\"",
        ),
        (
            "SELECT json_extract('{', '$')",
            ErrorKind::Selection,
            "malformed JSON",
        ),
    ] {
        let error = ask(&path, sql).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains(says), "{sql}: {error}");
    }
    assert_eq!(ask(&path, "SELECT 1;").await.unwrap().len(), 1);
    assert_eq!(ask(&path, "PRAGMA user_version").await.unwrap().len(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!copy.exists());
    let none = folder.path().join("none.db");
    assert_eq!(
        ask(&none, "SELECT 1").await.unwrap_err().kind(),
        ErrorKind::Store
    );
    assert!(!none.exists());
}

#[tokio::test]
async fn a_statement_ends_with_whoever_asked() {
    let folder = folder();
    let path = folder.path().join("a.db");
    songs(&path, Compression::Zstd).await;
    for sql in [
        // The one never comes to a row, the other never to an end; the test would stand still with either.
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    ] {
        let rows = SqliteStore::query(SqliteOptions::file(&path), sql).await;
        drop(rows.unwrap());
        drop(SqliteStore::query(SqliteOptions::file(&path), sql));
    }
}
