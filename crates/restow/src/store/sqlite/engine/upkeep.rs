//! What is done behind the callers' backs: the log is brought back into the file, and free pages are given back.

use super::{
    super::error::{Attempt, Fault},
    Link, Source,
    connect::{LOG_BYTES, PAGE_BYTES},
};
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The log is brought back into the file whenever it has grown by so many pages.
const STEP: i32 = (4 << 20) / PAGE_BYTES as i32;
/// Beyond this many pages writers wait until the log can begin anew: a log that keeps to the same pages of the file is written faster.
const LONG: i32 = (16 << 20) / PAGE_BYTES as i32;
/// Beyond this many nothing is written until it can. Less than twice what is kept, for the group that gets there is as large as it is.
const LONGEST: i32 = 2 * (LOG_BYTES / PAGE_BYTES) as i32 - 2 * STEP;
/// How often others are looked for that bring the log back.
const LOOK: Duration = Duration::from_millis(5);
/// How long upkeep rests once it has failed: a full disk stays full for a while.
const RECOVERY: Duration = Duration::from_millis(100);
/// How often what is written meanwhile is brought back too, and what is little enough for writers to wait for.
const ROUNDS: usize = 8;
const LITTLE: i64 = 64;
/// So many free pages are given back in one transaction.
const VACUUM_PAGES: i64 = 16;
/// The share of the time that giving back may take: one part in so many.
const DUTY: u32 = 5;
/// Statistics for the choice of indexes are looked at after so many checkpoints.
const OPTIMISE_EVERY: u32 = 64;

/// Of a smaller file there are no statistics: those of a few rows mislead once there are many.
const WORTHWHILE_PAGES: i64 = 4_096;
/// A larger file is not written anew as a whole: its writers would wait for seconds.
const COMPACT_PAGES: i64 = 4_096;

/// What upkeep is asked for.
#[derive(Clone, Copy, Debug)]
enum Task {
    Checkpoint,
    Vacuum,
    Compact,
    Stop,
}

/// Asks for upkeep, and knows how long the log is.
#[derive(Clone, Debug)]
pub(super) struct Upkeep {
    log: Arc<Log>,
    tasks: SyncSender<Task>,
}

/// How it stands with the log.
#[derive(Debug, Default)]
struct Log {
    /// Pages in it after the last commit of this process.
    pages: AtomicI32,
    /// Something could not be written, so that it is longer than it has to be.
    behind: AtomicBool,
}

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    /// So many pages are left in the log.
    Left(i64),
    /// Somebody reads from the log, or writes to it.
    Held,
    /// Somebody else is at it.
    Elsewhere,
}

impl Upkeep {
    /// Starts the thread of a store in a file; it ends when it is told to, or all who can ask are gone.
    pub(super) fn start(
        source: &Arc<Source>,
        link: &Link,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        // One of each kind may wait.
        let (tasks, queue) = sync_channel(3);
        let upkeep = Self {
            log: Arc::default(),
            tasks,
        };
        let (source, link, log) = (source.clone(), link.clone(), upkeep.log.clone());
        let thread = std::thread::Builder::new()
            .name("restow-sqlite-upkeep".to_owned())
            .spawn(move || serve(&queue, &source, &link, &log))?;
        Ok((upkeep, thread))
    }

    /// Watches how long the log is after each commit; replaces SQLite's own checkpoints, which the caller would wait for.
    pub(super) fn watch(&self, writer: &mut Connection) -> Attempt<()> {
        let (upkeep, mut next) = (self.clone(), STEP);
        writer.wal_hook(Some(move |_: &mut _, pages| {
            let before = upkeep.log.pages.swap(pages, Relaxed);
            if pages < before {
                next = STEP;
            }
            if pages >= next || upkeep.log.behind.swap(false, Relaxed) {
                next = pages.saturating_add(STEP);
                upkeep.ask(Task::Checkpoint);
            }
            Ok(())
        }))?;
        Ok(())
    }

    /// Asks for free pages to be given back to the disk.
    pub(super) fn vacuum(&self) {
        self.ask(Task::Vacuum);
    }

    /// Asks for half-empty pages to be joined, where the file is small.
    pub(super) fn compact(&self) {
        self.ask(Task::Compact);
    }

    /// Asks for the log to be brought back, now and after the next commit, since something could not be written: on a full disk
    /// there may be room in the file where there is none for the log.
    pub(super) fn catch_up(&self) {
        self.log.behind.store(true, Relaxed);
        self.ask(Task::Checkpoint);
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        let _ = self.tasks.send(Task::Stop);
    }

    /// Tells whether upkeep is behind.
    pub(super) fn is_long(&self) -> bool {
        self.log.pages.load(Relaxed) >= LONG
    }

    /// Tells whether the log has to begin anew before more is written.
    pub(super) fn is_overlong(&self) -> bool {
        self.log.pages.load(Relaxed) >= LONGEST
    }

    fn ask(&self, task: Task) {
        // Where one waits already, it will do for this one too.
        let _ = self.tasks.try_send(task);
    }
}

/// Makes the log begin anew, waiting for those who bring it back and for those who still read from it; `false` where they do not end.
pub(super) fn begin_anew(conn: &Connection, others: Duration, readers: Duration) -> Attempt<bool> {
    conn.busy_timeout(readers)?;
    let until = Instant::now() + others;
    loop {
        match bring_back(conn, "RESTART")? {
            // SQLite does not wait for that.
            Brought::Elsewhere if Instant::now() < until => std::thread::sleep(LOOK),
            brought => return Ok(brought == Brought::Left(0)),
        }
    }
}

/// Brings the log back into the file.
fn bring_back(conn: &Connection, how: &str) -> Attempt<Brought> {
    let sql = format!("PRAGMA wal_checkpoint({how})");
    let done = conn.prepare_cached(&sql).and_then(|mut checkpoint| {
        checkpoint.query_row([], |row| {
            let (busy, all, done): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(match (busy, all) {
                (false, _) => Brought::Left(all - done),
                // It did not even come to look at the log.
                (true, -1) => Brought::Elsewhere,
                (true, _) => Brought::Held,
            })
        })
    });
    match done.map_err(Fault::from) {
        Err(fault) if fault.is_busy() => Ok(Brought::Held),
        done => done,
    }
}

fn serve(queue: &Receiver<Task>, source: &Source, link: &Link, log: &Log) {
    let mut conn = None;
    let mut failed: Option<Instant> = None;
    let mut checkpoints = 0_u32;
    // How long to rest before more free pages are given back; none where none are left.
    let mut rest = None;
    loop {
        let task = match rest {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(rest) => queue.recv_timeout(rest),
        };
        let done = match task {
            Ok(Task::Checkpoint) if failed.is_some_and(|at| at.elapsed() < RECOVERY) => {
                log.behind.store(true, Relaxed);
                Ok(())
            }
            Ok(Task::Checkpoint) => {
                checkpoints = checkpoints.wrapping_add(1);
                checkpoint(source, &mut conn, link, log, checkpoints)
            }
            Ok(Task::Vacuum) => {
                rest = Some(Duration::ZERO);
                Ok(())
            }
            Ok(Task::Compact) => compact(link).map(|()| rest = Some(Duration::ZERO)),
            Err(RecvTimeoutError::Timeout) => vacuum(link).map(|left| rest = left),
            Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(fault) = done {
            tracing::debug!(place = source.place(), ?fault, "upkeep of the store failed");
            (conn, rest, failed) = (None, None, Some(Instant::now()));
            // The next commit asks again.
            log.behind.store(true, Relaxed);
        }
    }
}

fn checkpoint(
    source: &Source,
    conn: &mut Option<Connection>,
    link: &Link,
    log: &Log,
    number: u32,
) -> Attempt<()> {
    if conn.is_none() {
        *conn = source.upkeep()?;
    }
    let Some(conn) = conn else { return Ok(()) };
    // While others go on writing. What they write meanwhile is brought back again, as long as that gets less.
    conn.busy_timeout(Duration::ZERO)?;
    let mut left = bring_back(conn, "PASSIVE")?;
    if log.pages.load(Relaxed) >= LONG {
        for _ in 0..ROUNDS {
            if matches!(left, Brought::Left(..LITTLE)) {
                break;
            }
            left = bring_back(conn, "PASSIVE")?;
        }
        // For the little that is left they wait.
        link.with(|_| begin_anew(conn, Duration::ZERO, Duration::from_millis(20)))
            .transpose()?;
    }
    if number.is_multiple_of(OPTIMISE_EVERY) {
        link.with(optimise).transpose()?;
    }
    Ok(())
}

/// Lets SQLite look at its statistics, a few hundred rows of an index at most.
pub(super) fn optimise(conn: &Connection) -> Attempt<()> {
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages < WORTHWHILE_PAGES {
        return Ok(());
    }
    match conn
        .execute_batch("PRAGMA analysis_limit = 400; PRAGMA optimize;")
        .map_err(Fault::from)
    {
        Err(fault) if !fault.is_busy() => Err(fault),
        // Another process is writing: the next time will do.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a small file anew, without the gaps in its pages; where another process writes, not now.
fn compact(link: &Link) -> Attempt<()> {
    let done = link.with(|conn| -> Attempt<()> {
        let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages <= COMPACT_PAGES {
            conn.execute_batch("VACUUM")?;
        }
        Ok(())
    });
    match done.transpose() {
        Err(fault) if !fault.is_busy() => Err(fault),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Gives a few free pages back; returns how long to rest where there are more.
fn vacuum(link: &Link) -> Attempt<Option<Duration>> {
    let begun = Instant::now();
    let more = link
        .with(|conn| -> Attempt<bool> {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let done = give_back(conn);
            // A transaction that was not begun well is not committed.
            conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            done
        })
        .transpose()?;
    Ok((more == Some(true)).then(|| begun.elapsed() * (DUTY - 1)))
}

fn give_back(conn: &Connection) -> Attempt<bool> {
    let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
    let mut vacuum = conn.prepare_cached(&sql)?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let left: i64 = conn
        .prepare_cached("PRAGMA freelist_count")?
        .query_row([], |row| row.get(0))?;
    Ok(left > VACUUM_PAGES)
}
