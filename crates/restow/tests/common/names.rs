//! Names that try to be SQL, for every store that writes it.

use crate::support::*;
use restow::{
    ErrorKind, Field, FieldKind, FieldRef, FieldValue, RawKey, Scope, Selection,
    entry::{Address, Partition},
    store::{Column, Parts, Store, TableSpec},
};

const PIECES: [&str; 28] = [
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
    "$",
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
pub(crate) async fn round_trip(store: &dyn Store, spec: &TableSpec) {
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

/// Does so with a thousand hostile names, each of which is a name or a typed error.
pub(crate) async fn a_thousand_round_trips(store: &dyn Store) {
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
                round_trip(store, &spec).await;
                made += 1;
                assert!(store.remove(&spec.name).await.unwrap());
            }
        }
    }
    assert!(made > 500 && refused > 10, "{made} made, {refused} refused");
    assert_eq!(store.tables().await.unwrap(), []);
}
