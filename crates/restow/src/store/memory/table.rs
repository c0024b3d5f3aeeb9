//! The contract of a table, over a shelf.

use super::{
    Inner,
    shard::{Most, Shard},
    shelf::{Opened, Shelf},
    totals::cost,
};
use crate::{
    Error, ErrorKind, Millis, Result, Selection,
    answer::{Answer, BoxStream},
    entry::{Address, Entry, Found, Partition},
    store::{
        Parts, Renewal, Stats, Table, TableSpec, Write,
        parts::{Reading, Writing},
    },
};
use futures_util::stream;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError},
};

/// A handle to a table in memory: what it was opened with, and the entries that all handles share.
pub(super) struct MemoryTable {
    spec: TableSpec,
    shelf: Arc<Shelf>,
    store: Arc<Inner>,
}

impl MemoryTable {
    pub(super) fn new(spec: TableSpec, shelf: Arc<Shelf>, store: Arc<Inner>) -> Self {
        Self { spec, shelf, store }
    }

    fn named(&self, error: Error) -> Error {
        error.in_repository(self.spec.name.shared())
    }

    fn reading(&self) -> Result<Opened<'_, Reading<'_, Shard>>> {
        self.shelf.read().map_err(|e| self.named(e))
    }

    fn writing(&self) -> Result<Opened<'_, Writing<'_, Shard>>> {
        self.shelf.write().map_err(|e| self.named(e))
    }

    fn writing_at<'e>(
        &self,
        at: impl Iterator<Item = &'e Address>,
    ) -> Result<Opened<'_, Writing<'_, Shard>>> {
        self.shelf.write_for(at).map_err(|e| self.named(e))
    }

    fn read_now(&self, at: &Address, now: Millis) -> Result<Found> {
        self.spec.check_key(&at.key)?;
        let hash = self.shelf.hash(at);
        let shard = self.shelf.read_at(hash).map_err(|e| self.named(e))?;
        Ok(shard.find((hash, at), self.spec.keep, now, &self.store.totals))
    }

    fn read_many_now(&self, at: &[Address], now: Millis) -> Result<Vec<Found>> {
        for address in at {
            self.spec.check_key(&address.key)?;
        }
        let shelf = self.shelf.read_for(at.iter());
        let shelf = shelf.map_err(|e| self.named(e))?;
        let found = at.iter().map(|at| {
            let shard = shelf.at(at);
            shard.map_or_else(Found::default, |(hash, shard)| {
                shard.find((hash, at), self.spec.keep, now, &self.store.totals)
            })
        });
        Ok(found.collect())
    }

    fn write_now(&self, entries: &[Write], now: Millis) -> Result<()> {
        // All is checked before anything changes.
        for write in entries {
            self.spec.check_key(&write.entry.id.address.key)?;
            self.check_size(&write.entry)?;
        }
        let options = &self.store.options;
        let most = Most {
            keep: self.spec.keep,
            variants: u64::from(self.spec.max_variants)
                .min(options.max_entries.unwrap_or(u64::MAX))
                .max(1),
            bytes: options.max_bytes,
        };
        // Held until the end: nobody takes a lease between the look and the write.
        let leases = entries.iter().any(|write| write.fence.is_some()).then(|| {
            let leases = self.store.leases.lock();
            leases.unwrap_or_else(PoisonError::into_inner)
        });
        if let Some(leases) = &leases {
            let checked = leases.check(&self.spec.name, entries);
            checked.map_err(|e| self.named(e))?;
        }
        let mut shelf = self.writing_at(entries.iter().map(|write| &write.entry.id.address))?;
        for Write { entry, .. } in entries {
            if let Some(shard) = shelf.at_mut(&entry.id.address) {
                shard.put(entry, most, now, &self.store.totals);
            }
        }
        drop(shelf);
        drop(leases);
        self.store.evict();
        Ok(())
    }

    fn check_size(&self, entry: &Entry) -> Result<()> {
        let (size, most) = (cost(entry), self.store.options.max_bytes);
        if size <= most {
            return Ok(());
        }
        let message = format!(
            "an entry of {size} bytes cannot be held in a memory store of {most}; make max_bytes larger"
        );
        Err(self.named(Error::new(ErrorKind::TooLarge, message)))
    }

    fn renew_now(&self, renewals: &[Renewal], now: Millis) -> Result<u64> {
        for renewal in renewals {
            self.spec.check_key(&renewal.id.address.key)?;
        }
        let mut shelf = self.writing_at(renewals.iter().map(|renewal| &renewal.id.address))?;
        let mut renewed = 0;
        for renewal in renewals {
            let shard = shelf.at_mut(&renewal.id.address);
            let done = shard
                .is_some_and(|shard| shard.renew(renewal, self.spec.keep, now, &self.store.totals));
            renewed += u64::from(done);
        }
        drop(shelf);
        // New header lines may be longer.
        self.store.evict();
        Ok(renewed)
    }

    fn delete_now(&self, at: &[Address], now: Millis) -> Result<u64> {
        for address in at {
            self.spec.check_key(&address.key)?;
        }
        let mut shelf = self.writing_at(at.iter())?;
        let mut deleted = 0;
        for address in at {
            let shard = shelf.at_mut(address);
            let there = shard.is_some_and(|shard| {
                shard.delete(address, self.spec.keep, now, &self.store.totals)
            });
            deleted += u64::from(there);
        }
        Ok(deleted)
    }

    fn selected(&self, which: &Selection, now: Millis) -> Result<Vec<Arc<Entry>>> {
        let shelf = self.reading()?;
        let entries = shelf.entries();
        Ok(entries
            .filter(|e| which.covers(e, &self.spec, now))
            .cloned()
            .collect())
    }

    fn count_now(&self, which: &Selection, now: Millis) -> Result<u64> {
        let shelf = self.reading()?;
        let entries = shelf.entries();
        Ok(entries.filter(|e| which.covers(e, &self.spec, now)).count() as u64)
    }

    fn sweep_now(&self, limit: u64, now: Millis) -> Result<u64> {
        let mut shelf = self.writing()?;
        let totals = &self.store.totals;
        let gone = shelf.remove(limit, totals, |e| !e.meta.is_retained(self.spec.keep, now));
        Ok(gone + shelf.shrink(&self.spec, limit - gone, totals))
    }

    fn partitions_now(&self, now: Millis) -> Result<Vec<(Partition, u64)>> {
        let mut counts: HashMap<&Partition, u64> = HashMap::new();
        let shelf = self.reading()?;
        let entries = shelf.entries();
        for entry in entries.filter(|e| e.meta.is_retained(self.spec.keep, now)) {
            *counts.entry(&entry.id.address.partition).or_default() += 1;
        }
        let counts = counts.into_iter();
        Ok(counts
            .map(|(whose, count)| (whose.clone(), count))
            .collect())
    }

    fn stats_now(&self, now: Millis) -> Result<Stats> {
        let mut stats = Stats {
            exact: true,
            ..Stats::default()
        };
        stats.ages.exact = true;
        let shelf = self.reading()?;
        let retained = shelf.entries();
        for entry in retained.filter(|e| e.meta.is_retained(self.spec.keep, now)) {
            let at = entry.meta.stored_at;
            stats.entries += 1;
            stats.expired += u64::from(!entry.is_live(now));
            stats.bytes += entry.size();
            stats.oldest = Some(stats.oldest.map_or(at, |oldest| oldest.min(at)));
            stats.newest = stats.newest.max(Some(at));
            let expires_at = entry.meta.expires_at;
            stats.ages.note(at, expires_at, entry.size(), now);
        }
        Ok(stats)
    }
}

impl Table for MemoryTable {
    fn spec(&self) -> &TableSpec {
        &self.spec
    }

    fn read<'a>(&'a self, at: &'a Address, _: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        Answer::ready(self.read_now(at, now))
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        _: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        Answer::ready(self.read_many_now(at, now))
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        Answer::ready(self.write_now(entries, now))
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        Answer::ready(self.renew_now(renewals, now))
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        Answer::ready(self.delete_now(at, now))
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        Answer::ready(self.count_now(which, now))
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        Answer::ready(self.writing().map(|mut shelf| {
            shelf.remove(limit, &self.store.totals, |e| {
                which.covers(e, &self.spec, now)
            })
        }))
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        Answer::ready(self.sweep_now(limit, now))
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        _: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        match self.selected(which, now) {
            Ok(entries) => Box::pin(stream::iter(entries.into_iter().map(Ok))),
            Err(error) => Box::pin(stream::iter([Err(error)])),
        }
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        Answer::ready(self.reading().map(|_open| self.shelf.pending().clone()))
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        let filled = self.writing().map(|_open| {
            let mut pending = self.shelf.pending();
            pending.retain(|name| !columns.contains(name));
        });
        Answer::ready(filled)
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        Answer::ready(self.stats_now(now))
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        Answer::ready(self.partitions_now(now))
    }

    fn foreign_changes(&self) -> Option<u64> {
        // Nobody else can.
        Some(0)
    }
}

impl fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTable")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
