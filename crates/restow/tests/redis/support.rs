//! What the tests are written with.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, StatusCode};
use restow::{
    BoxFuture, Field, FieldRef, Millis, RawKey, Result, Selection,
    conformance::Subject,
    entry::{Address, Entry, EntryId, Head, Partition, Variant},
    store::{
        Column, Parts, Store, Table, TableSpec, Write,
        redis::{RedisOptions, RedisStore},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Stores in one place, each under a prefix of its own.
pub(crate) struct Places {
    url: String,
    made: AtomicUsize,
}

impl Places {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            made: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        format!("{}?prefix=t{n}&buckets=16", self.url)
    }
}

pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::open(RedisOptions::parse(url)?).await?))
}

impl Subject for Places {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        Box::pin(async { open(&self.next()).await })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move { open(&closed.to_string()).await.map(Some) })
    }
}

pub(crate) const T0: Millis = Millis(1_800_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn spec() -> TableSpec {
    TableSpec {
        columns: [Column {
            name: "kind".into(),
            pointer: "/kind".into(),
        }]
        .into(),
        ..TableSpec::new("tracks", [Field::text("id")]).unwrap()
    }
}

pub(crate) fn address(id: &str) -> Address {
    Address {
        key: RawKey::new([FieldRef::Text(id)], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

/// An entry that says in its body which it is.
pub(crate) fn entry(id: &str, body: impl Into<Bytes>) -> Entry {
    let head = Head::new(StatusCode::OK, &HeaderMap::new(), None, T0, T0);
    let id = EntryId {
        address: address(id),
        variant: Variant::NONE,
    };
    Entry::new(id, head, body.into(), T0, T0.plus(DAY))
}

pub(crate) fn writes(entries: impl IntoIterator<Item = Entry>) -> Vec<Write> {
    let entries = entries.into_iter().map(Arc::new);
    entries.map(|entry| Write { entry, fence: None }).collect()
}

pub(crate) fn numbered(numbers: std::ops::Range<usize>, bytes: usize) -> Vec<Write> {
    writes(numbers.map(|n| entry(&n.to_string(), body(n, bytes))))
}

/// A body that is of this number, and of no other.
pub(crate) fn body(n: usize, bytes: usize) -> Vec<u8> {
    let mut body = format!("{n}:").into_bytes();
    body.resize(bytes.max(body.len()), b'x');
    body
}

pub(crate) async fn held(table: &Arc<dyn Table>) -> u64 {
    table.count(&Selection::default(), T0).await.unwrap()
}

pub(crate) async fn bodies(table: &Arc<dyn Table>, id: &str) -> restow::Result<Vec<Bytes>> {
    let found = table.read(&address(id), Parts::Whole, T0).await?;
    Ok(found.iter().map(|e| e.body.clone()).collect())
}

/// Checks that what is counted is what a scan gives and what reads find, of entries numbered so.
pub(crate) async fn agrees(table: &Arc<dyn Table>, numbers: std::ops::Range<usize>) -> u64 {
    let scanned: Vec<Arc<Entry>> = table
        .scan(&Selection::default(), Parts::Whole, T0)
        .try_collect()
        .await
        .unwrap();
    let at: Vec<_> = numbers.map(|n| address(&n.to_string())).collect();
    let read = table.read_many(&at, Parts::Whole, T0).await.unwrap();
    let read = read.iter().filter(|found| !found.is_empty()).count();
    assert_eq!(scanned.len(), read, "what is scanned is what is read");
    assert_eq!(
        held(table).await,
        read as u64,
        "what is counted is what is read"
    );
    read as u64
}
