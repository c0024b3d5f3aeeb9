//! What SQLite reports, as this crate's errors.

use crate::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// A failure inside the backend: SQLite's, or an error that is ours already.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Ours(Error),
}

pub(super) type Attempt<T> = Result<T, Fault>;

impl Fault {
    /// Tells whether trying again may help.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Sql(e) => matches!(
                e.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            Self::Ours(_) => false,
        }
    }

    /// Makes the error that callers see; `place` says where.
    pub(super) fn at(self, place: &str) -> Error {
        let source = match self {
            Self::Ours(error) => return error,
            Self::Sql(source) => source,
        };
        if misses_its_table(&source) {
            let message = "its table was removed or changed since it was opened; open it again";
            return Error::new(ErrorKind::NoSuchRepository, message).with_source(source);
        }
        use ErrorCode as C;
        let (kind, message) = match source.sqlite_error_code() {
            Some(C::DatabaseBusy | C::DatabaseLocked) => (
                ErrorKind::Busy,
                format!("{place} is held by another program that did not let go; try again"),
            ),
            Some(C::DatabaseCorrupt) => (
                ErrorKind::Corrupt,
                format!(
                    "{place} is damaged; save what can be read with `restow doctor --salvage NEW.db`; then move the file away, or open it with damaged=quarantine, which does so, and a new one is made"
                ),
            ),
            Some(C::NotADatabase) => (
                ErrorKind::Format,
                format!("{place} is not a SQLite database; name another file"),
            ),
            Some(C::ReadOnly) => (
                ErrorKind::ReadOnly,
                format!(
                    "{place} cannot be written to; check the file's permissions, or open it with mode=ro"
                ),
            ),
            Some(C::TooBig) => (
                ErrorKind::TooLarge,
                "an entry is larger than SQLite can hold".to_owned(),
            ),
            Some(C::DiskFull) => (
                ErrorKind::Store,
                format!("there is no space left for {place}; free some, or set a budget"),
            ),
            Some(C::SystemIoFailure) if cannot_grow(&source) => (
                ErrorKind::Store,
                format!(
                    "{place} cannot be written: a quota or the limit of a file's size (`ulimit -f`) leaves no space for it, or the disk fails; raise the limit, free some space, or check the disk"
                ),
            ),
            Some(C::CannotOpen) => (
                ErrorKind::Store,
                format!(
                    "{place} cannot be opened; it has to be a file, in a folder where SQLite may make those that end in -wal and -shm"
                ),
            ),
            _ => (ErrorKind::Store, format!("{place} failed")),
        };
        Error::new(kind, message).with_source(source)
    }
}

/// SQLite calls it a full disk only where the system says just that.
fn cannot_grow(e: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
    let code = e.sqlite_error().map(|e| e.extended_code);
    matches!(code, Some(SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE))
}

/// A statement that was right once names a table, column or index that is no longer there.
fn misses_its_table(e: &rusqlite::Error) -> bool {
    let message = match e {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => return false,
    };
    message.starts_with("no such ") || message.contains(" has no column named ")
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Ours(e)
    }
}

/// What every call answers once the store was closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed; open it again")
}

/// What every change answers in a store that may only be read.
pub(super) fn read_only(place: &str) -> Error {
    Error::new(
        ErrorKind::ReadOnly,
        format!("{place} was opened with mode=ro; open it without to change it"),
    )
}
