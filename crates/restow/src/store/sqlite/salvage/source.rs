//! A damaged file, opened so that nothing of it is ever changed, nor of what stands beside it.

use super::super::{beside::has_log, error::Attempt, schema};
use crate::{Error, ErrorKind};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::path::Path;

/// A connection to the file, the file's format, and whether the write-ahead log is seen.
pub(super) struct Source {
    pub(super) conn: Connection,
    pub(super) format: i32,
    pub(super) log: bool,
}

/// Opens a file with its log where there is one that can be read, else without.
pub(super) fn open(path: &Path, place: &str) -> Attempt<Source> {
    if !path.is_file() {
        let message = format!(
            "{} is not there, or no file; check the path",
            path.display()
        );
        return Err(Error::new(ErrorKind::Store, message).into());
    }
    let logged = has_log(path);
    if logged && let Ok((conn, format)) = with_log(path).and_then(|conn| recognised(conn, place)) {
        return Ok(Source {
            conn,
            format,
            log: true,
        });
    }
    let (conn, format) = recognised(alone(path)?, place)?;
    Ok(Source {
        conn,
        format,
        log: !logged,
    })
}

/// Reads the log too. Without locks and with the log's index in memory no other file is made, and this one may be read-only.
#[cfg(unix)]
fn with_log(path: &Path) -> Attempt<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, c"unix-none")?;
    // The log itself is opened for writing where that is possible; one that holds nothing would be removed at the end.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    Ok(conn)
}

#[cfg(not(unix))]
fn with_log(_: &Path) -> Attempt<Connection> {
    let message = "the log cannot be read without changing files on this system";
    Err(Error::new(ErrorKind::Unsupported, message).into())
}

/// Reads the file alone, as it is.
fn alone(path: &Path) -> Attempt<Connection> {
    let path = path.display().to_string();
    let escaped = path
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let url = format!("file:{escaped}?immutable=1");
    Ok(Connection::open_with_flags(url, flags)?)
}

fn recognised(conn: Connection, place: &str) -> Attempt<(Connection, i32)> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // With it one wrong line of the schema does not hide the others; nothing is written.
    conn.pragma_update(None, "writable_schema", true)?;
    let format = schema::recognise(&conn, place)?;
    Ok((conn, format))
}
