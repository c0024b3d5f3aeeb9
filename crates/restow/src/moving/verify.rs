//! Whether what was copied is what there was: compared entry by entry, and copied again where it is not.

use super::{
    copy::One,
    merge::{self, Batch, Standing},
};
use crate::{
    Result, Selection,
    entry::{Entry, EntryId},
    store::Parts,
};
use futures_util::StreamExt as _;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What comparing a source with its target came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Entries of the source that were compared, by their times and checksums.
    pub compared: u64,
    /// Those that changed since they were copied, and were copied again.
    pub again: u64,
    /// Those that the target does not have, although they were copied: its bounds may be smaller than what it was given.
    pub missing: u64,
    /// Those that it has otherwise, although no newer one took their place.
    pub differing: u64,
    /// The first of them: key and owner.
    pub which: Vec<String>,
}

impl Verified {
    /// How many are named.
    const NAMED: usize = 10;

    /// Tells whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.differing == 0
    }

    fn note(&mut self, id: &EntryId) {
        if self.which.len() < Self::NAMED {
            let whose = &id.address.partition;
            self.which.push(format!("{} ({whose})", id.address.key));
        }
    }
}

/// Compares what the selection covers in source and target.
pub(super) async fn verify(one: &mut One, which: &Selection) -> Result<Verified> {
    let mut verified = Verified::default();
    let source = one.source.clone();
    let mut entries = source.scan(which, Parts::Meta, one.merger.now);
    let mut batch = Batch::default();
    while let Some(entry) = entries.next().await {
        if batch.push(entry?) {
            compare(one, batch.take(), &mut verified).await?;
        }
    }
    compare(one, batch.take(), &mut verified).await?;
    drop(entries);
    if verified.again > 0 || verified.missing > 0 {
        // What was copied again may have pushed out what was there.
        recount(one, which, &mut verified).await?;
    }
    Ok(verified)
}

/// Counts what is missing in the end, of what was there when the copying began.
async fn recount(one: &One, which: &Selection, verified: &mut Verified) -> Result<()> {
    (verified.missing, verified.differing) = (0, 0);
    verified.which.clear();
    let source = one.source.clone();
    let mut entries = source.scan(which, Parts::Meta, one.merger.now);
    let mut batch = Batch::default();
    let mut more = true;
    while more {
        let next = entries.next().await.transpose()?;
        more = next.is_some();
        if next.is_some_and(|entry| !batch.push(entry)) {
            continue;
        }
        let entries = moved(one, batch.take())?;
        for (entry, standing) in apart(one, entries).await? {
            let since = entry.meta.stored_at.max(entry.meta.checked_at) >= one.merger.now;
            match standing {
                _ if since => continue,
                Standing::Absent => verified.missing += 1,
                _ => verified.differing += 1,
            }
            verified.note(&entry.id);
        }
    }
    Ok(())
}

/// Returns those of a batch that were to be copied.
fn moved(one: &One, batch: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>> {
    let (keep, now) = (one.merger.table.spec().keep, one.merger.now);
    let mut kept = Vec::with_capacity(batch.len());
    for entry in batch {
        if entry.meta.is_retained(keep, now) && one.moves(&entry)? {
            kept.push(entry);
        }
    }
    Ok(kept)
}

async fn compare(one: &mut One, batch: Vec<Arc<Entry>>, verified: &mut Verified) -> Result<()> {
    let now = one.merger.now;
    let kept = moved(one, batch)?;
    verified.compared += kept.len() as u64;
    let apart = apart(one, kept).await?;
    if apart.is_empty() {
        return Ok(());
    }
    // They may have changed since they were copied: once more, as they are now.
    let ids: HashSet<EntryId> = apart.iter().map(|(e, _)| e.id.clone()).collect();
    let apart: Vec<_> = apart.into_iter().map(|(entry, _)| entry).collect();
    let mut current = merge::held(&*one.source, &apart, Parts::Whole, now).await?;
    current.retain(|entry| ids.contains(&entry.id));
    let tally = one.merger.tally;
    one.take(current.clone()).await?;
    // They were counted before.
    one.merger.tally = tally;
    let current_count = current.len() as u64;
    let still = self::apart(one, current).await?;
    verified.again += current_count - still.len() as u64;
    for (entry, standing) in still {
        match standing {
            Standing::Absent => verified.missing += 1,
            _ => verified.differing += 1,
        }
        verified.note(&entry.id);
    }
    Ok(())
}

/// Returns the entries that the target lacks or has otherwise, its bodies checked by their seals.
async fn apart(one: &One, entries: Vec<Arc<Entry>>) -> Result<Vec<(Arc<Entry>, Standing)>> {
    let held = merge::held(&*one.merger.table, &entries, Parts::Whole, one.merger.now).await?;
    let held: HashMap<&EntryId, &Arc<Entry>> = held.iter().map(|e| (&e.id, e)).collect();
    let compared = entries.into_iter().filter_map(|entry| {
        let there = held.get(&entry.id).filter(|there| there.is_intact());
        let standing = Standing::of(&entry.meta, there.map(|e| &e.meta));
        let same_time = there.is_some_and(|there| {
            there.meta.stored_at == entry.meta.stored_at
                && there.meta.checked_at == entry.meta.checked_at
        });
        match standing {
            Standing::Same => None,
            // Of the same moment, and yet another body.
            Standing::Newer if !same_time => None,
            _ => Some((entry, standing)),
        }
    });
    Ok(compared.collect())
}
