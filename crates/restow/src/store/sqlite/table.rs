//! One repository's table.

use super::{
    change, changes, coding,
    engine::{Engine, Pace},
    error::Attempt,
    questions::{self, Cursor},
    rows::{Notices, Rows},
    select::{Filter, Plan},
};
use crate::{
    Answer, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Compression, Parts, Renewal, Stats, Table, TableSpec, Write},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// So many addresses are read on the spot; more take long enough to be a thread's work.
const FEW: usize = 32;
/// So many entries, of so many bytes together, are written on the spot.
const A_FEW: usize = 4;
const A_LITTLE: u64 = 256 << 10;
/// So many entries are removed in a first transaction, and at most in one.
const FIRST_CHUNK: u64 = 16;
const LAST_CHUNK: u64 = 4_096;
/// The removals of a transaction take no longer than this: others wait for them; and no longer than that where nobody does.
const CHUNK_TIME: Duration = Duration::from_millis(1);
const CHUNK_TIME_ALONE: Duration = Duration::from_millis(10);

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

    /// Reads on the spot; `None` where that would have to wait.
    fn at_once<T>(
        &self,
        now: Millis,
        read: impl FnOnce(&Connection, &Rows, &mut Notices) -> Attempt<T>,
    ) -> Option<Result<T>> {
        let mut notices = Notices::default();
        let answer = self
            .engine
            .read_now(|conn| read(conn, &self.rows, &mut notices));
        self.heed(notices, now);
        answer.map(|answer| answer.map_err(|e| self.named(e)))
    }

    /// Reads on a thread; it has begun when this returns.
    fn thread<'a, T, F>(
        &'a self,
        pace: Pace,
        now: Millis,
        read: F,
    ) -> impl Future<Output = Result<T>> + Send + use<'a, T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Rows, &mut Notices) -> Attempt<T> + Send + 'static,
    {
        let rows = self.rows.clone();
        let answer = self.engine.read_later(pace, move |conn| {
            let mut notices = Notices::default();
            let answer = read(conn, &rows, &mut notices)?;
            Ok((answer, notices))
        });
        async move {
            let (answer, notices) = answer.await.map_err(|e| self.named(e))?;
            self.heed(notices, now);
            Ok(answer)
        }
    }

    /// Changes all of `items` at once: on the spot where nobody else does and it is short, else in turn.
    fn change_all<'a, X, T>(
        &'a self,
        short: bool,
        items: &'a [X],
        now: Millis,
        change: fn(&Connection, &Rows, &[X], Millis) -> Attempt<T>,
    ) -> Answer<'a, Result<T>>
    where
        X: Clone + Send + Sync + 'static,
        T: Send + 'static,
    {
        let done = short.then(|| {
            self.engine
                .write_now(|conn| change(conn, &self.rows, items, now))
        });
        if let Some(done) = done.flatten() {
            self.look_after_dictionary(now);
            return Answer::ready(done.map_err(|e| self.named(e)));
        }
        let items: Arc<[X]> = items.into();
        Answer::later(async move {
            let all = move |conn: &Connection, rows: &Rows| change(conn, rows, &items, now);
            let done = self.changing(all).await?;
            self.look_after_dictionary(now);
            Ok(done)
        })
    }

    async fn changing<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&Connection, &Rows) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let rows = self.rows.clone();
        let done = self.engine.write(move |conn| change(conn, &rows)).await;
        done.map_err(|e| self.named(e))
    }

    /// Changes chunk by chunk, until `limit` is reached or there is nothing left; then gives the space back.
    async fn in_chunks(
        &self,
        limit: u64,
        change: impl Fn(&Connection, &Rows, u64) -> Attempt<u64> + Clone + Send + 'static,
    ) -> Result<u64> {
        let (mut removed, mut chunk) = (0, FIRST_CHUNK);
        while removed < limit {
            chunk = chunk.min(limit - removed);
            let change = change.clone();
            let (n, time) = self
                .changing(move |conn, rows| {
                    let begun = Instant::now();
                    Ok((change(conn, rows, chunk)?, begun.elapsed()))
                })
                .await?;
            removed += n;
            if n < chunk {
                break;
            }
            let most = match self.engine.is_busy() {
                true => CHUNK_TIME,
                false => CHUNK_TIME_ALONE,
            };
            chunk = match time {
                time if time < most / 2 => chunk * 2,
                time if time > most => chunk / 2,
                _ => chunk,
            }
            .clamp(FIRST_CHUNK, LAST_CHUNK);
            self.engine.let_upkeep_follow().await;
        }
        if removed > 0 {
            self.engine.vacuum();
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

    /// Has a dictionary made where it is time for one; nobody waits for it.
    fn look_after_dictionary(&self, now: Millis) {
        if let Some(turn) = coding::Turn::take(&self.rows)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(coding::consider(self.engine.clone(), turn, now));
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
        let found = self.at_once(now, |conn, rows, notices| {
            questions::read(conn, rows, at, parts, now, notices)
        });
        if let Some(found) = found {
            return Answer::ready(found);
        }
        let at = at.clone();
        Answer::later(self.thread(Pace::Point, now, move |conn, rows, notices| {
            questions::read(conn, rows, &at, parts, now, notices)
        }))
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        let few = at.len() <= FEW;
        let found = few.then(|| {
            self.at_once(now, |conn, rows, notices| {
                questions::read_many(conn, rows, at, parts, now, notices)
            })
        });
        if let Some(found) = found.flatten() {
            return Answer::ready(found);
        }
        let at: Arc<[Address]> = at.into();
        let pace = if few { Pace::Point } else { Pace::Batch };
        Answer::later(self.thread(pace, now, move |conn, rows, notices| {
            questions::read_many(conn, rows, &at, parts, now, notices)
        }))
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        let bytes = || entries.iter().map(|write| write.entry.size()).sum::<u64>();
        // What is compressed takes several times as long.
        let little = match self.rows.spec.compression {
            Compression::None => A_LITTLE,
            Compression::Zstd => A_LITTLE / 8,
        };
        let short = entries.len() <= A_FEW && bytes() <= little;
        self.change_all(short, entries, now, changes::write)
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.change_all(renewals.len() <= A_FEW, renewals, now, changes::renew)
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.change_all(at.len() <= A_FEW, at, now, changes::delete)
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        let which = which.clone();
        Answer::later(self.thread(Pace::Scan, now, move |conn, rows, _| {
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
        Answer::later(self.in_chunks(limit, move |conn, rows, chunk| {
            changes::sweep(conn, rows, &uses, chunk, now)
        }))
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let filter = Arc::new(Filter::new(&self.rows, which, now, Plan::Walk));
        // Each page is a transaction of its own, so that a slow consumer holds back nobody's checkpoint.
        let page = move |mut cursor: Cursor| {
            let filter = filter.clone();
            self.thread(Pace::Scan, now, move |conn, rows, notices| {
                let page = questions::page(conn, rows, &filter, parts, now, &mut cursor, notices)?;
                Ok(page.map(|page| (page, cursor)))
            })
        };
        let pages = move |cursor: Cursor| {
            let page = page.clone();
            let first = page(cursor);
            stream::try_unfold(first, move |reading| {
                let page = page.clone();
                async move {
                    // The next page is read while this one is used.
                    let read = reading.await?;
                    Ok::<_, crate::Error>(
                        read.map(|(entries, cursor)| (stream::iter(entries), page(cursor))),
                    )
                }
            })
            .boxed()
        };
        let begin = async move {
            let cursors = self.thread(Pace::Scan, now, |conn, rows, _| Cursor::begin(conn, rows));
            Ok::<_, crate::Error>(stream::select_all(cursors.await?.into_iter().map(pages)))
        };
        stream::once(begin)
            .try_flatten()
            .map_ok(|page| page.map(Ok))
            .try_flatten()
            .boxed()
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        Answer::later(self.thread(Pace::Batch, Millis(0), |conn, rows, _| {
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
        Answer::later(self.thread(Pace::Scan, now, move |conn, rows, _| {
            questions::stats(conn, rows, now)
        }))
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        Answer::later(self.thread(Pace::Scan, now, |conn, rows, _| {
            questions::partitions(conn, rows)
        }))
    }

    fn foreign_changes(&self) -> Option<u64> {
        self.engine.foreign_changes()
    }
}
