//! A store of one's own: the whole contract over a map behind one lock, examined by the conformance suite.
//!
//! ```sh
//! cargo run -p restow --example map_store --features conformance
//! ```
//!
//! Time is an argument, so none of it reads a clock; `check_key`, `change_from`, `covers` and `is_retained` decide
//! what is to be decided, so that what is left to a store is to keep rows.

use futures_util::{StreamExt, future::ready, stream};
use restow::entry::{Address, Entry, EntryId, Found, Generation, Meta, Partition};
use restow::store::{
    Budget, Capabilities, Change, Leases, Parts, Renewal, SchemaChange, Stats, Store, Table,
    TableName, TableSpec, Trimmed, Write,
};
use restow::{
    Answer, BoxFuture, BoxStream, Error, ErrorKind, Millis, Result, Selection, conformance,
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

#[tokio::main]
async fn main() {
    let fresh = || ready(Ok(Arc::new(MapStore::default()) as Arc<dyn Store>));
    let report = conformance::run(&fresh).await;
    println!("{report}");
    report.assert();
}

/// The entries of a table, each with the time at which it was used last.
type Rows = BTreeMap<EntryId, (Arc<Entry>, Millis)>;

/// A table: its spec, its entries, and the added columns that the older ones have no values for yet.
#[derive(Clone, Debug)]
struct Held {
    spec: TableSpec,
    rows: Rows,
    pending: Vec<Box<str>>,
}

/// A store that holds everything in one map; its clones are one store.
#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    closed: bool,
    secret: Option<[u8; 32]>,
    tables: BTreeMap<TableName, Held>,
}

impl MapStore {
    /// Does `work` under the lock, unless the store is closed.
    fn with<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut Shared) -> Result<T>,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(ready(self.with_now(work)))
    }

    fn with_now<T>(&self, work: impl FnOnce(&mut Shared) -> Result<T>) -> Result<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.closed {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        work(&mut shared)
    }
}

impl Shared {
    /// Makes the table as it is declared, from the one that is held, if one is.
    fn prepare(&mut self, spec: &TableSpec) -> Result<()> {
        spec.check()?;
        let mut held = self
            .tables
            .get(&spec.name)
            .cloned()
            .unwrap_or_else(|| Held {
                spec: spec.clone(),
                rows: Rows::new(),
                pending: Vec::new(),
            });
        match spec.change_from(&held.spec)? {
            SchemaChange::None => {}
            SchemaChange::SetAside => {
                let mut old = held.clone();
                old.spec.name = self.free_name()?;
                self.tables.insert(old.spec.name.clone(), old);
                held.rows.clear();
                held.pending.clear();
            }
            SchemaChange::Migrate(migration) => {
                for (_, (mut entry, used)) in std::mem::take(&mut held.rows) {
                    let new = Arc::make_mut(&mut entry);
                    // A key that got too long cannot be asked for any more either.
                    let Ok(key) = migration.key(&new.id.address.key) else {
                        continue;
                    };
                    new.id.address.key = key;
                    new.meta.columns = migration.columns(&new.meta.columns);
                    held.rows.insert(new.id.clone(), (entry, used));
                }
                held.pending.extend(migration.added_columns(spec));
                held.pending
                    .retain(|name| spec.columns.iter().any(|c| c.name == *name));
            }
        }
        held.spec = spec.clone();
        self.tables.insert(spec.name.clone(), held);
        Ok(())
    }

    /// Returns a name that no table has.
    fn free_name(&self) -> Result<TableName> {
        let names = (1..).map(|n| TableName::new(&format!("old {n}")));
        let mut free =
            names.filter(|name| !name.as_ref().is_ok_and(|n| self.tables.contains_key(n)));
        free.next().unwrap_or_else(|| TableName::new("old"))
    }

    /// Removes what was used least recently, of all tables.
    fn trim(&mut self, most: Budget, limit: u64) -> Trimmed {
        let rows = self.tables.values().flat_map(|held| {
            let table = &held.spec.name;
            let rows = held.rows.iter();
            rows.map(move |(id, (entry, used))| (*used, entry.size(), table.clone(), id.clone()))
        });
        let mut all: Vec<_> = rows.collect();
        all.sort();
        let mut trimmed = Trimmed::default();
        trimmed.entries = all.len() as u64;
        trimmed.bytes = all.iter().map(|(_, size, ..)| size).sum();
        for (_, size, table, id) in all {
            if trimmed.removed >= limit || most.allows(trimmed.entries, trimmed.bytes) {
                break;
            }
            if let Some(held) = self.tables.get_mut(&table) {
                held.rows.remove(&id);
            }
            trimmed.removed += 1;
            trimmed.entries -= 1;
            trimmed.bytes -= size;
        }
        trimmed
    }

    fn secret(&mut self) -> Result<[u8; 32]> {
        if let Some(secret) = self.secret {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|e| Error::new(ErrorKind::Store, "no random numbers").with_source(e))?;
        Ok(*self.secret.insert(secret))
    }
}

impl fmt::Display for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("map:")
    }
}

impl Store for MapStore {
    fn kind(&self) -> &'static str {
        "map"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        self.with(|shared| {
            shared.prepare(spec)?;
            Ok(Arc::new(MapTable(spec.clone(), self.clone())) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        self.with(|shared| {
            Ok(shared
                .tables
                .values()
                .map(|held| held.spec.clone())
                .collect())
        })
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        self.with(|shared| Ok(shared.tables.remove(table).is_some()))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        self.with(Shared::secret)
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.with(|shared| {
            if shared.tables.is_empty() {
                shared.secret = Some(*secret);
            }
            Ok(shared.secret == Some(*secret))
        })
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        None
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        None
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        self.with(|shared| Ok(shared.trim(most, limit)))
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.with(|_| Ok(()))
    }

    fn health(&self) -> Option<restow::store::Health> {
        None
    }
    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<restow::store::MemoryPolicy>>> {
        Box::pin(ready(Ok(None)))
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Shared {
            closed: true,
            ..Shared::default()
        };
        Box::pin(ready(Ok(())))
    }
}

/// A handle to a table: what it was opened with, and the store that holds its rows.
#[derive(Debug)]
struct MapTable(TableSpec, MapStore);

impl MapTable {
    /// Does `work` on the rows, once every key is known to fit the table.
    fn with<'a, 'k, T>(
        &self,
        keys: impl IntoIterator<Item = &'k Address>,
        work: impl FnOnce(&mut Rows) -> T,
    ) -> Answer<'a, Result<T>> {
        let mut keys = keys.into_iter();
        let checked = keys.try_for_each(|at| self.0.check_key(&at.key));
        Answer::ready(checked.and_then(|()| self.held(|held| work(&mut held.rows))))
    }

    fn held<T>(&self, work: impl FnOnce(&mut Held) -> T) -> Result<T> {
        self.1
            .with_now(|shared| match shared.tables.get_mut(&self.0.name) {
                Some(held) => Ok(work(held)),
                None => Err(Error::new(
                    ErrorKind::NoSuchRepository,
                    "the table was removed",
                )),
            })
    }

    fn retains(&self, meta: &Meta, now: Millis) -> bool {
        meta.is_retained(self.0.keep, now)
    }

    fn find(&self, rows: &mut Rows, at: &Address, now: Millis) -> Found {
        let here = rows
            .values_mut()
            .filter(|(entry, _)| entry.id.address == *at);
        let retained = here.filter(|(entry, _)| self.retains(&entry.meta, now));
        retained
            .map(|(entry, used)| {
                *used = now;
                entry.clone()
            })
            .collect()
    }

    fn put(&self, rows: &mut Rows, entry: &Entry, now: Millis) {
        let mut entry = entry.clone();
        entry.generation = Generation::start();
        if let Some((before, _)) = rows.remove(&entry.id)
            && self.retains(&before.meta, now)
        {
            entry.generation = before.generation.next();
            if before.meta.seal == entry.meta.seal {
                entry.meta.changed_at = before.meta.changed_at;
            }
        }
        let mut variants: Vec<_> = self
            .find(rows, &entry.id.address, now)
            .into_iter()
            .collect();
        variants.sort_by_key(|e| std::cmp::Reverse(e.meta.stored_at));
        let most = usize::from(self.0.max_variants.max(1)) - 1;
        Self::remove(rows, variants.drain(..).skip(most), u64::MAX);
        rows.insert(entry.id.clone(), (Arc::new(entry), now));
    }

    fn remove(rows: &mut Rows, out: impl Iterator<Item = Arc<Entry>>, limit: u64) -> u64 {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        out.take(limit).filter_map(|e| rows.remove(&e.id)).count() as u64
    }

    fn selected(&self, rows: &Rows, which: &Selection, now: Millis) -> Vec<Arc<Entry>> {
        let entries = rows.values().map(|(entry, _)| entry);
        entries
            .filter(|e| which.covers(e, &self.0, now))
            .cloned()
            .collect()
    }

    /// Returns what a sweep removes, in its order: what is gone, then what the budget does not allow.
    fn sweepings(&self, rows: &Rows, now: Millis) -> Vec<Arc<Entry>> {
        let all = rows.values().cloned();
        let (mut kept, mut out): (Vec<_>, Vec<_>) =
            all.partition(|(e, _)| self.retains(&e.meta, now));
        kept.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
        let budget = self.0.budget;
        let (mut entries, mut bytes) = (0, 0);
        kept.retain(|(e, _)| {
            entries += 1;
            bytes += e.size();
            budget.entries.is_some_and(|most| entries > most)
                || budget.bytes.is_some_and(|most| bytes > most)
        });
        out.extend(kept.into_iter().rev());
        out.into_iter().map(|(entry, _)| entry).collect()
    }
}

impl Table for MapTable {
    fn spec(&self) -> &TableSpec {
        &self.0
    }

    fn read<'a>(&'a self, at: &'a Address, _: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.with([at], |rows| self.find(rows, at, now))
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        _: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.with(at, |rows| {
            at.iter().map(|at| self.find(rows, at, now)).collect()
        })
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let keys = entries.iter().map(|write| &write.entry.id.address);
        self.with(keys, |rows| {
            entries
                .iter()
                .for_each(|write| self.put(rows, &write.entry, now));
        })
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.with(renewals.iter().map(|r| &r.id.address), |rows| {
            let mut renewed = 0;
            for renewal in renewals {
                if let Some((entry, _)) = rows.get_mut(&renewal.id)
                    && entry.generation == renewal.read
                    && self.retains(&entry.meta, now)
                {
                    let entry = Arc::make_mut(entry);
                    entry.generation = entry.generation.next();
                    // The body stays, and with it its seal.
                    let seal = entry.meta.seal;
                    entry.meta = renewal.meta.clone();
                    entry.meta.seal = seal;
                    renewed += 1;
                }
            }
            renewed
        })
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.with(at, |rows| {
            let at: HashSet<_> = at.iter().collect();
            let deleted = rows.extract_if(.., |id, _| at.contains(&id.address));
            let retained = deleted.filter(|(_, (e, _))| self.retains(&e.meta, now));
            let addresses: HashSet<_> = retained.map(|(id, _)| id.address).collect();
            addresses.len() as u64
        })
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.with([], |rows| self.selected(rows, which, now).len() as u64)
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.with([], |rows| {
            let selected = self.selected(rows, which, now);
            Self::remove(rows, selected.into_iter(), limit)
        })
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.with([], |rows| {
            let sweepings = self.sweepings(rows, now);
            Self::remove(rows, sweepings.into_iter(), limit)
        })
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        _: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let found = self.with([], |rows| self.selected(rows, which, now));
        Box::pin(stream::once(found).flat_map(|found| match found {
            Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        }))
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        Answer::ready(self.held(|held| held.pending.clone()))
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        Answer::ready(self.held(|held| held.pending.retain(|name| !columns.contains(name))))
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.with([], |rows| {
            // Not `exact`, so that the other numbers may be left out.
            let mut stats = Stats::default();
            stats.entries = self.selected(rows, &Selection::default(), now).len() as u64;
            stats
        })
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.with([], |rows| {
            let mut counts = BTreeMap::new();
            for entry in self.selected(rows, &Selection::default(), now) {
                let partition = entry.id.address.partition.clone();
                *counts.entry(partition).or_default() += 1;
            }
            counts.into_iter().collect()
        })
    }

    fn foreign_changes(&self) -> Option<u64> {
        // Nobody else can reach the map.
        Some(0)
    }
}
