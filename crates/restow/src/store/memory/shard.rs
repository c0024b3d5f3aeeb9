//! A part of a table: the entries of some of its addresses, in the order of their use.

use super::totals::{Totals, cost};
use crate::{
    Millis,
    entry::{Address, Entry, Found, Generation, Meta},
    store::{Renewal, recent::Recent},
};
use hashlink::DefaultHashBuilder;
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) standing: Standing,
    pub(super) slots: Recent<Address, Slot>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Open,
    Removed,
    Closed,
}

/// The entries at one address; never empty.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) entries: SmallVec<[Arc<Entry>; 1]>,
}

impl Shard {
    /// Makes an open one, whose user makes hashes by the same hasher.
    pub(super) fn new(hasher: DefaultHashBuilder) -> Self {
        Self {
            standing: Standing::Open,
            slots: Recent::new(hasher),
        }
    }

    /// Removes entries of the first address for as long as `more` says so of the number removed; returns that number.
    pub(super) fn evict_while(
        &mut self,
        totals: &Totals,
        mut more: impl FnMut(u64, &Entry) -> bool,
    ) -> u64 {
        let Some(slot) = self.slots.first_mut() else {
            return 0;
        };
        let mut removed = 0;
        while slot
            .entries
            .last()
            .is_some_and(|entry| more(removed, entry))
            && let Some(entry) = slot.entries.pop()
        {
            totals.removed(&entry);
            removed += 1;
        }
        if slot.entries.is_empty() {
            self.slots.take_first();
        }
        removed
    }

    /// Takes out what it holds, and is of this standing from now on.
    pub(super) fn end(
        &mut self,
        standing: Standing,
        totals: &Totals,
    ) -> impl Iterator<Item = (Address, Slot, u64)> {
        self.standing = standing;
        self.entries().for_each(|e| totals.removed(e));
        self.slots.drain()
    }

    /// Puts all in the order of use.
    pub(super) fn sort(&mut self) {
        let mut slots: Vec<_> = self.slots.drain().collect();
        slots.sort_by_key(|(_, _, used)| *used);
        for (address, slot, used) in slots {
            self.slots.put(address, slot, used);
        }
    }

    /// Returns what is retained at an address, and notes its use.
    pub(super) fn find(
        &self,
        (hash, at): (u64, &Address),
        keep: Duration,
        now: Millis,
        totals: &Totals,
    ) -> Found {
        let Some(slot) = self.slots.get(hash, |is| is == at, totals.now()) else {
            return Found::default();
        };
        let retained = slot.entries.iter();
        retained
            .filter(|e| e.meta.is_retained(keep, now))
            .cloned()
            .collect()
    }

    /// Puts an entry in the place of the one before, and removes the oldest of its address where there are too many.
    pub(super) fn put(&mut self, entry: &Entry, most: Most, now: Millis, totals: &Totals) {
        let address = &entry.id.address;
        let mut slot = self.slots.remove(address).unwrap_or_default();
        let mut entry = entry.clone();
        let mut before = None;
        slot.remove(totals, |e| {
            let gone = !e.meta.is_retained(most.keep, now);
            let same = e.id.variant == entry.id.variant;
            if same && !gone {
                before = Some((e.generation, e.meta.seal, e.meta.changed_at));
            }
            same || gone
        });
        entry.generation = Generation::start();
        if let Some((generation, seal, changed_at)) = before {
            entry.generation = generation.next();
            if seal == entry.meta.seal {
                entry.meta.changed_at = changed_at;
            }
        }
        while !slot.has_room_for(&entry, most) {
            slot.remove_oldest(totals);
        }
        totals.added(&entry);
        let address = address.clone();
        slot.entries.push(Arc::new(entry));
        self.slots.put(address, slot, totals.now());
    }

    /// Applies a renewal where the entry is still the one that was read.
    pub(super) fn renew(
        &mut self,
        renewal: &Renewal,
        keep: Duration,
        now: Millis,
        totals: &Totals,
    ) -> bool {
        let slot = self.slots.get_mut(&renewal.id.address, totals.now());
        let entry = slot.and_then(|slot| {
            slot.entries.iter_mut().find(|e| {
                e.id.variant == renewal.id.variant
                    && e.generation == renewal.read
                    && e.meta.is_retained(keep, now)
            })
        });
        let Some(entry) = entry else { return false };
        let renewed = Entry {
            id: entry.id.clone(),
            generation: entry.generation.next(),
            meta: Meta {
                // It belongs to the body, which stays.
                seal: entry.meta.seal,
                ..renewal.meta.clone()
            },
            body: entry.body.clone(),
        };
        totals.removed(entry);
        totals.added(&renewed);
        *entry = Arc::new(renewed);
        true
    }

    /// Removes an address; tells whether there was a retained entry.
    pub(super) fn delete(
        &mut self,
        at: &Address,
        keep: Duration,
        now: Millis,
        totals: &Totals,
    ) -> bool {
        let Some(slot) = self.slots.remove(at) else {
            return false;
        };
        slot.entries.iter().for_each(|e| totals.removed(e));
        slot.entries.iter().any(|e| e.meta.is_retained(keep, now))
    }

    /// Returns all entries, the ones past their `keep` too.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.slots.values().flat_map(|slot| &slot.entries)
    }

    /// Removes the entries that `which` says yes to.
    pub(super) fn remove(&mut self, totals: &Totals, mut which: impl FnMut(&Entry) -> bool) {
        self.slots.retain(|_, slot| {
            slot.remove(totals, &mut which);
            !slot.entries.is_empty()
        });
    }
}

/// The most that one address may hold.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) keep: Duration,
    pub(super) variants: u64,
    pub(super) bytes: u64,
}

impl Slot {
    fn has_room_for(&self, entry: &Entry, most: Most) -> bool {
        let bytes: u64 = self.entries.iter().map(|e| cost(e)).sum();
        self.entries.is_empty()
            || (self.entries.len() as u64) < most.variants && bytes + cost(entry) <= most.bytes
    }

    fn remove_oldest(&mut self, totals: &Totals) {
        let oldest = self
            .entries
            .iter()
            .enumerate()
            .min_by_key(|(_, e)| e.meta.stored_at);
        if let Some((i, _)) = oldest {
            totals.removed(&self.entries.remove(i));
        }
    }

    fn remove(&mut self, totals: &Totals, mut which: impl FnMut(&Entry) -> bool) {
        self.entries.retain(|e| {
            let out = which(e);
            if out {
                totals.removed(e);
            }
            !out
        });
    }
}
