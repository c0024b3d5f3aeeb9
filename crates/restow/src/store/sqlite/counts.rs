//! How many entries and bytes a table holds of each partition: counted as they come and go, so that nobody has to read them all.

use super::{error::Attempt, ident::Literal, layout::Layout, rows::Rows, schema};
use crate::{entry::Partition, store::TableSpec};
use rusqlite::{Connection, Params, Row, params};

const ADD: &str = "INSERT INTO restow_counts (repository, partition, entries, bytes) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (repository, partition) DO UPDATE SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes";

/// Gathers what a change adds, and writes it once for all entries of a partition. Removals are counted by a trigger.
pub(super) struct Counter<'e> {
    conn: &'e Connection,
    rows: &'e Rows,
    partition: Option<&'e Partition>,
    entries: i64,
    bytes: i64,
}

impl<'e> Counter<'e> {
    pub(super) fn new(conn: &'e Connection, rows: &'e Rows) -> Self {
        Self {
            conn,
            rows,
            partition: None,
            entries: 0,
            bytes: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        partition: &'e Partition,
        entries: i64,
        bytes: i64,
    ) -> Attempt<()> {
        if self.partition.is_some_and(|p| p != partition) {
            self.write()?;
        }
        self.partition = Some(partition);
        self.entries += entries;
        self.bytes += bytes;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Attempt<()> {
        self.write()
    }

    fn write(&mut self) -> Attempt<()> {
        let (entries, bytes) = (
            std::mem::take(&mut self.entries),
            std::mem::take(&mut self.bytes),
        );
        if let Some(partition) = self.partition.filter(|_| entries != 0 || bytes != 0) {
            self.conn.prepare_cached(ADD)?.execute(params![
                self.rows.spec.name.as_str(),
                partition.as_str(),
                entries,
                bytes
            ])?;
        }
        Ok(())
    }
}

const TOTAL: &str = "SELECT coalesce(sum(entries), 0), coalesce(sum(bytes), 0) FROM restow_counts";

/// Returns the entries and bytes of a partition, or of all: those past their keep too, as long as they are not removed.
pub(super) fn total(
    conn: &Connection,
    rows: &Rows,
    partition: Option<&Partition>,
) -> Attempt<(i64, i64)> {
    let name = rows.spec.name.as_str();
    match partition {
        None => sum(conn, "WHERE repository = ?1", [name]),
        Some(partition) => {
            let which = "WHERE repository = ?1 AND partition = ?2";
            sum(conn, which, [name, partition.as_str()])
        }
    }
}

/// Returns the entries of each partition that has some, those past their keep too, as long as they are not removed.
pub(super) fn each(conn: &Connection, rows: &Rows) -> Attempt<Vec<(Partition, u64)>> {
    let sql = "SELECT partition, entries FROM restow_counts WHERE repository = ?1 AND entries > 0";
    of_each(conn, sql, [rows.spec.name.as_str()])
}

/// Reads partitions and numbers; a partition whose text is damaged is left out.
pub(super) fn of_each(
    conn: &Connection,
    sql: &str,
    values: impl Params,
) -> Attempt<Vec<(Partition, u64)>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut counts = Vec::new();
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if let Ok(partition) = Partition::parse(&text) {
            let entries: i64 = row.get(1)?;
            counts.push((partition, entries.cast_unsigned()));
        }
    }
    Ok(counts)
}

/// Returns the entries and bytes of all tables.
pub(super) fn total_of_all(conn: &Connection) -> Attempt<(i64, i64)> {
    sum(conn, "", [])
}

fn sum(conn: &Connection, which: &str, values: impl Params) -> Attempt<(i64, i64)> {
    let both = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(conn
        .prepare_cached(&format!("{TOTAL} {which}"))?
        .query_row(values, both)?)
}

/// The statements that count a table anew.
pub(super) fn recount(spec: &TableSpec) -> String {
    let (name, table) = (Literal(spec.name.as_str()), Layout::of(spec).table);
    format!(
        "DELETE FROM restow_counts WHERE repository = {name}; \
         INSERT INTO restow_counts (repository, partition, entries, bytes) \
         SELECT {name}, partition, count(*), sum(size) FROM {table} GROUP BY partition;"
    )
}

/// Tells whether a table holds what is counted of it; a file of an older format counts nothing.
pub(super) fn agree(conn: &Connection, spec: &TableSpec) -> Attempt<bool> {
    if schema::format(conn)? < 2 {
        return Ok(true);
    }
    let held = format!(
        "SELECT partition, count(*), sum(size) FROM {} GROUP BY partition",
        Layout::of(spec).table
    );
    let counted = "SELECT partition, entries, bytes FROM restow_counts WHERE repository = ?1 AND (entries <> 0 OR bytes <> 0)";
    let sql = format!(
        "SELECT NOT EXISTS (SELECT * FROM ({held}) EXCEPT {counted}) AND NOT EXISTS ({counted} EXCEPT SELECT * FROM ({held}))"
    );
    Ok(conn.query_row(&sql, [spec.name.as_str()], |row| row.get(0))?)
}
