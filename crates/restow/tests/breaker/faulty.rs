//! A store in memory that answers, fails or hangs as a test wants it.

use restow::{
    Answer, BoxFuture, BoxStream, Error, ErrorKind, Millis, Result, Selection,
    entry::{Address, Found},
    store::{
        Change, Fence, Lease, Leases, MemoryStore, Parts, Renewal, Stats, Store, Table, TableName,
        TableSpec, Write,
    },
};
use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// What it does with the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Answers after so long.
    Slow(Duration),
    Hangs,
    /// Answers when its time is over, and so many tasks have had their turns.
    Late(Duration, usize),
    /// Fails at once with an error of this kind.
    Fails(ErrorKind),
    /// Fails changes alone.
    FailsChanges,
}

#[derive(Clone, Debug)]
pub struct Faulty {
    pub inner: MemoryStore,
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicU64>,
    leases: bool,
}

impl Faulty {
    pub fn new(mood: Mood) -> Self {
        Self {
            inner: MemoryStore::default(),
            mood: Arc::new(Mutex::new(mood)),
            calls: Arc::default(),
            leases: false,
        }
    }

    /// The same with leases.
    pub fn with_leases(self) -> Self {
        Self {
            leases: true,
            ..self
        }
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How many calls reached it.
    pub fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    pub async fn answer(&self, changes: bool) -> Result<()> {
        self.calls.fetch_add(1, SeqCst);
        let mood = *self.mood.lock().unwrap();
        let kind = match mood {
            Mood::Well => return Ok(()),
            Mood::Slow(time) => {
                tokio::time::sleep(time).await;
                return Ok(());
            }
            Mood::Hangs => pending().await,
            Mood::Late(time, turns) => {
                tokio::time::sleep(time).await;
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            Mood::FailsChanges if !changes => return Ok(()),
            Mood::FailsChanges => ErrorKind::Store,
            Mood::Fails(kind) => kind,
        };
        Err(Error::new(kind, "as the test wants it"))
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty:")
    }
}

impl Store for Faulty {
    forward!(inner: capabilities trim commit health memory_policy close);

    fn kind(&self) -> &'static str {
        "faulty"
    }
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            self.answer(false).await?;
            let inner = self.inner.open(spec).await?;
            Ok(Arc::new(FaultyTable(self.clone(), inner)) as Arc<dyn Table>)
        })
    }
    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(async move {
            self.answer(false).await?;
            self.inner.tables().await
        })
    }
    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.answer(true).await?;
            self.inner.remove(table).await
        })
    }
    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        Box::pin(async move {
            self.answer(false).await?;
            self.inner.secret().await
        })
    }
    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.answer(true).await?;
            self.inner.adopt_secret(secret).await
        })
    }
    fn leases(&self) -> Option<Arc<dyn Leases>> {
        let inner = self.inner.leases().filter(|_| self.leases)?;
        Some(Arc::new(FaultyLeases(self.clone(), inner)))
    }
    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        None
    }
}

#[derive(Debug)]
struct FaultyLeases(Faulty, Arc<dyn Leases>);

impl Leases for FaultyLeases {
    forward!(1: renew_lease);

    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            // It is given at once, and told of as the mood is.
            let lease = self.1.acquire(table, at, hold, now).await?;
            self.0.answer(true).await?;
            Ok(lease)
        })
    }
    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.0.answer(true).await?;
            self.1.release(table, at, fence).await
        })
    }
}

#[derive(Debug)]
struct FaultyTable(Faulty, Arc<dyn Table>);

impl FaultyTable {
    fn after<'a, T: Send + 'a>(
        &'a self,
        changes: bool,
        call: impl FnOnce() -> Answer<'a, Result<T>> + Send + 'a,
    ) -> Answer<'a, Result<T>> {
        Answer::later(async move {
            self.0.answer(changes).await?;
            call().await
        })
    }
}

impl Table for FaultyTable {
    forward!(1: spec scan pending_columns columns_filled partitions);

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.after(false, move || self.1.read(at, parts, now))
    }
    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.after(false, move || self.1.read_many(at, parts, now))
    }
    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        self.after(true, move || self.1.write(entries, now))
    }
    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.after(true, move || self.1.renew(renewals, now))
    }
    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.after(true, move || self.1.delete(at, now))
    }
    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.after(false, move || self.1.count(which, now))
    }
    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.after(true, move || self.1.clear(which, limit, now))
    }
    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.after(true, move || self.1.sweep(limit, now))
    }
    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.after(false, move || self.1.stats(now))
    }
    fn foreign_changes(&self) -> Option<u64> {
        None
    }
}
