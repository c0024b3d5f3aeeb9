//! A table with a memory tier before it.

use super::held::{Held, Line, Ticket, Tier};
use crate::{
    Millis, Result, Selection,
    answer::{Answer, BoxStream},
    entry::{Address, Entry, Found, Partition},
    store::{Parts, Renewal, Stats, Table, TableSpec, Write},
};
use smallvec::SmallVec;
use std::sync::Arc;

/// A handle to a table of the inner store; all handles of one name share what the tier holds.
#[derive(Debug)]
pub(super) struct TieredTable {
    inner: Arc<dyn Table>,
    tier: Arc<Tier>,
    line: Arc<Line>,
}

impl TieredTable {
    pub(super) fn new(inner: Arc<dyn Table>, tier: Arc<Tier>, line: Arc<Line>) -> Self {
        Self { inner, tier, line }
    }

    /// Tells whether what is held may be answered.
    fn is_good(&self, held: &Held, hash: u64, ticket: Ticket, now: Millis) -> bool {
        let keep = self.inner.spec().keep;
        let hears = || self.tier.hears_of(&self.line, hash, now);
        held.is_current(ticket, hears, || self.foreign(now), &self.tier.options, now)
            && held.found.iter().all(|e| e.meta.is_retained(keep, now))
    }

    /// The store's number of foreign changes. What is read after it is held under it.
    fn foreign(&self, now: Millis) -> u64 {
        self.line
            .foreign(&self.tier.options, now, || self.inner.foreign_changes())
    }

    /// Reads all of an address from the store, and holds it: no replica is asked, for what is behind would be believed long after.
    fn fetch<'a>(
        &'a self,
        at: &'a Address,
        ticket: Ticket,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        let foreign = self.foreign(now);
        let keep = move |found: &Result<Found>| {
            if let Ok(found) = found {
                self.tier.hold(&self.line, at, found, ticket, foreign, now);
            }
        };
        match self.inner.read_latest(at, Parts::Whole, now) {
            Answer::Ready(found) => {
                found.iter().for_each(keep);
                Answer::Ready(found)
            }
            waiting => Answer::later(async move {
                let found = waiting.await;
                keep(&found);
                found
            }),
        }
    }

    /// Asks the store whether what is held is still there, by the generations: the body is not read.
    fn recheck<'a>(
        &'a self,
        at: &'a Address,
        held: Found,
        ticket: Ticket,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        let foreign = self.foreign(now);
        match self.inner.read_latest(at, Parts::Meta, now) {
            Answer::Ready(Some(there)) => self.compared(at, held, there, (ticket, foreign), now),
            waiting => Answer::later(async move {
                let there = waiting.await;
                self.compared(at, held, there, (ticket, foreign), now).await
            }),
        }
    }

    fn compared<'a>(
        &'a self,
        at: &'a Address,
        held: Found,
        there: Result<Found>,
        (ticket, foreign): (Ticket, u64),
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        match there {
            Err(error) => Answer::ready(Err(error)),
            Ok(there) if same(&held, &there) => {
                self.tier.hold(&self.line, at, &held, ticket, foreign, now);
                Answer::ready(Ok(held))
            }
            Ok(_) => self.fetch(at, ticket, now),
        }
    }

    /// Does a change of some addresses; when it is done, or dropped, nothing older is believed.
    fn changing<'a, 'e, T: Send + 'a>(
        &'a self,
        at: impl Iterator<Item = &'e Address>,
        now: Millis,
        change: impl FnOnce() -> Answer<'a, Result<T>>,
    ) -> Answer<'a, Result<T>> {
        let hashes = at.map(|at| self.tier.hash(&self.line, at)).collect();
        self.guarded(Some(hashes), now, |_| false, change)
    }

    /// Does a change that may reach any address; where it removed nothing, nothing is forgotten.
    fn sweeping<'a>(
        &'a self,
        now: Millis,
        change: impl FnOnce() -> Answer<'a, Result<u64>>,
    ) -> Answer<'a, Result<u64>> {
        self.guarded(None, now, |removed| *removed == 0, change)
    }

    fn guarded<'a, T: Send + 'a>(
        &'a self,
        hashes: Option<Hashes>,
        now: Millis,
        is_harmless: fn(&T) -> bool,
        change: impl FnOnce() -> Answer<'a, Result<T>>,
    ) -> Answer<'a, Result<T>> {
        let guard = Guard {
            table: self,
            hashes,
            now,
            done: false,
            harmless: false,
        };
        match change() {
            // The guard goes here, after the work.
            Answer::Ready(done) => {
                guard.end(done.as_ref(), is_harmless);
                Answer::Ready(done)
            }
            waiting => Answer::later(async move {
                let done = waiting.await;
                guard.end(Some(&done), is_harmless);
                done
            }),
        }
    }
}

/// By which some addresses are found.
type Hashes = SmallVec<[u64; 4]>;

/// Lets the tier forget what was changed when it goes.
struct Guard<'a> {
    table: &'a TieredTable,
    /// The whole table without.
    hashes: Option<Hashes>,
    now: Millis,
    /// Whether it is known what came of it.
    done: bool,
    /// Whether nothing was changed.
    harmless: bool,
}

impl Guard<'_> {
    fn end<T>(mut self, done: Option<&Result<T>>, is_harmless: fn(&T) -> bool) {
        if let Some(Ok(done)) = done {
            self.done = true;
            self.harmless = is_harmless(done);
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let (tier, line) = (&self.table.tier, &self.table.line);
        match &self.hashes {
            Some(hashes) if !self.done => tier.doubt(hashes, self.now),
            None if !self.done => line.doubt(self.now),
            _ => {}
        }
        match &self.hashes {
            _ if self.harmless => {}
            Some(hashes) => tier.change(hashes),
            None => line.change(),
        }
    }
}

/// Tells whether two reads found the same states of the same variants.
fn same(held: &Found, there: &Found) -> bool {
    held.len() == there.len()
        && held.iter().all(|a| {
            there
                .iter()
                .any(|b| a.id.variant == b.id.variant && a.generation == b.generation)
        })
}

#[deny(clippy::missing_trait_methods)]
impl Table for TieredTable {
    fn spec(&self) -> &TableSpec {
        self.inner.spec()
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        if let Err(error) = self.spec().check_key(&at.key) {
            return Answer::ready(Err(error));
        }
        let hash = self.tier.hash(&self.line, at);
        let ticket = self.tier.ticket(&self.line, hash);
        match (self.tier.get(&self.line, at, hash), parts) {
            (Some(held), _) if self.is_good(&held, hash, ticket, now) => {
                Answer::ready(Ok(held.found))
            }
            (Some(held), _) => self.recheck(at, held.found, ticket, now),
            // Who lists does not want the bodies read.
            (None, Parts::Meta) => self.inner.read(at, parts, now),
            (None, Parts::Body | Parts::Whole) => self.fetch(at, ticket, now),
        }
    }

    fn read_latest<'a>(
        &'a self,
        at: &'a Address,
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        // What is held is left as it is: word of what it lacks is on its way.
        self.inner.read_latest(at, parts, now)
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        for address in at {
            if let Err(error) = self.spec().check_key(&address.key) {
                return Answer::ready(Err(error));
            }
        }
        let tickets: Vec<_> = at
            .iter()
            .map(|at| {
                let hash = self.tier.hash(&self.line, at);
                (hash, self.tier.ticket(&self.line, hash))
            })
            .collect();
        let hits: Vec<_> = at
            .iter()
            .zip(&tickets)
            .map(|(at, (hash, ticket))| {
                let held = self.tier.get(&self.line, at, *hash);
                held.filter(|held| self.is_good(held, *hash, *ticket, now))
                    .map(|held| held.found)
            })
            .collect();
        if hits.iter().all(Option::is_some) {
            return Answer::ready(Ok(hits.into_iter().flatten().collect()));
        }
        let foreign = self.foreign(now);
        Answer::later(async move {
            let missing = at.iter().zip(&hits).filter(|(_, hit)| hit.is_none());
            let missing: Vec<_> = missing.map(|(at, _)| at.clone()).collect();
            // What is to be held is the latest.
            let (wanted, read) = match parts {
                Parts::Meta => (parts, self.inner.read_many(&missing, parts, now)),
                Parts::Body | Parts::Whole => {
                    let wanted = Parts::Whole;
                    (wanted, self.inner.read_many_latest(&missing, wanted, now))
                }
            };
            let mut read = read.await?.into_iter();
            let found = at
                .iter()
                .zip(tickets)
                .zip(hits)
                .map(|((at, (_, ticket)), hit)| {
                    hit.unwrap_or_else(|| {
                        let found = read.next().unwrap_or_default();
                        if wanted == Parts::Whole {
                            self.tier.hold(&self.line, at, &found, ticket, foreign, now);
                        }
                        found
                    })
                });
            Ok(found.collect())
        })
    }

    fn read_many_latest<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.inner.read_many_latest(at, parts, now)
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let at = entries.iter().map(|write| &write.entry.id.address);
        self.changing(at, now, || self.inner.write(entries, now))
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        let at = renewals.iter().map(|renewal| &renewal.id.address);
        self.changing(at, now, || self.inner.renew(renewals, now))
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.changing(at.iter(), now, || self.inner.delete(at, now))
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.inner.count(which, now)
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.sweeping(now, || self.inner.clear(which, limit, now))
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.sweeping(now, || self.inner.sweep(limit, now))
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        self.inner.scan(which, parts, now)
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        self.inner.pending_columns()
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        self.inner.columns_filled(columns)
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.inner.stats(now)
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.inner.partitions(now)
    }

    fn foreign_changes(&self) -> Option<u64> {
        self.inner.foreign_changes()
    }
}
