//! Databases of other programs: read, and never changed.

use super::{SqlValue, error::Fault, ident::Ident};
use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, config::DbConfig, types::ValueRef};
use std::{path::Path, time::Duration};

/// How long a program that is writing is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open database of another program.
#[derive(Debug)]
pub(crate) struct ForeignFile {
    conn: Connection,
    place: String,
}

/// A table of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
}

impl ForeignFile {
    /// Opens a file for reading only. What its schema says is not trusted.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where there is no such file, [`ErrorKind::Format`] where it is no SQLite database, or one of ours.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        if !path.is_file() {
            let message = format!("{place} is not there, or no file; check the path");
            return Err(Error::new(ErrorKind::Store, message));
        }
        let opened = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let conn = Connection::open_with_flags(path, flags)?;
            conn.busy_timeout(PATIENCE)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            conn.pragma_update(None, "query_only", true)?;
            let number = |pragma| conn.query_row(pragma, [], |row| row.get::<_, i32>(0));
            let ours = super::schema::is_known(
                number("PRAGMA application_id")?,
                number("PRAGMA user_version")?,
            );
            Ok((conn, ours))
        };
        let (conn, ours) = opened().map_err(|e: rusqlite::Error| Fault::from(e).at(&place))?;
        if ours {
            let message =
                format!("{place} is a cache of restow; `restow copy {place} NEW` copies it");
            return Err(Error::new(ErrorKind::Format, message));
        }
        Ok(Self { conn, place })
    }

    /// Returns its tables, ordered by name; not the views, and not what is SQLite's own.
    pub(crate) fn tables(&self) -> Result<Vec<ForeignTable>> {
        let read = || {
            let mut names = self.conn.prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
            )?;
            let names = names.query_map([], |row| row.get::<_, String>(0))?;
            let mut columns = self
                .conn
                .prepare("SELECT name FROM pragma_table_info(?1)")?;
            let mut tables = Vec::new();
            for name in names {
                let name = name?;
                let found = columns.query_map([&name], |row| row.get(0))?;
                tables.push(ForeignTable {
                    columns: found.collect::<rusqlite::Result<_>>()?,
                    name,
                });
            }
            Ok(tables)
        };
        read().map_err(|e: rusqlite::Error| Fault::from(e).at(&self.place))
    }

    /// Hands the rows of a table to `take`, with the values of these columns, for as long as it says so.
    pub(crate) fn rows(
        &self,
        table: &str,
        columns: &[String],
        mut take: impl FnMut(Vec<SqlValue>) -> bool,
    ) -> Result<()> {
        let names: Vec<String> = columns.iter().map(|c| Ident::new(c).to_string()).collect();
        let sql = format!("SELECT {} FROM {}", names.join(", "), Ident::new(table));
        let mut read = || {
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let values = (0..columns.len()).map(|i| row.get_ref(i).map(value));
                if !take(values.collect::<rusqlite::Result<_>>()?) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(|e: rusqlite::Error| Fault::from(e).at(&self.place))
    }

    /// Returns where it is.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }
}

/// A value as it is: text that is not UTF-8 is bytes.
fn value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => {
            SqlValue::Blob(bytes.to_vec())
        }
        value => value.into(),
    }
}
