//! rusqlite by hand: the same file read, and a second one of the same layout written, by the shortest code that does it.

use crate::{
    Outcome, api,
    measure::{each, scatter},
};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

/// Reads our file.
#[derive(Debug)]
pub(crate) struct Reader(Connection);

impl Reader {
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Self(Connection::open_with_flags(path, flags)?))
    }

    /// Reads one body at a time.
    pub(crate) fn get(&self, which: Range<usize>, entries: usize) -> Outcome<Duration> {
        let n = which.len();
        let begun = Instant::now();
        let mut statement = self.0.prepare_cached(
            "SELECT body FROM items WHERE id = ?1 AND query = '' AND partition = '' AND expires_at > ?2",
        )?;
        for i in which {
            let mut rows = statement.query((api::key(scatter(i, entries)), now()))?;
            let row = rows.next()?.ok_or("an entry is missing")?;
            std::hint::black_box(Bytes::copy_from_slice(row.get_ref(0)?.as_bytes()?));
        }
        Ok(each(begun.elapsed(), n))
    }

    /// Reads many bodies in one statement, and puts them in the order of their keys.
    pub(crate) fn get_many(&self, which: Range<usize>, entries: usize) -> Outcome<Duration> {
        let n = which.len();
        let keys: Vec<_> = which.map(|i| api::key(scatter(i, entries))).collect();
        let begun = Instant::now();
        let list = serde_json::to_string(&keys)?;
        let mut statement = self.0.prepare_cached(
            "SELECT k.key, i.body FROM json_each(?1) AS k CROSS JOIN items AS i ON i.id = k.value AND i.query = '' AND i.partition = '' WHERE i.expires_at > ?2",
        )?;
        let mut rows = statement.query((list, now()))?;
        let mut found = vec![None; n];
        while let Some(row) = rows.next()? {
            let at = usize::try_from(row.get::<_, i64>(0)?)?;
            if let Some(slot) = found.get_mut(at) {
                *slot = Some(Bytes::copy_from_slice(row.get_ref(1)?.as_bytes()?));
            }
        }
        if found.iter().any(Option::is_none) {
            return Err("an entry is missing".into());
        }
        Ok(each(begun.elapsed(), n))
    }

    /// Reads every key and body.
    pub(crate) fn scan(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut statement = self
            .0
            .prepare_cached("SELECT id, body FROM items WHERE expires_at > ?1")?;
        let mut rows = statement.query([now()])?;
        let mut n = 0;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            std::hint::black_box((id, Bytes::copy_from_slice(row.get_ref(1)?.as_bytes()?)));
            n += 1;
        }
        Ok(each(begun.elapsed(), n))
    }

    /// Counts by the index on the expiry.
    pub(crate) fn count(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        let n: i64 = self
            .0
            .prepare_cached("SELECT count(*) FROM items WHERE expires_at > ?1")?
            .query_row([now()], |row| row.get(0))?;
        std::hint::black_box(n);
        Ok(begun.elapsed())
    }
}

/// Writes a file with the settings and the schema of ours.
#[derive(Debug)]
pub(crate) struct Writer {
    conn: Connection,
    insert: String,
}

impl Writer {
    /// Makes the file `at` like ours, which has an entry. Every column but key and body gets that entry's value, as a literal.
    pub(crate) fn like(ours: &Path, at: &Path, synchronous: &str) -> Outcome<Self> {
        let ours = Connection::open_with_flags(ours, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let conn = Connection::open(at)?;
        for name in ["page_size", "auto_vacuum"] {
            let value: i64 = ours.pragma_query_value(None, name, |row| row.get(0))?;
            conn.pragma_update(None, name, value)?;
        }
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        conn.pragma_update(None, "synchronous", synchronous)?;
        let mut parts = ours.prepare(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = 'items' AND type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC",
        )?;
        for sql in parts.query_map([], |row| row.get::<_, String>(0))? {
            conn.execute_batch(&sql?)?;
        }
        Ok(Self {
            insert: insert_like(&ours)?,
            conn,
        })
    }

    /// Saves each pair in a transaction of its own.
    pub(crate) fn save(&mut self, pairs: &[(String, Bytes)]) -> Outcome<Duration> {
        let begun = Instant::now();
        for pair in pairs {
            self.transaction(std::slice::from_ref(pair))?;
        }
        Ok(each(begun.elapsed(), pairs.len()))
    }

    /// Saves all pairs in one transaction.
    pub(crate) fn save_many(&mut self, pairs: &[(String, Bytes)]) -> Outcome<Duration> {
        let begun = Instant::now();
        self.transaction(pairs)?;
        Ok(each(begun.elapsed(), pairs.len()))
    }

    fn transaction(&mut self, pairs: &[(String, Bytes)]) -> Outcome {
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut statement = transaction.prepare_cached(&self.insert)?;
        for (key, body) in pairs {
            statement.execute((key, std::str::from_utf8(body)?))?;
        }
        drop(statement);
        Ok(transaction.commit()?)
    }
}

/// The statement that inserts a row like the first one of ours, under the key `?1` and with the body `?2`.
fn insert_like(ours: &Connection) -> Outcome<String> {
    let first = ours.prepare("SELECT * FROM items LIMIT 1")?;
    let columns: Vec<_> = first
        .column_names()
        .filter(|name| *name != "entry_id")
        .map(|name| format!("\"{name}\""))
        .collect();
    let literals: Vec<_> = columns
        .iter()
        .map(|name| format!("quote({name})"))
        .collect();
    let literals = format!("SELECT {} FROM items LIMIT 1", literals.join(", "));
    let values = ours.query_row(&literals, [], |row| {
        (0..)
            .zip(&columns)
            .map(|(i, name)| match name.as_str() {
                "\"id\"" => Ok("?1".to_owned()),
                "\"body\"" => Ok("?2".to_owned()),
                _ => row.get::<_, String>(i),
            })
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(format!(
        "INSERT INTO items ({}) VALUES ({})",
        columns.join(", "),
        values.join(", ")
    ))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
