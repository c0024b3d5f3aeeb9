//! What a store holds, in numbers.

use super::MemoryOptions;
use crate::{
    entry::Entry,
    store::{Budget, Trimmed},
};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// What all tables of a store hold together.
#[derive(Debug)]
pub(super) struct Totals {
    bytes: AtomicU64,
    entries: AtomicU64,
    /// Of header lines, URLs and bodies alone.
    sizes: AtomicU64,
    begun: Instant,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::default(),
            entries: AtomicU64::default(),
            sizes: AtomicU64::default(),
            begun: Instant::now(),
        }
    }
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

    /// The moment of a use: who has the smallest one was used least recently. A number that all count up would be one that all cores
    /// contend for.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn added(&self, entry: &Entry) {
        self.bytes.fetch_add(cost(entry), Relaxed);
        self.sizes.fetch_add(entry.size(), Relaxed);
        self.entries.fetch_add(1, Relaxed);
    }

    pub(super) fn removed(&self, entry: &Entry) {
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
