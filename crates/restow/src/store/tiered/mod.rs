//! Memory before a store: what was read lately is answered without asking it.

mod bounded;
mod held;
mod options;
mod table;

pub use options::TierOptions;

use super::{
    Budget, Capabilities, Change, Health, Leases, MemoryPolicy, Store, Table, TableName, TableSpec,
    Trimmed,
};
use crate::{
    Result,
    answer::{BoxFuture, BoxStream},
};
use futures_util::StreamExt;
use held::Tier;
use std::{fmt, sync::Arc};
use table::TieredTable;
use tokio::task::JoinHandle;

/// A store with a memory tier before it, bounded by bytes. Entries are shared, never copied.
///
/// What this process writes, renews, deletes, clears, sweeps or removes through it is seen at once. What another process does is seen as soon
/// as the store [tells it](Store::changes), and within [`TierOptions::recheck`] where it tells nothing: a store that knows whether others changed
/// anything (SQLite) is asked that twice in this time; where they did, or it does not know, an entry held longer is compared with the store's by its
/// generation. A write that failed, or whose future was dropped, may still happen: for five minutes what is held of its address is believed for
/// no longer than that time where the store tells of others' changes; and with SQLite it is seen where others write too. Absence is never held. Once in five minutes
/// an entry is compared in any case: so the store hears of its use. Whoever changes the inner store by another
/// handle of the same store object goes behind the tier's back.
///
/// A URL says it with `memory=`, a builder with [`memory`](crate::CacheBuilder::memory).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::store::{MemoryStore, Store, TierOptions, TieredStore};
/// use std::sync::Arc;
/// // Any store can be beneath it, one of your own too.
/// let beneath = Arc::new(MemoryStore::default());
/// let store = TieredStore::new(beneath, TierOptions::new(64 << 20))?;
/// assert_eq!(store.kind(), "memory");
/// # Ok(())
/// # }
/// ```
pub struct TieredStore {
    inner: Arc<dyn Store>,
    tier: Arc<Tier>,
    listener: Option<JoinHandle<()>>,
}

impl TieredStore {
    /// Puts a tier before `inner`. Where that store tells what others change, a task of the current tokio runtime listens.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) where the tier could hold nothing.
    pub fn new(inner: Arc<dyn Store>, options: TierOptions) -> Result<Self> {
        let tier = Arc::new(Tier::new(options)?);
        let listener = tokio::runtime::Handle::try_current()
            .ok()
            .and_then(|runtime| {
                let changes = inner.changes()?;
                Some(runtime.spawn(listen(changes, tier.clone())))
            });
        Ok(Self {
            inner,
            tier,
            listener,
        })
    }

    /// Returns the bytes it holds now.
    pub fn held_bytes(&self) -> u64 {
        self.tier.bytes()
    }
}

/// Lets the tier forget what others change, until the store tells no more.
async fn listen(mut changes: BoxStream<'static, Change>, tier: Arc<Tier>) {
    let _deaf = Deaf(&tier);
    while let Some(change) = changes.next().await {
        match change {
            Change::Address(table, at) => {
                let line = tier.line(&table);
                tier.change(&[tier.hash(&line, &at)]);
            }
            Change::Table(table) => tier.line(&table).change(),
            Change::Everything => tier.hear(true),
            Change::Silence => tier.hear(false),
        }
    }
}

/// Lets the tier ask the store again, when nobody listens any more.
struct Deaf<'a>(&'a Tier);

impl Drop for Deaf<'_> {
    fn drop(&mut self) {
        self.0.hear(false);
    }
}

impl Drop for TieredStore {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for TieredStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let line = self.tier.line(&spec.name);
            // It may be migrated or set aside: nothing that was read before is believed.
            let opened = self.inner.open(spec).await;
            line.change();
            Ok(Arc::new(TieredTable::new(opened?, self.tier.clone(), line)) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        self.inner.tables()
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let removed = self.inner.remove(table).await;
            self.tier.forget(&self.tier.line(table));
            removed
        })
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        self.inner.secret()
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.inner.adopt_secret(secret)
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.inner.leases()
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        self.inner.changes()
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(async move {
            let trimmed = self.inner.trim(most, limit).await;
            if !matches!(trimmed, Ok(Trimmed { removed: 0, .. })) {
                self.tier.change_all();
            }
            trimmed
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.commit()
    }

    fn health(&self) -> Option<Health> {
        self.inner.health()
    }

    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>> {
        self.inner.memory_policy()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let closed = self.inner.close().await;
            self.tier.forget_all();
            closed
        })
    }
}

impl fmt::Debug for TieredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TieredStore")
            .field("inner", &self.inner)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TieredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
