//! Keeping all tables of a file within one budget.

use super::{
    counts,
    engine::{Engine, Uses},
    error::Attempt,
    layout::Layout,
    schema,
};
use crate::{
    Result,
    store::{Budget, Trimmed},
};
use rusqlite::{Connection, Rows};
use std::{cmp::Reverse, collections::BinaryHeap};

/// So many entries are removed in one transaction: others want to write as well.
const CHUNK: u64 = 200;

/// Removes what was used least recently, chunk by chunk, until `limit` is reached or what is held is within `most`.
pub(super) async fn trim(engine: &Engine, most: Budget, limit: u64) -> Result<Trimmed> {
    let mut removed = 0;
    loop {
        let chunk = CHUNK.min(limit - removed);
        let uses = engine.uses();
        let mut trimmed = engine
            .write(move |conn| remove(conn, &uses, &most, chunk))
            .await?;
        removed += trimmed.removed;
        if trimmed.removed < chunk || removed >= limit {
            if removed > 0 {
                engine.vacuum();
            }
            trimmed.removed = removed;
            return Ok(trimmed);
        }
    }
}

fn remove(conn: &Connection, uses: &Uses, most: &Budget, limit: u64) -> Attempt<Trimmed> {
    let mut trimmed = held(conn)?;
    if limit == 0 || most.allows(trimmed.entries, trimmed.bytes) {
        return Ok(trimmed);
    }
    uses.flush(conn)?;
    let tables = ranked(conn)?;
    for (table, row) in surplus(conn, &tables, most, limit, &mut trimmed)? {
        if let Some(layout) = tables.get(table) {
            let sql = format!("DELETE FROM {} WHERE entry_id = ?1", layout.table);
            conn.prepare_cached(&sql)?.execute([row])?;
        }
    }
    Ok(trimmed)
}

/// What all tables hold.
fn held(conn: &Connection) -> Attempt<Trimmed> {
    let (entries, bytes) = counts::total_of_all(conn)?;
    Ok(Trimmed {
        removed: 0,
        entries: u64::try_from(entries).unwrap_or_default(),
        bytes: u64::try_from(bytes).unwrap_or_default(),
    })
}

/// Returns all tables, each with the index that orders its entries by use.
fn ranked(conn: &Connection) -> Attempt<Vec<Layout>> {
    let mut tables = Vec::new();
    for mut spec in schema::specs(conn)? {
        if !schema::is_taken(conn, &spec.name)? {
            continue;
        }
        if !spec.ranked {
            spec.ranked = true;
            // Nobody who opened it since knew of a budget over all tables.
            conn.execute_batch(&Layout::of(&spec).create_budget_index())?;
            schema::remember(conn, &spec)?;
        }
        tables.push(Layout::of(&spec));
    }
    Ok(tables)
}

/// Chooses what goes, in the order of use over all tables: the table's number and the row.
fn surplus(
    conn: &Connection,
    tables: &[Layout],
    most: &Budget,
    limit: u64,
    trimmed: &mut Trimmed,
) -> Attempt<Vec<(usize, i64)>> {
    let ordered = |layout: &Layout| {
        conn.prepare(&format!(
            "SELECT used_at, size, entry_id FROM {} ORDER BY used_at",
            layout.table
        ))
    };
    let mut statements = tables
        .iter()
        .map(ordered)
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut lists = statements
        .iter_mut()
        .map(|s| s.query([]))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    // The next of each table; the least recently used of them is on top.
    let mut next = BinaryHeap::new();
    for (number, list) in lists.iter_mut().enumerate() {
        next.extend(step(list)?.map(|(used, size, row)| Reverse((used, number, size, row))));
    }
    let mut surplus = Vec::new();
    while trimmed.removed < limit && !most.allows(trimmed.entries, trimmed.bytes) {
        let Some(Reverse((_, number, size, row))) = next.pop() else {
            break;
        };
        surplus.push((number, row));
        trimmed.removed += 1;
        trimmed.entries = trimmed.entries.saturating_sub(1);
        trimmed.bytes = trimmed.bytes.saturating_sub(size.cast_unsigned());
        if let Some(list) = lists.get_mut(number) {
            next.extend(step(list)?.map(|(used, size, row)| Reverse((used, number, size, row))));
        }
    }
    Ok(surplus)
}

fn step(list: &mut Rows<'_>) -> Attempt<Option<(i64, i64, i64)>> {
    Ok(list
        .next()?
        .map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, row.get(2)?)))
        .transpose()?)
}
