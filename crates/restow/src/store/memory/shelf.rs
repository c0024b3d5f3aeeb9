//! The entries of one table, in parts, so that who writes keeps a sixteenth of them to himself, and who reads waits for nobody who reads.

use super::{
    closed,
    shard::{Shard, Standing},
    totals::Totals,
};
use crate::{
    Error, ErrorKind, Result,
    entry::{Address, Entry},
    store::{
        Migration, TableSpec,
        parts::{self, PARTS, Parts, Reading, Writing},
    },
};
use smallvec::SmallVec;
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The entries of one table. Every handle to the table shares it.
#[derive(Debug)]
pub(super) struct Shelf {
    shards: Parts<Shard>,
    /// The columns that older entries may have no values for.
    pending: Mutex<Vec<Box<str>>>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            shards: Parts::new(Shard::new),
            pending: Mutex::default(),
        }
    }
}

/// The numbers of parts.
type Numbers = SmallVec<[usize; PARTS]>;

impl Shelf {
    /// Makes the hash of an address, by which its part finds it.
    pub(super) fn hash(&self, at: &Address) -> u64 {
        self.shards.hash(at)
    }

    /// Opens the part that what has this hash is in for reading.
    pub(super) fn read_at(&self, hash: u64) -> Result<Reading<'_, Shard>> {
        let shard = self.shards.read(parts::number(hash));
        standing(&shard).map(|()| shard)
    }

    /// Opens what is at these addresses for reading.
    pub(super) fn read_for<'e>(
        &self,
        at: impl Iterator<Item = &'e Address>,
    ) -> Result<Opened<'_, Reading<'_, Shard>>> {
        self.open(self.numbers(at), |number| self.shards.read(number))
    }

    /// Opens all of it for reading.
    pub(super) fn read(&self) -> Result<Opened<'_, Reading<'_, Shard>>> {
        self.open((0..PARTS).collect(), |number| self.shards.read(number))
    }

    /// Opens what is at these addresses for writing; nobody sees a part of what is done there.
    pub(super) fn write_for<'e>(
        &self,
        at: impl Iterator<Item = &'e Address>,
    ) -> Result<Opened<'_, Writing<'_, Shard>>> {
        self.open(self.numbers(at), |number| self.shards.write(number))
    }

    /// Opens all of it for writing.
    pub(super) fn write(&self) -> Result<Opened<'_, Writing<'_, Shard>>> {
        self.open((0..PARTS).collect(), |number| self.shards.write(number))
    }

    fn open<G: Deref<Target = Shard>>(
        &self,
        numbers: Numbers,
        lock: impl Fn(usize) -> G,
    ) -> Result<Opened<'_, G>> {
        let mut guards = SmallVec::new();
        for number in numbers {
            let shard = lock(number);
            standing(&shard)?;
            guards.push((number, shard));
        }
        Ok(Opened {
            shelf: self,
            guards,
        })
    }

    /// The parts that addresses are in, in one order, so that no two wait for each other.
    fn numbers<'e>(&self, at: impl Iterator<Item = &'e Address>) -> Numbers {
        let mut numbers: Numbers = at.map(|at| self.number(at)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn number(&self, at: &Address) -> usize {
        parts::number(self.hash(at))
    }

    /// Returns the columns that older entries may have no values for.
    pub(super) fn pending(&self) -> MutexGuard<'_, Vec<Box<str>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when its least recently used address was used.
    pub(super) fn least_recent(&self) -> Option<u64> {
        let each = (0..PARTS).map(|number| {
            let shard = self.shards.read(number);
            if shard.slots.is_settled() {
                return shard.slots.first();
            }
            drop(shard);
            let mut shard = self.shards.write(number);
            shard.slots.settle();
            shard.slots.first()
        });
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
        let is_it = |shard: &Shard| shard.slots.first() == Some(used);
        for number in 0..PARTS {
            if !is_it(&self.shards.read(number)) {
                continue;
            }
            let mut shard = self.shards.write(number);
            if is_it(&shard) {
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
        for mut shard in self.shards.write_each() {
            drop(shard.end(standing, totals));
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
        for mut shard in self.shards.write_each() {
            for (address, mut slot, used) in shard.end(Standing::Removed, totals) {
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
                let mut shard = moved.shards.write(moved.number(&address));
                shard.slots.put(address, slot, used);
            }
        }
        // Addresses came from several parts.
        moved.shards.write_each().for_each(|mut shard| shard.sort());
        moved
    }
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

/// A shelf of which some parts, or all, are open for reading or for writing.
pub(super) struct Opened<'a, G> {
    shelf: &'a Shelf,
    guards: SmallVec<[(usize, G); 1]>,
}

impl<G: Deref<Target = Shard>> Opened<'_, G> {
    /// The hash of an address and the part that it is in; `None` where that was not opened.
    pub(super) fn at(&self, at: &Address) -> Option<(u64, &Shard)> {
        let hash = self.shelf.hash(at);
        let number = parts::number(hash);
        let mut guards = self.guards.iter();
        guards
            .find(|(n, _)| *n == number)
            .map(|(_, shard)| (hash, &**shard))
    }

    /// Returns all entries of the parts that are open, the ones past their `keep` too.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.guards.iter().flat_map(|(_, shard)| shard.entries())
    }
}

impl<G: DerefMut<Target = Shard>> Opened<'_, G> {
    /// The part that an address is in, to change it; `None` where it was not opened.
    pub(super) fn at_mut(&mut self, at: &Address) -> Option<&mut Shard> {
        let number = self.shelf.number(at);
        let mut guards = self.guards.iter_mut();
        guards
            .find(|(n, _)| *n == number)
            .map(|(_, shard)| &mut **shard)
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
            let shards = self.guards.iter_mut().filter_map(|(_, shard)| {
                shard.slots.settle();
                Some((shard.slots.first()?, shard))
            });
            let Some((_, oldest)) = shards.min_by_key(|(used, _)| *used) else {
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
