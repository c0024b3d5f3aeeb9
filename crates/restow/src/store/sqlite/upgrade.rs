//! Files of an older format, brought to this program's.

use super::{
    counts,
    error::Attempt,
    ident::Ident,
    layout::{FORMAT, Layout},
    schema,
};
use crate::store::TableSpec;
use rusqlite::Connection;

/// Brings a file of `format` to this program's. It runs within the transaction that opens the file: all of it happens or nothing.
pub(super) fn run(conn: &Connection, format: i32) -> Attempt<()> {
    for spec in schema::specs(conn)? {
        if format < 2 {
            to_2(conn, &spec)?;
        }
    }
    conn.execute(
        "UPDATE restow_meta SET value = ?1 WHERE key = 'format'",
        [FORMAT],
    )?;
    Ok(())
}

/// Format 2 knows how an entry is coded, and counts entries as they come and go.
fn to_2(conn: &Connection, spec: &TableSpec) -> Attempt<()> {
    let (old, new) = (Layout::of_format(spec, 1), Layout::of_format(spec, 2));
    let table = &new.table;
    conn.execute_batch(&old.drop_rest())?;
    rename(conn, &old, &new)?;
    conn.execute_batch(&format!(
        "ALTER TABLE {table} ADD COLUMN coding INTEGER NOT NULL DEFAULT 0"
    ))?;
    conn.execute_batch(&new.create_rest())?;
    Ok(conn.execute_batch(&counts::recount(spec))?)
}

/// Gives the columns whose names have become ours another.
fn rename(conn: &Connection, old: &Layout, new: &Layout) -> Attempt<()> {
    let names = |layout: &Layout| -> Vec<Ident> {
        layout
            .fields
            .iter()
            .chain(&layout.columns)
            .cloned()
            .collect()
    };
    let mut renamed: Vec<_> = names(old)
        .into_iter()
        .zip(names(new))
        .filter(|(old, new)| old != new)
        .collect();
    // Each gets a prefix: the longest first, so that none takes the name that another still has.
    renamed.sort_by_key(|(old, _)| std::cmp::Reverse(old.as_str().len()));
    for (from, to) in renamed {
        conn.execute_batch(&format!(
            "ALTER TABLE {} RENAME COLUMN {from} TO {to}",
            new.table
        ))?;
    }
    Ok(())
}
