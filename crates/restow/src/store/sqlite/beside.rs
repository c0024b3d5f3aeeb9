//! The files that SQLite keeps beside a database.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The write-ahead log, and what several processes share of it.
pub(super) const LOG: &str = "-wal";
pub(super) const SHARED: &str = "-shm";

/// The file whose name is that of a database, and then `end`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Tells whether there is something in a database's log.
pub(super) fn has_log(path: &Path) -> bool {
    fs::metadata(beside(path, LOG)).is_ok_and(|log| log.len() > 0)
}
