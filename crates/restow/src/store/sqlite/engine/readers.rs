//! Connections that read: used on the spot where one is idle, else by a few threads.

use super::{
    super::error::{Attempt, closed},
    Link, Source,
    connect::PATIENCE,
    shelf::{self, Shelf},
};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicU32, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// The most threads that read.
const THREADS: usize = 4;
/// How many reads may wait for a thread before callers do.
const QUEUE: usize = 1_024;
/// A read that took longer came from the disk: those after it go to threads, so that nobody on an async thread waits for it.
const COLD: Duration = Duration::from_micros(500);
/// So many reads in a row have to be quick before they are done on the spot again.
const WARMTH: u32 = 16;
/// Of so many reads on the spot one is timed: the clock costs a hundredth of a read.
const TIMED: u32 = 4;

type Work = Box<dyn FnOnce(&Connections, &mut Own) + Send>;
/// The connection of a thread that reads.
type Own = Option<Connection>;

/// The reading half of the engine.
pub(super) struct Readers {
    connections: Arc<Connections>,
    queue: mpsc::Sender<Work>,
    work: Arc<Mutex<mpsc::Receiver<Work>>>,
    threads: Arc<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    started: AtomicUsize,
    /// Reads that wait for a thread or have one.
    pending: AtomicUsize,
}

/// Connections, and how to get more.
struct Connections {
    source: Arc<Source>,
    /// The only connection there is, for a store in memory.
    only: Option<Link>,
    idle: Shelf,
    /// How many more reads have to be quick; zero where the file is warm.
    chill: AtomicU32,
}

impl Readers {
    /// Opens a first connection where the store is a file; blocks.
    pub(super) fn open(source: &Arc<Source>, only: Option<Link>) -> Attempt<Self> {
        let idle = Shelf::new();
        if only.is_none()
            && let Some(first) = idle.add(|| source.reader())
        {
            idle.put(first?);
        }
        let (queue, work) = mpsc::channel(QUEUE);
        Ok(Self {
            connections: Arc::new(Connections {
                source: source.clone(),
                only,
                idle,
                chill: AtomicU32::new(0),
            }),
            queue,
            work: Arc::new(Mutex::new(work)),
            threads: Arc::default(),
        })
    }

    /// Reads on the spot, without waiting for anything; `None` where no connection is idle, another program holds the file, or it
    /// comes from the disk.
    pub(super) fn now<T>(&self, read: impl FnOnce(&Connection) -> Attempt<T>) -> Option<Result<T>> {
        let connections = &*self.connections;
        let answer = match &connections.only {
            Some(link) => link.try_with(read)?,
            None => {
                if connections.chill.load(Relaxed) > 0 {
                    return None;
                }
                let conn = connections.idle.take()?;
                let begun = shelf::visits().is_multiple_of(TIMED).then(Instant::now);
                let answer = read(&conn);
                if let Some(begun) = begun {
                    connections.feel(begun.elapsed());
                }
                connections.idle.put(conn);
                answer
            }
        };
        match answer {
            Err(fault) if fault.is_busy() => None,
            answer => Some(answer.map_err(|fault| fault.at(connections.source.place()))),
        }
    }

    /// Reads on a thread.
    pub(super) fn later<T, F>(
        &self,
        pace: Pace,
        read: F,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Attempt<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |connections, own| {
            if !reply.is_closed() {
                let _ = reply.send(connections.read(pace, own, read));
            }
        });
        // It begins here and not when it is awaited, unless there is no room.
        let sent = self.send(work);
        let (queue, threads) = (self.queue.clone(), self.threads.clone());
        async move {
            match sent {
                Sent::Yes => {}
                Sent::NoRoom(work) => {
                    let place = queue.reserve().await.map_err(|_| closed())?;
                    threads.pending.fetch_add(1, SeqCst);
                    place.send(work);
                }
                Sent::No(error) => return Err(error),
            }
            answer.await.map_err(|_| closed())?
        }
    }

    fn send(&self, work: Work) -> Sent {
        match self.queue.try_reserve() {
            Ok(place) => {
                self.threads.pending.fetch_add(1, SeqCst);
                place.send(work);
                self.hire().map_or_else(Sent::No, |()| Sent::Yes)
            }
            // Then there are as many threads as there may be.
            Err(TrySendError::Full(())) => Sent::NoRoom(work),
            Err(TrySendError::Closed(())) => Sent::No(closed()),
        }
    }

    /// Closes the connections that are idle; the others close when their read is done.
    pub(super) fn close(&self) {
        self.connections.idle.close();
    }

    /// Starts one more thread, where all are busy and there are not too many.
    fn hire(&self) -> Result<()> {
        let threads = &self.threads;
        let wanted = |n: usize| (n < THREADS && n < threads.pending.load(SeqCst)).then_some(n + 1);
        let Ok(number) = threads.started.fetch_update(SeqCst, SeqCst, wanted) else {
            return Ok(());
        };
        let (connections, work, count) =
            (self.connections.clone(), self.work.clone(), threads.clone());
        let spawned = std::thread::Builder::new()
            .name(format!("restow-sqlite-read-{number}"))
            .spawn(move || {
                let mut own = None;
                // One thread waits for work, the others for their turn to wait.
                while let Some(work) = next(&work) {
                    work(&connections, &mut own);
                    count.pending.fetch_sub(1, SeqCst);
                }
            });
        match spawned {
            Err(e) if number == 1 => {
                threads.started.fetch_sub(1, SeqCst);
                Err(
                    Error::new(ErrorKind::Store, "the store's thread cannot be started")
                        .with_source(e),
                )
            }
            // The threads there are do the work.
            Err(_) | Ok(_) => Ok(()),
        }
    }
}

/// What became of work for a thread.
enum Sent {
    Yes,
    NoRoom(Work),
    No(Error),
}

/// What kind of read it is: what its time tells, and whose connection it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pace {
    /// Of a few entries, by their keys: its time tells how warm the file is.
    Point,
    /// Of many entries, by their keys, or of what belongs to the file as a whole.
    Batch,
    /// Of a whole table: what it leaves in a connection's memory is of no use to those by key.
    Scan,
}

impl Connections {
    /// Notes how long a read of a few entries took.
    fn feel(&self, time: Duration) {
        if time > COLD {
            self.chill.store(WARMTH, Relaxed);
        }
    }

    /// Notes a read on a thread: where enough were quick, the next ones are done on the spot again.
    fn feel_on_thread(&self, time: Duration) {
        self.feel(time);
        if time <= COLD {
            let _ = self
                .chill
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        }
    }

    fn read<T>(
        &self,
        pace: Pace,
        own: &mut Own,
        read: impl FnOnce(&Connection) -> Attempt<T>,
    ) -> Result<T> {
        if self.idle.is_closed() {
            *own = None;
            return Err(closed());
        }
        let answer = match &self.only {
            Some(link) => link.with(read).unwrap_or_else(|| Err(closed().into())),
            None => self.lend(pace, own).and_then(|lent| {
                let Lent(conn, shared) = lent;
                conn.busy_timeout(PATIENCE)?;
                let begun = Instant::now();
                let answer = read(&conn);
                if pace == Pace::Point {
                    self.feel_on_thread(begun.elapsed());
                }
                if shared {
                    conn.busy_timeout(Duration::ZERO)?;
                    self.idle.put(conn);
                } else if !self.idle.is_closed() {
                    *own = Some(conn);
                }
                answer
            }),
        };
        answer.map_err(|fault| fault.at(self.source.place()))
    }

    /// A connection for a read on a thread: one of those that know the keys, or the thread's own.
    fn lend(&self, pace: Pace, own: &mut Own) -> Attempt<Lent> {
        if pace != Pace::Scan {
            if let Some(conn) = self.idle.take() {
                return Ok(Lent(conn, true));
            }
            if let Some(conn) = self.idle.add(|| self.source.reader()) {
                return Ok(Lent(conn?, true));
            }
        }
        let conn = own.take().map_or_else(|| self.source.scanner(), Ok)?;
        Ok(Lent(conn, false))
    }
}

/// A connection, and whether it belongs on the shelf.
struct Lent(Connection, bool);

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

fn next(work: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    lock(work).blocking_recv()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it is held; if it did, what it guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteOptions;
    use std::thread::{self, ThreadId};

    /// Readers of a file, and the folder that it is in.
    fn opened() -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Connection::open(&path)
            .unwrap()
            .execute("CREATE TABLE a (b)", ())
            .unwrap();
        let source = Arc::new(Source::prepare(SqliteOptions::file(&path)).unwrap());
        let readers = Readers::open(&source, None).unwrap();
        (folder, readers)
    }

    fn slow(_: &Connection) -> Attempt<()> {
        let begun = Instant::now();
        while begun.elapsed() <= COLD * 2 {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn place(_: &Connection) -> Attempt<ThreadId> {
        Ok(thread::current().id())
    }

    #[tokio::test]
    async fn after_a_slow_read_others_are_done_on_threads_until_enough_were_quick() {
        let (_folder, readers) = opened();
        let here = thread::current().id();
        assert_eq!(readers.now(place).unwrap().unwrap(), here);

        // One of them is timed, and tells that the file is cold.
        let on_the_spot = (0..TIMED)
            .take_while(|_| readers.now(slow).is_some())
            .count();
        assert!(on_the_spot >= 1);
        assert!(
            readers.now(place).is_none(),
            "nobody waits on an async thread"
        );

        let mut quick = 0;
        while readers.now(place).is_none() {
            assert_ne!(readers.later(Pace::Point, place).await.unwrap(), here);
            quick += 1;
        }
        assert!(quick >= WARMTH, "{quick}");
        assert_eq!(readers.now(place).unwrap().unwrap(), here);
    }

    #[tokio::test]
    async fn a_scan_that_takes_long_tells_nothing_of_the_file() {
        let (_folder, readers) = opened();
        for pace in [Pace::Scan, Pace::Batch] {
            readers.later(pace, slow).await.unwrap();
            assert!(readers.now(place).is_some(), "{pace:?}");
        }
        readers.later(Pace::Point, slow).await.unwrap();
        assert!(readers.now(place).is_none());
    }
}
