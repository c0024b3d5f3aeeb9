//! Stores with entries of every kind.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restow::{
    Field, FieldRef, FieldValue, Millis, RawKey, Result, Selection,
    entry::{Address, Entry, EntryId, Head, Meta, Partition, Variant},
    moving::{Copied, CopyOptions, Portion, copy},
    store::{
        Column, MemoryStore, Parts, Store, Table, TableSpec, Write,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::{sync::Arc, time::Duration};

pub(crate) const NOW: Millis = Millis(1_800_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn spec() -> TableSpec {
    let fields = [Field::text("id"), Field::integer("size").optional()];
    let mut spec = TableSpec::new("items", fields).unwrap();
    spec.columns = [Column {
        name: "kind".into(),
        pointer: "/kind".into(),
    }]
    .into();
    spec.codec = "json".into();
    spec
}

pub(crate) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

pub(crate) async fn sqlite() -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(SqliteOptions::memory()).await.unwrap())
}

pub(crate) fn entry(id: &str, body: impl Into<Bytes>) -> Entry {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("etag", HeaderValue::from_static("\"a\""));
    headers.insert("connection", HeaderValue::from_static("close"));
    let url = format!("https://api.example.com/{id}");
    let head = Head::new(
        StatusCode::OK,
        &headers,
        Some(&url),
        NOW.minus(2 * DAY),
        NOW.minus(2 * DAY),
    );
    let key = RawKey::new([FieldRef::Text(id), FieldRef::Absent], "").unwrap();
    let id = EntryId {
        address: Address {
            key,
            partition: Partition::PUBLIC,
        },
        variant: Variant::NONE,
    };
    let mut entry = Entry::new(id, head, body.into(), NOW.minus(DAY), NOW.plus(DAY));
    entry.meta.columns = [FieldValue::from("lamp")].into();
    entry
}

/// Changes parts of an entry.
pub(crate) trait Edit {
    fn with(self, edit: impl FnOnce(&mut Entry)) -> Entry;
    fn of(self, partition: Partition) -> Entry;
    /// Stored and confirmed at this moment.
    fn stored(self, at: Millis) -> Entry;
}

impl Edit for Entry {
    fn with(mut self, edit: impl FnOnce(&mut Entry)) -> Entry {
        edit(&mut self);
        self
    }

    fn of(self, partition: Partition) -> Entry {
        self.with(|e| e.id.address.partition = partition)
    }

    fn stored(self, at: Millis) -> Entry {
        self.with(|e| {
            (e.meta.stored_at, e.meta.checked_at, e.meta.changed_at) = (at, at, at);
        })
    }
}

/// Entries that have everything an entry may have.
pub(crate) fn all_kinds() -> Vec<Entry> {
    let mut odd = HeaderMap::new();
    odd.insert(
        HeaderName::from_static("x-odd"),
        HeaderValue::from_bytes(b"caf\xe9").unwrap(),
    );
    let odd = Head::new(StatusCode::NOT_FOUND, &odd, None, NOW, NOW);
    let key = [FieldRef::Text("q"), FieldRef::Integer(-7)];
    let queried = RawKey::new(key, "a=b&c=%20").unwrap();
    vec![
        entry("1", "{\"kind\":\"lamp\",\"n\":1}"),
        entry("lines", "{\n  \"kind\": \"lamp\"\r\n}"),
        entry("bytes", vec![0_u8, 255, 254, 10, 13]),
        entry("empty", ""),
        entry("text", "caf\u{e9} \"quoted\" \\ \u{7f}\u{2028}"),
        entry("q", "[]").with(|e| e.id.address.key = queried),
        entry("p", "{}").of(Partition::principal("alice \"a\"").unwrap()),
        entry("odd", "nothing").with(|e| e.meta.head = Arc::new(odd)),
        entry("labelled", "1").with(|e| {
            e.meta.label = Some("The lamp".into());
            e.meta.tags = ["t".into(), "u \"v\"".into()].into();
            e.meta.columns = [FieldValue::Integer(-1)].into();
        }),
        entry("none", "1").with(|e| e.meta.columns = [FieldValue::Absent].into()),
        entry("never", "1").with(|e| e.meta.expires_at = Millis::MAX),
        entry("expired", "1").with(|e| e.meta.expires_at = NOW.minus(DAY / 2)),
        entry("confirmed", "1").with(|e| {
            e.meta.stored_at = NOW.minus(9 * DAY);
            e.meta.changed_at = NOW.minus(12 * DAY);
            e.meta.checked_at = NOW.minus(DAY);
        }),
    ]
}

/// Entries that hang on the secret of their store.
pub(crate) fn secret_kinds() -> Vec<Entry> {
    vec![
        entry("c", "{}").of(Partition::credential(7)),
        entry("v", "{}").with(|e| e.id.variant = Variant(9)),
        entry("v", "[]").with(|e| e.id.variant = Variant(u128::MAX)),
    ]
}

pub(crate) async fn table(store: &Arc<dyn Store>) -> Arc<dyn Table> {
    store.open(&spec()).await.unwrap()
}

pub(crate) async fn put(store: &Arc<dyn Store>, entries: impl IntoIterator<Item = Entry>) {
    let writes: Vec<Write> = entries
        .into_iter()
        .map(|e| Write {
            entry: Arc::new(e),
            fence: None,
        })
        .collect();
    table(store).await.write(&writes, NOW).await.unwrap();
}

pub(crate) async fn filled(entries: impl IntoIterator<Item = Entry>) -> Arc<dyn Store> {
    let store = memory();
    put(&store, entries).await;
    store
}

/// What a store holds: all but generations, ordered by identity.
pub(crate) async fn held(store: &Arc<dyn Store>) -> Vec<(EntryId, Meta, Bytes)> {
    let table = table(store).await;
    let everything = Selection::default();
    let entries = table.scan(&everything, Parts::Whole, NOW);
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    let mut all: Vec<_> = entries
        .iter()
        .map(|e| (e.id.clone(), e.meta.clone(), e.body.clone()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

pub(crate) async fn try_copy(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    options: CopyOptions,
) -> Result<Copied> {
    let everything = Portion::everything(&**from).await?;
    let steps = copy(from.clone(), to.clone(), everything, options, NOW);
    let steps: Vec<_> = steps.try_collect().await?;
    Ok(steps.last().unwrap().clone())
}

/// Copies everything, which has to end clean.
pub(crate) async fn copied(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Copied {
    let end = try_copy(from, to, CopyOptions::default()).await.unwrap();
    assert!(end.done);
    let verified = end.verified.as_ref().unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    end
}
