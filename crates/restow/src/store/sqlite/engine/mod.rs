//! Connections and threads: one thread writes, reads happen where they are asked for or on a few threads of their own.

mod connect;
mod quarantine;
mod readers;
mod shelf;
mod upkeep;
mod uses;
mod writer;

pub(super) use connect::Source;
pub(super) use uses::Uses;

use super::{
    error::{Attempt, closed, read_only},
    options::SqliteOptions,
};
use crate::{Millis, Result};
pub(super) use readers::Pace;
use readers::Readers;
use rusqlite::Connection;
use std::{
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use writer::{Started, Writer};

/// How long who writes much waits for upkeep between two writes.
const REST: Duration = Duration::from_millis(5);

/// Everything that a store and its tables share.
#[derive(Debug)]
pub(super) struct Engine {
    source: Arc<Source>,
    readers: Readers,
    /// None where the store may only be read.
    writer: Option<Writer>,
    uses: Arc<Uses>,
    closed: AtomicBool,
}

impl Engine {
    pub(super) async fn open(options: SqliteOptions) -> Result<Self> {
        let uses = Arc::<Uses>::default();
        let Started {
            source,
            readers,
            writer,
        } = Writer::start(options, uses.clone()).await?;
        Ok(Self {
            source,
            readers,
            writer,
            uses,
            closed: AtomicBool::new(false),
        })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn uses(&self) -> Arc<Uses> {
        self.uses.clone()
    }

    /// Reads on the spot; `None` where that would have to wait.
    pub(super) fn read_now<T>(
        &self,
        read: impl FnOnce(&Connection) -> Attempt<T>,
    ) -> Option<Result<T>> {
        if self.closed.load(SeqCst) {
            return Some(Err(closed()));
        }
        self.readers.now(read)
    }

    /// Reads on a thread; it has begun when this returns.
    pub(super) fn read_later<T, F>(
        &self,
        pace: Pace,
        read: F,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Attempt<T> + Send + 'static,
    {
        let begun = match self.closed.load(SeqCst) {
            true => None,
            false => Some(self.readers.later(pace, read)),
        };
        async move {
            match begun {
                Some(answer) => answer.await,
                None => Err(closed()),
            }
        }
    }

    /// Runs a short `work` in a write transaction on the spot; `None` where that would have to wait. It may have been run, and undone.
    pub(super) fn write_now<T>(
        &self,
        work: impl FnMut(&Connection) -> Attempt<T>,
    ) -> Option<Result<T>> {
        if self.closed.load(SeqCst) {
            return Some(Err(closed()));
        }
        self.writer.as_ref()?.now(work)
    }

    /// Runs `work` in a write transaction, and answers after its commit. It may be run twice: the first time is then undone.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        if self.closed.load(SeqCst) {
            return Err(closed());
        }
        match &self.writer {
            Some(writer) => writer.run(work).await,
            None => Err(read_only(self.source.place())),
        }
    }

    /// Asks for a change that nobody waits for.
    pub(super) fn suggest(&self, work: impl FnMut(&Connection) -> Attempt<()> + Send + 'static) {
        if let Some(writer) = &self.writer {
            writer.suggest(work);
        }
    }

    /// Tells whether others wait for the writer.
    pub(super) fn is_busy(&self) -> bool {
        self.writer.as_ref().is_some_and(Writer::is_busy)
    }

    /// Returns once the log is no longer than upkeep wants it, or a moment has passed: for those who write much.
    pub(super) async fn let_upkeep_follow(&self) {
        if self.writer.as_ref().is_some_and(Writer::is_log_long) {
            // On a thread, since not every runtime has a clock.
            let rest = |_: &Connection| {
                std::thread::sleep(REST);
                Ok(())
            };
            let _ = self.read_later(Pace::Scan, rest).await;
        }
    }

    /// Asks for free pages to be given back to the disk.
    pub(super) fn vacuum(&self) {
        if let Some(writer) = &self.writer {
            writer.vacuum();
        }
    }

    /// Asks for half-empty pages to be joined where the file is small, and free ones to be given back.
    pub(super) fn compact(&self) {
        if let Some(writer) = &self.writer {
            writer.compact();
        }
    }

    /// A number that changes with what other connections commit; `None` where the writer's is in use. All changes of this store go through that one.
    pub(super) fn foreign_changes(&self) -> Option<u64> {
        if self.source.is_memory() {
            return Some(0);
        }
        self.writer.as_ref()?.foreign_changes()
    }

    /// Notes that rows were used.
    pub(super) fn note_uses(&self, statement: &Arc<str>, rows: &[i64], now: Millis) {
        if self.writer.is_some() && !rows.is_empty() && self.uses.note(statement, rows, now) {
            let uses = self.uses.clone();
            self.suggest(move |conn| uses.flush(conn));
        }
    }

    /// Waits until what was accepted is committed.
    pub(super) async fn commit(&self) -> Result<()> {
        if self.closed.load(SeqCst) {
            return Err(closed());
        }
        match &self.writer {
            Some(writer) if writer.is_busy() => writer.run(|_| Ok(())).await,
            // What was accepted is committed.
            Some(_) | None => Ok(()),
        }
    }

    /// Finishes what was accepted and lets go of the file.
    pub(super) async fn close(&self) -> Result<()> {
        self.closed.store(true, SeqCst);
        self.readers.close();
        let end = match &self.writer {
            Some(writer) => writer.close().await,
            None => Ok(()),
        };
        self.source.discard();
        end
    }
}

/// The connection that writes; in memory also the one that reads.
#[derive(Clone, Debug)]
pub(super) struct Link(Arc<Mutex<Option<Connection>>>);

impl Link {
    fn new(conn: Connection) -> Self {
        Self(Arc::new(Mutex::new(Some(conn))))
    }

    /// Waits for its turn; `None` once closed.
    fn with<T>(&self, f: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.change(|conn| f(conn))
    }

    /// As [`with`](Self::with), for what changes the connection itself.
    fn change<T>(&self, f: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .map(f)
    }

    /// `None` where somebody else has it.
    fn try_with<T>(&self, f: impl FnOnce(&Connection) -> T) -> Option<T> {
        match self.0.try_lock() {
            Ok(conn) => conn.as_ref().map(f),
            Err(TryLockError::Poisoned(conn)) => conn.into_inner().as_ref().map(f),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Takes the connection away.
    fn take(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
