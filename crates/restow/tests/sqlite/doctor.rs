//! The check of a file: each fault is found and named, and a sound file has none.

use crate::support::*;
use restow::{
    ErrorKind,
    store::{
        Store,
        sqlite::{Depth, Report, SqliteOptions, SqliteStore},
    },
};
use std::{fs, path::Path};

async fn check(path: &Path, depth: Depth) -> Report {
    SqliteStore::check(SqliteOptions::file(path), depth)
        .await
        .unwrap()
}

fn kinds(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.kind()).collect()
}

async fn filled(path: &Path) {
    let store = open(path).await;
    let table = open_tracks(&store).await;
    for id in 0..200 {
        let mut entry = entry(at(&id.to_string()), "x".repeat(2_000));
        entry.meta.tags = ["pop".into()].into();
        table.write(&[write(entry)], T0).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_sound_file_has_no_findings_also_while_it_is_in_use() {
    let folder = folder();
    let path = folder.path().join("a.db");
    filled(&path).await;
    let store = open(&path).await;
    save(&*open_tracks(&store).await, at("new"), "x").await;
    for depth in [Depth::Quick, Depth::Whole] {
        let report = check(&path, depth).await;
        assert_eq!(report.findings, []);
        assert_eq!((report.repositories, report.entries), (1, 201));
    }
}

#[tokio::test]
async fn each_fault_is_named() {
    let folder = folder();
    let whole = folder.path().join("whole.db");
    filled(&whole).await;
    for (sql, quick, found) in [
        ("CREATE TABLE songs (a)", true, "undeclared-table"),
        (
            "DROP VIEW restow_tracks; DROP TABLE tracks; DELETE FROM restow_tags",
            true,
            "missing-table",
        ),
        ("DROP VIEW restow_tracks", true, "missing-part"),
        (
            "DROP TRIGGER \"restow_ \"\"tracks\"\" tags\"",
            true,
            "missing-part",
        ),
        (
            "ALTER TABLE tracks ADD COLUMN artist",
            true,
            "orphaned-column",
        ),
        (
            "UPDATE tracks SET body = 'y' WHERE id = '7'",
            false,
            "damaged-entries",
        ),
        (
            "INSERT INTO restow_tags VALUES ('tracks', 'pop', 9999)",
            true,
            "stray-tags",
        ),
        (
            "UPDATE restow_counts SET bytes = bytes + 1",
            true,
            "wrong-counts",
        ),
        (
            "INSERT INTO restow_counts VALUES ('tracks', 'p:nobody', 1, 1)",
            true,
            "wrong-counts",
        ),
        (
            "INSERT INTO restow_tags VALUES ('gone', 'pop', 1)",
            true,
            "stray-tags",
        ),
    ] {
        let path = folder.path().join("a.db");
        fs::copy(&whole, &path).unwrap();
        plain(&path).execute_batch(sql).unwrap();
        let report = check(&path, Depth::Whole).await;
        assert_eq!(kinds(&report), [found], "{sql}: {report:?}");
        let report = check(&path, Depth::Quick).await;
        assert_eq!(report.findings.is_empty(), !quick, "{sql}: {report:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_mended_by_the_statements_that_are_named() {
    let folder = folder();
    let path = folder.path().join("a.db");
    filled(&path).await;
    for fault in ["DROP VIEW restow_tracks", "DELETE FROM restow_counts"] {
        plain(&path).execute_batch(fault).unwrap();
        let report = check(&path, Depth::Whole).await;
        let advice = report.findings[0].advice();
        let (_, sql) = advice.split_once(" with SQL: ").unwrap();
        plain(&path).execute_batch(sql).unwrap();
        assert_eq!(check(&path, Depth::Whole).await.findings, [], "{fault}");
    }
}

/// Deleting by hand is allowed: the counts follow.
#[tokio::test]
async fn rows_deleted_by_hand_are_not_counted() {
    let folder = folder();
    let path = folder.path().join("a.db");
    filled(&path).await;
    plain(&path)
        .execute_batch("DELETE FROM tracks WHERE id < '5'")
        .unwrap();
    assert_eq!(check(&path, Depth::Whole).await.findings, []);
    let table = open_tracks(&open(&path).await).await;
    let left: i64 = plain(&path)
        .query_row("SELECT count(*) FROM tracks", [], |r| r.get(0))
        .unwrap();
    assert!((1..200).contains(&left));
    assert_eq!(
        table.count(&Default::default(), T0).await.unwrap(),
        left.cast_unsigned()
    );
}

#[tokio::test]
async fn a_garbled_page_is_found_or_a_typed_error() {
    let folder = folder();
    let path = folder.path().join("a.db");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    for page in 1..whole.len() / 16_384 {
        let mut bytes = whole.clone();
        bytes[page * 16_384..page * 16_384 + 9_000]
            .iter_mut()
            .for_each(|b| *b ^= 0x5A);
        fs::write(&path, bytes).unwrap();
        match SqliteStore::check(SqliteOptions::file(&path), Depth::Whole).await {
            Ok(report) => assert!(!report.findings.is_empty(), "page {page}"),
            Err(error) => assert!(
                [ErrorKind::Corrupt, ErrorKind::Store].contains(&error.kind()),
                "{error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_refused() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let refused =
        async |path: &Path| SqliteStore::check(SqliteOptions::file(path), Depth::Quick).await;
    let error = refused(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert!(!path.exists(), "a check makes no file");
    fs::write(&path, "hello ".repeat(1_000)).unwrap();
    assert_eq!(refused(&path).await.unwrap_err().kind(), ErrorKind::Format);
}
