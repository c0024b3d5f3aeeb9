//! One repository's table.

use super::{
    change, changes,
    engine::Engine,
    error::Attempt,
    questions::{self, Cursor},
    rows::{Notices, Rows},
    select::{Filter, Plan},
};
use crate::{
    Answer, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found},
    store::{Parts, Renewal, Stats, Table, TableSpec, Write},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;
use std::sync::Arc;

/// So many addresses are read on the spot; more take long enough to be a thread's work.
const FEW: usize = 32;
/// So many entries are removed in one transaction: others want to write as well.
const CHUNK: u64 = 1_000;

/// A table in a SQLite file.
#[derive(Clone, Debug)]
pub(super) struct SqliteTable {
    engine: Arc<Engine>,
    rows: Arc<Rows>,
}

impl SqliteTable {
    pub(super) fn new(engine: Arc<Engine>, rows: Rows) -> Self {
        Self {
            engine,
            rows: Arc::new(rows),
        }
    }

    /// Reads on the spot where that is possible, else on a thread.
    fn reading<'a, T: Send + 'static>(
        &'a self,
        now: Millis,
        on_the_spot: impl FnOnce(&Connection, &Rows, &mut Notices) -> Attempt<T>,
        on_a_thread: impl FnOnce(&Connection, &Rows, &mut Notices) -> Attempt<T> + Send + 'static,
    ) -> Answer<'a, Result<T>> {
        let mut notices = Notices::default();
        let answer = self
            .engine
            .read_now(|conn| on_the_spot(conn, &self.rows, &mut notices));
        self.heed(notices, now);
        match answer {
            Some(answer) => Answer::ready(answer.map_err(|e| self.named(e))),
            None => Answer::later(self.thread(now, on_a_thread)),
        }
    }

    /// Reads on a thread.
    async fn thread<T: Send + 'static>(
        &self,
        now: Millis,
        read: impl FnOnce(&Connection, &Rows, &mut Notices) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let rows = self.rows.clone();
        let answer = self.engine.read_later(move |conn| {
            let mut notices = Notices::default();
            let answer = read(conn, &rows, &mut notices)?;
            Ok((answer, notices))
        });
        let (answer, notices) = answer.await.map_err(|e| self.named(e))?;
        self.heed(notices, now);
        Ok(answer)
    }

    async fn changing<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&Connection, &Rows) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let rows = self.rows.clone();
        let done = self.engine.write(move |conn| change(conn, &rows)).await;
        done.map_err(|e| self.named(e))
    }

    /// Changes chunk by chunk, until `limit` is reached or there is nothing left.
    async fn in_chunks(
        &self,
        limit: u64,
        change: impl Fn(&Connection, &Rows, u64) -> Attempt<u64> + Clone + Send + 'static,
    ) -> Result<u64> {
        let mut removed = 0;
        while removed < limit {
            let chunk = CHUNK.min(limit - removed);
            let change = change.clone();
            let n = self
                .changing(move |conn, rows| change(conn, rows, chunk))
                .await?;
            removed += n;
            if n < chunk {
                break;
            }
        }
        Ok(removed)
    }

    fn heed(&self, notices: Notices, now: Millis) {
        self.engine.note_uses(&self.rows.used, &notices.used, now);
        if !notices.damaged.is_empty() {
            let rows = self.rows.clone();
            self.engine
                .suggest(move |conn| changes::discard(conn, &rows, &notices.damaged));
        }
    }

    fn named(&self, error: crate::Error) -> crate::Error {
        error.in_repository(self.rows.spec.name.shared())
    }
}

impl Table for SqliteTable {
    fn spec(&self) -> &TableSpec {
        &self.rows.spec
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        let owned = at.clone();
        self.reading(
            now,
            |conn, rows, notices| questions::read(conn, rows, at, parts, now, notices),
            move |conn, rows, notices| questions::read(conn, rows, &owned, parts, now, notices),
        )
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        let owned: Arc<[Address]> = at.into();
        let on_a_thread = move |conn: &Connection, rows: &Rows, notices: &mut Notices| {
            questions::read_many(conn, rows, &owned, parts, now, notices)
        };
        if at.len() > FEW {
            return Answer::later(self.thread(now, on_a_thread));
        }
        self.reading(
            now,
            |conn, rows, notices| questions::read_many(conn, rows, at, parts, now, notices),
            on_a_thread,
        )
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let entries: Arc<[Write]> = entries.into();
        Answer::later(self.changing(move |conn, rows| changes::write(conn, rows, &entries, now)))
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        let renewals: Arc<[Renewal]> = renewals.into();
        Answer::later(self.changing(move |conn, rows| changes::renew(conn, rows, &renewals, now)))
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        let at: Arc<[Address]> = at.into();
        Answer::later(self.changing(move |conn, rows| changes::delete(conn, rows, &at, now)))
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        let which = which.clone();
        Answer::later(self.thread(now, move |conn, rows, _| {
            questions::count(conn, rows, &which, now)
        }))
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        let filter = Arc::new(Filter::new(&self.rows, which, now, Plan::Index));
        Answer::later(self.in_chunks(limit, move |conn, rows, chunk| {
            changes::clear(conn, rows, &filter, chunk)
        }))
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        let uses = self.engine.uses();
        Answer::later(async move {
            let removed = self
                .in_chunks(limit, move |conn, rows, chunk| {
                    changes::sweep(conn, rows, &uses, chunk, now)
                })
                .await?;
            // Gives some of the free pages back; the rest is used again.
            self.engine.suggest(|conn| {
                let mut vacuum = conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
                let mut steps = vacuum.query([])?;
                while steps.next()?.is_some() {}
                Ok(())
            });
            Ok(removed)
        })
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let filter = Arc::new(Filter::new(&self.rows, which, now, Plan::Walk));
        // Each page is a transaction of its own, so that a slow consumer holds back nobody's checkpoint.
        let pages = stream::try_unfold(None, move |cursor: Option<Cursor>| {
            let filter = filter.clone();
            async move {
                let page = self.thread(now, move |conn, rows, notices| {
                    let mut cursor = cursor.map_or_else(|| Cursor::begin(conn, rows), Ok)?;
                    let page =
                        questions::page(conn, rows, &filter, parts, now, &mut cursor, notices)?;
                    Ok(page.map(|page| (page, Some(cursor))))
                });
                page.await
            }
        });
        pages
            .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        Answer::later(self.thread(Millis(0), |conn, rows, _| {
            change::pending(conn, &rows.spec.name)
        }))
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        let filled: Arc<[Box<str>]> = columns.into();
        Answer::later(self.changing(move |conn, rows| {
            let mut pending = change::pending(conn, &rows.spec.name)?;
            pending.retain(|name| !filled.contains(name));
            change::set_pending(conn, &rows.spec.name, &pending)
        }))
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        Answer::later(self.thread(now, move |conn, rows, _| questions::stats(conn, rows, now)))
    }
}
