//! Tables whose declaration changed.

use crate::support::*;
use restow::{
    ErrorKind, Field, FieldRef, FieldValue, RawKey, Scope, Selection,
    entry::{Address, Partition},
    store::{Column, OnSchemaChange, Parts, Store, TableName, TableSpec},
};

fn by_id() -> TableSpec {
    TableSpec::new("tracks", vec![Field::text("id")]).unwrap()
}

fn by_market() -> TableSpec {
    let mut spec =
        TableSpec::new("tracks", vec![Field::text("market"), Field::text("id")]).unwrap();
    spec.defaults = [("market".into(), FieldValue::from("GB"))].into();
    spec
}

fn column(name: &str, pointer: &str) -> Column {
    Column {
        name: name.into(),
        pointer: pointer.into(),
    }
}

fn key(values: &[&str]) -> Address {
    Address {
        key: RawKey::new(values.iter().map(|v| FieldRef::Text(v)), "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

#[tokio::test]
async fn a_table_with_other_fields_is_refused_with_both_lists() {
    let store = memory().await;
    store.open(&by_market()).await.unwrap();
    let error = store.open(&by_id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    let text = error.to_string();
    assert!(
        text.contains("(id)") && text.contains("(market, id)") && text.contains("\"set-aside\""),
        "{text}"
    );
    assert!(!text.contains("restow migrate"), "it could not: {text}");
    let mut other = by_market();
    other.columns = [column("artist", "/a")].into();
    let error = store.open(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("`restow migrate`"), "{error}");
    store.open(&by_market()).await.unwrap();
}

#[tokio::test]
async fn an_added_field_gives_older_entries_its_default() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let old = store.open(&by_id()).await.unwrap();
    save(&*old, key(&["6"]), "body").await;
    let mut spec = by_market();
    spec.on_schema_change = OnSchemaChange::Migrate;
    let new = store.open(&spec).await.unwrap();
    assert_eq!(body(&*new, &key(&["GB", "6"])).await.unwrap(), "body");
    assert!(body(&*new, &key(&["US", "6"])).await.is_none());
    save(&*new, key(&["US", "6"]), "other").await;
    let error = old.read(&key(&["6"]), Parts::Whole, T0).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NoSuchRepository,
        "the older handle would mix the markets"
    );
    for refused in [
        old.write(&[write(entry(key(&["6"]), "x"))], T0)
            .await
            .unwrap_err(),
        old.count(&Selection::default(), T0).await.unwrap_err(),
        old.stats(T0).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::NoSuchRepository);
    }
    store.close().await.unwrap();
    let store = open(&path).await;
    assert_eq!(store.tables().await.unwrap(), [spec.clone()]);
    let again = store.open(&spec).await.unwrap();
    assert_eq!(
        again.count(&Selection::new(Scope::Live), T0).await.unwrap(),
        2
    );
}

#[tokio::test]
async fn added_columns_are_empty_and_remembered_until_they_are_filled() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let mut spec = by_id();
    spec.columns = [column("artist", "/artist"), column("year", "/year")].into();
    let table = store.open(&spec).await.unwrap();
    let mut written = entry(key(&["6"]), "body");
    written.meta.columns = [FieldValue::from("a"), FieldValue::from(1999)].into();
    table.write(&[write(written)], T0).await.unwrap();
    assert!(table.pending_columns().await.unwrap().is_empty());
    spec.columns = [
        column("genre", "/genre"),
        column("year", "/year"),
        column("artist", "/artists/0"),
    ]
    .into();
    spec.on_schema_change = OnSchemaChange::Migrate;
    let table = store.open(&spec).await.unwrap();
    let found = get(&*table, &key(&["6"])).await;
    let columns = &found.iter().next().unwrap().meta.columns;
    assert_eq!(
        **columns,
        [
            FieldValue::Absent,
            FieldValue::Integer(1999),
            FieldValue::Absent
        ]
    );
    store.close().await.unwrap();
    let store = open(&path).await;
    let table = store.open(&spec).await.unwrap();
    let pending = table.pending_columns().await.unwrap();
    assert_eq!(pending, ["artist", "genre"].map(Box::<str>::from));
    table
        .columns_filled(&["artist".into(), "genre".into()])
        .await
        .unwrap();
    assert!(table.pending_columns().await.unwrap().is_empty());
    let year = Selection::new(Scope::Live).eq("year", 1999);
    assert_eq!(table.count(&year, T0).await.unwrap(), 1);
}

#[tokio::test]
async fn a_table_set_aside_keeps_its_entries_and_tags_under_another_name() {
    let store = memory().await;
    let old = store.open(&by_id()).await.unwrap();
    let mut written = entry(key(&["6"]), "old");
    written.meta.tags = ["t".into()].into();
    old.write(&[write(written)], T0).await.unwrap();
    let mut spec = by_market();
    spec.on_schema_change = OnSchemaChange::SetAside;
    let new = store.open(&spec).await.unwrap();
    assert_eq!(new.count(&Selection::default(), T0).await.unwrap(), 0);
    let mut back = by_id();
    back.on_schema_change = OnSchemaChange::SetAside;
    store.open(&back).await.unwrap();
    let tables = store.tables().await.unwrap();
    let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["tracks", "tracks (old 1)", "tracks (old 2)"]);
    let aside = store.open(&tables[1]).await.unwrap();
    assert_eq!(body(&*aside, &key(&["6"])).await.unwrap(), "old");
    let mut tagged = Selection::default();
    tagged.tag = Some("t".into());
    assert_eq!(aside.clear(&tagged, 10, T0).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_remembered_is_what_was_declared_last() {
    let store = memory().await;
    let mut spec = by_id();
    spec.declaration = "{\"name\":\"tracks\"}".into();
    store.open(&spec).await.unwrap();
    let mut silent = by_id();
    silent.keep = HOUR;
    silent.budget.entries = Some(1);
    let table = store.open(&silent).await.unwrap();
    let kept = TableSpec {
        declaration: spec.declaration.clone(),
        ..silent
    };
    assert_eq!(
        table.spec(),
        &kept,
        "a spec without a declaration does not take it away"
    );
    assert_eq!(store.tables().await.unwrap(), [kept]);
}

#[tokio::test]
async fn a_removed_table_is_gone_with_all_that_belonged_to_it() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let mut spec = by_id();
    spec.columns = [column("artist", "/a")].into();
    spec.budget.bytes = Some(1);
    let table = store.open(&spec).await.unwrap();
    let mut written = entry(key(&["6"]), "x");
    written.meta.tags = ["t".into()].into();
    table.write(&[write(written)], T0).await.unwrap();
    assert!(store.remove(&spec.name).await.unwrap());
    assert!(
        !store
            .remove(&TableName::new("tracks").unwrap())
            .await
            .unwrap()
    );
    let error = table
        .read(&key(&["6"]), Parts::Whole, T0)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchRepository);
    store.close().await.unwrap();
    let left: i64 = plain(&path)
        .query_row(
            "SELECT (SELECT count(*) FROM sqlite_schema WHERE name LIKE '%tracks%') + (SELECT count(*) FROM restow_tags)
                  + (SELECT count(*) FROM restow_meta WHERE key LIKE '%tracks%')",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}
