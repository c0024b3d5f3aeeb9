//! Stored answers: where they live, what they say, and their checksummed bytes.
//!
//! An [`Entry`] is one answer: an [`EntryId`] (the key, whose it is, and the variant that `Vary` made of it), a [`Generation`] that grows
//! with every write, a [`Meta`] (all that a 304 may change: head, label, times, columns, tags), and the body.

mod head;
mod identity;
mod record;

pub use head::Head;
pub use identity::{Address, EntryId, Generation, Partition, Variant};
pub use record::{Record, Seal};

use crate::{FieldValue, Millis};
use bytes::Bytes;
use restow_policy::CLOCK_SKEW_MS;
use std::{sync::Arc, time::Duration};

/// All of an entry that a 304 may change, and the seal of the body it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Status, header lines and facts.
    pub head: Arc<Head>,
    /// Length and checksum of the body.
    pub seal: Seal,
    /// The name that the endpoint gave the answer.
    pub label: Option<Arc<str>>,
    /// When the body was stored.
    pub stored_at: Millis,
    /// When the origin last confirmed it.
    pub checked_at: Millis,
    /// When the body last differed from the one before.
    pub changed_at: Millis,
    /// When it stops being fresh; [`Millis::MAX`] for never.
    pub expires_at: Millis,
    /// The values of the declared columns, in their order; empty where there are none.
    pub columns: Arc<[FieldValue]>,
    /// Tags to select it by.
    pub tags: Arc<[Box<str>]>,
}

thread_local! {
    // Most entries have neither, and the count of one that all threads share would go back and forth between them.
    static NONE: (Arc<[FieldValue]>, Arc<[Box<str>]>) = (Arc::new([]), Arc::new([]));
}

/// The columns of an entry that has none.
pub(crate) fn no_columns() -> Arc<[FieldValue]> {
    NONE.with(|(columns, _)| columns.clone())
}

/// The tags of an entry that has none.
pub(crate) fn no_tags() -> Arc<[Box<str>]> {
    NONE.with(|(_, tags)| tags.clone())
}

/// One stored answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What identifies it.
    pub id: EntryId,
    /// Grows with every write and renewal; given by the store.
    pub generation: Generation,
    /// Head, times, label, columns, tags.
    pub meta: Meta,
    /// The body; empty where it was not asked for.
    pub body: Bytes,
}

impl Entry {
    /// Makes an entry that is stored at `now`, without label, columns and tags.
    pub fn new(id: EntryId, head: Head, body: Bytes, now: Millis, expires_at: Millis) -> Self {
        let meta = Meta {
            head: Arc::new(head),
            seal: Seal::of(&body),
            label: None,
            stored_at: now,
            checked_at: now,
            changed_at: now,
            expires_at,
            columns: no_columns(),
            tags: no_tags(),
        };
        Self {
            id,
            generation: Generation::UNKNOWN,
            meta,
            body,
        }
    }

    /// Tells whether it has not expired.
    pub fn is_live(&self, now: Millis) -> bool {
        self.meta.is_live(now)
    }

    /// Tells whether it may be read as fresh: live, and not from the future.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.meta.is_fresh(now)
    }

    /// Returns the bytes it costs: header lines, URL, body.
    pub fn size(&self) -> u64 {
        self.meta.size()
    }
}

impl Meta {
    /// Tells whether the entry has not expired: what [`Scope::Live`](crate::Scope::Live) covers.
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires_at > now
    }

    /// Tells whether the entry may be read as fresh: live, and not from the future.
    ///
    /// Where it was stored or confirmed more than 5 seconds after `now`, the clock was set back since. How old it is nobody knows, and its
    /// expiry may be years beyond its lifetime.
    pub fn is_fresh(&self, now: Millis) -> bool {
        let since = self.stored_at.max(self.checked_at);
        self.is_live(now) && since.0 <= now.0.saturating_add(CLOCK_SKEW_MS)
    }

    /// Tells whether the entry is live, or expired and still within `keep`. Past it, it is gone.
    pub fn is_retained(&self, keep: Duration, now: Millis) -> bool {
        self.expires_at.plus(keep) > now
    }

    /// Returns the bytes of header lines, URL and body.
    pub fn size(&self) -> u64 {
        self.seal.len + self.head.size()
    }
}

/// The retained entries at one address: mostly none or one, and then no list is allocated.
#[derive(Clone, Debug, Default)]
pub struct Found {
    first: Option<Arc<Entry>>,
    rest: Vec<Arc<Entry>>,
}

impl Found {
    /// Adds an entry.
    pub fn push(&mut self, entry: Arc<Entry>) {
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.rest.push(entry);
        }
    }

    /// Returns the entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.first.iter().chain(&self.rest)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Keeps the entries that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        self.rest.retain(|e| keep(e));
        if self.first.as_ref().is_some_and(|e| !keep(e)) {
            self.first = self.rest.pop();
        }
    }

    /// Returns the newest [fresh](Entry::is_fresh) entry of those that `pick` says yes to: what a typed `get` answers.
    pub fn newest_live(&self, now: Millis, pick: impl Fn(&Entry) -> bool) -> Option<&Arc<Entry>> {
        self.iter()
            .filter(|e| e.is_fresh(now) && pick(e))
            .max_by_key(|e| e.meta.stored_at)
    }
}

impl FromIterator<Arc<Entry>> for Found {
    fn from_iter<I: IntoIterator<Item = Arc<Entry>>>(entries: I) -> Self {
        let mut found = Self::default();
        entries.into_iter().for_each(|e| found.push(e));
        found
    }
}

impl IntoIterator for Found {
    type Item = Arc<Entry>;
    type IntoIter =
        std::iter::Chain<std::option::IntoIter<Arc<Entry>>, std::vec::IntoIter<Arc<Entry>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}
