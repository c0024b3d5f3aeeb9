//! The entries of one table, in parts of which each has a lock of its own: two cores that read rarely ask for the same.

use super::{
    closed,
    shard::{Shard, Standing},
    totals::Totals,
};
use crate::{
    Error, ErrorKind, Result,
    entry::{Address, Entry},
    store::{Migration, TableSpec},
};
use hashlink::DefaultHashBuilder;
use smallvec::SmallVec;
use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many parts a table has.
const SHARDS: usize = 16;

/// The entries of one table. Every handle to the table shares it.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    shards: [Mutex<Shard>; SHARDS],
    hasher: DefaultHashBuilder,
    /// The columns that older entries may have no values for.
    pending: Mutex<Vec<Box<str>>>,
}

impl Shelf {
    /// Locks what is at one address.
    pub(super) fn open_at(&self, at: &Address) -> Result<MutexGuard<'_, Shard>> {
        let shard = lock(self.shard(at));
        standing(&shard).map(|()| shard)
    }

    /// Locks what is at these addresses; nobody sees a part of what is done there.
    pub(super) fn open_for<'e>(&self, at: impl Iterator<Item = &'e Address>) -> Result<Opened<'_>> {
        let mut wanted: SmallVec<[usize; SHARDS]> = at.map(|at| self.number(at)).collect();
        // In one order, so that no two wait for each other.
        wanted.sort_unstable();
        wanted.dedup();
        self.open_numbers(&wanted)
    }

    /// Locks all of it.
    pub(super) fn open(&self) -> Result<Opened<'_>> {
        let all: SmallVec<[usize; SHARDS]> = (0..SHARDS).collect();
        self.open_numbers(&all)
    }

    fn open_numbers(&self, numbers: &[usize]) -> Result<Opened<'_>> {
        let mut guards = SmallVec::new();
        for number in numbers {
            let Some(shard) = self.shards.get(*number) else {
                continue;
            };
            let shard = lock(shard);
            standing(&shard)?;
            guards.push((*number, shard));
        }
        Ok(Opened {
            shelf: self,
            guards,
        })
    }

    /// Returns the columns that older entries may have no values for.
    pub(super) fn pending(&self) -> MutexGuard<'_, Vec<Box<str>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when its least recently used address was used.
    pub(super) fn least_recent(&self) -> Option<u64> {
        let each = self.shards.iter().map(|shard| lock(shard).least_recent());
        each.flatten().min()
    }

    /// Removes entries of the least recently used address, if it is still the one that was used then, for as long as `more` says
    /// so of the number removed; returns that number.
    pub(super) fn evict_while(
        &self,
        used: u64,
        totals: &Totals,
        more: impl Fn(u64) -> bool,
    ) -> u64 {
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.least_recent() == Some(used) {
                return shard.evict_while(totals, |removed, _| more(removed));
            }
        }
        0
    }

    /// Takes out what it holds; handles to it say that the table was removed.
    pub(super) fn remove(&self, totals: &Totals) {
        self.end(Standing::Removed, totals);
    }

    /// Takes out what it holds; handles to it say that the store is closed.
    pub(super) fn close(&self, totals: &Totals) {
        self.end(Standing::Closed, totals);
    }

    fn end(&self, standing: Standing, totals: &Totals) {
        for shard in &self.shards {
            lock(shard).end(standing, totals);
        }
    }

    /// Moves what it holds to a new shelf with other fields and columns.
    pub(super) fn migrate(&self, spec: &TableSpec, migration: &Migration, totals: &Totals) -> Self {
        let mut pending = std::mem::take(&mut *self.pending());
        pending.extend(migration.added_columns(spec));
        pending.retain(|name| spec.columns.iter().any(|c| c.name == *name));
        let moved = Self {
            pending: Mutex::new(pending),
            ..Self::default()
        };
        for shard in &self.shards {
            for (address, mut slot) in lock(shard).end(Standing::Removed, totals) {
                // A key that got too long cannot be asked for any more either.
                let Ok(key) = migration.key(&address.key) else {
                    continue;
                };
                let address = Address { key, ..address };
                for entry in &mut slot.entries {
                    let entry = Arc::make_mut(entry);
                    entry.id.address = address.clone();
                    entry.meta.columns = migration.columns(&entry.meta.columns);
                    totals.added(entry);
                }
                lock(moved.shard(&address)).slots.insert(address, slot);
            }
        }
        moved.in_order()
    }

    /// Puts each part in the order of use: addresses came from several parts.
    fn in_order(self) -> Self {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut slots: Vec<_> = std::mem::take(&mut shard.slots).into_iter().collect();
            slots.sort_by_key(|(_, slot)| slot.used);
            shard.slots.extend(slots);
        }
        self
    }

    fn number(&self, at: &Address) -> usize {
        let hash = self.hasher.hash_one(at);
        usize::try_from(hash % SHARDS as u64).unwrap_or_default()
    }

    fn shard(&self, at: &Address) -> &Mutex<Shard> {
        let [first, ..] = &self.shards;
        self.shards.get(self.number(at)).unwrap_or(first)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn standing(shard: &Shard) -> Result<()> {
    match shard.standing {
        Standing::Open => Ok(()),
        Standing::Closed => Err(closed()),
        Standing::Removed => Err(Error::new(
            ErrorKind::NoSuchRepository,
            "its table was removed or changed since it was opened; open it again",
        )),
    }
}

/// A shelf of which some parts, or all, are locked and in use.
pub(super) struct Opened<'a> {
    shelf: &'a Shelf,
    guards: SmallVec<[(usize, MutexGuard<'a, Shard>); 1]>,
}

impl Opened<'_> {
    /// The part that an address is in; `None` where it was not opened.
    pub(super) fn at(&mut self, at: &Address) -> Option<&mut Shard> {
        let number = self.shelf.number(at);
        let mut guards = self.guards.iter_mut();
        guards
            .find(|(n, _)| *n == number)
            .map(|(_, shard)| &mut **shard)
    }

    /// Returns all entries of the parts that are open, the ones past their `keep` too.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.guards.iter().flat_map(|(_, shard)| shard.entries())
    }

    /// Removes up to `limit` of the entries that `which` says yes to; returns how many.
    pub(super) fn remove(
        &mut self,
        limit: u64,
        totals: &Totals,
        mut which: impl FnMut(&Entry) -> bool,
    ) -> u64 {
        let mut removed = 0;
        for (_, shard) in &mut self.guards {
            shard.remove(totals, |e| {
                let out = removed < limit && which(e);
                removed += u64::from(out);
                out
            });
        }
        removed
    }

    /// Removes up to `limit` entries that the table's budget does not allow, least recently used first; returns how many.
    pub(super) fn shrink(&mut self, spec: &TableSpec, limit: u64, totals: &Totals) -> u64 {
        let (mut entries, mut bytes) = self
            .entries()
            .fold((0, 0), |(n, bytes), e| (n + 1, bytes + e.size()));
        let most_entries = spec.budget.entries.unwrap_or(u64::MAX);
        let most_bytes = spec.budget.bytes.unwrap_or(u64::MAX);
        let mut removed = 0;
        while removed < limit && (entries > most_entries || bytes > most_bytes) {
            let used = |(_, shard): &&mut (usize, MutexGuard<'_, Shard>)| {
                shard.least_recent().unwrap_or(u64::MAX)
            };
            let Some((_, oldest)) = self.guards.iter_mut().min_by_key(used) else {
                break;
            };
            let gone = oldest.evict_while(totals, |gone, entry| {
                let over = removed + gone < limit && (entries > most_entries || bytes > most_bytes);
                if over {
                    entries -= 1;
                    bytes -= entry.size();
                }
                over
            });
            if gone == 0 {
                break;
            }
            removed += gone;
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldRef, RawKey, entry::Partition};

    fn address(n: i64) -> Address {
        Address {
            key: RawKey::new([FieldRef::Integer(n)], "").unwrap(),
            partition: Partition::PUBLIC,
        }
    }

    #[test]
    fn who_reads_waits_for_few_others() {
        let shelf = Shelf::default();
        let held = shelf.open_at(&address(0)).unwrap();
        let free = (1..1_000).filter(|n| shelf.shard(&address(*n)).try_lock().is_ok());
        let free = free.count();
        assert!(free > 800, "{free} of 999 can be read meanwhile");
        drop(held);
        let all: Vec<_> = (0..1_000).map(address).collect();
        let opened = shelf.open_for(all.iter()).unwrap();
        assert_eq!(opened.guards.len(), SHARDS);
        assert!(shelf.shards.iter().all(|shard| shard.try_lock().is_err()));
    }
}
