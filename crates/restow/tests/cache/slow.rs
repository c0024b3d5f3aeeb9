//! A store in memory whose sweeps take a while and always find more, up to a number of times.

use restow::{
    Answer, BoxFuture, Millis, Result,
    store::{MemoryStore, Store, Table, TableSpec},
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
    forward!(inner: capabilities tables remove secret adopt_secret leases changes trim commit health memory_policy close);

    fn kind(&self) -> &'static str {
        "slow"
    }
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let table = self.inner.open(spec).await?;
            Ok(Arc::new(SlowTable(table, self.sweeps.clone())) as Arc<dyn Table>)
        })
    }
}

impl Table for SlowTable {
    forward!(0: spec read read_many write renew delete count clear scan pending_columns columns_filled stats partitions foreign_changes);

    fn sweep(&self, limit: u64, _: Millis) -> Answer<'_, Result<u64>> {
        Answer::later(async move { Ok(self.1.sweep(limit).await) })
    }
}
