//! The dictionaries of a file: one row each, made of a repository's own entries.

use super::{super::error::Attempt, frame::Digested};
use crate::Millis;
use rusqlite::{Connection, OptionalExtension, Row, params};
use xxhash_rust::xxh3::xxh3_64;

/// A dictionary, ready for use.
#[derive(Debug)]
pub(in super::super) struct Dictionary {
    /// As the column `coding` names it.
    pub(super) id: i64,
    pub(super) digested: Digested,
}

/// How large a repository was when its newest dictionary was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) id: i64,
    pub(super) entries: i64,
}

/// Returns a repository's dictionary, or any other by its number; `None` where it is not there or damaged.
pub(super) fn load(conn: &Connection, id: i64) -> Attempt<Option<Dictionary>> {
    let found = conn
        .prepare_cached("SELECT dictionary, sum FROM restow_dictionaries WHERE id = ?1")?
        .query_row([id], |row| Ok(read(row, id)))
        .optional()?;
    Ok(found.flatten())
}

/// Returns all dictionaries of a file that are whole.
pub(super) fn all(conn: &Connection) -> Attempt<Vec<Dictionary>> {
    // A file of an older format has none, and may be open for reading only.
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'restow_dictionaries')";
    if !conn.query_row(sql, [], |row| row.get::<_, bool>(0))? {
        return Ok(Vec::new());
    }
    let mut select = conn.prepare("SELECT dictionary, sum, id FROM restow_dictionaries")?;
    let found = select.query_map([], |row| Ok(read(row, row.get(2)?)))?;
    found
        .filter_map(|d| d.map_err(Into::into).transpose())
        .collect()
}

/// Returns the number of the newest dictionary of a repository. It is never removed as long as it is the newest.
pub(super) fn newest(conn: &Connection, repository: &str) -> Attempt<Option<i64>> {
    let sql = "SELECT max(id) FROM restow_dictionaries WHERE repository = ?1 AND entries >= 0";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([repository], |row| row.get(0))?)
}

/// Returns what is known of the newest dictionary of a repository.
pub(super) fn made(conn: &Connection, repository: &str) -> Attempt<Option<Made>> {
    let sql = "SELECT id, entries FROM restow_dictionaries WHERE repository = ?1 AND entries >= 0 ORDER BY id DESC LIMIT 1";
    let made = conn.prepare_cached(sql)?.query_row([repository], |row| {
        Ok(Made {
            id: row.get(0)?,
            entries: row.get(1)?,
        })
    });
    Ok(made.optional()?)
}

/// Stores a dictionary that is not in use yet, and returns its number.
pub(super) fn insert(
    conn: &Connection,
    repository: &str,
    samples: i64,
    dictionary: &[u8],
    now: Millis,
) -> Attempt<i64> {
    conn.prepare_cached(
        "INSERT INTO restow_dictionaries (repository, made_at, entries, samples, sum, dictionary) VALUES (?1, ?2, -1, ?3, ?4, ?5)",
    )?
    .execute(params![
        repository,
        now.0,
        samples,
        sum(dictionary),
        dictionary
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Puts a dictionary into use. It is committed by then: nobody keeps one whose number another may get.
pub(super) fn put_in_use(conn: &Connection, id: i64, entries: i64) -> Attempt<()> {
    conn.prepare_cached("UPDATE restow_dictionaries SET entries = ?2 WHERE id = ?1")?
        .execute([id, entries])?;
    Ok(())
}

/// Returns the dictionaries that newer ones have followed and that no row of the table uses any more.
///
/// None of them comes into use again: new rows take the newest, and a renewed head takes its row's own.
pub(super) fn unused(conn: &Connection, repository: &str, table: &str) -> Attempt<Vec<i64>> {
    let Some(newest) = newest(conn, repository)? else {
        return Ok(Vec::new());
    };
    let sql = "SELECT id FROM restow_dictionaries WHERE repository = ?1 AND id < ?2";
    let mut older = conn.prepare(sql)?;
    let older = older
        .query_map(params![repository, newest], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut used = conn.prepare(&format!(
        "SELECT EXISTS (SELECT 1 FROM {table} WHERE coding = ?1)"
    ))?;
    let mut unused = Vec::new();
    for id in older {
        if !used.query_row([id], |row| row.get::<_, bool>(0))? {
            unused.push(id);
        }
    }
    Ok(unused)
}

/// Removes dictionaries.
pub(super) fn remove(conn: &Connection, ids: &[i64]) -> Attempt<()> {
    let mut delete = conn.prepare_cached("DELETE FROM restow_dictionaries WHERE id = ?1")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}

fn read(row: &Row<'_>, id: i64) -> Option<Dictionary> {
    let bytes = row.get_ref(0).ok()?.as_blob().ok()?;
    // A dictionary with one wrong byte would make wrong entries of right ones.
    if row.get::<_, i64>(1).ok()? != sum(bytes) {
        return None;
    }
    Some(Dictionary {
        id,
        digested: Digested::new(bytes.into())?,
    })
}

fn sum(dictionary: &[u8]) -> i64 {
    xxh3_64(dictionary).cast_signed()
}
