//! A store of one's own around another: it counts what is read and written, and passes the conformance suite.
//!
//! ```sh
//! cargo run -p restow --example custom_store --features conformance
//! ```
//!
//! Every method is written out, so that one added to the contract later is not forgotten. `map_store` is a whole
//! store from the ground.

use restow::entry::{Address, Entry, Found, Partition};
use restow::store::{
    Budget, Capabilities, Change, Leases, MemoryOptions, MemoryStore, Parts, Renewal, Stats, Store,
    Table, TableName, TableSpec, Trimmed, Write,
};
use restow::{Answer, BoxFuture, BoxStream, Millis, Result, Selection, conformance};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed};
use std::{fmt, future::ready};

#[tokio::main]
async fn main() {
    let counts = Arc::new(Counts::default());
    let fresh = || {
        let inner = Arc::new(MemoryStore::new(MemoryOptions::default()));
        let counted = Counted(inner, counts.clone());
        ready(Ok(Arc::new(counted) as Arc<dyn Store>))
    };
    let report = conformance::run(&fresh).await;
    println!("{report}");
    println!(
        "{} addresses read, {} entries written",
        counts.read.load(Relaxed),
        counts.written.load(Relaxed)
    );
    report.assert();
}

#[derive(Debug, Default)]
struct Counts {
    read: AtomicUsize,
    written: AtomicUsize,
}

/// A store that counts what goes in and out of another.
#[derive(Debug)]
struct Counted(Arc<dyn Store>, Arc<Counts>);

/// A table of it.
#[derive(Debug)]
struct CountedTable(Arc<dyn Table>, Arc<Counts>);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.0)
    }
}

impl Store for Counted {
    fn kind(&self) -> &'static str {
        "counted"
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let table = self.0.open(spec).await?;
            Ok(Arc::new(CountedTable(table, self.1.clone())) as Arc<dyn Table>)
        })
    }
    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        self.0.tables()
    }
    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        self.0.remove(table)
    }
    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        self.0.secret()
    }
    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.0.adopt_secret(secret)
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.0.leases()
    }
    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        self.0.changes()
    }
    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        self.0.trim(most, limit)
    }
    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.0.commit()
    }
    fn health(&self) -> Option<restow::store::Health> {
        self.0.health()
    }
    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<restow::store::MemoryPolicy>>> {
        self.0.memory_policy()
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.0.close()
    }
}

type Scan<'a> = BoxStream<'a, Result<Arc<Entry>>>;
type Many<'a> = Answer<'a, Result<Vec<Found>>>;

impl Table for CountedTable {
    fn spec(&self) -> &TableSpec {
        self.0.spec()
    }
    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.1.read.fetch_add(1, Relaxed);
        self.0.read(at, parts, now)
    }
    fn read_many<'a>(&'a self, at: &'a [Address], parts: Parts, now: Millis) -> Many<'a> {
        self.1.read.fetch_add(at.len(), Relaxed);
        self.0.read_many(at, parts, now)
    }
    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        self.1.written.fetch_add(entries.len(), Relaxed);
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
    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.0.sweep(limit, now)
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
