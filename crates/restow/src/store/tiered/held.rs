//! The entries a tier holds, and what tells whether they may still be believed.

use super::{TierOptions, bounded::Bounded};
use crate::{
    Millis, Result,
    entry::{Address, Found},
    store::{MemoryOptions, TableName, memory::cost},
};
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Addresses that share a number; a write to one makes the others be read again, which costs little where it is rare.
const STRIPES: usize = 8_192;

/// Where entries are held: the table's number and the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(u64, Address);

/// What was current when a read began. What is read under a ticket is good for as long as the ticket is: a change moves
/// the numbers on, so that an older state put in later is never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    table: u64,
    stripe: u64,
}

/// How long an entry is answered without the store being read: what is used most must not be to it what was used least.
const TELL: Duration = Duration::from_secs(300);

/// The store's number of foreign changes; [`UNTOLD`] where it could not say.
type Foreign = u64;

const UNTOLD: Foreign = u64::MAX;

/// What is held of one address.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) found: Found,
    ticket: Ticket,
    checked: Millis,
    foreign: Foreign,
}

impl Held {
    /// Tells whether nothing in this process changed it since, and another process did not or had no time to. `hears` says whether the store
    /// tells of others' changes as they come, and of all of ours.
    pub(super) fn is_current(
        &self,
        ticket: Ticket,
        hears: impl FnOnce() -> bool,
        foreign: impl FnOnce() -> Foreign,
        options: &TierOptions,
        now: Millis,
    ) -> bool {
        if self.ticket != ticket {
            return false;
        }
        within(options.recheck, self.checked, now)
            || (within(TELL.max(options.recheck), self.checked, now)
                && (hears() || (self.foreign != UNTOLD && self.foreign == foreign())))
    }

    /// How many bytes of a tier it takes.
    pub(super) fn weight(&self, place: &Place) -> u64 {
        weight(&place.1, &self.found)
    }
}

/// Tells whether less than a span is between two moments, whichever is first: clocks are set back too.
fn within(span: Duration, a: Millis, b: Millis) -> bool {
    u128::from(a.0.abs_diff(b.0)) < span.as_millis()
}

fn weight(at: &Address, found: &Found) -> u64 {
    let entries = found.iter().map(|entry| cost(entry));
    at.key.as_bytes().len() as u64 + MemoryOptions::OVERHEAD + entries.sum::<u64>()
}

/// How often some addresses may have changed, and when a change of them was last begun that may still happen.
#[derive(Debug, Default)]
struct Stripe {
    changes: AtomicU64,
    doubted: Doubt,
}

/// When a change failed, or nobody waited for its end: it may happen yet, and no store tells us of what we do ourselves.
#[derive(Debug)]
struct Doubt(AtomicI64);

impl Default for Doubt {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Doubt {
    fn begin(&self, now: Millis) {
        self.0.fetch_max(now.0, Ordering::AcqRel);
    }

    fn is_over(&self, now: Millis) -> bool {
        !within(TELL, Millis(self.0.load(Ordering::Acquire)), now)
    }
}

/// One table's number, and how often all of it may have changed.
#[derive(Debug)]
pub(super) struct Line {
    number: u64,
    doubted: Doubt,
    changes: AtomicU64,
    foreign: AtomicU64,
    /// When the store was asked for it.
    asked: AtomicI64,
}

impl Line {
    /// Returns the store's number of foreign changes, not older than half the time that entries are believed without it.
    pub(super) fn foreign(
        &self,
        options: &TierOptions,
        now: Millis,
        ask: impl FnOnce() -> Option<u64>,
    ) -> Foreign {
        let asked = Millis(self.asked.load(Ordering::Acquire));
        if within(options.recheck / 2, asked, now) {
            return self.foreign.load(Ordering::Acquire);
        }
        let foreign = ask().unwrap_or(UNTOLD);
        if foreign != UNTOLD {
            // In this order: a number is never taken for younger than it is.
            self.foreign.store(foreign, Ordering::Release);
            self.asked.store(now.0, Ordering::Release);
        }
        foreign
    }

    /// Lets nothing be believed that was read of this table until now.
    pub(super) fn change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets nothing of this table be believed for long for a while: a change of all of it may still happen.
    pub(super) fn doubt(&self, now: Millis) {
        self.doubted.begin(now);
    }
}

/// All that a tier holds, over all tables.
pub(super) struct Tier {
    pub(super) options: TierOptions,
    cache: Bounded,
    stripes: Box<[Stripe]>,
    /// Whether the store tells what others change.
    hears: AtomicBool,
    lines: Mutex<HashMap<TableName, Arc<Line>>>,
}

impl Tier {
    pub(super) fn new(options: TierOptions) -> Result<Self> {
        let options = options.check()?;
        Ok(Self {
            options,
            cache: Bounded::new(options.max_bytes),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            hears: AtomicBool::new(false),
            lines: Mutex::default(),
        })
    }

    /// Returns what all handles to a table share.
    pub(super) fn line(&self, table: &TableName) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let number = lines.len() as u64;
        let line = lines.entry(table.clone()).or_insert_with(|| {
            Arc::new(Line {
                number,
                doubted: Doubt::default(),
                changes: AtomicU64::new(0),
                foreign: AtomicU64::new(UNTOLD),
                asked: AtomicI64::new(i64::MIN),
            })
        });
        line.clone()
    }

    /// Makes the hash of a place, by which it and its stripe are found.
    pub(super) fn hash(&self, line: &Line, at: &Address) -> u64 {
        // As a `Place` is hashed.
        self.cache.hash((line.number, at))
    }

    /// Takes a ticket, before the store is read.
    pub(super) fn ticket(&self, line: &Line, hash: u64) -> Ticket {
        let stripe = self.stripe(hash);
        Ticket {
            table: line.changes.load(Ordering::Acquire),
            stripe: stripe.map_or(0, |s| s.changes.load(Ordering::Acquire)),
        }
    }

    /// Returns what is held at the place of this hash, current or not.
    pub(super) fn get(&self, line: &Line, at: &Address, hash: u64) -> Option<Held> {
        self.cache
            .get(hash, |place| place.0 == line.number && place.1 == *at)
    }

    /// Holds what the store answered to a read under `ticket`.
    pub(super) fn hold(
        &self,
        line: &Line,
        at: &Address,
        found: &Found,
        ticket: Ticket,
        foreign: Foreign,
        now: Millis,
    ) {
        let most = self.options.max_entry.min(self.options.max_bytes);
        let place = Place(line.number, at.clone());
        if found.is_empty() || weight(at, found) > most {
            // Absence is not held: a fetch follows, and it may be another process's.
            self.cache.remove(&place);
            return;
        }
        let held = Held {
            found: found.clone(),
            ticket,
            checked: now,
            foreign,
        };
        self.cache.put(place, held);
    }

    fn stripe(&self, hash: u64) -> Option<&Stripe> {
        self.stripes
            .get(usize::try_from(hash % STRIPES as u64).unwrap_or_default())
    }

    /// Lets nothing be believed that was read of the places of these hashes until now.
    pub(super) fn change(&self, hashes: &[u64]) {
        for stripe in hashes.iter().filter_map(|hash| self.stripe(*hash)) {
            stripe.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Lets nothing of these be believed for long for a while: a change of them may still happen.
    pub(super) fn doubt(&self, hashes: &[u64], now: Millis) {
        let stripes = hashes.iter().filter_map(|hash| self.stripe(*hash));
        stripes.for_each(|stripe| stripe.doubted.begin(now));
    }

    /// Tells whether a change of the place of this hash would have been heard of.
    pub(super) fn hears_of(&self, line: &Line, hash: u64, now: Millis) -> bool {
        self.hears.load(Ordering::Acquire)
            && line.doubted.is_over(now)
            && self
                .stripe(hash)
                .is_some_and(|stripe| stripe.doubted.is_over(now))
    }

    /// Notes whether the store tells what others change from now on. Before it does, nothing is believed that was read until now.
    pub(super) fn hear(&self, hears: bool) {
        if hears {
            self.forget_all();
        }
        self.hears.store(hears, Ordering::Release);
    }

    /// Forgets a table's entries.
    pub(super) fn forget(&self, line: &Line) {
        line.change();
        self.cache.retain(|place| place.0 != line.number);
    }

    /// Lets nothing be believed that was read until now.
    pub(super) fn change_all(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.values().for_each(|line| line.change());
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.change_all();
        self.cache.retain(|_| false);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    pub(super) fn addresses(&self) -> usize {
        self.cache.len()
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier")
            .field("options", &self.options)
            .field("bytes", &self.bytes())
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}
