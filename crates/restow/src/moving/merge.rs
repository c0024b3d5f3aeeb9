//! Entries that come into a table: each in its place, unless what is there is newer.

use crate::{
    Millis, Result,
    entry::{Address, Entry, EntryId, Found, Meta},
    store::{Parts, Renewal, Table, Write},
};
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What became of entries that were to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Entries that were to be moved.
    pub seen: u64,
    /// Written: they were not there, or with another body.
    pub written: u64,
    /// Times and head brought up to date; the body was there.
    pub renewed: u64,
    /// There already, the same.
    pub present: u64,
    /// Not moved: what is there was stored or confirmed later.
    pub newer: u64,
    /// Not moved, because nobody would find them under the target's secret, or nobody may have them there.
    pub left_out: u64,
    /// Not moved: the target keeps nothing that has been expired for so long.
    pub gone: u64,
    /// Header lines, URLs and bodies of what was written, in bytes.
    pub bytes: u64,
}

/// How an entry that comes stands to the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Absent,
    Same,
    /// What is there is older; its body is the same or not.
    Older {
        body: bool,
    },
    Newer,
}

/// When an entry was stored or confirmed last; then its other times, so that of two that differ one is the newer.
fn rank(meta: &Meta) -> (Millis, [Millis; 4]) {
    let last = meta.stored_at.max(meta.checked_at);
    (
        last,
        [
            meta.stored_at,
            meta.checked_at,
            meta.changed_at,
            meta.expires_at,
        ],
    )
}

impl Standing {
    pub(super) fn of(comes: &Meta, held: Option<&Meta>) -> Self {
        let Some(held) = held else {
            return Self::Absent;
        };
        match (rank(comes).cmp(&rank(held)), comes.seal == held.seal) {
            (Ordering::Equal, true) => Self::Same,
            (Ordering::Greater, body) => Self::Older { body },
            // Of one time and with another body: nothing says that it is the better one.
            (Ordering::Less | Ordering::Equal, _) => Self::Newer,
        }
    }
}

/// A table that entries come into.
pub(super) struct Merger {
    pub(super) table: Arc<dyn Table>,
    pub(super) now: Millis,
    /// Only counts.
    pub(super) dry_run: bool,
    pub(super) tally: Tally,
}

impl Merger {
    pub(super) fn new(table: Arc<dyn Table>, now: Millis, dry_run: bool) -> Self {
        Self {
            table,
            now,
            dry_run,
            tally: Tally::default(),
        }
    }

    /// Takes in entries; in one call not more than should be in memory at once.
    ///
    /// # Errors
    /// As [`Table::write`].
    pub(super) async fn take(&mut self, entries: &[Arc<Entry>]) -> Result<()> {
        let keep = self.table.spec().keep;
        let held = held(&*self.table, entries, Parts::Meta, self.now).await?;
        let mut held: HashMap<&EntryId, &Arc<Entry>> = held.iter().map(|e| (&e.id, e)).collect();
        let (mut writes, mut renewals, mut coming) = (Vec::new(), Vec::new(), HashSet::new());
        for entry in entries {
            self.tally.seen += 1;
            if !entry.meta.is_retained(keep, self.now) {
                self.tally.gone += 1;
                continue;
            }
            let there = held.get(&entry.id).copied();
            match Standing::of(&entry.meta, there.map(|e| &e.meta)) {
                Standing::Same => self.tally.present += 1,
                Standing::Newer => self.tally.newer += 1,
                Standing::Older { body: true } if !coming.contains(&entry.id) => {
                    renewals.extend(there.map(|there| Renewal {
                        id: entry.id.clone(),
                        read: there.generation,
                        meta: entry.meta.clone(),
                    }));
                    self.tally.renewed += 1;
                    // Of two in one batch with one identity the later one is compared with the first.
                    held.insert(&entry.id, entry);
                    coming.insert(&entry.id);
                }
                Standing::Absent | Standing::Older { .. } => {
                    self.tally.written += 1;
                    self.tally.bytes += entry.size();
                    writes.push(Write {
                        entry: entry.clone(),
                        fence: None,
                    });
                    held.insert(&entry.id, entry);
                    coming.insert(&entry.id);
                }
            }
        }
        if self.dry_run {
            return Ok(());
        }
        if !renewals.is_empty() {
            // What another program renewed meanwhile is newer than what was read.
            self.table.renew(&renewals, self.now).await?;
        }
        if !writes.is_empty() {
            self.table.write(&writes, self.now).await?;
        }
        Ok(())
    }
}

/// Reads what a table holds with the identities of these entries, whole or not.
pub(super) async fn held(
    table: &dyn Table,
    entries: &[Arc<Entry>],
    parts: Parts,
    now: Millis,
) -> Result<Vec<Arc<Entry>>> {
    let mut at: Vec<Address> = entries.iter().map(|e| e.id.address.clone()).collect();
    at.sort_unstable();
    at.dedup();
    let found = table.read_many_latest(&at, parts, now).await?;
    Ok(found.iter().flat_map(Found::iter).cloned().collect())
}

/// Entries of a stream, as many as should be in memory at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Arc<Entry>>,
    bytes: u64,
}

impl Batch {
    /// The most entries of a batch.
    const ENTRIES: usize = 512;
    /// More bytes than this end a batch.
    const BYTES: u64 = 4 << 20;

    /// Adds an entry; tells whether the batch is full.
    pub(super) fn push(&mut self, entry: Arc<Entry>) -> bool {
        self.bytes += entry.size();
        self.entries.push(entry);
        self.entries.len() >= Self::ENTRIES || self.bytes >= Self::BYTES
    }

    /// Returns what it holds, and is empty.
    pub(super) fn take(&mut self) -> Vec<Arc<Entry>> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Head, Seal};
    use http::{HeaderMap, StatusCode};

    fn meta(stored: i64, checked: i64, body: &[u8]) -> Meta {
        let head = Head::new(
            StatusCode::OK,
            &HeaderMap::new(),
            None,
            Millis(0),
            Millis(0),
        );
        Meta {
            head: Arc::new(head),
            seal: Seal::of(body),
            label: None,
            stored_at: Millis(stored),
            checked_at: Millis(checked),
            changed_at: Millis(stored),
            expires_at: Millis(1_000),
            columns: Arc::new([]),
            tags: Arc::new([]),
        }
    }

    #[test]
    fn the_one_that_was_stored_or_confirmed_last_is_the_newer() {
        let held = meta(10, 20, b"a");
        for (comes, standing) in [
            (meta(10, 20, b"a"), Standing::Same),
            (meta(10, 20, b"b"), Standing::Newer),
            (meta(10, 19, b"a"), Standing::Newer),
            (meta(15, 15, b"b"), Standing::Newer),
            (meta(21, 21, b"b"), Standing::Older { body: false }),
            (meta(10, 30, b"a"), Standing::Older { body: true }),
        ] {
            assert_eq!(Standing::of(&comes, Some(&held)), standing, "{comes:?}");
        }
        assert_eq!(Standing::of(&held, None), Standing::Absent);
    }
}
