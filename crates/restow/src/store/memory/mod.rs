//! A store in this process's memory, bounded over all its tables.

mod leases;
mod options;
mod shard;
mod shelf;
mod table;
mod totals;

pub use options::MemoryOptions;
pub(super) use totals::cost;

use super::{
    Budget, Capabilities, Change, Health, Leases, MemoryPolicy, SchemaChange, Store, Table,
    TableName, TableSpec, Trimmed,
};
use crate::{
    Error, ErrorKind, Result,
    answer::{BoxFuture, BoxStream},
};
use shelf::Shelf;
use std::{
    collections::BTreeMap,
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use table::MemoryTable;
use totals::Totals;

/// A store in memory. What was used least recently goes out when it is full, all variants of an address together; of what was read while
/// nothing went out, the order is that in which it was first stored.
///
/// A read shares the entry, nothing is copied; it waits for no other read, and for a write only where that is in the same sixteenth of its
/// table. Its clones are one store; two of them made by [`new`](Self::new) share nothing.
///
/// ```
/// # tokio_test(async {
/// use restow::{Field, Selection, Millis, store::{MemoryOptions, MemoryStore, Store, TableSpec}};
/// let store = MemoryStore::new(MemoryOptions::default());
/// let table = store.open(&TableSpec::new("tracks", [Field::text("id")])?).await?;
/// assert_eq!(table.count(&Selection::default(), Millis(0)).await?, 0);
/// # Ok::<(), restow::Error>(())
/// # });
/// # fn tokio_test<F: Future<Output = restow::Result<()>>>(f: F) {
/// #     tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f).unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

/// What the store and its tables share.
struct Inner {
    options: MemoryOptions,
    totals: Totals,
    registry: Mutex<Registry>,
    leases: Mutex<leases::Held>,
}

#[derive(Default)]
struct Registry {
    tables: BTreeMap<TableName, (TableSpec, Arc<Shelf>)>,
    secret: Option<[u8; 32]>,
    closed: bool,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new(options: MemoryOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            totals: Totals::default(),
            registry: Mutex::default(),
            leases: Mutex::default(),
        }))
    }

    /// Returns what it may hold.
    pub fn options(&self) -> MemoryOptions {
        self.0.options
    }

    fn open_now(&self, spec: &TableSpec) -> Result<Arc<dyn Table>> {
        spec.check()?;
        let mut registry = self.0.open_registry()?;
        let shelf = match registry.tables.remove(&spec.name) {
            None => Arc::default(),
            Some((held, shelf)) => match spec.change_from(&held) {
                Ok(SchemaChange::None) => shelf,
                Ok(SchemaChange::Migrate(migration)) => {
                    Arc::new(shelf.migrate(spec, &migration, &self.0.totals))
                }
                Ok(SchemaChange::SetAside) => {
                    registry.set_aside(held, shelf);
                    Arc::default()
                }
                Err(error) => {
                    registry.tables.insert(spec.name.clone(), (held, shelf));
                    return Err(error);
                }
            },
        };
        let entry = (spec.clone(), shelf.clone());
        registry.tables.insert(spec.name.clone(), entry);
        Ok(Arc::new(MemoryTable::new(
            spec.clone(),
            shelf,
            self.0.clone(),
        )))
    }

    fn secret_now(&self) -> Result<[u8; 32]> {
        let mut registry = self.0.open_registry()?;
        if let Some(secret) = registry.secret {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|e| {
            Error::new(ErrorKind::Store, "the system gave no random numbers").with_source(e)
        })?;
        registry.secret = Some(secret);
        Ok(secret)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryOptions::default())
    }
}

impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move { self.open_now(spec) })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(async move {
            let registry = self.0.open_registry()?;
            let specs = registry.tables.values();
            Ok(specs.map(|(spec, _)| spec.clone()).collect())
        })
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let removed = self.0.open_registry()?.tables.remove(table);
            Ok(removed.is_some_and(|(_, shelf)| {
                shelf.remove(&self.0.totals);
                true
            }))
        })
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        Box::pin(async move { self.secret_now() })
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let mut registry = self.0.open_registry()?;
            if registry.tables.is_empty() {
                registry.secret = Some(*secret);
            }
            Ok(registry.secret == Some(*secret))
        })
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(Arc::new(leases::MemoryLeases(self.0.clone())))
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        None
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(async move {
            drop(self.0.open_registry()?);
            Ok(self.0.trim(most, limit))
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.0.open_registry().map(drop) })
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        let mut registry = self.0.lock();
        registry.closed = true;
        for (_, shelf) in std::mem::take(&mut registry.tables).into_values() {
            shelf.close(&self.0.totals);
        }
        Box::pin(ready(Ok(())))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("options", &self.0.options)
            .field("totals", &self.0.totals)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:")
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_registry(&self) -> Result<MutexGuard<'_, Registry>> {
        let registry = self.lock();
        if registry.closed {
            return Err(closed());
        }
        Ok(registry)
    }

    /// Removes what was used least recently, in whichever table it is, until the store is within its bounds.
    fn evict(&self) {
        while self.totals.exceed(&self.options) {
            match self.least_recent() {
                Some((used, shelf)) => shelf.evict_while(used, &self.totals, |_| true),
                None => return,
            };
        }
    }

    /// The same for a bound that is told, entry by entry.
    fn trim(&self, most: Budget, limit: u64) -> Trimmed {
        let mut removed = 0;
        let over = |removed: u64| removed < limit && !self.totals.are_within(&most);
        while over(removed) {
            let Some((used, shelf)) = self.least_recent() else {
                break;
            };
            removed += shelf.evict_while(used, &self.totals, |n| over(removed + n));
        }
        self.totals.trimmed(removed)
    }

    /// Returns the table whose least recently used address is that of the store, and when that was used.
    fn least_recent(&self) -> Option<(u64, Arc<Shelf>)> {
        let registry = self.lock();
        let shelves = registry.tables.values();
        shelves
            .filter_map(|(_, shelf)| Some((shelf.least_recent()?, shelf.clone())))
            .min_by_key(|(used, _)| *used)
    }
}

impl Registry {
    fn set_aside(&mut self, held: TableSpec, shelf: Arc<Shelf>) {
        let free = (1..)
            .map(|n| held.name.aside(n))
            .find(|name| !self.tables.contains_key(name));
        if let Some(name) = free {
            let spec = TableSpec {
                name: name.clone(),
                ..held
            };
            self.tables.insert(name, (spec, shelf));
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed; make a new one")
}
