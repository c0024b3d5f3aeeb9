//! The contract of a table, on the store in memory and in a file.

use crate::support::*;
use futures_util::TryStreamExt;
use restow::{
    ErrorKind, FieldRef, Scope, Selection,
    entry::{Generation, Variant},
    store::{Budget, Parts, Renewal, Store},
};
use std::time::Duration;

#[tokio::test]
async fn what_is_written_is_read_back_whole() {
    for store in [memory().await, {
        let options = restow::store::sqlite::SqliteOptions::temporary();
        restow::store::sqlite::SqliteStore::open(options)
            .await
            .unwrap()
    }] {
        let table = open_tracks(&store).await;
        let address = at_market("6", FieldRef::Text("GB"));
        let mut written = entry(address.clone(), "{\"name\":\"a\"}");
        written.meta.label = Some("a".into());
        written.meta.tags = ["x".into(), "y \"z\"".into()].into();
        table.write(&[write(written.clone())], T0).await.unwrap();
        let found = get(&*table, &address).await;
        let read = found.iter().next().unwrap();
        assert_ne!(read.generation, Generation::UNKNOWN);
        written.generation = read.generation;
        assert_eq!(**read, written);
        assert!(
            get(&*table, &at("6")).await.is_empty(),
            "absent is not 'GB'"
        );
        store.close().await.unwrap();
        assert_eq!(
            table
                .read(&address, Parts::Whole, T0)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Closed
        );
    }
}

#[tokio::test]
async fn parts_that_are_not_asked_for_are_left_out() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "body").await;
    let meta = table.read(&at("1"), Parts::Meta, T0).await.unwrap();
    let meta = meta.iter().next().unwrap();
    assert!(meta.body.is_empty() && meta.meta.head.etag().is_some());
    assert_eq!(meta.meta.seal.len, 4);
    let body = table.read(&at("1"), Parts::Body, T0).await.unwrap();
    let body = body.iter().next().unwrap();
    assert!(body.body == "body" && body.meta.head.lines().is_empty());
}

#[tokio::test]
async fn a_renewal_changes_only_the_generation_it_read() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "body").await;
    let old = get(&*table, &at("1")).await.iter().next().unwrap().clone();
    let mut meta = old.meta.clone();
    meta.head = head("\"2\"").into();
    meta.expires_at = T0.plus(HOUR * 2);
    let renewal = Renewal {
        id: old.id.clone(),
        read: old.generation,
        meta,
    };
    assert_eq!(
        table
            .renew(std::slice::from_ref(&renewal), T0)
            .await
            .unwrap(),
        1
    );
    assert_eq!(table.renew(&[renewal], T0).await.unwrap(), 0);
    let new = get(&*table, &at("1")).await.iter().next().unwrap().clone();
    assert_eq!(new.body, "body");
    assert_eq!(new.meta.head.etag(), Some(&b"\"2\""[..]));
    assert!(new.generation > old.generation);
}

#[tokio::test]
async fn counts_clears_and_scans_agree() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let mut entries = Vec::new();
    for i in 0..1_000 {
        let mut entry = entry(at(&i.to_string()), format!("{i}"));
        if i % 4 == 0 {
            entry.meta.expires_at = T0;
        }
        if i % 10 == 0 {
            entry.meta.tags = ["tenth".into()].into();
        }
        entries.push(write(entry));
    }
    table.write(&entries, T0).await.unwrap();
    for (selection, n) in [
        (Selection::new(Scope::All), 1_000),
        (Selection::new(Scope::Live), 750),
        (Selection::new(Scope::Expired), 250),
        (Selection::new(Scope::All).eq("id", "7"), 1),
        (Selection::new(Scope::All).eq("id", 7), 0),
    ] {
        assert_eq!(table.count(&selection, T0).await.unwrap(), n);
        let all: Vec<_> = table
            .scan(&selection, Parts::Whole, T0)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(all.len() as u64, n);
    }
    let mut tagged = Selection::new(Scope::All);
    tagged.tag = Some("tenth".into());
    assert_eq!(table.clear(&tagged, 30, T0).await.unwrap(), 30);
    assert_eq!(table.clear(&tagged, u64::MAX, T0).await.unwrap(), 70);
    assert_eq!(table.count(&tagged, T0).await.unwrap(), 0);
    assert_eq!(table.stats(T0).await.unwrap().entries, 900);
}

#[tokio::test]
async fn the_sweep_takes_what_is_past_its_keep_then_what_was_used_least_recently() {
    let store = memory().await;
    let mut spec = tracks();
    spec.keep = HOUR;
    spec.budget = Budget {
        bytes: None,
        entries: Some(3),
    };
    let table = store.open(&spec).await.unwrap();
    let mut gone = entry(at("gone"), "x");
    gone.meta.expires_at = T0;
    table.write(&[write(gone)], T0).await.unwrap();
    let later = T0.plus(HOUR);
    for i in 0..5 {
        let mut entry = entry(at(&i.to_string()), "x");
        entry.meta.expires_at = later.plus(HOUR);
        let moment = T0.plus(Duration::from_secs(i));
        table.write(&[write(entry)], moment).await.unwrap();
    }
    table.read(&at("0"), Parts::Body, later).await.unwrap();
    assert_eq!(table.sweep(1, later).await.unwrap(), 1);
    assert_eq!(table.stats(later).await.unwrap().entries, 5);
    assert_eq!(table.sweep(100, later).await.unwrap(), 2);
    for (id, there) in [
        ("0", true),
        ("1", false),
        ("2", false),
        ("3", true),
        ("4", true),
    ] {
        let found = table.read(&at(id), Parts::Meta, later).await.unwrap();
        assert_eq!(!found.is_empty(), there, "{id}");
    }
}

#[tokio::test]
async fn the_oldest_variant_goes_where_there_are_too_many() {
    let store = memory().await;
    let mut spec = tracks();
    spec.max_variants = 2;
    let table = store.open(&spec).await.unwrap();
    for i in 1..=3 {
        let mut entry = entry(at("1"), "x");
        entry.id.variant = Variant(i);
        entry.meta.stored_at = T0.plus(Duration::from_secs(i as u64));
        table.write(&[write(entry)], T0).await.unwrap();
    }
    let mut left: Vec<_> = get(&*table, &at("1"))
        .await
        .iter()
        .map(|e| e.id.variant.0)
        .collect();
    left.sort_unstable();
    assert_eq!(left, [2, 3]);
    assert_eq!(
        table
            .delete(&[at("1"), at("1"), at("2")], T0)
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn keys_of_any_text_come_back_as_they_were() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let long = "x".repeat(60_000);
    let texts = [
        "",
        "\0",
        "a\0b",
        "12",
        "012",
        " ",
        "%",
        "É",
        "é",
        "e\u{301}",
        "\u{1F980}",
        "NULL",
        "x''",
        &long,
    ];
    let mut addresses: Vec<_> = texts.iter().map(|text| at(text)).collect();
    addresses.extend(
        texts
            .iter()
            .map(|text| at_market("m", FieldRef::Text(text))),
    );
    let entries: Vec<_> = addresses
        .iter()
        .map(|at| write(entry(at.clone(), format!("{at:?}"))))
        .collect();
    table.write(&entries, T0).await.unwrap();
    for found in [
        table.read_many(&addresses, Parts::Whole, T0).await.unwrap(),
        table
            .read_many(&addresses[..20], Parts::Whole, T0)
            .await
            .unwrap(),
    ] {
        for (found, address) in found.iter().zip(&addresses) {
            assert_eq!(found.len(), 1, "{address:?}");
            assert_eq!(found.iter().next().unwrap().body, format!("{address:?}"));
        }
    }
    let mut scanned: Vec<_> = table
        .scan(&Selection::default(), Parts::Meta, T0)
        .map_ok(|e| e.id.address.clone())
        .try_collect()
        .await
        .unwrap();
    scanned.sort();
    addresses.sort();
    assert_eq!(scanned, addresses);
}

#[tokio::test]
async fn a_write_that_fails_fails_alone_and_as_a_whole() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let wrong = restow::entry::Address {
        key: restow::RawKey::new([FieldRef::Integer(1), FieldRef::Absent], "").unwrap(),
        ..at("1")
    };
    let mut saves = Vec::new();
    for i in 0..50 {
        let (table, wrong) = (table.clone(), wrong.clone());
        saves.push(tokio::spawn(async move {
            let mut entries = vec![write(entry(at(&i.to_string()), "x"))];
            if i % 5 == 0 {
                entries.push(write(entry(wrong, "x")));
            }
            table.write(&entries, T0).await
        }));
    }
    let mut failed = 0;
    for (i, save) in saves.into_iter().enumerate() {
        let saved = save.await.unwrap();
        assert_eq!(saved.is_err(), i % 5 == 0, "{i}");
        failed += usize::from(saved.is_err_and(|e| e.kind() == ErrorKind::Key));
        assert_eq!(
            get(&*table, &at(&i.to_string())).await.len(),
            usize::from(i % 5 != 0)
        );
    }
    assert_eq!(failed, 10);
}

#[tokio::test]
async fn a_scan_sees_each_entry_once_while_others_are_written() {
    let store = memory().await;
    let table = open_tracks(&store).await;
    let all = |n: usize| {
        (0..n)
            .map(|i| write(entry(at(&i.to_string()), "x")))
            .collect::<Vec<_>>()
    };
    table.write(&all(1_000), T0).await.unwrap();
    let selection = Selection::default();
    let mut scan = table.scan(&selection, Parts::Body, T0);
    let mut seen = vec![scan.try_next().await.unwrap().unwrap()];
    // Deleted and saved again, it has a new row behind all others.
    table.delete(&[at("0"), at("999")], T0).await.unwrap();
    table.write(&all(1_200), T0).await.unwrap();
    while let Some(entry) = scan.try_next().await.unwrap() {
        seen.push(entry);
    }
    let mut ids: Vec<_> = seen.iter().map(|e| e.id.clone()).collect();
    ids.sort();
    let n = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), n, "an entry came twice");
    assert!((998..=1_001).contains(&n), "{n}");
}

#[tokio::test]
async fn the_file_shrinks_after_entries_were_removed() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    let body = "x".repeat(100_000);
    let entries: Vec<_> = (0..100)
        .map(|i| write(entry(at(&i.to_string()), body.clone())))
        .collect();
    table.write(&entries, T0).await.unwrap();
    let pages = || {
        plain(&path)
            .query_row("PRAGMA page_count", [], |r| r.get::<_, i64>(0))
            .unwrap()
    };
    let full = pages();
    assert_eq!(
        table
            .clear(&Selection::default(), u64::MAX, T0)
            .await
            .unwrap(),
        100
    );
    // The space is given back behind the callers' backs, a little at a time.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while pages() >= full / 4 {
        assert!(
            std::time::Instant::now() < end,
            "{} of {full} pages are left",
            pages()
        );
        tokio::task::yield_now().await;
    }
    store.close().await.unwrap();
}
