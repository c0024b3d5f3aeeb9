//! A damaged file is moved aside and a new one takes its place, where that was asked for.

use super::{
    super::{
        beside::{LOG, SHARED, beside},
        error::{Attempt, Fault},
        schema,
    },
    connect::{PATIENCE, create},
};
use crate::{Clock, Error, ErrorKind, Result, SystemClock};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How a SQLite file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The newest version of SQLite's own format that it can read: the byte at 19.
const SQLITE_FORMAT: u8 = 2;

/// Keeps the files of a folder where they are while it is held.
///
/// Whoever opens a file holds it together with others, whoever moves one holds it alone: else a connection could have the old file
/// and the new file's log. It is a lock on the folder itself, so nothing is left behind and a killed process holds nothing.
#[derive(Debug)]
pub(super) struct Gate {
    _folder: Option<File>,
}

impl Gate {
    /// Waits until nobody moves files. Where the folder cannot be locked, nobody can move them either.
    pub(super) fn pass(path: &Path) -> Self {
        let folder = folder(path).ok();
        let folder = folder.filter(|f| wait(|| f.try_lock_shared()).is_ok());
        Self { _folder: folder }
    }

    fn close(path: &Path) -> Result<Self> {
        let folder = folder(path).and_then(|f| wait(|| f.try_lock()).map(|()| f));
        let folder = folder.map_err(|e| {
            let message = format!(
                "{} is damaged, and its folder cannot be locked to move it away; move it by hand",
                path.display()
            );
            Error::new(ErrorKind::Corrupt, message).with_source(e)
        })?;
        Ok(Self {
            _folder: Some(folder),
        })
    }
}

/// Tells whether the file itself is what is wrong.
pub(super) fn is_damage(fault: &Fault) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match fault {
        Fault::Sql(e) => matches!(e.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
        Fault::Ours(error) => error.kind() == ErrorKind::Corrupt,
    }
}

/// Moves a damaged file aside and opens a new one. Where another process has just done so, opens the one that it made.
pub(super) fn replace<T>(path: &Path, open: impl Fn() -> Attempt<T>) -> Attempt<T> {
    let _gate = Gate::close(path)?;
    let fault = match open() {
        Err(fault) if is_damage(&fault) => fault,
        answer => return answer,
    };
    if !may_be_ours(path).map_err(|e| cannot("read", path, e))? {
        return Err(fault);
    }
    let place = path.display().to_string();
    let _held = match hold(path) {
        Ok(held) => held,
        Err(e) => {
            let message = format!(
                "{place} is damaged and was not moved away, since another program has it open or it cannot be written to; end that program, or move it by hand"
            );
            return Err(Error::new(ErrorKind::Corrupt, message)
                .with_source(e)
                .into());
        }
    };
    let aside = set_aside(path).map_err(|e| cannot("move away", path, e))?;
    let error = fault.at(&place);
    tracing::warn!(
        target: "restow",
        %error,
        moved_to = %aside.display(),
        "the cache's file is damaged: it was moved away, and a new one is made"
    );
    create(path)?;
    open()
}

/// Tells whether a damaged file may have been one of ours, of a format that this program knows.
fn may_be_ours(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(100).read_to_end(&mut head)?;
    if !head.starts_with(MAGIC) {
        return Ok(true);
    }
    let number = |at: usize| {
        let bytes = head.get(at..at + 4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    };
    // Where the header is cut off there is nothing in the file.
    let (Some(version), Some(application)) = (number(60), number(68)) else {
        return Ok(true);
    };
    // What SQLite itself cannot read yet it calls no database.
    let newer = head.get(19).is_some_and(|v| *v > SQLITE_FORMAT);
    Ok(!newer && schema::is_known(application, version))
}

/// Locks the file as SQLite would to change it, so that nobody has it open.
#[cfg(unix)]
fn hold(path: &Path) -> io::Result<File> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    let file = File::options().read(true).write(true).open(path)?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// A file that somebody has open cannot be renamed there.
#[cfg(not(unix))]
fn hold(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Renames the file and its log to a name that says when.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemClock.now().timestamp();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = beside(path, &format!(".corrupt-{time}"));
    let mut number = 1;
    while aside.try_exists()? {
        number += 1;
        aside = beside(path, &format!(".corrupt-{time}-{number}"));
    }
    // The file itself goes last: killed in between, the next who opens it goes on.
    for part in [SHARED, LOG, ""] {
        match fs::rename(beside(path, part), beside(&aside, part)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !part.is_empty() => {}
            done => done?,
        }
    }
    Ok(aside)
}

/// Opens what stands for the folder of a file.
fn folder(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    let folder = File::open(path.parent().unwrap_or(path));
    // There a folder cannot be opened.
    #[cfg(not(unix))]
    let folder = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside(path, "-gate"));
    folder
}

fn wait(lock: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if Instant::now() > until => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn cannot(what: &str, path: &Path, e: io::Error) -> Error {
    let message = format!(
        "{} is damaged, and restow cannot {what} it; move it by hand",
        path.display()
    );
    Error::new(ErrorKind::Corrupt, message).with_source(e)
}
