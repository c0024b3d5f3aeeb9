//! A store in memory whose sweeps take a while and always find more, up to a number of times.

use restow::{
    Answer, BoxFuture, BoxStream, Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{
        Budget, Capabilities, Change, Leases, MemoryStore, Parts, Renewal, Stats, Store, Table,
        TableName, TableSpec, Trimmed, Write,
    },
};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

#[derive(Debug)]
pub struct SlowStore {
    inner: MemoryStore,
    sweeps: Arc<Sweeps>,
}

#[derive(Debug)]
struct Sweeps {
    each: Duration,
    times: u64,
    begun: Mutex<Vec<Instant>>,
    done: Notify,
}

#[derive(Debug)]
struct SlowTable(Arc<dyn Table>, Arc<Sweeps>);

impl SlowStore {
    pub fn new(each: Duration, times: u64) -> Self {
        Self {
            inner: MemoryStore::default(),
            sweeps: Arc::new(Sweeps {
                each,
                times,
                begun: Mutex::default(),
                done: Notify::new(),
            }),
        }
    }

    /// Returns when each sweep that found something began.
    pub fn steps(&self) -> Vec<Instant> {
        self.sweeps.begun.lock().unwrap().clone()
    }

    /// Waits until a sweep finds nothing.
    pub async fn done(&self) {
        self.sweeps.done.notified().await;
    }
}

impl Sweeps {
    async fn sweep(&self, limit: u64) -> u64 {
        let more = {
            let mut begun = self.begun.lock().unwrap();
            let more = (begun.len() as u64) < self.times;
            if more {
                begun.push(Instant::now());
            }
            more
        };
        if !more {
            self.done.notify_one();
            return 0;
        }
        tokio::time::sleep(self.each).await;
        limit
    }
}

impl fmt::Display for SlowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("slow:")
    }
}

impl Store for SlowStore {
    fn kind(&self) -> &'static str {
        "slow"
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let table = self.inner.open(spec).await?;
            Ok(Arc::new(SlowTable(table, self.sweeps.clone())) as Arc<dyn Table>)
        })
    }
    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        self.inner.tables()
    }
    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        self.inner.remove(table)
    }
    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        self.inner.secret()
    }
    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.inner.adopt_secret(secret)
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.inner.leases()
    }
    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        self.inner.changes()
    }
    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        self.inner.trim(most, limit)
    }
    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.commit()
    }
    fn health(&self) -> Option<restow::store::Health> {
        None
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}

type Scan<'a> = BoxStream<'a, Result<Arc<Entry>>>;
type Many<'a> = Answer<'a, Result<Vec<Found>>>;

impl Table for SlowTable {
    fn spec(&self) -> &TableSpec {
        self.0.spec()
    }
    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.0.read(at, parts, now)
    }
    fn read_many<'a>(&'a self, at: &'a [Address], parts: Parts, now: Millis) -> Many<'a> {
        self.0.read_many(at, parts, now)
    }
    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        self.0.write(entries, now)
    }
    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.0.renew(renewals, now)
    }
    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.0.delete(at, now)
    }
    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.0.count(which, now)
    }
    fn clear<'a>(&'a self, of: &'a Selection, limit: u64, now: Millis) -> Answer<'a, Result<u64>> {
        self.0.clear(of, limit, now)
    }
    fn sweep(&self, limit: u64, _: Millis) -> Answer<'_, Result<u64>> {
        Answer::later(async move { Ok(self.1.sweep(limit).await) })
    }
    fn scan<'a>(&'a self, which: &'a Selection, parts: Parts, now: Millis) -> Scan<'a> {
        self.0.scan(which, parts, now)
    }
    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        self.0.pending_columns()
    }
    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        self.0.columns_filled(columns)
    }
    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.0.stats(now)
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.0.partitions(now)
    }

    fn foreign_changes(&self) -> Option<u64> {
        self.0.foreign_changes()
    }
}
