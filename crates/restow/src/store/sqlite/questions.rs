//! What readers ask of a table.

use super::{
    error::Attempt,
    rows::{Binder, Notices, Rows},
    select::Filter,
};
use crate::{
    Millis,
    entry::{Address, Entry, Found},
    store::{Parts, Stats},
};
use rusqlite::{Connection, params, params_from_iter};
use std::sync::Arc;

/// The most rows of a page.
const PAGE_ROWS: usize = 256;
/// A page ends after this many bytes; an entry is not divided.
const PAGE_BYTES: u64 = 1 << 20;

/// Reads every retained variant at an address.
pub(super) fn read(
    conn: &Connection,
    rows: &Rows,
    at: &Address,
    parts: Parts,
    now: Millis,
    notices: &mut Notices,
) -> Attempt<Found> {
    let mut statement = conn.prepare_cached(rows.read(parts))?;
    Binder::new(&mut statement)
        .address(&rows.spec, at)?
        .put(rows.horizon(now).0)?;
    let mut found = Found::default();
    let mut answers = statement.raw_query();
    while let Some(row) = answers.next()? {
        if let Some(entry) = rows.entry(row, parts, at, now, notices)? {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Reads many addresses, all as they were at one moment.
pub(super) fn read_many(
    conn: &Connection,
    rows: &Rows,
    at: &[Address],
    parts: Parts,
    now: Millis,
    notices: &mut Notices,
) -> Attempt<Vec<Found>> {
    // In memory the writer's own connection is asked, between its transactions.
    let transaction = conn.unchecked_transaction()?;
    let found = at
        .iter()
        .map(|address| read(&transaction, rows, address, parts, now, notices))
        .collect();
    transaction.finish()?;
    found
}

/// Counts what a filter covers.
pub(super) fn count(conn: &Connection, rows: &Rows, filter: &Filter) -> Attempt<u64> {
    rows.check_shape(conn)?;
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {}",
        rows.layout.table, filter.sql
    );
    let count: i64 = conn
        .prepare_cached(&sql)?
        .query_row(params_from_iter(&filter.values), |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Where a scan is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    after: i64,
    /// The last row there was at the beginning: what is written later may be an entry again that was passed already.
    last: i64,
}

impl Cursor {
    /// Begins a scan.
    pub(super) fn begin(conn: &Connection, rows: &Rows) -> Attempt<Self> {
        let sql = format!(
            "SELECT coalesce(max(entry_id), 0) FROM {}",
            rows.layout.table
        );
        let last = conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        Ok(Self {
            after: i64::MIN,
            last,
        })
    }
}

/// Reads the next page of a scan and moves the cursor; `None` behind the last.
pub(super) fn page(
    conn: &Connection,
    rows: &Rows,
    filter: &Filter,
    parts: Parts,
    now: Millis,
    cursor: &mut Cursor,
    notices: &mut Notices,
) -> Attempt<Option<Vec<Arc<Entry>>>> {
    rows.check_shape(conn)?;
    let sql = format!(
        "SELECT {} FROM {} WHERE {} AND entry_id > ? AND entry_id <= ? ORDER BY entry_id LIMIT {PAGE_ROWS}",
        rows.selected_with_address(parts),
        rows.layout.table,
        filter.sql
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut binder = Binder::new(&mut statement);
    for value in &filter.values {
        binder.put(value)?;
    }
    binder.put(cursor.after)?.put(cursor.last)?;
    let mut answers = statement.raw_query();
    let (mut page, mut seen, mut bytes) = (Vec::new(), 0, 0);
    while let Some(row) = answers.next()? {
        seen += 1;
        cursor.after = row.get(0)?;
        if let Some(address) = rows.address(row) {
            if let Some(entry) = rows.entry(row, parts, &address, now, notices)? {
                bytes += entry.size();
                page.push(entry);
            }
        } else {
            notices
                .damaged
                .push((cursor.after, row.get(2).unwrap_or(0)));
        }
        if bytes >= PAGE_BYTES {
            return Ok(Some(page));
        }
    }
    Ok((seen > 0).then_some(page))
}

/// Counts and adds up what is retained.
pub(super) fn stats(conn: &Connection, rows: &Rows, now: Millis) -> Attempt<Stats> {
    rows.check_shape(conn)?;
    let sql = format!(
        "SELECT count(*), total(expires_at <= ?1), total(size), min(stored_at), max(stored_at) FROM {} WHERE expires_at > ?2",
        rows.layout.table
    );
    let stats =
        conn.prepare_cached(&sql)?
            .query_row(params![now.0, rows.horizon(now).0], |row| {
                let number = |i| row.get::<_, f64>(i).map(|n| n as u64);
                let time = |i| row.get::<_, Option<i64>>(i).map(|t| t.map(Millis));
                Ok(Stats {
                    entries: row.get::<_, i64>(0)?.cast_unsigned(),
                    expired: number(1)?,
                    bytes: number(2)?,
                    oldest: time(3)?,
                    newest: time(4)?,
                    exact: true,
                })
            })?;
    Ok(stats)
}
