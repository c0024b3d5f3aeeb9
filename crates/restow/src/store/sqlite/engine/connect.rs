//! Files and connections: how they are made, and what is checked before the first use.

use super::{
    super::{
        beside,
        error::{Attempt, Fault},
        options::{Access, Damaged, Durability, Place, SqliteOptions},
        schema,
    },
    quarantine::{self, Gate},
    shelf,
};
use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The first SQLite without the WAL-reset defect, which loses writes where there are two connections.
const OLDEST_SQLITE: i32 = 3_051_003;
/// How long whoever may wait waits for other processes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const STATEMENTS: usize = 128;
/// The write-ahead log is cut back to this size once it was larger.
pub(super) const LOG_BYTES: i64 = 64 << 20;
/// The size of a page, in bytes: rows of a few kilobytes fill it well.
pub(super) const PAGE_BYTES: i64 = 16_384;
/// What the connection that writes may hold of the file in memory, in KiB: inserts come back to the same pages of
/// indexes.
const WRITER_CACHE_KIB: i64 = 16_384;

/// Where connections go.
#[derive(Debug)]
pub(in super::super) struct Source {
    path: Option<PathBuf>,
    access: Access,
    durability: Durability,
    damaged: Damaged,
    /// What all connections together that read by keys hold, in bytes: a page that is held is not copied from the system again, which is a
    /// third of a read. Those that scan keep to SQLite's own 2,000 KiB.
    page_cache: u64,
    place: String,
    lasting: bool,
    /// Removed when the store is closed, or when the last who knows the source is gone.
    folder: Mutex<Option<tempfile::TempDir>>,
}

impl Source {
    /// Makes folder and file where that is asked for.
    pub(in super::super) fn prepare(options: SqliteOptions) -> Result<Self> {
        let version = rusqlite::version_number();
        if version < OLDEST_SQLITE {
            let message = format!(
                "this program is linked with SQLite {}; restow needs 3.51.3 or newer, which its bundled feature brings",
                rusqlite::version()
            );
            return Err(Error::new(ErrorKind::Store, message));
        }
        let SqliteOptions {
            place,
            access,
            durability,
            damaged,
            page_cache,
        } = options;
        let mut folder = None;
        let path = match place {
            Place::Memory => None,
            Place::Temporary => {
                let made = tempfile::Builder::new().prefix("restow-").tempdir();
                let made = made.map_err(|e| cannot("make a folder for temporary files", &e))?;
                let path = made.path().join("cache.db");
                folder = Some(made);
                Some(path)
            }
            Place::File(path) => Some(
                // A later change of the working directory must not lead the next connection elsewhere.
                std::path::absolute(&path)
                    .map_err(|e| cannot(&format!("find {}", path.display()), &e))?,
            ),
        };
        let place = path.as_deref().map_or_else(
            || "sqlite::memory:".to_owned(),
            |p| {
                // As a URL that opens the same file again.
                let path = p
                    .display()
                    .to_string()
                    .replace('%', "%25")
                    .replace('?', "%3F");
                format!("sqlite://{path}")
            },
        );
        if let Some(path) = &path {
            match access {
                Access::ReadWrite => create(path)?,
                Access::ReadOnly if !path.exists() => {
                    let message = format!(
                        "{} is not there, and mode=ro makes no file; open it without mode=ro once, or check the path",
                        path.display()
                    );
                    return Err(Error::new(ErrorKind::Store, message));
                }
                Access::ReadOnly => {}
            }
        }
        Ok(Self {
            lasting: path.is_some() && folder.is_none(),
            path,
            access,
            durability,
            damaged,
            page_cache,
            place,
            folder: Mutex::new(folder),
        })
    }

    /// Removes the folder of a temporary store.
    pub(in super::super) fn discard(&self) {
        drop(
            self.folder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Says where it is.
    pub(in super::super) fn place(&self) -> &str {
        &self.place
    }

    pub(in super::super) fn is_memory(&self) -> bool {
        self.path.is_none()
    }

    pub(in super::super) fn is_lasting(&self) -> bool {
        self.lasting
    }

    pub(in super::super) fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// Tells whether a commit waits for the disk.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.lasting && self.durability == Durability::Full
    }

    /// Opens the connection that writes, and makes the file's fixed tables; a damaged file is replaced where the options say so.
    pub(in super::super) fn writer(&self) -> Attempt<Connection> {
        let Some(path) = &self.path else {
            return self.open_writer();
        };
        let opened = {
            let _gate = Gate::pass(path);
            self.open_writer()
        };
        match opened {
            Err(fault) if self.damaged == Damaged::Quarantine && quarantine::is_damage(&fault) => {
                quarantine::replace(path, || self.open_writer())
            }
            opened => opened,
        }
    }

    fn open_writer(&self) -> Attempt<Connection> {
        let mut conn = match &self.path {
            Some(path) => open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
            None => Connection::open_in_memory()?,
        };
        conn.busy_timeout(PATIENCE)?;
        // What is refused is left as it is, its log too.
        let keeps_log = self.path.as_deref().is_some_and(beside::has_log);
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
        schema::recognise(&conn, &self.place)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        if self.path.is_some() {
            write_ahead(&conn)?;
        }
        configure(&conn)?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        conn.pragma_update(None, "synchronous", self.durability.synchronous())?;
        conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        schema::initialise(&mut conn, &self.place)?;
        if self.damaged == Damaged::Quarantine {
            // What is needed in any case: later nothing is replaced any more.
            schema::secret(&conn, &self.place)?;
            schema::specs(&conn)?;
        }
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(conn)
    }

    /// Opens the connection that brings the log back into the file; `None` for memory. It waits for nobody.
    pub(super) fn upkeep(&self) -> Attempt<Option<Connection>> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        configure(&conn)?;
        conn.pragma_update(None, "synchronous", self.durability.synchronous())?;
        conn.busy_timeout(Duration::ZERO)?;
        Ok(Some(conn))
    }

    /// Opens a connection that reads by keys, again and again.
    pub(super) fn reader(&self) -> Attempt<Connection> {
        let conn = self.scanner()?;
        let share = i64::try_from(self.page_cache / 1_024 / shelf::room() as u64)
            .unwrap_or(i64::MAX)
            .max(2_000);
        conn.pragma_update(None, "cache_size", -share)?;
        Ok(conn)
    }

    /// Opens a connection that reads what comes.
    pub(in super::super) fn scanner(&self) -> Attempt<Connection> {
        let Some(path) = &self.path else {
            return Err(Error::new(ErrorKind::Unsupported, "memory has one connection").into());
        };
        let _gate = Gate::pass(path);
        let conn = match self.access {
            Access::ReadOnly => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            // One that may write can also recover the log that a killed program left.
            Access::ReadWrite => open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
        };
        conn.busy_timeout(PATIENCE)?;
        if self.is_read_only() {
            schema::recognise(&conn, &self.place)?;
        }
        configure(&conn)?;
        conn.pragma_update(None, "query_only", true)?;
        // From here on it is used where nothing may wait, unless a thread says otherwise.
        conn.busy_timeout(Duration::ZERO)?;
        Ok(conn)
    }
}

fn open(path: &Path, flags: OpenFlags) -> Attempt<Connection> {
    Ok(Connection::open_with_flags(
        path,
        flags | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?)
}

fn configure(conn: &Connection) -> Attempt<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this a misspelt column would be read as a text.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // The file may come from elsewhere: its schema may run nothing, and its damage is not spread.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A statement is compiled once, not again for other values.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Turns the write-ahead log on. Two programs that do so at once can see "busy" at once, whatever the timeout is.
fn write_ahead(conn: &Connection) -> Attempt<()> {
    let mut tries = 0;
    loop {
        let mode = conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            .map_err(Fault::from);
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Err(fault) if !fault.is_busy() => return Err(fault),
            Ok(_) | Err(_) if tries < 1_000 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(fault) => return Err(fault),
            Ok(mode) => {
                let message = format!(
                    "the file system has no write-ahead log (journal mode is {mode}); use a local disk"
                );
                return Err(Error::new(ErrorKind::Store, message).into());
            }
        }
    }
}

/// Makes the file before SQLite does: at no moment may others read it. SQLite gives `-wal` and `-shm` the mode of the file.
pub(super) fn create(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|e| cannot(&format!("make the folder {}", folder.display()), &e))?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(cannot(&format!("make {}", path.display()), &e)),
    }
}

fn cannot(what: &str, e: &io::Error) -> Error {
    Error::new(ErrorKind::Store, format!("cannot {what}"))
        .with_source(io::Error::new(e.kind(), e.to_string()))
}
