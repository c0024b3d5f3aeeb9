//! Entries in Redis or Valkey: one server, one behind Sentinels, or a cluster.
//!
//! An address is a string with the metas and the body of each of its variants, found by one round trip (a large body is beside it, and takes another
//! one); the server lets it go when the last of them is past its keep. Beside it, in the same slot, is a part of an index, by which entries are counted, cleared and listed. Every change
//! of both is one script, so that they never disagree. What the server removes by itself, by time or for want of memory, goes out of
//! the index when somebody comes upon it.
//!
//! **All or none.** On one server a write is one script. Over the slots of a cluster its leases and keys are checked first; then all
//! parts are written, whether somebody still waits for them or not. Where a server is lost at that moment, a part may be missing: each
//! entry is whole or not there.
//!
//! **Full memory.** Set `maxmemory-policy` to one of `volatile-*`: every entry has a time to live, and nothing else has. See
//! [`MemoryPolicy`].
//!
//! Redis from 6.2 on will do, and Valkey.

mod blocks;
mod change;
mod changes;
mod clients;
mod cluster;
mod core;
mod error;
mod gather;
mod keys;
mod leases;
mod link;
mod metas;
mod options;
mod policy;
mod reads;
mod rows;
mod schema;
mod script;
mod table;
mod upkeep;
mod uses;
mod walk;
mod writes;

pub use options::RedisOptions;

use self::core::Core;
use super::{
    Budget, Capabilities, Change, Health, Leases, MemoryPolicy, Store, Table, TableName, TableSpec,
    Trimmed,
};
use crate::{BoxFuture, BoxStream, ErrorKind, Result};
use leases::RedisLeases;
use link::Link;
use std::{fmt, sync::Arc};
use table::RedisTable;

/// A store in Redis or Valkey. Its clones are one store, with one connection that all tasks share.
///
/// ```no_run
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use restow::store::{Store, redis::{RedisOptions, RedisStore}};
/// let store = RedisStore::open(RedisOptions::parse("redis://127.0.0.1/?prefix=music")?).await?;
/// assert_eq!(store.to_string(), "redis://127.0.0.1:6379?prefix=music");
/// store.close().await?;
/// # Ok::<(), restow::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore {
    core: Arc<Core>,
}

impl RedisStore {
    /// What such a store can do, wherever it is.
    pub const CAPABILITIES: Capabilities = Capabilities {
        durable: true,
        shared: true,
        read_only: false,
        native_expiry: true,
    };

    /// The format of what this version writes, and the only one that it reads.
    pub const FORMAT: u32 = schema::FORMAT;

    /// Connects, and makes what a new place needs. What somebody began to remove is removed to the end.
    ///
    /// # Errors
    /// [`Format`](crate::ErrorKind::Format) where another format is there, [`Store`](crate::ErrorKind::Store) where the server cannot be
    /// reached or refuses, [`Busy`](crate::ErrorKind::Busy) while it is loading, [`Config`](crate::ErrorKind::Config) where it
    /// does not let this user in, has no such database, or is another kind of server than the options say.
    ///
    /// # Cancel safety
    /// Dropped, it leaves nothing but perhaps the hash `prefix:meta`.
    pub async fn open(options: RedisOptions) -> Result<Self> {
        let mut sender = [0; 16];
        schema::random(&mut sender)?;
        let core = Arc::new(Core::new(Link::open(options).await?, sender));
        schema::begin(&core).await?;
        change::clean_up(&core).await?;
        core.watch_format();
        Ok(Self { core })
    }

    /// Returns the format of a store, and changes nothing; `None` where there is no store. One that is no number is format 0.
    ///
    /// # Errors
    /// As [`open`](Self::open) where the server cannot be asked.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn format(options: RedisOptions) -> Result<Option<u32>> {
        let core = Core::new(Link::open(options).await?, [0; 16]);
        let format = schema::format(&core).await;
        core.link.close();
        format
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let opened = change::open(&self.core, spec).await;
            let rows = opened.map_err(|e| e.in_repository(spec.name.shared()))?;
            if rows.is_ranked()
                && let Ok(policy) = policy::read(&self.core).await
                && let Some(advice) = policy.advice()
            {
                tracing::warn!(repository = %spec.name, store = %self, policy = policy.policy, "{advice}");
            }
            Ok(Arc::new(RedisTable::new(rows)) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(async move {
            self.core.ready().await?;
            let all = schema::all(&self.core).await?;
            Ok(all.into_iter().map(|stored| stored.spec).collect())
        })
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        Box::pin(change::remove(&self.core, table))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        Box::pin(async move {
            self.core.ready().await?;
            schema::begin(&self.core).await
        })
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.core.ready().await?;
            schema::adopt(&self.core, secret).await
        })
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(Arc::new(RedisLeases(self.core.clone())))
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        Some(changes::changes(self.core.clone()))
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(upkeep::trim(&self.core, most, limit))
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.core.ready().await?;
            self.core.tell_uses().await
        })
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>> {
        Box::pin(async move { policy::read(&self.core).await.map(Some) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.core.check_open().is_err() {
                return Ok(());
            }
            let told = match self.core.ready().await {
                Ok(()) => self.core.tell_uses().await,
                Err(error) => Err(error),
            };
            self.core.close();
            self.core.link.close();
            match told {
                // What was used last is nothing to who writes another format.
                Err(error) if error.kind() == ErrorKind::Format => Ok(()),
                told => told,
            }
        })
    }
}

impl fmt::Display for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.core.link.place())
    }
}
