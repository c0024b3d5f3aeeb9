//! The contract of a table, over its rows.

use super::{rows::Rows, schema};
use crate::{
    Answer, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Parts, Renewal, Stats, Table, TableSpec, Write},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::sync::{Arc, atomic::Ordering};

/// A table in Redis.
#[derive(Clone, Debug)]
pub(super) struct RedisTable {
    rows: Rows,
}

impl RedisTable {
    pub(super) fn new(rows: Rows) -> Self {
        Self { rows }
    }

    fn later<'a, T>(
        &'a self,
        work: impl Future<Output = Result<T>> + Send + 'a,
    ) -> Answer<'a, Result<T>> {
        Answer::later(async move { work.await.map_err(|e| self.rows.named(e)) })
    }
}

impl Table for RedisTable {
    fn spec(&self) -> &TableSpec {
        &self.rows.spec
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.later(self.rows.read(at, parts, now))
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.later(self.rows.read_many(at, parts, now))
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        self.later(self.rows.write(entries, now))
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.later(self.rows.renew(renewals, now))
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.later(self.rows.delete(at, now))
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.later(self.rows.count(which, now))
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.later(self.rows.clear(which, limit, now))
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.later(self.rows.sweep(limit, now))
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let begin = async move {
            self.rows.core.ready().await?;
            let pages = self.rows.covered(which, parts, now);
            Ok::<_, crate::Error>(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))))
        };
        stream::once(begin)
            .try_flatten()
            .try_flatten()
            .map_err(|e| self.rows.named(e))
            .boxed()
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        self.later(async {
            let Rows { core, spec, .. } = &self.rows;
            core.ready().await?;
            Ok(schema::pending(core, &spec.name).await?.columns)
        })
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        self.later(async move {
            let Rows { core, spec, .. } = &self.rows;
            core.ready().await?;
            loop {
                let pending = schema::pending(core, &spec.name).await?;
                let mut left = pending.columns.clone();
                left.retain(|name| !columns.contains(name));
                if left == pending.columns
                    || schema::swap(core, vec![pending.becomes(&spec.name, left)]).await?
                {
                    return Ok(());
                }
            }
        })
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.later(self.rows.stats(now))
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.later(self.rows.partitions(now))
    }

    fn foreign_changes(&self) -> Option<u64> {
        let heard = &self.rows.core.heard;
        let listening = heard.listening.load(Ordering::Acquire) > 0;
        listening.then(|| heard.changes.load(Ordering::Acquire))
    }
}
