//! The entries of one table, in the order of their use.

use super::{MemoryOptions, closed};
use crate::{
    Error, ErrorKind, Millis, Result,
    entry::{Address, Entry, Found, Generation, Meta},
    store::{Budget, Migration, Renewal, TableSpec, Trimmed},
};
use hashlink::LinkedHashMap;
use smallvec::SmallVec;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What all tables of a store hold together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    bytes: AtomicU64,
    entries: AtomicU64,
    /// Of header lines, URLs and bodies alone.
    sizes: AtomicU64,
    /// Grows with every use of an address: who has the smallest number was used least recently.
    uses: AtomicU64,
}

impl Totals {
    pub(super) fn exceed(&self, options: &MemoryOptions) -> bool {
        self.bytes.load(Relaxed) > options.max_bytes
            || options
                .max_entries
                .is_some_and(|most| self.entries.load(Relaxed) > most.max(1))
    }

    pub(super) fn are_within(&self, most: &Budget) -> bool {
        most.allows(self.entries.load(Relaxed), self.sizes.load(Relaxed))
    }

    pub(super) fn trimmed(&self, removed: u64) -> Trimmed {
        Trimmed {
            removed,
            entries: self.entries.load(Relaxed),
            bytes: self.sizes.load(Relaxed),
        }
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Relaxed)
    }

    fn added(&self, entry: &Entry) {
        self.bytes.fetch_add(cost(entry), Relaxed);
        self.sizes.fetch_add(entry.size(), Relaxed);
        self.entries.fetch_add(1, Relaxed);
    }

    fn removed(&self, entry: &Entry) {
        self.bytes.fetch_sub(cost(entry), Relaxed);
        self.sizes.fetch_sub(entry.size(), Relaxed);
        self.entries.fetch_sub(1, Relaxed);
    }
}

/// What an entry costs of [`MemoryOptions::max_bytes`].
pub(in crate::store) fn cost(entry: &Entry) -> u64 {
    let texts = entry.meta.tags.iter().map(|tag| tag.len());
    let label = entry.meta.label.as_ref().map_or(0, |label| label.len());
    let columns = entry.meta.columns.iter().map(|value| match value {
        crate::FieldValue::Text(text) => text.len(),
        _ => 8,
    });
    let beside = entry.id.address.key.as_bytes().len()
        + label
        + texts.sum::<usize>()
        + columns.sum::<usize>();
    // The body's own length: a seal is what a caller says of it.
    entry.body.len() as u64 + entry.meta.head.size() + beside as u64 + MemoryOptions::OVERHEAD
}

/// The entries of one table. Every handle to the table shares it.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// Least recently used first.
    slots: LinkedHashMap<Address, Slot>,
    /// The columns that older entries may have no values for.
    pending: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Open,
    Removed,
    Closed,
}

/// The entries at one address; never empty.
#[derive(Debug, Default)]
struct Slot {
    used: u64,
    entries: SmallVec<[Arc<Entry>; 1]>,
}

impl Shelf {
    /// Locks it for use.
    pub(super) fn open(&self) -> Result<Opened<'_>> {
        let state = self.lock();
        match state.standing {
            Standing::Open => Ok(Opened(state)),
            Standing::Closed => Err(closed()),
            Standing::Removed => Err(Error::new(
                ErrorKind::NoSuchRepository,
                "its table was removed or changed since it was opened; open it again",
            )),
        }
    }

    /// Returns when its least recently used address was used.
    pub(super) fn least_recent(&self) -> Option<u64> {
        self.lock().slots.front().map(|(_, slot)| slot.used)
    }

    /// Removes entries of the least recently used address, if it is still the one that was used then, for as long as `more` says
    /// so of the number removed; returns that number.
    pub(super) fn evict_while(
        &self,
        used: u64,
        totals: &Totals,
        more: impl Fn(u64) -> bool,
    ) -> u64 {
        let mut state = self.lock();
        let oldest = state.slots.front().map(|(_, slot)| slot.used);
        let Some((address, mut slot)) = oldest
            .filter(|oldest| *oldest == used)
            .and_then(|_| state.slots.pop_front())
        else {
            return 0;
        };
        let mut removed = 0;
        while more(removed)
            && let Some(entry) = slot.entries.pop()
        {
            totals.removed(&entry);
            removed += 1;
        }
        if !slot.entries.is_empty() {
            state.slots.insert(address.clone(), slot);
            state.slots.to_front(&address);
        }
        removed
    }

    /// Takes out what it holds; handles to it say that the table was removed.
    pub(super) fn remove(&self, totals: &Totals) {
        self.end(Standing::Removed, totals);
    }

    /// Takes out what it holds; handles to it say that the store is closed.
    pub(super) fn close(&self, totals: &Totals) {
        self.end(Standing::Closed, totals);
    }

    /// Moves what it holds to a new shelf with other fields and columns.
    pub(super) fn migrate(&self, spec: &TableSpec, migration: &Migration, totals: &Totals) -> Self {
        let mut moved = State {
            pending: std::mem::take(&mut self.lock().pending),
            ..State::default()
        };
        moved.pending.extend(migration.added_columns(spec));
        moved
            .pending
            .retain(|name| spec.columns.iter().any(|c| c.name == *name));
        for (address, slot) in self.end(Standing::Removed, totals) {
            // A key that got too long cannot be asked for any more either.
            let Ok(key) = migration.key(&address.key) else {
                continue;
            };
            let address = Address { key, ..address };
            let entries = slot.entries.into_iter().map(|entry| {
                let mut entry = Arc::unwrap_or_clone(entry);
                entry.id.address = address.clone();
                entry.meta.columns = migration.columns(&entry.meta.columns);
                totals.added(&entry);
                Arc::new(entry)
            });
            let slot = Slot {
                used: slot.used,
                entries: entries.collect(),
            };
            moved.slots.insert(address, slot);
        }
        Self(Mutex::new(moved))
    }

    fn end(&self, standing: Standing, totals: &Totals) -> LinkedHashMap<Address, Slot> {
        let mut state = self.lock();
        state.standing = standing;
        let slots = std::mem::take(&mut state.slots);
        let entries = slots.values().flat_map(|slot| &slot.entries);
        entries.for_each(|e| totals.removed(e));
        slots
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shelf that is locked and in use.
pub(super) struct Opened<'a>(MutexGuard<'a, State>);

impl Opened<'_> {
    /// Returns the columns that older entries may have no values for.
    pub(super) fn pending(&mut self) -> &mut Vec<Box<str>> {
        &mut self.0.pending
    }

    /// Returns what is retained at an address, and notes its use.
    pub(super) fn find(
        &mut self,
        at: &Address,
        keep: Duration,
        now: Millis,
        totals: &Totals,
    ) -> Found {
        let Some(slot) = self.0.slots.to_back(at) else {
            return Found::default();
        };
        slot.used = totals.next_use();
        let retained = slot.entries.iter();
        retained
            .filter(|e| e.meta.is_retained(keep, now))
            .cloned()
            .collect()
    }

    /// Puts an entry in the place of the one before, and removes the oldest of its address where there are too many.
    pub(super) fn put(&mut self, entry: &Entry, most: Most, now: Millis, totals: &Totals) {
        let address = &entry.id.address;
        let mut slot = self.0.slots.remove(address).unwrap_or_default();
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
        slot.used = totals.next_use();
        slot.entries.push(Arc::new(entry));
        self.0.slots.insert(address.clone(), slot);
    }

    /// Applies a renewal where the entry is still the one that was read.
    pub(super) fn renew(
        &mut self,
        renewal: &Renewal,
        keep: Duration,
        now: Millis,
        totals: &Totals,
    ) -> bool {
        let slot = self.0.slots.to_back(&renewal.id.address);
        let entry = slot.and_then(|slot| {
            slot.used = totals.next_use();
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
        let Some(slot) = self.0.slots.remove(at) else {
            return false;
        };
        slot.entries.iter().for_each(|e| totals.removed(e));
        slot.entries.iter().any(|e| e.meta.is_retained(keep, now))
    }

    /// Returns all entries, the ones past their `keep` too.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.slots.values().flat_map(|slot| &slot.entries)
    }

    /// Removes up to `limit` of the entries that `which` says yes to; returns how many.
    pub(super) fn remove(
        &mut self,
        limit: u64,
        totals: &Totals,
        mut which: impl FnMut(&Entry) -> bool,
    ) -> u64 {
        let mut removed = 0;
        self.0.slots.retain_with_order(|_, slot| {
            slot.remove(totals, |e| {
                let out = removed < limit && which(e);
                removed += u64::from(out);
                out
            });
            !slot.entries.is_empty()
        });
        removed
    }

    /// Removes up to `limit` entries that the table's budget does not allow, least recently used first; returns how many.
    pub(super) fn shrink(&mut self, spec: &TableSpec, limit: u64, totals: &Totals) -> u64 {
        let (mut entries, mut bytes) = self
            .entries()
            .fold((0, 0), |(n, bytes), e| (n + 1, bytes + e.size()));
        let most_entries = spec.budget.entries.unwrap_or(u64::MAX);
        let most_bytes = spec.budget.bytes.unwrap_or(u64::MAX);
        if entries <= most_entries && bytes <= most_bytes {
            return 0;
        }
        self.remove(limit, totals, |e| {
            let over = entries > most_entries || bytes > most_bytes;
            if over {
                entries -= 1;
                bytes -= e.size();
            }
            over
        })
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
