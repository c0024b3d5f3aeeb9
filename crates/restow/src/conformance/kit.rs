//! What the promises are written with.

use super::Subject;
use crate::{
    Error, ErrorKind, Field, FieldRef, FieldValue, Millis, RawKey, Selection,
    entry::{Address, Entry, EntryId, Found, Generation, Head, Meta, Partition, Seal, Variant},
    store::{Column, Parts, Renewal, Store, Table, TableSpec, Write},
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::{fmt::Display, sync::Arc, time::Duration};

/// The moment at which most promises begin.
pub(super) const T0: Millis = Millis(1_800_000_000_000);
/// How long an entry lives unless a promise says otherwise.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// How long an expired entry is kept in a table of [`spec`].
pub(super) const KEEP: Duration = Duration::from_secs(10 * 86_400);
pub(super) const MS: Duration = Duration::from_millis(1);

/// Whether a promise is kept.
pub(super) type Kept<T = ()> = Result<T, Broken>;

/// Why a promise counts as not kept.
#[derive(Debug)]
pub(super) enum Broken {
    /// It is broken.
    Because(String),
    /// The store does not make it.
    NotPromised(&'static str),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Because(format!("a call failed with {:?}: {error}", error.kind()))
    }
}

impl From<tokio::task::JoinError> for Broken {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Because(format!("a task failed: {error}"))
    }
}

/// Breaks the promise where a condition does not hold.
macro_rules! ensure {
    ($condition:expr, $($said:tt)+) => {
        if !$condition {
            return Err($crate::conformance::kit::Broken::Because(format!($($said)+)));
        }
    };
}

/// Breaks the promise where two values are not the same.
macro_rules! same {
    ($got:expr, $wanted:expr, $($said:tt)+) => {
        $crate::conformance::kit::compare(&$got, &$wanted, || format!($($said)+))?
    };
}

/// Names functions as promises, each with what it promises.
macro_rules! promises {
    ($($name:ident: $doc:literal,)+) => {
        pub(super) const PROMISES: &[$crate::conformance::Promise] = &[$(
            $crate::conformance::Promise {
                name: const {
                    // The path below `conformance::` is what people look for.
                    $crate::conformance::kit::below_conformance(concat!(module_path!(), "::", stringify!($name)))
                },
                doc: $doc,
                check: |subject| Box::pin($name(subject)),
            },
        )+];
    };
}

pub(super) use {ensure, promises, same};

/// Leaves out `restow::conformance::` of a path.
pub(super) const fn below_conformance(path: &'static str) -> &'static str {
    let root = module_path!().len() - "kit".len();
    path.split_at(root).1
}

pub(super) fn compare<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    got: &T,
    wanted: &U,
    what: impl FnOnce() -> String,
) -> Kept {
    if got == wanted {
        return Ok(());
    }
    Err(Broken::Because(format!(
        "{}: got {}, wanted {}",
        what(),
        short(&format!("{got:?}")),
        short(&format!("{wanted:?}"))
    )))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(400) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}.. ({} bytes)", text.split_at(end).0, text.len()),
    }
}

/// Breaks the promise where a call does not fail with this kind.
pub(super) fn fails<T>(
    result: Result<T, Error>,
    kind: ErrorKind,
    what: impl Display,
) -> Kept<Error> {
    match result {
        Ok(_) => Err(Broken::Because(format!(
            "{what}: it succeeded, it should fail with {kind:?}"
        ))),
        Err(e) if e.kind() == kind => Ok(e),
        Err(e) => Err(Broken::Because(format!(
            "{what}: it failed with {:?} ({e}), it should with {kind:?}",
            e.kind()
        ))),
    }
}

/// The spec of most promises: `id`, `market?`, `page:int?`; columns `artist` and `year`.
pub(super) fn spec() -> Kept<TableSpec> {
    let fields = [
        Field::text("id"),
        Field::text("market").optional(),
        Field::integer("page").optional(),
    ];
    let column = |name: &str| Column {
        name: name.into(),
        pointer: format!("/{name}").into(),
    };
    Ok(TableSpec {
        columns: Arc::new([column("artist"), column("year")]),
        keep: KEEP,
        ..TableSpec::new("tracks", fields)?
    })
}

/// A fresh store with one table open.
pub(super) struct Trial {
    pub(super) store: Arc<dyn Store>,
    pub(super) table: Arc<dyn Table>,
}

impl Trial {
    /// Makes a store with the table of [`spec`].
    pub(super) async fn start(subject: &dyn Subject) -> Kept<Self> {
        Self::with(subject, &spec()?).await
    }

    pub(super) async fn with(subject: &dyn Subject, spec: &TableSpec) -> Kept<Self> {
        let store = subject.fresh().await?;
        let table = store.open(spec).await?;
        Ok(Self { store, table })
    }

    /// Closes the store and opens it and its table again.
    pub(super) async fn reopen(self, subject: &dyn Subject) -> Kept<Self> {
        if !self.store.capabilities().durable {
            return Err(Broken::NotPromised("durable"));
        }
        let spec = self.table.spec().clone();
        self.store.close().await?;
        let Some(store) = subject.reopen(&self.store).await? else {
            return Err(Broken::Because(
                "the store says that it is durable, and cannot be opened again".to_owned(),
            ));
        };
        let table = store.open(&spec).await?;
        Ok(Self { store, table })
    }

    pub(super) async fn write(
        &self,
        now: Millis,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Kept {
        Ok(self.table.write(&writes(entries), now).await?)
    }

    /// Reads all of an address, ordered by variant.
    pub(super) async fn read(&self, at: &Address, now: Millis) -> Kept<Vec<Arc<Entry>>> {
        Ok(sorted(self.table.read(at, Parts::Whole, now).await?))
    }

    /// Reads the only entry of an address.
    pub(super) async fn one(&self, at: &Address, now: Millis) -> Kept<Arc<Entry>> {
        let found = self.read(at, now).await?;
        let number = found.len();
        match (found.into_iter().next(), number) {
            (Some(entry), 1) => Ok(entry),
            _ => Err(Broken::Because(format!(
                "at {} in {}: got {number} entries, wanted one",
                at.key, at.partition
            ))),
        }
    }

    pub(super) async fn count(&self, which: &Selection, now: Millis) -> Kept<u64> {
        Ok(self.table.count(which, now).await?)
    }

    /// Counts everything.
    pub(super) async fn all(&self, now: Millis) -> Kept<u64> {
        self.count(&Selection::default(), now).await
    }

    /// Scans for whole entries, ordered by identity.
    pub(super) async fn scan(&self, which: &Selection, now: Millis) -> Kept<Vec<Arc<Entry>>> {
        let mut found: Vec<_> = self
            .table
            .scan(which, Parts::Whole, now)
            .try_collect()
            .await?;
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    pub(super) async fn renew(&self, now: Millis, of: &Entry, meta: Meta) -> Kept<u64> {
        Ok(self.table.renew(&[renewal(of, meta)], now).await?)
    }

    /// Writes an entry, reads it, and checks that it came back.
    pub(super) async fn comes_back(&self, entry: Entry) -> Kept<Arc<Entry>> {
        let now = entry.meta.stored_at;
        self.write(now, [entry.clone()]).await?;
        let got = self.one(&entry.id.address, now).await?;
        same_entry(&got, &entry)?;
        Ok(got)
    }
}

pub(super) fn sorted(found: Found) -> Vec<Arc<Entry>> {
    let mut entries: Vec<_> = found.into_iter().collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    entries
}

pub(super) fn writes(entries: impl IntoIterator<Item = Entry>) -> Vec<Write> {
    let entries = entries.into_iter().map(Arc::new);
    entries.map(|entry| Write { entry, fence: None }).collect()
}

pub(super) fn renewal(of: &Entry, meta: Meta) -> Renewal {
    Renewal {
        id: of.id.clone(),
        read: of.generation,
        meta,
    }
}

/// Returns the public address of the track `id`.
pub(super) fn address(id: &str) -> Kept<Address> {
    address_of(key(id, FieldRef::Absent, FieldRef::Absent, "")?)
}

pub(super) fn address_of(key: RawKey) -> Kept<Address> {
    Ok(Address {
        key,
        partition: Partition::PUBLIC,
    })
}

pub(super) fn key(id: &str, market: FieldRef<'_>, page: FieldRef<'_>, query: &str) -> Kept<RawKey> {
    Ok(RawKey::new([FieldRef::Text(id), market, page], query)?)
}

/// Returns an entry of the track `id`, stored at [`T0`], alive for a [`DAY`].
pub(super) fn entry(id: &str) -> Kept<Entry> {
    entry_at(address(id)?)
}

pub(super) fn entry_at(address: Address) -> Kept<Entry> {
    let body = format!("{{\"key\": \"{}\"}}", address.key).into();
    let head = head(
        200,
        &[("content-type", b"application/json"), ("etag", b"\"1\"")],
    )?;
    let id = EntryId {
        address,
        variant: Variant::NONE,
    };
    Ok(Entry::new(id, head, body, T0, T0.plus(DAY)))
}

pub(super) fn head(status: u16, headers: &[(&str, &[u8])]) -> Kept<Head> {
    head_from(status, headers, Some("https://api.example.com/v1/tracks"))
}

pub(super) fn head_from(status: u16, headers: &[(&str, &[u8])], url: Option<&str>) -> Kept<Head> {
    let ours = |e: String| Broken::Because(format!("the suite made a wrong head: {e}"));
    let status = StatusCode::from_u16(status).map_err(|e| ours(e.to_string()))?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).map_err(|e| ours(e.to_string()))?,
            HeaderValue::from_bytes(value).map_err(|e| ours(e.to_string()))?,
        );
    }
    Ok(Head::new(status, &map, url, T0, T0))
}

/// Changes parts of an entry while it is made.
pub(super) trait Edit: Sized {
    fn within(self, partition: Partition) -> Self;
    fn variant(self, variant: u128) -> Self;
    /// Stored at this moment, and alive for a day.
    fn stored(self, at: Millis) -> Self;
    fn expires(self, at: Millis) -> Self;
    fn head(self, head: Head) -> Self;
    fn body(self, body: impl Into<Bytes>) -> Self;
    fn label(self, label: &str) -> Self;
    fn columns(self, artist: impl Into<FieldValue>, year: impl Into<FieldValue>) -> Self;
    fn tags(self, tags: &[&str]) -> Self;
}

impl Edit for Entry {
    fn within(mut self, partition: Partition) -> Self {
        self.id.address.partition = partition;
        self
    }

    fn variant(mut self, variant: u128) -> Self {
        self.id.variant = Variant(variant);
        self
    }

    fn stored(mut self, at: Millis) -> Self {
        self.meta.stored_at = at;
        self.meta.checked_at = at;
        self.meta.changed_at = at;
        self.expires(at.plus(DAY))
    }

    fn expires(mut self, at: Millis) -> Self {
        self.meta.expires_at = at;
        self
    }

    fn head(mut self, head: Head) -> Self {
        self.meta.head = Arc::new(head);
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.meta.seal = Seal::of(&self.body);
        self
    }

    fn label(mut self, label: &str) -> Self {
        self.meta.label = Some(label.into());
        self
    }

    fn columns(mut self, artist: impl Into<FieldValue>, year: impl Into<FieldValue>) -> Self {
        self.meta.columns = Arc::new([artist.into(), year.into()]);
        self
    }

    fn tags(mut self, tags: &[&str]) -> Self {
        self.meta.tags = tags.iter().map(|t| Box::from(*t)).collect();
        self
    }
}

/// Checks that an entry that was read is the one that was written, whatever generation it was given.
pub(super) fn same_entry(got: &Entry, wanted: &Entry) -> Kept {
    same!(got.id, wanted.id, "identity");
    same_meta(&got.meta, &wanted.meta)?;
    same!(got.body, wanted.body, "body of {}", wanted.id.address.key);
    ensure!(
        got.generation != Generation::UNKNOWN,
        "the entry at {} has no generation",
        wanted.id.address.key
    );
    Ok(())
}

pub(super) fn same_meta(got: &Meta, wanted: &Meta) -> Kept {
    let (head, wanted_head) = (&got.head, &wanted.head);
    same!(head.status(), wanted_head.status(), "status");
    same!(head.lines(), wanted_head.lines(), "header lines");
    same!(head.url(), wanted_head.url(), "url");
    same!(head, wanted_head, "head");
    same!(got.seal, wanted.seal, "seal");
    same!(got.label, wanted.label, "label");
    same!(got.stored_at, wanted.stored_at, "stored_at");
    same!(got.checked_at, wanted.checked_at, "checked_at");
    same!(got.changed_at, wanted.changed_at, "changed_at");
    same!(got.expires_at, wanted.expires_at, "expires_at");
    same!(present(&got.columns), present(&wanted.columns), "columns");
    let tags = |meta: &Meta| {
        let mut tags = meta.tags.to_vec();
        tags.sort();
        tags
    };
    same!(tags(got), tags(wanted), "tags");
    Ok(())
}

/// Columns without the absent ones at the end: none at all and all absent are alike.
fn present(columns: &[FieldValue]) -> &[FieldValue] {
    let mut rest = columns;
    while let [before @ .., FieldValue::Absent] = rest {
        rest = before;
    }
    rest
}

/// Returns the identities, in order.
pub(super) fn ids<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<EntryId> {
    let mut ids: Vec<_> = entries.into_iter().map(|e| e.id.clone()).collect();
    ids.sort();
    ids
}
