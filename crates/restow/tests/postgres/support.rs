//! What the tests share.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use restow::{
    Field, FieldRef, Millis, RawKey, Result,
    entry::{Address, Entry, EntryId, Head, Partition, Variant},
    store::{Parts, PostgresOptions, PostgresStore, Store, Table, TableSpec, Write},
};
use std::{sync::Arc, time::Duration};

pub const T0: Millis = Millis(1_780_000_000_000);
pub const HOUR: Duration = Duration::from_secs(3_600);

/// Opens the store at a URL.
pub async fn open(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(
        PostgresStore::open(PostgresOptions::parse(url)?).await?,
    ))
}

pub fn tracks() -> TableSpec {
    TableSpec::new("tracks", vec![Field::text("id")]).unwrap()
}

pub fn at(id: &str) -> Address {
    Address {
        key: RawKey::new([FieldRef::Text(id)], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

pub fn entry(address: Address, body: &str) -> Entry {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
    let url = Some("https://api.example.com/");
    let head = Head::new(StatusCode::OK, &headers, url, T0, T0);
    let id = EntryId {
        address,
        variant: Variant::NONE,
    };
    Entry::new(id, head, body.to_owned().into(), T0, T0.plus(HOUR))
}

pub fn write(entry: Entry) -> Write {
    Write {
        entry: Arc::new(entry),
        fence: None,
    }
}

pub async fn save(table: &dyn Table, id: &str, body: &str) -> Result<()> {
    table.write(&[write(entry(at(id), body))], T0).await
}

pub async fn body(table: &dyn Table, id: &str) -> Result<Option<String>> {
    let found = table.read(&at(id), Parts::Whole, T0).await?;
    let text = |e: &Arc<Entry>| String::from_utf8(e.body.to_vec()).unwrap();
    Ok(found.iter().next().map(text))
}
