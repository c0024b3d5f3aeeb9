//! Connections that read: used on the spot where one is idle, else by a few threads.

use super::{
    super::error::{Attempt, Fault, closed},
    Link, Source,
    connect::PATIENCE,
};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// The most threads that read.
const THREADS: usize = 4;
/// The most connections that wait for work.
const IDLE: usize = 8;
/// How many reads may wait for a thread before callers do.
const QUEUE: usize = 1_024;

type Work = Box<dyn FnOnce(&Connections) + Send>;

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

/// Idle connections, and how to get more.
struct Connections {
    source: Arc<Source>,
    /// The only connection there is, for a store in memory.
    only: Option<Link>,
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl Readers {
    /// Opens a first connection where the store is a file; blocks.
    pub(super) fn open(source: &Arc<Source>, only: Option<Link>) -> Attempt<Self> {
        let idle = if only.is_none() {
            vec![source.reader()?]
        } else {
            Vec::new()
        };
        let (queue, work) = mpsc::channel(QUEUE);
        Ok(Self {
            connections: Arc::new(Connections {
                source: source.clone(),
                only,
                idle: Mutex::new(idle),
                closed: AtomicBool::new(false),
            }),
            queue,
            work: Arc::new(Mutex::new(work)),
            threads: Arc::default(),
        })
    }

    /// Reads on the spot, without waiting for anything; `None` where no connection is idle or another program holds the file.
    pub(super) fn now<T>(&self, read: impl FnOnce(&Connection) -> Attempt<T>) -> Option<Result<T>> {
        let connections = &*self.connections;
        let answer = match &connections.only {
            Some(link) => link.try_with(read)?,
            None => {
                let conn = lock(&connections.idle).pop()?;
                let answer = read(&conn);
                connections.put_back(conn);
                answer
            }
        };
        match answer {
            Err(fault) if fault.is_busy() => None,
            answer => Some(answer.map_err(|fault| fault.at(connections.source.place()))),
        }
    }

    /// Reads on a thread.
    pub(super) async fn later<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |connections| {
            if !reply.is_closed() {
                let _ = reply.send(connections.read(read));
            }
        });
        let place = self.queue.reserve().await.map_err(|_| closed())?;
        self.threads.pending.fetch_add(1, SeqCst);
        place.send(work);
        self.hire()?;
        answer.await.map_err(|_| closed())?
    }

    /// Closes the connections that are idle; the others close when their read is done.
    pub(super) fn close(&self) {
        self.connections.closed.store(true, SeqCst);
        lock(&self.connections.idle).clear();
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
                // One thread waits for work, the others for their turn to wait.
                while let Some(work) = next(&work) {
                    work(&connections);
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

impl Connections {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Attempt<T>) -> Result<T> {
        if self.closed.load(SeqCst) {
            return Err(closed());
        }
        let answer = match &self.only {
            Some(link) => link.with(read).unwrap_or_else(|| Err(closed().into())),
            None => {
                let idle = lock(&self.idle).pop();
                match idle.map_or_else(|| self.source.reader(), Ok) {
                    Ok(conn) => conn
                        .busy_timeout(PATIENCE)
                        .map_err(Fault::from)
                        .and_then(|()| {
                            let answer = read(&conn);
                            conn.busy_timeout(Duration::ZERO)?;
                            self.put_back(conn);
                            answer
                        }),
                    Err(fault) => Err(fault),
                }
            }
        };
        answer.map_err(|fault| fault.at(self.source.place()))
    }

    fn put_back(&self, conn: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE && !self.closed.load(SeqCst) {
            idle.push(conn);
        }
    }
}

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
