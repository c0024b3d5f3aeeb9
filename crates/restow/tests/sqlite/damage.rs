//! Damaged entries are misses, never errors and never answers.

use crate::support::*;
use futures_util::TryStreamExt;
use restow::{
    ErrorKind, FieldRef, RawKey, Selection,
    entry::{Address, Partition},
    store::{
        Parts, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::path::Path;

/// Saves an entry, damages it, and says whether each kind of read still finds it.
async fn read_after(path: &Path, damage: &str) -> [bool; 4] {
    let store = open(path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "{\"name\":\"a\"}").await;
    save(&*table, at("2"), "{}").await;
    assert_eq!(
        plain(path)
            .execute(&format!("{damage} WHERE id = '1'"), [])
            .unwrap(),
        1,
        "{damage}"
    );
    let scanned: Vec<_> = table
        .scan(&Selection::default(), Parts::Whole, T0)
        .try_collect()
        .await
        .unwrap();
    let mut found = [false; 4];
    found[0] = scanned.len() == 2;
    for (found, parts) in found
        .iter_mut()
        .skip(1)
        .zip([Parts::Meta, Parts::Body, Parts::Whole])
    {
        // What an earlier read removed is not what this one says.
        save(&*table, at("1"), "{\"name\":\"a\"}").await;
        plain(path)
            .execute(&format!("{damage} WHERE id = '1'"), [])
            .unwrap();
        *found = !table.read(&at("1"), parts, T0).await.unwrap().is_empty();
        store.commit().await.unwrap();
    }
    let left: i64 = plain(path)
        .query_row("SELECT count(*) FROM tracks WHERE id = '1'", [], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(left == 1, found[3], "what is damaged is removed: {damage}");
    store.close().await.unwrap();
    found
}

#[tokio::test]
async fn whatever_is_damaged_is_a_miss() {
    let folder = folder();
    for (n, (damage, expected)) in [
        // Scan, meta, body, whole: a read finds only what it can check.
        ("UPDATE tracks SET body = '{\"name\":\"b\"}'", [false, true, false, false]),
        ("UPDATE tracks SET body = substr(body, 2)", [false, true, false, false]),
        ("UPDATE tracks SET body = x''", [false, true, false, false]),
        ("UPDATE tracks SET body = 7", [false, true, false, false]),
        ("UPDATE tracks SET headers = replace(headers, '1', '2')", [false, false, true, false]),
        ("UPDATE tracks SET headers = ''", [false, false, true, false]),
        ("UPDATE tracks SET url = 'https://evil.example.com/'", [false, false, true, false]),
        ("UPDATE tracks SET url = NULL", [false, false, true, false]),
        ("UPDATE tracks SET status = 500", [false, false, true, false]),
        ("UPDATE tracks SET facts = substr(facts, 1, 40)", [false; 4]),
        ("UPDATE tracks SET facts = x''", [false; 4]),
        ("UPDATE tracks SET facts = x'09' || substr(facts, 2)", [false; 4]),
        ("UPDATE tracks SET facts = CAST(substr(facts, 1, 3) || x'00' || substr(facts, 5) AS BLOB)", [false; 4]),
        ("UPDATE tracks SET tags = '{'", [false, false, true, false]),
        ("UPDATE tracks SET variant = x'01'", [false; 4]),
        ("UPDATE tracks SET label = x'ff'", [false, false, true, false]),
        ("UPDATE tracks SET used_at = 'x'", [true; 4]),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{n}.db"));
        assert_eq!(read_after(&path, damage).await, expected, "{damage}");
    }
}

#[tokio::test]
async fn an_entry_that_came_under_another_key_is_nobodys() {
    let with = |values: [FieldRef<'_>; 2], query, partition| Address {
        key: RawKey::new(values, query).unwrap(),
        partition,
    };
    let id = |id| [FieldRef::Text(id), FieldRef::Absent];
    let bob = Partition::principal("bob").unwrap();
    for (n, (change, now_at)) in [
        ("id = '9'", with(id("9"), "", Partition::PUBLIC)),
        ("market = 'SE'", at_market("1", FieldRef::Text("SE"))),
        (
            "market = 'SE', id = ''",
            at_market("", FieldRef::Text("SE")),
        ),
        ("query = 'a=1'", with(id("1"), "a=1", Partition::PUBLIC)),
        ("partition = 'p:bob'", with(id("1"), "", bob)),
        ("variant = x'00000000000000000000000000000005'", at("1")),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = folder();
        let path = folder.path().join(format!("{n}.db"));
        let store = open(&path).await;
        let table = open_tracks(&store).await;
        save(&*table, at("1"), "{}").await;
        let sql = format!("UPDATE tracks SET {change}");
        assert_eq!(plain(&path).execute(&sql, []).unwrap(), 1);
        for parts in [Parts::Meta, Parts::Body, Parts::Whole] {
            let found = table.read(&now_at, parts, T0).await.unwrap();
            assert!(found.is_empty(), "{change} {parts:?}");
            let scanned: Vec<_> = table
                .scan(&Selection::default(), parts, T0)
                .try_collect()
                .await
                .unwrap();
            assert!(scanned.is_empty(), "{change} {parts:?}");
        }
    }
}

#[tokio::test]
async fn a_damaged_entry_is_replaced_by_the_next_save() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "a").await;
    plain(&path)
        .execute("UPDATE tracks SET facts = x'ff', body = 'b'", [])
        .unwrap();
    save(&*table, at("1"), "c").await;
    assert_eq!(body(&*table, &at("1")).await.unwrap(), "c");
}

#[tokio::test]
async fn a_garbled_or_truncated_file_is_a_typed_error_and_never_a_wrong_answer() {
    let folder = folder();
    let whole = folder.path().join("whole.db");
    let store = open(&whole).await;
    let table = open_tracks(&store).await;
    let ids: Vec<_> = (0..200).map(|i| i.to_string()).collect();
    let long = |id: &str| format!("{id} ").repeat(500);
    let entries: Vec<_> = ids
        .iter()
        .map(|id| write(entry(at(id), long(id))))
        .collect();
    table.write(&entries, T0).await.unwrap();
    store.close().await.unwrap();
    let whole = std::fs::read(&whole).unwrap();
    let mut errors = 0;
    for round in 0..24_usize {
        let path = folder.path().join(format!("{round}.db"));
        let mut bytes = whole.clone();
        if round % 2 == 0 {
            bytes.truncate(whole.len() / 12 * (round / 2) + 1_000);
        } else {
            let page = bytes.len() / 24 / 16_384 * round * 16_384;
            bytes[page + 20..page + 9_000]
                .iter_mut()
                .for_each(|b| *b ^= 0x5A);
        }
        std::fs::write(&path, bytes).unwrap();
        let expected = [
            ErrorKind::Corrupt,
            ErrorKind::Format,
            ErrorKind::Store,
            ErrorKind::NoSuchRepository,
        ];
        let opened = async {
            let store = SqliteStore::open(SqliteOptions::file(&path)).await?;
            let table = store.open(&tracks()).await?;
            let mut found = Vec::new();
            for id in &ids {
                found.push(table.read(&at(id), Parts::Whole, T0).await.map(|f| (id, f)));
            }
            Ok::<_, restow::Error>(found)
        };
        let answers = match opened.await {
            Ok(answers) => answers,
            Err(error) => vec![Err(error)],
        };
        for answer in answers {
            match answer {
                Ok((id, found)) => found.iter().for_each(|e| assert_eq!(e.body, long(id))),
                Err(error) => {
                    assert!(expected.contains(&error.kind()), "{error:?}");
                    errors += 1;
                }
            }
        }
    }
    assert!(errors > 0, "nothing was damaged");
}
