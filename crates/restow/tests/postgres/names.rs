//! Names that try to be SQL.

use crate::support::*;
use restow::{
    ErrorKind, Field, FieldKind, FieldRef, FieldValue, RawKey, Scope, Selection,
    entry::{Address, Partition},
    store::{Column, Parts, Store, TableSpec},
};
use restow_testkit::Postgres;

const PIECES: [&str; 27] = [
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
    "$1",
    ":a",
    "$$",
    "\u{200b}",
    "x",
    "ctid",
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

/// Stores, finds, scans and clears an entry in a repository with this name and these names of a field and of a column.
async fn round_trip(store: &dyn Store, spec: &TableSpec) {
    let table = store.open(spec).await.unwrap();
    let address = Address {
        key: RawKey::new([FieldRef::Text("it's \\ $1 %")], "").unwrap(),
        partition: Partition::PUBLIC,
    };
    let mut written = entry(address.clone(), "body");
    written.meta.columns = [FieldValue::from("\"; --")].into();
    written.meta.tags = ["'".into()].into();
    table.write(&[write(written)], T0).await.unwrap();
    let found = table.read(&address, Parts::Whole, T0).await.unwrap();
    assert_eq!(found.len(), 1, "{spec:?}");
    for (name, value) in [
        (spec.fields[0].name(), "it's \\ $1 %"),
        (&*spec.columns[0].name, "\"; --"),
    ] {
        let selection = Selection::new(Scope::Live).eq(name, value);
        assert_eq!(table.count(&selection, T0).await.unwrap(), 1, "{spec:?}");
    }
    let cleared = table.clear(&Selection::default(), 10, T0).await.unwrap();
    assert_eq!(cleared, 1, "{spec:?}");
}

#[tokio::test]
async fn a_thousand_hostile_names_are_names_or_typed_errors() {
    let server = Postgres::shared();
    let store = open(&server.fresh()).await.unwrap();
    let (mut made, mut refused) = (0, 0);
    for n in 0..1_000 {
        let names = (hostile(n), hostile(n + 7), hostile(n + 11));
        let spec = TableSpec::new(&names.0, vec![Field::new(names.1, FieldKind::Text)]);
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
                round_trip(&*store, &spec).await;
                made += 1;
                assert!(store.remove(&spec.name).await.unwrap());
            }
        }
    }
    assert!(made > 500 && refused > 10, "{made} made, {refused} refused");
    assert_eq!(store.tables().await.unwrap(), []);
}

#[tokio::test]
async fn the_longest_names_are_kept_and_longer_ones_refused() {
    let server = Postgres::shared();
    let prefix = format!("{}&prefix=teams_", server.fresh());
    let store = open(&prefix).await.unwrap();
    let long = |letter: char| letter.to_string().repeat(48);
    let mut spec =
        TableSpec::new(&long('t'), vec![Field::new(long('f'), FieldKind::Text)]).unwrap();
    let column = |letter| Column {
        name: long(letter).into(),
        pointer: "/a".into(),
    };
    spec.columns = [column('c')].into();
    round_trip(&*store, &spec).await;
    let store = open(&format!("{}&prefix=0123456789", server.fresh()))
        .await
        .unwrap();
    let error = store.open(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name, "{error}");
    assert!(error.to_string().contains("63 bytes"), "{error}");
    assert_eq!(store.tables().await.unwrap(), []);
}
