//! One repository's table.

use super::{
    change, changes,
    engine::{Engine, Of, Way},
    error::Fault,
    leases, questions,
    reads::Reads,
    rows::{Notices, PARTS, Rows, of},
    select::Filter,
    trim,
    values::Values,
};
use crate::{
    Answer, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Parts, Renewal, Stats, Table, TableSpec, Write, gather::Gather, lease::REMEMBERED},
};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// A table in a PostgreSQL database.
#[derive(Clone, Debug)]
pub(super) struct PostgresTable {
    engine: Arc<Engine>,
    rows: Arc<Rows>,
    reads: [Arc<Gather<Reads>>; 3],
}

impl PostgresTable {
    pub(super) fn new(engine: Arc<Engine>, rows: Rows) -> Self {
        let rows = Arc::new(rows);
        let reads = PARTS.map(|parts| {
            Gather::new(Reads {
                engine: engine.clone(),
                rows: rows.clone(),
                parts,
            })
        });
        Self {
            engine,
            rows,
            reads,
        }
    }

    /// Begins a change of entries that goes on whoever waits for it.
    fn changing<'a, T, F>(
        &'a self,
        change: impl FnOnce(Arc<Engine>, Arc<Rows>) -> F + 'a,
    ) -> Answer<'a, Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (rows, of) = (self.rows.clone(), Of::Entries(self.rows.spec.name.clone()));
        let changed = self.engine.change(of, |engine| change(engine, rows));
        Answer::later(async move { changed.await.map_err(|e| self.named(e)) })
    }

    fn reading<'a>(
        &'a self,
        way: Way,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        Answer::later(async move {
            self.engine.check_open()?;
            let read = questions::read_many(&self.engine, way, &self.rows, at, parts, now).await;
            self.heeded(read, now)
        })
    }

    fn heed(&self, notices: Notices, now: Millis) {
        let Notices { used, damaged } = notices;
        if !used.is_empty() && self.engine.uses.note(&self.rows.used, &used, now) {
            let engine = self.engine.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.uses.flush(&engine).await {
                    tracing::debug!(%error, "uses could not be noted");
                }
            });
        }
        if !damaged.is_empty() {
            let (engine, rows) = (self.engine.clone(), self.rows.clone());
            tokio::spawn(async move {
                let removed = changes::delete_rows(&engine, &rows.delete_rows, &damaged).await;
                if let Err(error) = removed {
                    tracing::debug!(%error, "damaged entries could not be removed");
                }
            });
        }
    }

    /// What a read found; what else it came upon is seen to.
    fn heeded<T>(&self, read: Result<(T, Notices)>, now: Millis) -> Result<T> {
        let (found, notices) = read.map_err(|e| self.named(e))?;
        self.heed(notices, now);
        Ok(found)
    }

    fn named(&self, error: crate::Error) -> crate::Error {
        error.in_repository(self.rows.spec.name.shared())
    }
}

impl Table for PostgresTable {
    fn spec(&self) -> &TableSpec {
        &self.rows.spec
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        if let Err(error) = self.rows.spec.check_key(&at.key) {
            return Answer::ready(Err(error));
        }
        if let Err(error) = self.engine.check_open() {
            return Answer::ready(Err(self.named(error)));
        }
        let read = of(&self.reads, parts).ask((at.clone(), now));
        Answer::later(async move {
            let read = match read.await {
                Ok(read) => read,
                // The runtime that had it is gone.
                Err(_) => {
                    questions::read(&self.engine, Way::Read, &self.rows, at, parts, now).await
                }
            };
            let mut found = self.heeded(read, now)?;
            // It may be what one saw who asked a moment before.
            let horizon = self.rows.horizon(now);
            found.retain(|entry| entry.meta.expires_at > horizon);
            Ok(found)
        })
    }

    fn read_latest<'a>(
        &'a self,
        at: &'a Address,
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Found>> {
        // Who is asked together with others is asked after they have come.
        if !self.engine.has_replicas() {
            return self.read(at, parts, now);
        }
        Answer::later(async move {
            self.rows.spec.check_key(&at.key)?;
            self.engine.check_open()?;
            let way = Way::ReadLatest;
            let read = questions::read(&self.engine, way, &self.rows, at, parts, now).await;
            self.heeded(read, now)
        })
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.reading(Way::Read, at, parts, now)
    }

    fn read_many_latest<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.reading(Way::ReadLatest, at, parts, now)
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let entries = entries.to_vec();
        self.changing(move |engine, rows| async move {
            changes::write(&engine, &rows, &entries, now).await
        })
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        let renewals = renewals.to_vec();
        self.changing(move |engine, rows| async move {
            changes::renew(&engine, &rows, &renewals, now).await
        })
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        let at = at.to_vec();
        self.changing(
            move |engine, rows| async move { changes::delete(&engine, &rows, &at, now).await },
        )
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        Answer::later(async move {
            let counted = questions::count(&self.engine, &self.rows, which, now).await;
            counted.map_err(|e| self.named(e))
        })
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        let filter = Filter::new(&self.rows, which, now);
        self.changing(move |engine, rows| async move {
            changes::clear(&engine, &rows, &filter, limit).await
        })
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        let rows = self.rows.clone();
        // What goes is what it was when it was looked at, so that no later change has to wait for it.
        let swept = self.engine.change(Of::Itself, move |engine| async move {
            let ended: Values = vec![Box::new(now.minus(REMEMBERED).0)];
            engine
                .run(Way::Once, &leases::forget(&engine.area), &ended)
                .await?;
            let past = changes::sweep(&engine, &rows, limit, now).await?;
            Ok(past + trim::sweep(&engine, &rows, limit - past).await?)
        });
        Answer::later(async move { swept.await.map_err(|e| self.named(e)) })
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let heed = move |notices| self.heed(notices, now);
        questions::scan(&self.engine, &self.rows, which, parts, now, heed)
            .map_err(|e| self.named(e))
            .boxed()
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        Answer::later(async move {
            let at = |fault: Fault| self.named(fault.at(self.engine.place()));
            let lent = self.engine.lend().await?;
            let client = lent.client().map_err(at)?;
            change::pending(&self.engine.area, client, &self.rows.spec.name)
                .await
                .map_err(at)
        })
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        let (columns, name) = (columns.to_vec(), self.rows.spec.name.clone());
        let noted = self
            .engine
            .arrange(Some(&self.rows.spec.name), move |engine| async move {
                change::filled(&engine, &name, &columns).await
            });
        Answer::later(async move { noted.await.map_err(|e| self.named(e)) })
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        Answer::later(async move {
            let stats = questions::stats(&self.engine, &self.rows, now).await;
            stats.map_err(|e| self.named(e))
        })
    }

    fn partitions(&self, _now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        Answer::later(async move {
            let counts = questions::partitions(&self.engine, &self.rows).await;
            counts.map_err(|e| self.named(e))
        })
    }

    fn foreign_changes(&self) -> Option<u64> {
        None
    }
}
