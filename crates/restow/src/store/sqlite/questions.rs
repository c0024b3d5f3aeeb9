//! What readers ask of a table.

use super::{
    ages, counts,
    error::Attempt,
    rows::{Binder, Notices, Rows},
    select::{Filter, Plan},
};
use crate::{
    Millis, Scope, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Ages, Parts, Stats},
};
use rusqlite::{CachedStatement, Connection, params, params_from_iter};
use std::sync::Arc;

/// The most rows of a page: two of them are in the processor's own cache, one that is read and one that is used.
const PAGE_ROWS: usize = 128;
/// A page ends after this many bytes; an entry is not divided.
const PAGE_BYTES: u64 = 256 << 10;

/// Reads every retained variant at an address.
pub(super) fn read(
    conn: &Connection,
    rows: &Rows,
    at: &Address,
    parts: Parts,
    now: Millis,
    notices: &mut Notices,
) -> Attempt<Found> {
    Reading::begin(conn, rows, parts, now)?.at(at, notices)
}

/// Reads addresses one after the other, by a statement that is looked up once.
struct Reading<'c> {
    conn: &'c Connection,
    rows: &'c Rows,
    parts: Parts,
    now: Millis,
    statement: CachedStatement<'c>,
}

impl<'c> Reading<'c> {
    fn begin(conn: &'c Connection, rows: &'c Rows, parts: Parts, now: Millis) -> Attempt<Self> {
        Ok(Self {
            conn,
            rows,
            parts,
            now,
            statement: conn.prepare_cached(rows.read(parts))?,
        })
    }

    fn at(&mut self, at: &Address, notices: &mut Notices) -> Attempt<Found> {
        let Self {
            conn,
            rows,
            parts,
            now,
            ..
        } = *self;
        Binder::new(&mut self.statement)
            .address(&rows.spec, at)?
            .put(rows.horizon(now).0)?;
        let mut found = Found::default();
        let mut answers = self.statement.raw_query();
        while let Some(row) = answers.next()? {
            if let Some(entry) = rows.entry(conn, row, parts, at, now, notices)? {
                found.push(entry);
            }
        }
        Ok(found)
    }
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
    // In the order of the index, so that neighbours are found on one page.
    let mut order: Vec<usize> = (0..at.len()).collect();
    order.sort_unstable_by(|a, b| at.get(*a).cmp(&at.get(*b)));
    let mut found = vec![Found::default(); at.len()];
    let mut reading = Reading::begin(&transaction, rows, parts, now)?;
    for i in order {
        if let (Some(at), Some(found)) = (at.get(i), found.get_mut(i)) {
            *found = reading.at(at, notices)?;
        }
    }
    drop(reading);
    transaction.finish()?;
    Ok(found)
}

/// Counts the entries selected.
pub(super) fn count(
    conn: &Connection,
    rows: &Rows,
    which: &Selection,
    now: Millis,
) -> Attempt<u64> {
    rows.check_shape(conn)?;
    // Most entries are live: counting the others is the shorter way.
    if which.is_plain() && which.scope != Scope::Expired && rows.layout.is_counted() {
        // Both numbers as they were at one moment. In memory the writer's own connection is asked, between its transactions.
        let conn = &*conn.unchecked_transaction()?;
        let (all, _) = counts::total(conn, rows, which.partition.as_ref())?;
        let horizon = rows.horizon(now);
        let until = match which.scope {
            Scope::Live => now.max(horizon),
            Scope::All | Scope::Expired => horizon,
        };
        let gone = rows_until(conn, rows, until, which.partition.as_ref())?;
        return Ok(u64::try_from(all - gone).unwrap_or_default());
    }
    let filter = Filter::new(rows, which, now, Plan::Index);
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {}",
        rows.layout.table, filter.sql
    );
    let count: i64 = conn
        .prepare_cached(&sql)?
        .query_row(params_from_iter(&filter.values), |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Counts the rows that expire until a moment, by the index.
fn rows_until(
    conn: &Connection,
    rows: &Rows,
    until: Millis,
    partition: Option<&Partition>,
) -> Attempt<i64> {
    let table = &rows.layout.table;
    let sql = format!("SELECT count(*) FROM {table} WHERE expires_at <= ?1");
    Ok(match partition {
        None => conn
            .prepare_cached(&sql)?
            .query_row([until.0], |row| row.get(0))?,
        Some(partition) => conn
            .prepare_cached(&format!("{sql} AND partition = ?2"))?
            .query_row(params![until.0, partition.as_str()], |row| row.get(0))?,
    })
}

/// Where a scan is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    after: i64,
    /// The last row there was at the beginning: what is written later may be an entry again that was passed already.
    last: i64,
}

/// A scan of many rows has so many cursors, since threads that read at the same time are done sooner.
const CURSORS: i64 = 4;
/// A scan of fewer rows has one.
const WORTHWHILE: i64 = 1_024;

impl Cursor {
    /// Begins a scan.
    pub(super) fn begin(conn: &Connection, rows: &Rows) -> Attempt<Vec<Self>> {
        let (first, last) = ends(conn, rows)?;
        let after = first.saturating_sub(1);
        let rows = last.saturating_sub(after);
        if rows < WORTHWHILE {
            return Ok(vec![Self { after, last }]);
        }
        let end = |i| match i {
            CURSORS => last,
            i => after + rows / CURSORS * i,
        };
        let part = |i| Self {
            after: end(i),
            last: end(i + 1),
        };
        Ok((0..CURSORS).map(part).collect())
    }
}

/// Returns the first row's number and the last one's; zeros where there is none.
pub(super) fn ends(conn: &Connection, rows: &Rows) -> Attempt<(i64, i64)> {
    // Two questions: SQLite answers one of them alone from the ends of the tree.
    let end = |of: &str| -> Attempt<i64> {
        let sql = format!(
            "SELECT coalesce({of}(entry_id), 0) FROM {}",
            rows.layout.table
        );
        Ok(conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?)
    };
    Ok((end("min")?, end("max")?))
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
    let (mut page, mut seen, mut bytes) = (Vec::with_capacity(PAGE_ROWS), 0, 0);
    while let Some(row) = answers.next()? {
        seen += 1;
        cursor.after = row.get(0)?;
        if let Some(address) = rows.address(row) {
            if let Some(entry) = rows.entry(conn, row, parts, &address, now, notices)? {
                bytes += entry.size();
                page.push(entry);
            }
        } else {
            notices
                .damaged
                .push((cursor.after, row.get(2).unwrap_or(0)));
        }
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    // Who reads everything tells nothing of what is used.
    notices.used.clear();
    Ok((seen > 0).then_some(page))
}

/// So many entries are read to know their times exactly; of more, so many at each end.
pub(super) const FEW: i64 = 4_096;
/// So many expired entries are counted by the index; more are estimated from the sample of ages.
const COUNTED: i64 = 50_000;

/// Counts and adds up what is retained.
pub(super) fn stats(conn: &Connection, rows: &Rows, now: Millis) -> Attempt<Stats> {
    rows.check_shape(conn)?;
    let conn = &*conn.unchecked_transaction()?;
    let (stats, expired) = numbers(conn, rows, now)?;
    let ages = ages::ages(conn, rows, now, stats.entries, stats.bytes)?;
    let live = ages.expires.iter().map(|share| share.entries).sum();
    Ok(Stats {
        expired: expired.unwrap_or_else(|| stats.entries.saturating_sub(live)),
        ages,
        ..stats
    })
}

/// Counts what is there of each partition, as long as it is not removed.
pub(super) fn partitions(conn: &Connection, rows: &Rows) -> Attempt<Vec<(Partition, u64)>> {
    rows.check_shape(conn)?;
    if rows.layout.is_counted() {
        return counts::each(conn, rows);
    }
    let table = &rows.layout.table;
    counts::of_each(
        conn,
        &format!("SELECT partition, count(*) FROM {table} GROUP BY partition"),
        [],
    )
}

/// The numbers, and that of expired entries where they are not too many to count.
fn numbers(conn: &Connection, rows: &Rows, now: Millis) -> Attempt<(Stats, Option<u64>)> {
    let (all, bytes) = match rows.layout.is_counted() {
        true => counts::total(conn, rows, None)?,
        false => (0, 0),
    };
    if all <= FEW {
        let stats = stats_of(conn, rows, &rows.layout.table.to_string(), now)?;
        let expired = stats.expired;
        return Ok((stats, Some(expired)));
    }
    let horizon = rows.horizon(now);
    let table = &rows.layout.table;
    let gone = rows_until(conn, rows, horizon, None)?;
    let sql = format!(
        "SELECT count(*) FROM (SELECT NULL FROM {table} WHERE expires_at > ?1 AND expires_at <= ?2 LIMIT {COUNTED})"
    );
    let expired: i64 = conn
        .prepare_cached(&sql)?
        .query_row(params![horizon.0, now.0], |row| row.get(0))?;
    // What waits for its removal is not in the index with its size: an average stands for it.
    let gone_bytes = i128::from(bytes) * i128::from(gone) / i128::from(all.max(1));
    let end = |order| {
        format!(
            "SELECT * FROM (SELECT expires_at, size, stored_at FROM {table} ORDER BY entry_id {order} LIMIT {FEW})"
        )
    };
    let ends = format!("({} UNION ALL {})", end("ASC"), end("DESC"));
    let times = stats_of(conn, rows, &ends, now)?;
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    let stats = Stats {
        entries: number(all - gone),
        bytes: number(bytes).saturating_sub(u64::try_from(gone_bytes).unwrap_or_default()),
        exact: false,
        ..times
    };
    Ok((stats, (expired < COUNTED).then_some(number(expired))))
}

/// The same of some rows, by reading them.
fn stats_of(conn: &Connection, rows: &Rows, from: &str, now: Millis) -> Attempt<Stats> {
    let sql = format!(
        "SELECT count(*), total(expires_at <= ?1), total(size), min(stored_at), max(stored_at) FROM {from} WHERE expires_at > ?2",
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
                    ages: Ages::default(),
                    exact: true,
                })
            })?;
    Ok(stats)
}
