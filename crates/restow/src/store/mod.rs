//! The contract of a backend: all that a new store implements.
//!
//! A [`Store`] opens tables, and a [`Table`] holds the entries of one repository. Programs use neither: they [`connect`], and work with a
//! [`Cache`](crate::Cache). Who writes a store implements both; `examples/custom_store.rs` wraps one and `map_store.rs` is a whole one, and the feature `conformance`
//! tests that it keeps every promise:
//!
//! - **Time is an argument.** A store reads no clock; `now` decides what is live, expired, or past its `keep` and gone.
//! - **Answers keep the order and the number of the questions.** A read gives every variant that is retained, and judges none.
//! - **A write is all or none**, and durable when it returns as far as the store goes. A renewal changes only the generation it read.
//! - **Futures can be dropped** at any point, and leave no half of anything behind.

mod ages;
mod breaker;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod certificate;
mod connect;
mod ddl;
pub(crate) mod declared;
mod format;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod gather;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod ident;
mod lease;
pub mod memory;
mod parameters;
mod parts;
mod policy;
#[cfg(feature = "postgres")]
pub mod postgres;
mod recent;
#[cfg(feature = "redis")]
pub mod redis;
mod schema;
mod spec;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod tiered;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod uses;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod watch;

pub use ages::{Ages, Share};
pub use breaker::{BreakerOptions, BreakerState, GuardedStore, Health, SideHealth};
pub use connect::connect;
pub(crate) use connect::{connect_with, tiered as with_tier};
pub use ddl::ddl;
pub use format::{Format, format};
pub use lease::{Fence, Lease, Leases};
pub use memory::{MemoryOptions, MemoryStore};
pub use policy::MemoryPolicy;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "redis")]
pub use redis::{RedisOptions, RedisStore};
pub use schema::{FieldSource, Migration, SchemaChange};
pub use spec::{Budget, Column, Compression, OnSchemaChange, TableName, TableSpec};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};
pub use tiered::{TierOptions, TieredStore};

use crate::{
    Millis, Result, Selection,
    answer::{Answer, BoxFuture, BoxStream},
    entry::{Address, Entry, EntryId, Found, Generation, Meta, Partition},
};
use std::{
    fmt::{Debug, Display},
    sync::Arc,
};

/// A place that holds tables of entries. `Display` says where it is, without a password.
///
/// Implementers write every method; users hold a `Cache` and need not import this trait. Every future
/// is cancel-safe: dropped at any await it leaves no half entry, no lost permit and no deadlock. After `close`, every
/// call answers [`ErrorKind::Closed`](crate::ErrorKind::Closed).
pub trait Store: Debug + Display + Send + Sync + 'static {
    /// Returns the kind of store, as in its URL's scheme: `memory`, `sqlite`, `postgres`, `redis`.
    fn kind(&self) -> &'static str;

    /// Returns what it can do.
    fn capabilities(&self) -> Capabilities;

    /// Opens a table, making it where there is none, and remembers its declaration.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) where the table's fields or columns differ and the spec does not let it change.
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>>;

    /// Returns what is there, without any declaration; ordered by name.
    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>>;

    /// Removes a table and all its entries; `false` where there is none.
    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>>;

    /// Returns the key of this cache's digests; made once, by whoever comes first.
    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>>;

    /// Takes over the key of another cache's digests, so that entries which hang on it can be moved here; tells whether [`secret`](Self::secret)
    /// is this one now.
    ///
    /// A store that has a table, empty or not, keeps its own, for somebody may be using it; where its own is this one already, the answer is `true`.
    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>>;

    /// Returns how to agree on one fetch across processes, where the store can.
    fn leases(&self) -> Option<Arc<dyn Leases>>;

    /// Returns what other processes change, where the store can tell.
    ///
    /// It says [`Change::Everything`] whenever it has begun to listen, and [`Change::Silence`] where it listens no more until then, such as at the
    /// loss of a connection. Its end means that it never will again.
    fn changes(&self) -> Option<BoxStream<'static, Change>>;

    /// Removes up to `limit` entries, whichever tables they are in, the least recently used first, until all tables together are
    /// within `most`; tells what they hold then.
    ///
    /// What is past its `keep` counts like the rest: who wants it to go first sweeps the tables before.
    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>>;

    /// Waits until all accepted writes are as durable as the store makes them.
    fn commit(&self) -> BoxFuture<'_, Result<()>>;

    /// Returns how it does, where somebody watches: a [`GuardedStore`] does. A wrapper asks what it wraps; a store by itself answers `None`.
    fn health(&self) -> Option<Health>;

    /// Returns what its server does when its memory is full, where a server keeps entries in memory: it may remove them before they expire. It
    /// is asked anew each time. A wrapper asks what it wraps.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) where the server fails, or does not tell this user.
    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>>;

    /// Commits, then lets go of everything; a second call does nothing.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// A table of entries: one repository's. It is told the time; bulk answers keep the order and number of the questions.
///
/// What is past its `keep` is gone for every method but [`sweep`](Self::sweep), which removes it. A damaged entry is
/// never returned: it counts as absent. An address whose key does not have the fields of the table (their number and
/// kinds, see [`TableSpec::check_key`]) is an [`ErrorKind::Key`](crate::ErrorKind::Key) for every method that takes one.
pub trait Table: Debug + Send + Sync + 'static {
    /// Returns what it was opened with.
    fn spec(&self) -> &TableSpec;

    /// Reads every retained variant at `at`, expired ones too.
    ///
    /// # Errors
    /// [`Key`](crate::ErrorKind::Key) where the key does not have the table's fields.
    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>>;

    /// Reads as [`read`](Self::read) does, and never from a copy that may be a moment old: no replica, and no memory of this process. So asks who
    /// waited for what another one writes.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_latest<'a>(
        &'a self,
        at: &'a Address,
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        self.read(at, parts, now)
    }

    /// Reads many addresses at once: answer `i` is for address `i`.
    ///
    /// # Errors
    /// As [`read`](Self::read), where any of the keys does not fit.
    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>>;

    /// Reads as [`read_many`](Self::read_many) does, and never from a copy that may be a moment old: no replica, and no memory of this process. So
    /// asks who compares what is here with what comes, and who holds it for others.
    ///
    /// # Errors
    /// As for [`read_many`](Self::read_many).
    fn read_many_latest<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.read_many(at, parts, now)
    }

    /// Writes entries, all or none; the last of several with one identity stays. An entry whose body is the same as before keeps its `changed_at`.
    ///
    /// # Errors
    /// [`Key`](crate::ErrorKind::Key) where a key does not have the table's fields, [`Fenced`](crate::ErrorKind::Fenced)
    /// where a fence is no longer the newest, [`TooLarge`](crate::ErrorKind::TooLarge) where the store could never hold
    /// an entry; then none of them is written.
    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>>;

    /// Puts new metas on entries whose generation is still the one read; returns how many were.
    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>>;

    /// Deletes every variant at each address; returns at how many addresses there was a retained one.
    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>>;

    /// Counts the entries selected.
    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>>;

    /// Removes up to `limit` of the entries selected; returns how many. A caller that wants them all calls until it returns 0.
    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>>;

    /// Removes up to `limit` entries: what is past its `keep`, then what the budget does not allow, least recently used first. Returns how many.
    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>>;

    /// Streams the entries selected, each once, in no order; entries that change meanwhile come in either state or not at all.
    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>>;

    /// Returns the declared columns that older entries may have no values for yet, because they were added later.
    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>>;

    /// Notes that every entry has values for these columns now.
    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>>;

    /// Returns numbers about the table.
    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>>;

    /// Returns the partitions that hold entries, and how many each holds, in no order. Those past their `keep` may count until they are removed.
    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>>;

    /// Returns a number that stays the same as long as nobody but this store, by any of its handles, changes what is stored; `None` where
    /// that cannot be told at once. A memory tier asks for it instead of asking for each entry.
    fn foreign_changes(&self) -> Option<u64>;
}

/// Which parts of an entry a read needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parts {
    /// The meta with its header lines, no body: for `contains` and `ls`.
    Meta,
    /// The body with status, facts, when it was stored, confirmed and when it expires; no header lines, and nothing else of the meta: for a typed `get`.
    Body,
    /// All: for a client.
    Whole,
}

/// An entry to write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The entry; its generation is given by the store.
    pub entry: Arc<Entry>,
    /// The lease it was fetched under, if it was.
    pub fence: Option<Fence>,
}

/// A new meta on an old body: applied only while the entry is still the one that was read.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Which entry.
    pub id: EntryId,
    /// The generation that was read.
    pub read: Generation,
    /// What it gets.
    pub meta: Meta,
}

/// What a store can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Entries outlive the process.
    pub durable: bool,
    /// Several processes may use it at once.
    pub shared: bool,
    /// Writes, renewals and deletes go nowhere.
    pub read_only: bool,
    /// It removes what is past its `keep` by itself.
    pub native_expiry: bool,
}

/// Numbers about a table; sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Retained entries.
    pub entries: u64,
    /// Those of them that have expired.
    pub expired: u64,
    /// Header lines, URLs and bodies of retained entries.
    pub bytes: u64,
    /// When the oldest was stored.
    pub oldest: Option<Millis>,
    /// When the newest was stored.
    pub newest: Option<Millis>,
    /// How old they are, and how soon they expire.
    pub ages: Ages,
    /// Whether the numbers are exact, not estimated; [`ages`](Self::ages) say so for themselves.
    pub exact: bool,
}

/// What came of trimming a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trimmed {
    /// Entries removed.
    pub removed: u64,
    /// Entries held now, over all tables.
    pub entries: u64,
    /// Bytes held now: header lines, URLs and bodies.
    pub bytes: u64,
}

/// What another process changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// The entries at one address.
    Address(TableName, Address),
    /// A whole table.
    Table(TableName),
    /// Nobody knows what; from now on changes are told.
    Everything,
    /// From now on changes may go untold, until the next [`Everything`](Self::Everything).
    Silence,
}
