//! The one thread that writes: it gathers what is asked for at about the same time into one transaction.

use super::{
    super::{
        error::{Attempt, Fault, closed},
        options::SqliteOptions,
    },
    Link, Source,
    connect::PATIENCE,
    readers::Readers,
    upkeep::{self, Upkeep},
    uses::Uses,
};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// The most jobs in one transaction.
const GROUP: usize = 256;
/// How many jobs may wait before callers do.
const QUEUE: usize = 1_024;

/// How long a group waits for those who keep an overlong log from beginning anew, before it is refused.
const LOG_PATIENCE: Duration = Duration::from_millis(500);
/// How long the next ones are then refused at once.
const LOG_REFUSAL: Duration = Duration::from_secs(1);

/// The sending end of the writer. The thread ends when all of them are dropped, or closed.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    link: Link,
    source: Arc<Source>,
    /// None for memory, which has no log.
    upkeep: Option<Upkeep>,
    /// One clone for each job, and one for who waits for it.
    waiting: Arc<Waiting>,
}

/// Who has it waits for the writer.
#[derive(Debug, Default)]
struct Waiting {
    /// Jobs that were done when nobody waited for them any more.
    orphans: AtomicU32,
}

/// What there is once a store is open.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) source: Arc<Source>,
    pub(super) readers: Readers,
    /// None where the store may only be read.
    pub(super) writer: Option<Writer>,
}

enum Message {
    Work(Box<dyn Job>),
    Close(oneshot::Sender<Result<()>>),
}

impl Writer {
    /// Opens everything on the thread that will write, since files may be slow; where that fails the thread has ended.
    pub(super) async fn start(options: SqliteOptions, uses: Arc<Uses>) -> Result<Started> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let thread = std::thread::Builder::new().name("restow-sqlite-write".to_owned());
        thread
            .spawn(move || {
                let (source, readers, link, keeper) = match open(options) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return;
                    }
                };
                let (upkeep, thread) = keeper.unzip();
                let started = Started {
                    source: source.clone(),
                    readers,
                    writer: link.clone().map(|link| Self {
                        queue: sender,
                        link,
                        source: source.clone(),
                        upkeep: upkeep.clone(),
                        waiting: Arc::default(),
                    }),
                };
                // Nobody waits for it any more, or nothing may be written.
                if let (Ok(()), Some(link)) = (ready.send(Ok(started)), link) {
                    let closing = serve(queue, &link, upkeep.as_ref(), &source);
                    let ended = finish(&link, upkeep.zip(thread), &uses, &source);
                    if let Some(reply) = closing {
                        let _ = reply.send(ended);
                    }
                }
            })
            .map_err(no_thread)?;
        opened.await.map_err(|_| closed())?
    }

    /// Runs `work` in a transaction on the spot, where nobody else writes or waits and a commit does not wait for the disk.
    pub(super) fn now<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Attempt<T>,
    ) -> Option<Result<T>> {
        let short = self.upkeep.as_ref().is_none_or(|u| !u.is_overlong());
        if self.is_busy() || !short || self.source.waits_for_disk() {
            return None;
        }
        let done = self.link.try_with(|conn| -> Attempt<T> {
            // An async thread waits for no other program.
            conn.busy_timeout(Duration::ZERO)?;
            conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let done = work(conn).and_then(|done| {
                conn.prepare_cached("COMMIT")?.execute([])?;
                Ok(done)
            });
            roll_back(conn);
            done
        })?;
        match done {
            Err(fault) if fault.is_busy() => None,
            done => {
                let done = done.map_err(|fault| fault.at(self.source.place()));
                if is_unwritten(&done) {
                    catch_up(self.upkeep.as_ref());
                }
                Some(done)
            }
        }
    }

    /// Runs `work` in a transaction and answers after its commit. Once it is queued it happens, whoever waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let _waiting = self.waiting.clone();
        let job = Box::new(Call {
            work,
            done: None,
            reply: Some(reply),
            waiting: self.waiting.clone(),
        });
        self.queue
            .send(Message::Work(job))
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Asks for `work` that nobody waits for; where the queue is full it does not happen.
    pub(super) fn suggest(&self, work: impl FnMut(&Connection) -> Attempt<()> + Send + 'static) {
        let job = Box::new(Call {
            work,
            done: None,
            reply: None,
            waiting: self.waiting.clone(),
        });
        let _ = self.queue.try_send(Message::Work(job));
    }

    /// A number that changes with what other connections commit, and with what was committed here after its caller was gone; `None` where
    /// it would have to wait.
    pub(super) fn foreign_changes(&self) -> Option<u64> {
        let number = self.link.try_with(|conn| {
            conn.busy_timeout(Duration::ZERO).ok()?;
            let mut version = conn.prepare_cached("PRAGMA data_version").ok()?;
            version.query_row([], |row| row.get::<_, i64>(0)).ok()
        });
        let orphans = u64::from(self.waiting.orphans.load(Relaxed));
        Some(number.flatten()?.cast_unsigned() << 32 | orphans)
    }

    /// Tells whether somebody waits for the writer.
    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.waiting) > 1
    }

    /// Tells whether the log is long enough for those who write much to wait for upkeep.
    pub(super) fn is_log_long(&self) -> bool {
        self.upkeep.as_ref().is_some_and(Upkeep::is_long)
    }

    /// Asks for free pages to be given back to the disk.
    pub(super) fn vacuum(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.vacuum();
        }
    }

    /// Asks for half-empty pages to be joined, and free ones to be given back.
    pub(super) fn compact(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.compact();
        }
    }

    /// Does what was accepted, then closes the connection. Where that was done already, nothing.
    pub(super) async fn close(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_err() {
            return Ok(());
        }
        // The writer closed between the two: for somebody else.
        answer.await.unwrap_or(Ok(()))
    }
}

/// What a caller wants done. It may be run again, where the transaction around it failed.
trait Job: Send {
    /// Runs it; tells whether what it did may stay.
    fn run(&mut self, conn: &Connection, place: &str) -> bool;
    /// Forgets what it answered, and answers this instead where it had succeeded.
    fn fail(&mut self, error: Error);
    /// Tells whether the file could not be written.
    fn is_unwritten(&self) -> bool;
    /// Sends the answer.
    fn reply(self: Box<Self>);
}

struct Call<T, F> {
    work: F,
    done: Option<Result<T>>,
    reply: Option<oneshot::Sender<Result<T>>>,
    /// As long as it is there, others wait behind it.
    waiting: Arc<Waiting>,
}

impl<T: Send, F: FnMut(&Connection) -> Attempt<T> + Send> Job for Call<T, F> {
    fn run(&mut self, conn: &Connection, place: &str) -> bool {
        let done = (self.work)(conn).map_err(|fault| fault.at(place));
        let well = done.is_ok();
        self.done = Some(done);
        well
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.done, Some(Err(_))) {
            self.done = Some(Err(error));
        }
    }

    fn is_unwritten(&self) -> bool {
        self.done.as_ref().is_some_and(is_unwritten)
    }

    fn reply(self: Box<Self>) {
        match (self.reply, self.done) {
            (Some(reply), Some(done)) => match reply.send(done) {
                Ok(()) => {}
                Err(_) => _ = self.waiting.orphans.fetch_add(1, Relaxed),
            },
            (None, Some(Err(error))) => {
                tracing::debug!(%error, "upkeep of the store failed; it is tried again later");
            }
            _ => {}
        }
    }
}

/// Commits what is asked for, until the store is closed or all who can ask are gone.
fn serve(
    mut queue: mpsc::Receiver<Message>,
    link: &Link,
    upkeep: Option<&Upkeep>,
    source: &Source,
) -> Option<oneshot::Sender<Result<()>>> {
    let mut group: Vec<Box<dyn Job>> = Vec::new();
    let mut closing = None;
    let mut refused = None;
    while closing.is_none() {
        let Some(first) = queue.blocking_recv() else {
            break;
        };
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Work(job) => group.push(job),
                Message::Close(reply) => {
                    closing = Some(reply);
                    break;
                }
            }
            next = if group.len() < GROUP {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        link.with(|conn| match admit(conn, upkeep, &mut refused) {
            Ok(true) => commit(conn, &mut group, source.place()),
            Ok(false) => refuse(&mut group, || log_is_held(source.place())),
            Err(fault) => {
                let e = fault.at(source.place());
                refuse(&mut group, || Error::new(e.kind(), e.to_string()));
            }
        });
        if group.iter().any(|job| job.is_unwritten()) {
            catch_up(upkeep);
        }
        for job in group.drain(..) {
            job.reply();
        }
    }
    closing
}

/// Lets a group write unless the log is overlong and cannot begin anew.
fn admit(
    conn: &Connection,
    upkeep: Option<&Upkeep>,
    refused: &mut Option<Instant>,
) -> Attempt<bool> {
    if upkeep.is_some_and(Upkeep::is_overlong) {
        let patience = match refused {
            Some(at) if at.elapsed() < LOG_REFUSAL => Duration::ZERO,
            _ => LOG_PATIENCE,
        };
        if !upkeep::begin_anew(conn, PATIENCE, patience)? {
            if patience > Duration::ZERO {
                *refused = Some(Instant::now());
            }
            return Ok(false);
        }
    }
    *refused = None;
    conn.busy_timeout(PATIENCE)?;
    Ok(true)
}

fn is_unwritten<T>(done: &Result<T>) -> bool {
    matches!(done, Err(error) if error.kind() == ErrorKind::Store)
}

fn catch_up(upkeep: Option<&Upkeep>) {
    if let Some(upkeep) = upkeep {
        upkeep.catch_up();
    }
}

fn refuse(group: &mut [Box<dyn Job>], error: impl Fn() -> Error) {
    for job in group {
        job.fail(error());
    }
}

fn log_is_held(place: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "another program reads an old state of {place} and does not end, so that its log cannot be cut; nothing is saved until it does"
        ),
    )
}

/// Lets go of the file once nothing more is asked for.
fn finish(
    link: &Link,
    upkeep: Option<(Upkeep, JoinHandle<()>)>,
    uses: &Uses,
    source: &Source,
) -> Result<()> {
    let conn = link.take();
    if let Some((upkeep, thread)) = upkeep {
        upkeep.stop();
        // It is no failure of the store's where that thread panicked.
        let _ = thread.join();
    }
    let ended = conn.map_or(Ok(()), |conn| end(conn, uses));
    if let Err(fault) = &ended {
        tracing::warn!(
            place = source.place(),
            ?fault,
            "the store did not close cleanly; nothing that was saved is lost"
        );
    }
    ended.map_err(|fault| fault.at(source.place()))
}

/// Runs a group in one transaction; where that as a whole fails, each of it alone.
fn commit(conn: &Connection, group: &mut [Box<dyn Job>], place: &str) {
    // A deferred transaction would fail on upgrade when two writers race; take the lock now.
    let mut begun = conn.execute_batch("BEGIN IMMEDIATE");
    if group.len() > 1 && begun.is_ok() {
        if together(conn, group, place) {
            return;
        }
        begun = conn.execute_batch("BEGIN IMMEDIATE");
    }
    for job in group {
        let done = match begun {
            Ok(()) => alone(conn, job.as_mut(), place),
            // Each job would wait as long, and in vain.
            Err(ref e) => Err(copy(e)),
        };
        if let Err(e) = done {
            job.fail(Fault::from(e).at(place));
        }
        if begun.is_ok() {
            begun = conn.execute_batch("BEGIN IMMEDIATE");
        }
    }
    roll_back(conn);
}

/// Runs all of a group and commits; returns whether all of it got its answer. Ends the transaction.
fn together(conn: &Connection, group: &mut [Box<dyn Job>], place: &str) -> bool {
    for job in group.iter_mut() {
        let mut well = conn.execute_batch("SAVEPOINT job").is_ok();
        if well && !job.run(conn, place) {
            // A full disk ends the whole transaction, and then there is nothing to return to.
            well = conn.execute_batch("ROLLBACK TO job").is_ok();
        }
        if !well || conn.execute_batch("RELEASE job").is_err() {
            roll_back(conn);
            return false;
        }
    }
    let committed = conn.execute_batch("COMMIT").is_ok();
    roll_back(conn);
    committed
}

/// Runs one job and commits. Ends the transaction.
fn alone(conn: &Connection, job: &mut dyn Job, place: &str) -> rusqlite::Result<()> {
    let committed = if job.run(conn, place) {
        conn.execute_batch("COMMIT")
    } else {
        Ok(())
    };
    roll_back(conn);
    committed
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
}

fn end(conn: Connection, uses: &Uses) -> Attempt<()> {
    conn.busy_timeout(PATIENCE)?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let flushed = uses.flush(&conn);
    conn.execute_batch("COMMIT")?;
    upkeep::optimise(&conn)?;
    // The others who have the file open keep their log.
    let checkpointed = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    conn.close().map_err(|(_, e)| e)?;
    flushed?;
    Ok(checkpointed?)
}

/// What a store in a file has beside its writer.
type Keeper = (Upkeep, JoinHandle<()>);
type Opened = (Arc<Source>, Readers, Option<Link>, Option<Keeper>);

fn open(options: SqliteOptions) -> Result<Opened> {
    let source = Arc::new(Source::prepare(options)?);
    let at = |fault: Fault| fault.at(source.place());
    let mut keeper = None;
    let link = if source.is_read_only() {
        None
    } else {
        let conn = source.writer().map_err(at)?;
        let link = Link::new(conn);
        if !source.is_memory() {
            let (upkeep, thread) = Upkeep::start(&source, &link).map_err(no_thread)?;
            link.change(|conn| upkeep.watch(conn))
                .transpose()
                .map_err(at)?;
            keeper = Some((upkeep, thread));
        }
        Some(link)
    };
    let only = link.clone().filter(|_| source.is_memory());
    let readers = Readers::open(&source, only).map_err(at)?;
    Ok((source, readers, link, keeper))
}

fn no_thread(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Store, "the store's thread cannot be started").with_source(e)
}

/// An error with the same code and message: SQLite's are told to one caller only.
fn copy(e: &rusqlite::Error) -> rusqlite::Error {
    match e {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}
