//! Entries and stores to test with.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use restow::{
    Field, FieldRef, Millis, RawKey,
    entry::{Address, Entry, EntryId, Found, Head, Partition, Variant},
    store::{
        Parts, Store, Table, TableSpec, Write,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::{path::Path, sync::Arc, time::Duration};

pub(crate) const T0: Millis = Millis(1_780_000_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::file(path)).await.unwrap()
}

pub(crate) async fn memory() -> SqliteStore {
    SqliteStore::open(SqliteOptions::memory()).await.unwrap()
}

pub(crate) fn tracks() -> TableSpec {
    TableSpec::new(
        "tracks",
        vec![Field::text("id"), Field::text("market").optional()],
    )
    .unwrap()
}

pub(crate) fn at(id: &str) -> Address {
    at_market(id, FieldRef::Absent)
}

pub(crate) fn at_market(id: &str, market: FieldRef<'_>) -> Address {
    Address {
        key: RawKey::new([FieldRef::Text(id), market], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

pub(crate) fn head(etag: &str) -> Head {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_str(etag).unwrap());
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Head::new(
        StatusCode::OK,
        &headers,
        Some("https://api.example.com/"),
        T0,
        T0,
    )
}

pub(crate) fn entry(address: Address, body: impl Into<Bytes>) -> Entry {
    let id = EntryId {
        address,
        variant: Variant::NONE,
    };
    Entry::new(id, head("\"1\""), body.into(), T0, T0.plus(HOUR))
}

pub(crate) fn write(entry: Entry) -> Write {
    Write {
        entry: Arc::new(entry),
        fence: None,
    }
}

pub(crate) async fn save(table: &dyn Table, address: Address, body: &str) {
    let entries = [write(entry(address, body.to_owned()))];
    table.write(&entries, T0).await.unwrap();
}

pub(crate) async fn get(table: &dyn Table, address: &Address) -> Found {
    table.read(address, Parts::Whole, T0).await.unwrap()
}

pub(crate) async fn body(table: &dyn Table, address: &Address) -> Option<Bytes> {
    get(table, address)
        .await
        .iter()
        .next()
        .map(|e| e.body.clone())
}

pub(crate) async fn open_tracks(store: &SqliteStore) -> Arc<dyn Table> {
    store.open(&tracks()).await.unwrap()
}

/// Opens the file as anybody else would.
pub(crate) fn plain(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
