//! What people find who query the file.

use crate::support::*;
use restow::{
    FieldRef, FieldValue, Millis, RawKey,
    entry::{Address, Partition, Variant},
    store::{Column, Store},
};
use rusqlite::Connection;

fn explain(conn: &Connection, sql: &str) -> String {
    conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap()
        .query_map([], |row| row.get::<_, String>(3))
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A file with one entry that has everything, and one that has as little as possible.
async fn two_entries(path: &std::path::Path) {
    let store = open(path).await;
    let mut spec = tracks();
    spec.columns = [Column {
        name: "artist".into(),
        pointer: "/artist".into(),
    }]
    .into();
    let table = store.open(&spec).await.unwrap();
    let mut full = entry(
        Address {
            key: RawKey::new([FieldRef::Text("6"), FieldRef::Text("GB")], "a=1&b=2").unwrap(),
            partition: Partition::principal("alice").unwrap(),
        },
        r#"{"name":"Song","artist":"0OdU"}"#,
    );
    full.id.variant = Variant(0xAB);
    full.meta.label = Some("Song".into());
    full.meta.tags = ["new".into()].into();
    full.meta.columns = [FieldValue::from("0OdU")].into();
    full.meta.expires_at = Millis(4_102_444_800_500);
    let mut bare = entry(at("7"), &b"\xff\x00"[..]);
    bare.meta.expires_at = Millis::MAX;
    table.write(&[write(full), write(bare)], T0).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_table_has_the_columns_that_are_promised() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    let row: (String, String, String, String, Vec<u8>, i64, String, i64) = conn
        .query_row(
            "SELECT id, market, query, partition, variant, status, label, expires_at FROM tracks WHERE artist = '0OdU'",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?)),
        )
        .unwrap();
    let variant = 0xAB_u128.to_be_bytes().to_vec();
    let expected = (
        "6".into(),
        "GB".into(),
        "a=1&b=2".into(),
        "p:alice".into(),
        variant,
        200,
        "Song".into(),
        4_102_444_800_500,
    );
    assert_eq!(row, expected);
    let bare: (Vec<u8>, String, Vec<u8>, i64, Vec<u8>) = conn
        .query_row(
            "SELECT market, partition, variant, expires_at, body FROM tracks WHERE id = '7'",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)),
        )
        .unwrap();
    assert_eq!(
        bare,
        (
            vec![],
            String::new(),
            vec![],
            i64::MAX,
            b"\xff\x00".to_vec()
        )
    );
    let name: String = conn
        .query_row(
            "SELECT json_extract(body, '$.name') FROM tracks WHERE id = '6'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(name, "Song");
    let headers: String = conn
        .query_row("SELECT headers FROM tracks LIMIT 1", [], |r| r.get(0))
        .unwrap();
    assert_eq!(headers, "etag: \"1\"\r\ncontent-type: application/json\r\n");
}

#[tokio::test]
async fn the_view_shows_live_entries_for_people() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    let full: (String, String, String, String, String) = conn
        .query_row(
            "SELECT market, partition, variant, stored_at, expires_at FROM restow_tracks WHERE id = '6'",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)),
        )
        .unwrap();
    assert_eq!(full.0, "GB");
    assert_eq!(full.1, "p:alice");
    assert_eq!(full.2, "000000000000000000000000000000ab");
    assert_eq!(full.3, T0.to_string().replace('Z', ".000Z"));
    assert_eq!(full.4, "2100-01-01T00:00:00.500Z");
    let absent: bool = conn
        .query_row(
            "SELECT market IS NULL AND query IS NULL AND partition IS NULL AND variant IS NULL AND expires_at IS NULL AND label IS NULL
             FROM restow_tracks WHERE id = '7'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert!(absent);
    conn.execute("UPDATE tracks SET expires_at = 1000 WHERE id = '6'", [])
        .unwrap();
    let live: i64 = conn
        .query_row("SELECT count(*) FROM restow_tracks", [], |r| r.get(0))
        .unwrap();
    assert_eq!(live, 1);
}

#[tokio::test]
async fn tags_go_with_their_entry() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    let tagged = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    let join = "SELECT count(*) FROM tracks JOIN restow_tags USING (entry_id) WHERE repository = 'tracks' AND tag = 'new'";
    assert_eq!(tagged(join), 1);
    conn.execute("DELETE FROM tracks WHERE id = '6'", [])
        .unwrap();
    assert_eq!(tagged("SELECT count(*) FROM restow_tags"), 0);
}

#[tokio::test]
async fn the_file_says_what_it_is() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    let pragma = |name: &str| {
        conn.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(pragma("application_id"), 0x7273_7477);
    assert_eq!(pragma("user_version"), 2);
    assert_eq!(pragma("page_size"), 16_384);
    assert_eq!(pragma("auto_vacuum"), 2);
    let meta: Vec<String> = conn
        .prepare("SELECT key FROM restow_meta ORDER BY key")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(meta, ["format", "repository:tracks", "secret"]);
    let artist: String = conn
        .query_row(
            "SELECT json_extract(value, '$.columns[0].pointer') FROM restow_meta WHERE key = 'repository:tracks'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(artist, "/artist");
}

#[tokio::test]
async fn every_common_question_has_an_index() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    for (sql, index) in [
        (
            "SELECT body FROM tracks WHERE id = '6' AND market = x'' AND query = '' AND partition = ''",
            r#"SEARCH tracks USING INDEX restow_ "tracks" ("id", "market") (id=? AND market=? AND query=? AND partition=?)"#,
        ),
        (
            "SELECT count(*) FROM tracks WHERE expires_at > 5",
            r#"SEARCH tracks USING COVERING INDEX restow_ "tracks" "expires_at" (expires_at>?)"#,
        ),
        (
            "SELECT count(*) FROM tracks WHERE expires_at > 5 AND expires_at <= 7 AND partition = 'p:me'",
            r#"SEARCH tracks USING COVERING INDEX restow_ "tracks" "expires_at" (expires_at>? AND expires_at<?)"#,
        ),
        (
            "SELECT body FROM tracks WHERE artist = 'x'",
            r#"SEARCH tracks USING INDEX restow_ "tracks" "artist" (artist=?)"#,
        ),
    ] {
        assert_eq!(explain(&conn, sql), index);
    }
}

/// Every query of the page about the format runs, and finds what it says.
#[tokio::test]
async fn the_queries_of_the_format_page_work() {
    let folder = folder();
    let path = folder.path().join("a.db");
    two_entries(&path).await;
    let conn = plain(&path);
    let page = include_str!("../../../../docs/FORMAT.md");
    let sql = page
        .split("```sql")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let mut rows = Vec::new();
    for statement in sql.split(';').filter(|s| !s.trim().is_empty()) {
        let mut statement = conn.prepare(statement).unwrap();
        let mut found = statement.query([]).unwrap();
        let mut n = 0;
        while found.next().unwrap().is_some() {
            n += 1;
        }
        rows.push(n);
    }
    // T0 has passed by a clock of today: only what never expires, or late, is fresh.
    assert_eq!(rows, [2, 0, 1, 1, 1, 2, 0, 1, 1, 0]);
    let left: i64 = conn
        .query_row("SELECT count(*) FROM tracks", [], |r| r.get(0))
        .unwrap();
    assert_eq!(left, 1);
}
