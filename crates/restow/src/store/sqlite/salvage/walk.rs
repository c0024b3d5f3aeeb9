//! Every row of a table that can still be read: around damaged pages, by ranges of row numbers.

use super::super::error::Attempt;
use rusqlite::{Connection, Row};

/// After so many looks in vain the rest of a table counts as lost: its tree has no root any more.
const PATIENCE: u32 = 1_000_000;

/// A table, or what is left of it.
pub(super) struct Walk<'c> {
    pub(super) conn: &'c Connection,
    /// The table's name, quoted.
    pub(super) table: String,
    /// The columns to read; the row's number comes before them.
    pub(super) columns: String,
}

/// Row numbers from one to another, both of them included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    first: i64,
    last: i64,
}

impl Walk<'_> {
    /// Hands every row that can be read to `take`, and returns where there may be more.
    pub(super) fn run(&self, mut take: impl FnMut(&Row<'_>) -> Attempt<()>) -> Attempt<Vec<Range>> {
        let mut lost = Vec::new();
        let mut vain = 0;
        // The lowest is on top.
        let mut todo = vec![self.bounds()];
        while let Some(range) = todo.pop() {
            if vain >= PATIENCE {
                push(&mut lost, range);
                continue;
            }
            let Some(rest) = self.read(range, &mut take)? else {
                continue;
            };
            // Its first row cannot be read: what is behind it?
            vain += 1;
            if rest.first == rest.last {
                push(&mut lost, rest);
                continue;
            }
            let middle = rest.first.midpoint(rest.last);
            todo.push(Range {
                first: middle + 1,
                ..rest
            });
            todo.push(Range {
                last: middle,
                ..rest
            });
        }
        Ok(lost)
    }

    /// The first and last row number there may be. The sequence knows the last where the table's end is damaged.
    fn bounds(&self) -> Range {
        let number = |sql: &str| {
            self.conn
                .query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
        };
        let end = |of: &str| {
            number(&format!(
                "SELECT {of}(entry_id) FROM {} NOT INDEXED",
                self.table
            ))
        };
        let sequence = || {
            let sql = "SELECT seq FROM sqlite_sequence WHERE format('\"%w\"', name) = ?1";
            self.conn.query_row(sql, [&self.table], |row| row.get(0))
        };
        Range {
            first: end("min").ok().flatten().unwrap_or(1).min(1),
            last: end("max")
                .ok()
                .flatten()
                .or_else(|| sequence().ok())
                .unwrap_or(i64::MAX),
        }
    }

    /// Reads a range; where that ends early, returns what is left of it.
    fn read(
        &self,
        range: Range,
        take: &mut impl FnMut(&Row<'_>) -> Attempt<()>,
    ) -> Attempt<Option<Range>> {
        let sql = format!(
            "SELECT entry_id, {} FROM {} NOT INDEXED WHERE entry_id BETWEEN ?1 AND ?2 ORDER BY entry_id",
            self.columns, self.table
        );
        let mut rest = range;
        let Ok(mut statement) = self.conn.prepare_cached(&sql) else {
            return Ok(Some(rest));
        };
        let Ok(mut rows) = statement.query([range.first, range.last]) else {
            return Ok(Some(rest));
        };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(None),
                Err(_) => return Ok(Some(rest)),
            };
            let number: i64 = row.get(0)?;
            // A damaged tree may lead in circles.
            if !(rest.first..=rest.last).contains(&number) {
                return Ok(Some(rest));
            }
            take(row)?;
            if number == range.last {
                return Ok(None);
            }
            rest.first = number + 1;
        }
    }
}

/// Counts the rows in these ranges that an index knows of; `None` where it cannot be read to its end.
pub(super) fn known_to(conn: &Connection, table: &str, index: &str, lost: &[Range]) -> Option<u64> {
    let sql = format!("SELECT entry_id FROM {table} INDEXED BY {index}");
    let mut statement = conn.prepare(&sql).ok()?;
    let mut rows = statement.query([]).ok()?;
    let mut known = 0;
    while let Some(row) = rows.next().ok()? {
        let number: i64 = row.get(0).ok()?;
        let at = lost.partition_point(|range| range.last < number);
        known += u64::from(lost.get(at).is_some_and(|range| range.first <= number));
    }
    Some(known)
}

/// Adds a range that lies behind the others.
fn push(lost: &mut Vec<Range>, range: Range) {
    match lost.last_mut() {
        Some(before) if before.last.checked_add(1) == Some(range.first) => before.last = range.last,
        _ => lost.push(range),
    }
}
