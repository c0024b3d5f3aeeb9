//! What makes a file one of ours: its mark, its version, and the tables that every file has.

use super::{
    declared,
    error::{Attempt, Fault},
    layout::{FORMAT, Layout},
    upgrade,
};
use crate::{
    Error, ErrorKind, Result,
    store::{TableName, TableSpec},
};
use rusqlite::{Connection, OptionalExtension, params};

/// "rstw": in the file's header, where `file(1)` and others find it.
const APPLICATION: i32 = 0x7273_7477;
/// The oldest format that is read, and brought to the present one where the file may be written.
const OLDEST: i32 = 1;

/// The tables that every file has.
pub(super) const TABLES: [&str; 4] = [
    "restow_meta",
    "restow_tags",
    "restow_counts",
    "restow_dictionaries",
];

/// Checks that a file is empty or ours, before anything in it is changed; returns its format, this program's for an empty one.
pub(super) fn recognise(conn: &Connection, place: &str) -> Attempt<i32> {
    // One snapshot: another program may be making the tables between two looks.
    let _snapshot = match conn.is_autocommit() {
        true => Some(conn.unchecked_transaction()?),
        false => None,
    };
    let number = |pragma| conn.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let message = match (application, version) {
        (APPLICATION, OLDEST..=FORMAT) => return Ok(version),
        (APPLICATION, newer) if newer > FORMAT => format!(
            "{place} has format {newer}, which is newer than this program; it reads formats up to {FORMAT}: update it, or name another file"
        ),
        (APPLICATION, other) => {
            format!("{place} has format {other}, which never was; name another file")
        }
        (0, 0) => {
            let tables = tables(conn)?;
            if tables.is_empty() {
                return Ok(FORMAT);
            }
            format!("{place} is a database of another program (tables {tables}); name another file")
        }
        (other, _) => format!(
            "{place} is a database of another program (application id {other:#x}); name another file"
        ),
    };
    Err(Error::new(ErrorKind::Format, message).into())
}

/// Returns the format of a file of ours.
pub(super) fn format(conn: &Connection) -> Attempt<i32> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Returns the statements that made all there is in a file.
pub(super) fn statements(conn: &Connection) -> Attempt<String> {
    let mut select = conn.prepare(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid",
    )?;
    let made = select.query_map([], |row| row.get::<_, String>(0))?;
    let mut text =
        format!("PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {FORMAT};\n");
    for statement in made {
        text.push_str(&statement?);
        text.push_str(";\n");
    }
    Ok(text)
}

/// Tells whether these numbers of a file's header are ours, and of a format that this program reads.
pub(super) fn is_known(application: i32, version: i32) -> bool {
    application == APPLICATION && (OLDEST..=FORMAT).contains(&version)
}

/// Makes the fixed tables where they are not there, and brings an older file to this format. Many programs may do so at once.
pub(super) fn initialise(conn: &mut Connection, place: &str) -> Attempt<()> {
    if recognise(conn, place)? == FORMAT && is_whole(conn)? {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another program may have come first.
    let format = recognise(&transaction, place)?;
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|e| {
        Error::new(ErrorKind::Store, "the system has no random numbers")
            .with_source(std::io::Error::other(e.to_string()))
    })?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS restow_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS restow_tags (
             repository TEXT NOT NULL, tag TEXT NOT NULL, entry_id INTEGER NOT NULL,
             PRIMARY KEY (repository, tag, entry_id)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS restow_counts (
             repository TEXT NOT NULL, partition TEXT NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL,
             PRIMARY KEY (repository, partition)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS restow_dictionaries (
             id INTEGER PRIMARY KEY AUTOINCREMENT, repository TEXT NOT NULL, made_at INTEGER NOT NULL, entries INTEGER NOT NULL,
             samples INTEGER NOT NULL, sum INTEGER NOT NULL, dictionary BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS \"restow_ dictionaries of a repository\" ON restow_dictionaries (repository, id);
         CREATE INDEX IF NOT EXISTS \"restow_ tags of an entry\" ON restow_tags (repository, entry_id);",
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO restow_meta VALUES ('format', ?1), ('secret', ?2)",
        params![FORMAT, secret],
    )?;
    if format < FORMAT {
        upgrade::run(&transaction, format)?;
    }
    Ok(transaction.commit()?)
}

/// Tells whether the fixed tables are there, so that an opening need not write.
fn is_whole(conn: &Connection) -> Attempt<bool> {
    let mut found =
        conn.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in TABLES {
        if found.query_row([table], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(false);
        }
    }
    let secret = "SELECT count(*) FROM restow_meta WHERE key IN ('format', 'secret')";
    Ok(conn.query_row(secret, [], |row| row.get::<_, i64>(0))? == 2)
}

/// Returns the key of this file's digests.
pub(super) fn secret(conn: &Connection, place: &str) -> Attempt<[u8; 32]> {
    let stored: Option<Vec<u8>> = conn
        .query_row(
            "SELECT value FROM restow_meta WHERE key = 'secret'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    stored
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            let message =
                format!("{place} has lost its secret; restore the file, or begin a new one");
            Error::new(ErrorKind::Corrupt, message).into()
        })
}

/// Takes over the key of another cache's digests, unless there is a table; tells whether the file's key is this one now.
pub(super) fn adopt_secret(conn: &Connection, place: &str, wanted: [u8; 32]) -> Attempt<bool> {
    if secret(conn, place)? == wanted {
        return Ok(true);
    }
    let adopted = conn.execute(
        "UPDATE restow_meta SET value = ?1 WHERE key = 'secret' AND NOT EXISTS (
             SELECT 1 FROM restow_meta WHERE key >= 'repository:' AND key < 'repository;')",
        [wanted],
    )?;
    Ok(adopted == 1)
}

/// Returns the specs of all tables, ordered by name.
pub(super) fn specs(conn: &Connection) -> Attempt<Vec<TableSpec>> {
    let mut select = conn.prepare(
        "SELECT value FROM restow_meta WHERE key >= 'repository:' AND key < 'repository;' ORDER BY key",
    )?;
    let stored = select
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(stored
        .iter()
        .map(|json| declared::read(json))
        .collect::<Result<_>>()?)
}

/// Returns the spec of a table.
pub(super) fn spec(conn: &Connection, name: &TableName) -> Attempt<Option<TableSpec>> {
    let stored: Option<String> = conn
        .query_row(
            "SELECT value FROM restow_meta WHERE key = ?1",
            [key(name)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(stored.map(|json| declared::read(&json)).transpose()?)
}

/// Remembers the spec of a table.
pub(super) fn remember(conn: &Connection, spec: &TableSpec) -> Attempt<()> {
    conn.execute(
        "INSERT INTO restow_meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key(&spec.name), declared::write(spec)],
    )?;
    Ok(())
}

/// Forgets the spec of a table.
pub(super) fn forget(conn: &Connection, name: &TableName) -> Attempt<()> {
    conn.execute("DELETE FROM restow_meta WHERE key = ?1", [key(name)])?;
    Ok(())
}

/// Makes the table of a spec, with all that belongs to it.
pub(super) fn create(conn: &Connection, spec: &TableSpec) -> Attempt<()> {
    // SQLite does not tell A from a in the names of tables.
    if is_taken(conn, &spec.name)? {
        let message = "there is a repository whose name differs only in case, which SQLite does not tell apart; choose another name";
        return Err(Error::new(ErrorKind::Name, message)
            .in_repository(spec.name.shared())
            .into());
    }
    let layout = Layout::of(spec);
    conn.execute_batch(&layout.create_table())?;
    conn.execute_batch(&layout.create_rest())?;
    remember(conn, spec)
}

/// Tells whether there is a table of this name, upper and lower case being alike.
pub(super) fn is_taken(conn: &Connection, name: &TableName) -> Attempt<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)";
    Ok(conn.query_row(sql, [name.as_str()], |row| row.get(0))?)
}

/// Removes a table with all that belongs to it.
pub(super) fn remove(conn: &Connection, name: &TableName) -> Attempt<bool> {
    let Some(spec) = spec(conn, name)? else {
        return Ok(false);
    };
    conn.execute_batch(&Layout::of(&spec).drop_all())?;
    conn.execute(
        "DELETE FROM restow_tags WHERE repository = ?1",
        [name.as_str()],
    )?;
    conn.execute(
        "DELETE FROM restow_counts WHERE repository = ?1",
        [name.as_str()],
    )?;
    conn.execute(
        "DELETE FROM restow_dictionaries WHERE repository = ?1",
        [name.as_str()],
    )?;
    forget(conn, name)?;
    Ok(true)
}

fn key(name: &TableName) -> String {
    format!("repository:{name}")
}

fn tables(conn: &Connection) -> Result<String, Fault> {
    let mut select = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 5")?;
    let names = select
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.join(", "))
}
