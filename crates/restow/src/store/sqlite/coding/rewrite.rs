//! Codes the rows that are there anew, chunk by chunk; others read and write meanwhile.

use super::{
    super::{
        counts,
        engine::{Engine, Pace},
        error::Attempt,
        rows::Rows,
    },
    train::{Stored, tidy},
};
use crate::{BoxStream, Result};
use futures_util::{StreamExt, stream};
use rusqlite::{Connection, params};
use std::sync::Arc;

/// The most rows of a chunk.
const CHUNK_ROWS: usize = 256;
/// A chunk ends after so many bytes; an entry is not divided.
const CHUNK_BYTES: usize = 1 << 20;

/// How far a table has been coded anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewritten {
    /// How many entries there were at the beginning.
    pub entries: u64,
    /// How many of them were looked at.
    pub seen: u64,
    /// How many of these are stored otherwise than before.
    pub changed: u64,
    /// The bytes of header lines and bodies in these, as they were stored before.
    pub before: u64,
    /// The bytes of the same, as they are stored now.
    pub after: u64,
}

/// Where it is.
struct Walk {
    after: i64,
    last: i64,
    so_far: Rewritten,
}

/// A row as it will be.
struct Recoded {
    row: i64,
    generation: i64,
    was: i64,
    before: usize,
    coding: i64,
    head: Vec<u8>,
    body: Vec<u8>,
}

struct Chunk {
    rows: Arc<[Recoded]>,
    target: i64,
    seen: u64,
    after: i64,
}

/// Codes every row as new ones are, and tells after each chunk how far it is.
pub(in super::super) fn rewrite(
    engine: &Engine,
    rows: Arc<Rows>,
) -> BoxStream<'_, Result<Rewritten>> {
    let step = move |walk: Option<Walk>| {
        let rows = rows.clone();
        async move {
            let mut walk = match walk {
                Some(walk) => walk,
                None => begin(engine, &rows).await?,
            };
            let (at, after, last) = (rows.clone(), walk.after, walk.last);
            let chunk = engine.read_later(Pace::Scan, move |conn| read(conn, &at, after, last));
            let chunk = chunk.await?;
            if chunk.seen == 0 {
                tidy(engine, &rows).await?;
                engine.compact();
                return Ok(None);
            }
            let (at, recoded, target) = (rows.clone(), chunk.rows.clone(), chunk.target);
            let changed = engine.write(move |conn| write(conn, &at, &recoded, target));
            let Some(changed) = changed.await? else {
                // A new dictionary was made since: the same rows once more.
                return Ok(Some((walk.so_far, Some(walk))));
            };
            walk.after = chunk.after;
            walk.so_far.seen += chunk.seen;
            walk.so_far.changed += changed.rows;
            walk.so_far.before += changed.before;
            walk.so_far.after += changed.after;
            Ok(Some((walk.so_far, Some(walk))))
        }
    };
    stream::try_unfold(None, step).boxed()
}

async fn begin(engine: &Engine, rows: &Arc<Rows>) -> Result<Walk> {
    let rows = rows.clone();
    let begin = engine.read_later(Pace::Scan, move |conn| {
        let last = format!(
            "SELECT coalesce(max(entry_id), 0) FROM {}",
            rows.layout.table
        );
        let (entries, _) = counts::total(conn, &rows, None)?;
        Ok(Walk {
            after: i64::MIN,
            last: conn.query_row(&last, [], |row| row.get(0))?,
            so_far: Rewritten {
                entries: u64::try_from(entries).unwrap_or_default(),
                ..Rewritten::default()
            },
        })
    });
    begin.await
}

/// Reads a chunk and codes it, while others may write.
fn read(conn: &Connection, rows: &Rows, after: i64, last: i64) -> Attempt<Chunk> {
    // One snapshot: a dictionary and the rows that use it.
    let conn = &*conn.unchecked_transaction()?;
    let encoder = rows.coder.encoder(conn)?;
    let target = encoder.target();
    let mut select = conn.prepare_cached(&format!(
        "SELECT entry_id, generation, facts, coding, headers, body FROM {} WHERE entry_id > ?1 AND entry_id <= ?2 ORDER BY entry_id LIMIT {CHUNK_ROWS}",
        rows.layout.table
    ))?;
    let mut found = select.query([after, last])?;
    let (mut recoded, mut seen, mut bytes, mut at) = (Vec::new(), 0, 0, after);
    while bytes < CHUNK_BYTES
        && let Some(row) = found.next()?
    {
        seen += 1;
        at = row.get(0)?;
        let len = |i: usize| row.get_ref(i).ok()?.as_bytes().ok().map(<[u8]>::len);
        let before = len(4).unwrap_or(0) + len(5).unwrap_or(0);
        bytes += before;
        if row.get::<_, i64>(3)? == target {
            continue;
        }
        // Damaged ones are left to whoever reads them.
        let Some(stored) = Stored::read(conn, rows, row, 2) else {
            continue;
        };
        let coded = encoder.encode(&stored.head, &stored.body);
        if coded.coding == stored.coding {
            continue;
        }
        recoded.push(Recoded {
            row: at,
            generation: row.get(1)?,
            was: stored.coding,
            before,
            coding: coded.coding,
            head: coded.head.into_owned(),
            body: coded.body.into_owned(),
        });
    }
    Ok(Chunk {
        rows: recoded.into(),
        target,
        seen,
        after: at,
    })
}

#[derive(Default)]
struct Changed {
    rows: u64,
    before: u64,
    after: u64,
}

/// Writes a chunk, where the rows are still the same; `None` where new rows are coded otherwise by now.
fn write(
    conn: &Connection,
    rows: &Rows,
    recoded: &[Recoded],
    target: i64,
) -> Attempt<Option<Changed>> {
    if rows.coder.encoder(conn)?.target() != target {
        return Ok(None);
    }
    let mut update = conn.prepare_cached(&format!(
        "UPDATE {} SET coding = ?1, headers = ?2, body = ?3 WHERE entry_id = ?4 AND generation = ?5 AND coding = ?6",
        rows.layout.table
    ))?;
    let mut changed = Changed::default();
    for r in recoded {
        let value = |bytes| super::value(r.coding, bytes);
        let done = update.execute(params![
            r.coding,
            value(&r.head),
            value(&r.body),
            r.row,
            r.generation,
            r.was
        ])?;
        if done > 0 {
            changed.rows += 1;
            changed.before += r.before as u64;
            changed.after += (r.head.len() + r.body.len()) as u64;
        }
    }
    Ok(Some(changed))
}
