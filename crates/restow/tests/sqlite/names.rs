//! Names that try to be SQL.

use crate::support::*;
use restow::{
    ErrorKind, Field, FieldRef, FieldValue, RawKey, Scope, Selection,
    entry::{Address, Partition},
    store::{Column, Parts, Store, TableName, TableSpec},
};

const PIECES: [&str; 25] = [
    "\"",
    "'",
    ";",
    "--",
    "/*",
    "*/",
    "]",
    "[",
    "`",
    "\\",
    " ",
    "DROP TABLE x",
    "order",
    "SELECT",
    "日本",
    "é",
    "%",
    "?1",
    ":a",
    "$",
    "\u{200b}",
    "x",
    "restow_meta",
    "tags",
    "\u{1F980}",
];

/// Names put together from pieces, always the same ones.
fn hostile(n: usize) -> String {
    let mut x = n as u64 + 1;
    let mut name = String::new();
    for _ in 0..1 + n % 4 {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        name += PIECES[(x >> 33) as usize % PIECES.len()];
    }
    name
}

/// Stores and finds an entry in a repository with this name and these names of a field and of a column.
async fn round_trip(store: &dyn Store, spec: &TableSpec) {
    let table = store.open(spec).await.unwrap();
    let address = Address {
        key: RawKey::new([FieldRef::Text("it's")], "").unwrap(),
        partition: Partition::PUBLIC,
    };
    let mut written = entry(address.clone(), "body");
    written.meta.columns = [FieldValue::from("\"; --")].into();
    written.meta.tags = ["'".into()].into();
    table.write(&[write(written)], T0).await.unwrap();
    let found = table.read(&address, Parts::Whole, T0).await.unwrap();
    assert_eq!(found.len(), 1, "{spec:?}");
    for (name, value) in [
        (spec.fields[0].name(), "it's"),
        (&*spec.columns[0].name, "\"; --"),
    ] {
        let selection = Selection::new(Scope::Live).eq(name, value);
        assert_eq!(table.count(&selection, T0).await.unwrap(), 1, "{spec:?}");
    }
}

#[tokio::test]
async fn a_thousand_hostile_names_are_names_or_typed_errors() {
    let store = memory().await;
    let (mut made, mut refused) = (0, 0);
    for n in 0..1_000 {
        let names = (hostile(n), hostile(n + 7), hostile(n + 11));
        let spec = TableSpec::new(&names.0, vec![Field::new(names.1, restow::FieldKind::Text)]);
        let spec = spec.and_then(|mut spec| {
            spec.columns = [Column {
                name: names.2.into(),
                pointer: "/a".into(),
            }]
            .into();
            spec.check().map(|()| spec)
        });
        match spec {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Name);
                refused += 1;
            }
            Ok(spec) => {
                round_trip(&store, &spec).await;
                made += 1;
                assert!(store.remove(&spec.name).await.unwrap());
            }
        }
    }
    assert!(made > 500 && refused > 10, "{made} made, {refused} refused");
    assert_eq!(store.tables().await.unwrap(), []);
}

#[tokio::test]
async fn fields_and_columns_may_have_the_names_of_our_own() {
    let store = memory().await;
    let ours = [
        "entry_id",
        "query",
        "partition",
        "variant",
        "generation",
        "label",
        "status",
        "url",
        "stored_at",
        "checked_at",
        "changed_at",
        "expires_at",
        "used_at",
        "size",
        "tags",
        "facts",
        "completeness",
        "headers",
        "body",
        "rowid",
        "oid",
        "Status",
        "field_status",
        "restow_x",
    ];
    for name in ours {
        for other in ours.into_iter().filter(|o| !o.eq_ignore_ascii_case(name)) {
            let mut spec = TableSpec::new("t", vec![Field::text(name)]).unwrap();
            spec.columns = [Column {
                name: other.into(),
                pointer: "/a".into(),
            }]
            .into();
            round_trip(&store, &spec).await;
            store.remove(&spec.name).await.unwrap();
        }
    }
}

#[tokio::test]
async fn repositories_named_like_our_tables_and_keywords_live_side_by_side() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let names = [
        "meta",
        "counts",
        "dictionaries",
        "tags",
        "restow",
        "order",
        "my repo",
        "tracks-v2",
        "日本",
        "a\"b",
        "it's",
        "select",
        "index",
    ];
    for name in names {
        let mut spec = TableSpec::new(name, vec![Field::text("id")]).unwrap();
        spec.columns = [Column {
            name: "c".into(),
            pointer: "/c".into(),
        }]
        .into();
        round_trip(&store, &spec).await;
    }
    let mut listed: Vec<_> = store
        .tables()
        .await
        .unwrap()
        .iter()
        .map(|t| t.name.to_string())
        .collect();
    let mut expected: Vec<_> = names.map(String::from).to_vec();
    expected.sort();
    assert_eq!(listed, expected, "ordered by name");
    listed.clear();
    store.close().await.unwrap();
    let views: i64 = plain(&path)
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'view'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(views, names.len() as i64);
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let store = memory().await;
    store
        .open(&TableSpec::new("Tracks", vec![Field::text("id")]).unwrap())
        .await
        .unwrap();
    let error = store
        .open(&TableSpec::new("tracks", vec![Field::text("id")]).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
    assert!(
        !store
            .remove(&TableName::new("tracks").unwrap())
            .await
            .unwrap()
    );
}
