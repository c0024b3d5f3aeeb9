//! Makes a new file of what can still be read of a damaged one. The damaged one is never touched.

mod outcome;
mod source;
mod walk;

pub use outcome::{Salvage, Salvaged};

use super::{
    beside::{LOG, SHARED, beside},
    counts, engine,
    error::Attempt,
    ident::Ident,
    layout::Layout,
    options::SqliteOptions,
    rows::Rows,
    schema,
};
use crate::{
    Error, ErrorKind, Result,
    store::{Parts, TableName, TableSpec},
};
use rusqlite::{Connection, Row, types::ToSqlOutput, types::Value};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use walk::{Walk, known_to};

/// So many rows are written in one transaction.
const CHUNK: u64 = 500;
/// Tables that are filled by other means than copying.
const MADE: [&str; 3] = ["restow_meta", "restow_tags", "restow_counts"];

/// Salvages on a thread of its own.
pub(super) async fn salvage(from: PathBuf, to: PathBuf) -> Result<Salvage> {
    let work = move || {
        if to.exists() {
            let message = format!("{} is there already; name a file that is not", to.display());
            return Err(Error::new(ErrorKind::Config, message));
        }
        let done = into_new(&from, &to);
        if done.is_err() {
            // Half a file would look like a whole one.
            for end in ["", LOG, SHARED] {
                _ = fs::remove_file(beside(&to, end));
            }
        }
        done
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(ErrorKind::Store, "the salvage of the file was broken off").with_source(e)
    })?
}

fn into_new(from: &Path, to: &Path) -> Result<Salvage> {
    let place = from.display().to_string();
    let source = source::open(from, &place).map_err(|e| e.at(&place))?;
    let options = engine::Source::prepare(SqliteOptions::file(to))?;
    let target = options.writer().map_err(|e| e.at(options.place()))?;
    let work = Work {
        source: &source.conn,
        format: source.format,
        target: &target,
    };
    let done = work.all().map_err(|e| e.at(options.place()));
    Ok(Salvage {
        log: source.log,
        ..done?
    })
}

/// From one file into the other.
struct Work<'a> {
    source: &'a Connection,
    /// The damaged file's format; the new one has this program's.
    format: i32,
    target: &'a Connection,
}

impl Work<'_> {
    fn all(&self) -> Attempt<Salvage> {
        let mut done = Salvage::default();
        let meta = self.meta();
        self.target.execute_batch("BEGIN IMMEDIATE")?;
        if let Some(secret) = meta.get("secret") {
            let sql = "UPDATE restow_meta SET value = ?1 WHERE key = 'secret'";
            done.secret = self.target.execute(sql, [secret])? > 0;
        }
        for table in tables(self.target)? {
            if table.starts_with("restow_") && !MADE.contains(&&*table) {
                self.copy(&table)?;
            }
        }
        let mut declared = Vec::new();
        for table in tables(self.source).unwrap_or_default() {
            if table.starts_with("restow_") || table.starts_with("sqlite_") {
                continue;
            }
            let spec = meta.get(&format!("repository:{table}"));
            match spec.and_then(|value| spec_of(value, &table)) {
                Some(spec) => declared.push(spec),
                None => done.lost.push(table),
            }
        }
        declared.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in declared {
            schema::create(self.target, &spec)?;
            let pending = format!("pending:{}", spec.name);
            if let Some(value) = meta.get(&pending) {
                let sql = "INSERT OR REPLACE INTO restow_meta VALUES (?1, ?2)";
                self.target.execute(sql, (&pending, value))?;
            }
            done.repositories.push(self.repository(spec)?);
        }
        self.target.execute_batch("COMMIT")?;
        self.target
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(done)
    }

    /// What `restow_meta` still says.
    fn meta(&self) -> BTreeMap<String, Value> {
        let mut meta = BTreeMap::new();
        let select = self.source.prepare("SELECT key, value FROM restow_meta");
        let all = select.and_then(|mut select| {
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                meta.insert(row.get(0)?, row.get(1)?);
            }
            Ok(())
        });
        if all.is_err() {
            // One by one, behind the damage too.
            let names = tables(self.source).unwrap_or_default();
            let keys = ["repository", "pending"]
                .into_iter()
                .flat_map(|kind| names.iter().map(move |name| format!("{kind}:{name}")));
            for key in keys.chain(["secret".to_owned()]) {
                let sql = "SELECT value FROM restow_meta WHERE key = ?1";
                if let Ok(value) = self.source.query_row(sql, [&key], |row| row.get(0)) {
                    meta.insert(key, value);
                }
            }
        }
        meta
    }

    /// Copies what can be read of a table that every file has.
    fn copy(&self, table: &str) -> Attempt<()> {
        let there = columns(self.source, table).unwrap_or_default();
        let mut shared = columns(self.target, table)?;
        shared.retain(|column| there.contains(column));
        let shared: Vec<_> = shared.iter().map(|c| Ident::new(c).to_string()).collect();
        let Ok(mut select) = self.source.prepare(&format!(
            "SELECT {} FROM {}",
            shared.join(", "),
            Ident::new(table)
        )) else {
            return Ok(());
        };
        let Ok(mut rows) = select.query([]) else {
            return Ok(());
        };
        let insert = insert(table, &shared);
        while let Ok(Some(row)) = rows.next() {
            self.put(&insert, row, 0, shared.len())?;
        }
        Ok(())
    }

    fn repository(&self, spec: TableSpec) -> Attempt<Salvaged> {
        let name = spec.name.clone();
        let old = Layout::of_format(&spec, self.format);
        let rows = Rows::new(spec);
        let (from, to) = self.columns_of(&old, &rows.layout)?;
        let walk = Walk {
            conn: self.source,
            table: old.table.to_string(),
            columns: from.join(", "),
        };
        let insert = insert(name.as_str(), &to);
        let (mut saved, mut damaged) = (0, 0);
        let lost = walk.run(|row| {
            let number: i64 = row.get(0)?;
            // Of two with one identity, or one number, the first stays.
            let put = self.put(&insert, row, 1, to.len())? && self.verify(&rows, number)?;
            *if put { &mut saved } else { &mut damaged } += 1;
            if (saved + damaged) % CHUNK == 0 {
                self.target.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            }
            Ok(())
        })?;
        self.target.execute_batch(&counts::recount(&rows.spec))?;
        let mut unreadable = 0;
        if !lost.is_empty() {
            let indexes = [old.identity(), old.index("expires_at")];
            let known = indexes
                .iter()
                .filter_map(|index| known_to(self.source, &walk.table, &index.to_string(), &lost));
            unreadable = known.max().unwrap_or(0);
        }
        Ok(Salvaged {
            name,
            saved,
            damaged,
            unreadable,
        })
    }

    /// The columns to read, and those to write them to: fields and declared columns may have had other names.
    fn columns_of(&self, old: &Layout, new: &Layout) -> Attempt<(Vec<String>, Vec<String>)> {
        let there = columns(self.source, old.table.as_str()).unwrap_or_default();
        let own = |layout: &Layout| -> Vec<String> {
            let own = layout.fields.iter().chain(&layout.columns);
            own.map(|c| c.as_str().to_owned()).collect()
        };
        let (before, now) = (own(old), own(new));
        let mut pairs = Vec::new();
        for column in columns(self.target, new.table.as_str())? {
            let from = match now.iter().position(|c| *c == column) {
                Some(at) => before.get(at),
                // One of ours, unless it was a field's then.
                None => Some(&column).filter(|column| !before.contains(column)),
            };
            if let Some(from) = from.filter(|from| there.contains(from)) {
                pairs.push((
                    Ident::new(from).to_string(),
                    Ident::new(&column).to_string(),
                ));
            }
        }
        Ok(pairs.into_iter().unzip())
    }

    /// Writes a row as it is; `false` where there is one like it, or one that no table of ours can hold.
    fn put(&self, insert: &str, row: &Row<'_>, first: usize, count: usize) -> Attempt<bool> {
        let mut statement = self.target.prepare_cached(insert)?;
        for i in 0..count {
            let value = ToSqlOutput::Borrowed(row.get_ref(first + i)?);
            statement.raw_bind_parameter(i + 1, value)?;
        }
        Ok(statement.raw_execute()? > 0)
    }

    /// Reads a row from the new file as a caller would; what does not verify is removed again.
    fn verify(&self, rows: &Rows, number: i64) -> Attempt<bool> {
        let table = &rows.layout.table;
        let sql = format!(
            "SELECT {} FROM {table} WHERE entry_id = ?1",
            rows.selected_with_address(Parts::Whole)
        );
        let mut statement = self.target.prepare_cached(&sql)?;
        let mut found = statement.query([number])?;
        let entry = match found.next()? {
            Some(row) => rows
                .address(row)
                .filter(|at| rows.spec.check_key(&at.key).is_ok())
                .and_then(|at| rows.decode(self.target, row, Parts::Whole, &at)),
            None => None,
        };
        drop(found);
        let Some(entry) = entry else {
            let sql = format!("DELETE FROM {table} WHERE entry_id = ?1");
            self.target.prepare_cached(&sql)?.execute([number])?;
            return Ok(false);
        };
        super::changes::tag(self.target, rows, number, &entry.meta, false)?;
        Ok(true)
    }
}

fn insert(table: &str, columns: &[String]) -> String {
    let marks: Vec<_> = (1..=columns.len()).map(|i| format!("?{i}")).collect();
    format!(
        "INSERT OR IGNORE INTO {} ({}) VALUES ({})",
        Ident::new(table),
        columns.join(", "),
        marks.join(", ")
    )
}

/// The spec of a table, if it is that one's.
fn spec_of(value: &Value, table: &str) -> Option<TableSpec> {
    let Value::Text(json) = value else {
        return None;
    };
    let spec = super::declared::read(json).ok()?;
    (spec.name == TableName::new(table).ok()?).then_some(spec)
}

fn tables(conn: &Connection) -> Attempt<Vec<String>> {
    let mut select =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let names = select.query_map([], |row| row.get(0))?;
    // What cannot be read is left out.
    Ok(names.filter_map(Result::ok).collect())
}

fn columns(conn: &Connection, table: &str) -> Attempt<Vec<String>> {
    let mut select = conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = select.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}
