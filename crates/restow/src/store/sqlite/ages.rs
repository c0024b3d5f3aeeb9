//! How old a table's entries are: counted where there are few, else estimated from a sample, since no index has the order of storing.

use super::{
    error::Attempt,
    questions::{self, FEW},
    rows::Rows,
};
use crate::{Millis, store::Ages};
use rusqlite::{Connection, Row, params};

/// So many rows are tried of more; each is a look-up of a few microseconds.
const TRIES: u32 = 1_024;
/// With fewer found, the table has so many gaps that the row behind each is taken instead.
const ENOUGH: u32 = 128;

/// Returns the ages of a table that holds this many retained entries and bytes.
pub(super) fn ages(
    conn: &Connection,
    rows: &Rows,
    now: Millis,
    entries: u64,
    bytes: u64,
) -> Attempt<Ages> {
    let mut ages = Ages::default();
    if entries <= FEW.cast_unsigned() {
        let mut all = conn.prepare_cached(&select(rows, "ORDER BY entry_id"))?;
        let mut all = all.query([rows.horizon(now).0])?;
        while let Some(row) = all.next()? {
            note(&mut ages, row, now)?;
        }
        ages.exact = true;
        return Ok(ages);
    }
    // A row is as likely to be tried as any other; the row behind a gap would be taken for all that were there.
    if sample(conn, rows, now, "AND entry_id = ?2", &mut ages)? < ENOUGH {
        ages = Ages::default();
        let behind = "AND entry_id >= ?2 ORDER BY entry_id LIMIT 1";
        sample(conn, rows, now, behind, &mut ages)?;
    }
    Ok(ages.scaled(entries, bytes))
}

/// Looks rows up all over the table; returns how many it found.
fn sample(
    conn: &Connection,
    rows: &Rows,
    now: Millis,
    which: &str,
    ages: &mut Ages,
) -> Attempt<u32> {
    let (first, last) = questions::ends(conn, rows)?;
    let horizon = rows.horizon(now).0;
    let mut statement = conn.prepare_cached(&select(rows, which))?;
    let mut found = 0;
    for number in 0..TRIES {
        let row = place(number, first, last);
        let mut rows = statement.query(params![horizon, row])?;
        if let Some(row) = rows.next()? {
            note(ages, row, now)?;
            found += 1;
        }
    }
    Ok(found)
}

/// The row to try in a part of the table: not in step with anything that was done to every so manieth row.
fn place(number: u32, first: i64, last: i64) -> i64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let within = (f64::from(number) * GOLDEN).fract();
    let part = (f64::from(number) + within) / f64::from(TRIES);
    first.saturating_add(((last.saturating_sub(first)) as f64 * part) as i64)
}

fn select(rows: &Rows, which: &str) -> String {
    format!(
        "SELECT stored_at, expires_at, size FROM {} NOT INDEXED WHERE expires_at > ?1 {which}",
        rows.layout.table
    )
}

fn note(ages: &mut Ages, row: &Row<'_>, now: Millis) -> Attempt<()> {
    let size: i64 = row.get(2)?;
    ages.note(
        Millis(row.get(0)?),
        Millis(row.get(1)?),
        size.cast_unsigned(),
        now,
    );
    Ok(())
}
