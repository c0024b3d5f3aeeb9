//! A table whose store may be slow or down.

use super::{
    gate::{Entry as At, Pass, Side},
    shared::{Shared, Slot},
};
use crate::{
    Answer, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Parts, Renewal, Stats, Table, TableSpec, Write},
};
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How much longer a call may take that nobody waits for: it learns how large the bodies are.
const UNHURRIED: u32 = 20;

#[derive(Clone, Debug)]
pub(super) struct GuardedTable {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

impl GuardedTable {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self { shared, slot }
    }

    fn table(&self, side: Side) -> Result<&Arc<dyn Table>> {
        self.shared.check_open()?;
        let not_yet = || {
            let why = self.slot.why_not();
            why.unwrap_or_else(|| self.shared.gate.refuse(side))
        };
        self.slot
            .get()
            .ok_or_else(|| not_yet().in_repository(self.slot.spec.name.shared()))
    }

    fn bound(&self, entries: usize, bytes: u64) -> Duration {
        self.shared.gate.options.bound(entries, bytes)
    }

    /// Makes a call about some entries. While the store is down none is made, but for one now and then that nobody waits for.
    fn quick<'a, T: Send + 'static>(
        &'a self,
        side: Side,
        work: Work<T>,
        call: impl FnOnce(&'a Arc<dyn Table>) -> Answer<'a, Result<T>>,
        probe: impl FnOnce(Arc<dyn Table>) -> crate::BoxFuture<'static, Result<T>>,
    ) -> Answer<'a, Result<T>> {
        let table = match self.table(side) {
            Ok(table) => table,
            Err(error) => return Answer::ready(Err(error)),
        };
        let pass = match self.shared.gate.enter(side, true) {
            At::Pass(pass) => pass,
            At::Refused(error) => return Answer::ready(Err(self.named(error))),
            At::Probe(pass) => {
                tokio::spawn(self.clone().probe(pass, work, probe(table.clone())));
                return Answer::ready(Err(self.named(self.shared.gate.down(side))));
            }
        };
        let bound = self.bound(work.entries, work.bytes(&self.slot));
        match call(table) {
            Answer::Ready(Some(answer)) => Answer::ready(pass.end(answer)),
            waiting => Answer::later(async move {
                let answer = pass.within(bound, waiting).await;
                if let Ok(answer) = &answer {
                    (work.learn)(&self.slot, answer);
                }
                answer.map_err(|e| self.named(e))
            }),
        }
    }

    /// Makes a call that finds out whether the store is back: it has to answer as fast as any other, for what it answers.
    async fn probe<T>(self, pass: Pass, work: Work<T>, call: crate::BoxFuture<'static, Result<T>>) {
        let begun = Instant::now();
        let patience = self.bound(work.entries, work.bytes(&self.slot));
        match tokio::time::timeout(patience * UNHURRIED, call).await {
            Err(_) => drop(pass.timed_out(patience * UNHURRIED)),
            Ok(answer) => {
                if let Ok(answer) = &answer {
                    (work.learn)(&self.slot, answer);
                }
                if begun.elapsed() > self.bound(work.entries, work.bytes(&self.slot)) {
                    pass.was_slow();
                } else {
                    _ = pass.end(answer);
                }
            }
        }
    }

    /// Reads one address.
    fn read_by<'a, R>(&'a self, read: R, at: &'a Address, parts: Parts) -> Answer<'a, Result<Found>>
    where
        R: for<'t> Fn(&'t dyn Table, &'t Address) -> Answer<'t, Result<Found>>
            + Copy
            + Send
            + 'static,
    {
        let work = Work {
            entries: 1,
            sends: (parts == Parts::Meta).then_some(0),
            learn: found,
        };
        self.quick(
            Side::Reads,
            work,
            |table| read(&**table, at),
            |table| {
                let at = at.clone();
                Box::pin(async move { read(&*table, &at).await })
            },
        )
    }

    /// Reads many addresses.
    fn read_many_by<'a, R>(
        &'a self,
        read: R,
        at: &'a [Address],
        parts: Parts,
    ) -> Answer<'a, Result<Vec<Found>>>
    where
        R: for<'t> Fn(&'t dyn Table, &'t [Address]) -> Answer<'t, Result<Vec<Found>>>
            + Copy
            + Send
            + 'static,
    {
        let work = Work {
            entries: at.len(),
            sends: (parts == Parts::Meta).then_some(0),
            learn: |slot, all: &Vec<Found>| all.iter().for_each(|one| found(slot, one)),
        };
        self.quick(
            Side::Reads,
            work,
            |table| read(&**table, at),
            |table| {
                let at = at.to_vec();
                Box::pin(async move { read(&*table, &at).await })
            },
        )
    }

    /// Makes a call that may go over the whole table.
    fn slow<'a, T: Send + 'a>(
        &'a self,
        side: Side,
        call: impl FnOnce(&'a Arc<dyn Table>) -> Answer<'a, Result<T>>,
    ) -> Answer<'a, Result<T>> {
        let entered = self
            .table(side)
            .and_then(|table| Ok((table, self.shared.gate.pass(side, true)?)));
        let (table, pass) = match entered {
            Ok(entered) => entered,
            Err(error) => return Answer::ready(Err(self.named(error))),
        };
        match call(table) {
            Answer::Ready(Some(answer)) => Answer::ready(pass.end(answer)),
            waiting => {
                let bound = self.shared.gate.options.slow();
                Answer::later(async move {
                    let answer = pass.within(bound, waiting).await;
                    answer.map_err(|e| self.named(e))
                })
            }
        }
    }

    fn named(&self, error: crate::Error) -> crate::Error {
        error.in_repository(self.slot.spec.name.shared())
    }
}

/// What a call is about.
struct Work<T> {
    entries: usize,
    /// The bytes of bodies that are sent; `None` where it is not known what will come.
    sends: Option<u64>,
    learn: fn(&Slot, &T),
}

impl<T> Work<T> {
    fn bytes(&self, slot: &Slot) -> u64 {
        let expected = || slot.size().saturating_mul(self.entries as u64);
        self.sends.unwrap_or_else(expected)
    }
}

fn nothing<T>(_: &Slot, _: &T) {}

fn found(slot: &Slot, found: &Found) {
    let bytes = found.iter().map(|e| e.body.len() as u64).sum::<u64>();
    if !found.is_empty() {
        slot.saw(bytes);
    }
}

#[deny(clippy::missing_trait_methods)]
impl Table for GuardedTable {
    fn spec(&self) -> &TableSpec {
        match self.slot.get() {
            Some(table) => table.spec(),
            None => &self.slot.spec,
        }
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.read_by(move |table, at| table.read(at, parts, now), at, parts)
    }

    fn read_latest<'a>(
        &'a self,
        at: &'a Address,
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        self.read_by(
            move |table, at| table.read_latest(at, parts, now),
            at,
            parts,
        )
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.read_many_by(move |table, at| table.read_many(at, parts, now), at, parts)
    }

    fn read_many_latest<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.read_many_by(
            move |table, at| table.read_many_latest(at, parts, now),
            at,
            parts,
        )
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let bytes = entries.iter().map(|write| {
            let bytes = write.entry.size();
            self.slot.saw(bytes);
            bytes
        });
        let work = Work {
            entries: entries.len(),
            sends: Some(bytes.sum()),
            learn: nothing,
        };
        self.quick(
            Side::Changes,
            work,
            |table| table.write(entries, now),
            |table| {
                let entries = entries.to_vec();
                Box::pin(async move { table.write(&entries, now).await })
            },
        )
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        let work = Work {
            entries: renewals.len(),
            sends: Some(0),
            learn: nothing,
        };
        self.quick(
            Side::Changes,
            work,
            |table| table.renew(renewals, now),
            |table| {
                let renewals = renewals.to_vec();
                Box::pin(async move { table.renew(&renewals, now).await })
            },
        )
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        let work = Work {
            entries: at.len(),
            sends: Some(0),
            learn: nothing,
        };
        self.quick(
            Side::Changes,
            work,
            |table| table.delete(at, now),
            |table| {
                let at = at.to_vec();
                Box::pin(async move { table.delete(&at, now).await })
            },
        )
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.slow(Side::Reads, |table| table.count(which, now))
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.slow(Side::Changes, |table| table.clear(which, limit, now))
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.slow(Side::Changes, |table| table.sweep(limit, now))
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let bound = self.shared.gate.options.slow();
        Box::pin(async_stream::try_stream! {
            let table = self.table(Side::Reads)?;
            let mut entries = table.scan(which, parts, now);
            loop {
                // One pass for each item: a consumer may be as slow as it likes between two.
                let pass = self.shared.gate.pass(Side::Reads, true).map_err(|e| self.named(e))?;
                let next = async { entries.next().await.transpose() };
                match pass.within(bound, next).await.map_err(|e| self.named(e))? {
                    Some(entry) => yield entry,
                    None => break,
                }
            }
        })
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        self.slow(Side::Reads, |table| table.pending_columns())
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        self.slow(Side::Changes, |table| table.columns_filled(columns))
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.slow(Side::Reads, |table| table.stats(now))
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.slow(Side::Reads, |table| table.partitions(now))
    }

    fn foreign_changes(&self) -> Option<u64> {
        self.slot.get()?.foreign_changes()
    }
}
