//! Leases: rows that say who fetches what. The table is made by whoever asks for a lease first; programs that know nothing of it are not
//! bothered by it.

use super::{engine::Engine, error::Attempt};
use crate::{
    BoxFuture, Millis, Result,
    entry::Address,
    store::{
        Fence, Lease, Leases, TableName, Write,
        lease::{REMEMBERED, superseded},
    },
};
use rusqlite::{Connection, OptionalExtension, params};
use std::{sync::Arc, time::Duration};

/// Its name; the blank keeps it apart from the names of views.
pub(super) const TABLE: &str = "restow_ leases";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS \"restow_ leases\" (
    repository TEXT NOT NULL, place BLOB NOT NULL, fence INTEGER NOT NULL, until INTEGER NOT NULL, free INTEGER NOT NULL,
    PRIMARY KEY (repository, place)) WITHOUT ROWID";
/// The newest fence of the file.
const FENCE: &str = "INSERT INTO restow_meta VALUES ('fence', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value";
/// Of a lease that nobody else took and that was not given back.
const RENEW: &str = "UPDATE \"restow_ leases\" SET until = ?4 WHERE repository = ?1 AND place = ?2 AND fence = ?3 AND NOT free";
/// So many forgotten ones are removed with each new one.
const FORGET: &str = "DELETE FROM \"restow_ leases\" WHERE (repository, place) IN (SELECT repository, place FROM \"restow_ leases\" WHERE until <= ?1 LIMIT 16)";

/// The leases of a store.
#[derive(Debug)]
pub(super) struct SqliteLeases(pub(super) Arc<Engine>);

impl Leases for SqliteLeases {
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        let (table, place) = (table.clone(), place(at));
        Box::pin(
            self.0
                .write(move |conn| acquire(conn, &table, &place, hold, now)),
        )
    }

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        let (table, place) = (table.clone(), place(at));
        Box::pin(self.0.write(move |conn| {
            conn.execute_batch(CREATE)?;
            let (fence, until) = (fence.0.cast_signed(), now.plus(hold).0);
            let renewed = conn.prepare_cached(RENEW)?.execute(params![
                table.as_str(),
                place,
                fence,
                until
            ])?;
            Ok(renewed == 1)
        }))
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        let (table, place) = (table.clone(), place(at));
        Box::pin(self.0.write(move |conn| {
            conn.execute_batch(CREATE)?;
            let sql = "UPDATE \"restow_ leases\" SET free = 1 WHERE repository = ?1 AND place = ?2 AND fence = ?3";
            conn.prepare_cached(sql)?
                .execute(params![table.as_str(), place, fence.0.cast_signed()])?;
            Ok(())
        }))
    }
}

fn acquire(
    conn: &Connection,
    table: &TableName,
    place: &[u8; 16],
    hold: Duration,
    now: Millis,
) -> Attempt<Lease> {
    conn.execute_batch(CREATE)?;
    let held: Option<(Millis, bool)> = conn
        .prepare_cached(
            "SELECT until, free FROM \"restow_ leases\" WHERE repository = ?1 AND place = ?2",
        )?
        .query_row(params![table.as_str(), place], |row| {
            Ok((Millis(row.get(0)?), row.get(1)?))
        })
        .optional()?;
    if let Some((until, false)) = held
        && until > now
    {
        return Ok(Lease::Busy { until });
    }
    let fence: i64 = conn
        .prepare_cached(FENCE)?
        .query_row([], |row| row.get(0))?;
    let sql = "INSERT OR REPLACE INTO \"restow_ leases\" VALUES (?1, ?2, ?3, ?4, 0)";
    conn.prepare_cached(sql)?
        .execute(params![table.as_str(), place, fence, now.plus(hold).0])?;
    conn.prepare_cached(FORGET)?
        .execute([now.minus(REMEMBERED).0])?;
    Ok(Lease::Held(Fence(fence.cast_unsigned())))
}

/// Refuses writes under a lease that somebody else took since.
pub(super) fn check(conn: &Connection, table: &TableName, entries: &[Write]) -> Attempt<()> {
    let mut fenced = entries
        .iter()
        .filter_map(|write| Some((write, write.fence?)))
        .peekable();
    if fenced.peek().is_none() {
        return Ok(());
    }
    conn.execute_batch(CREATE)?;
    let mut newer = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM \"restow_ leases\" WHERE repository = ?1 AND place = ?2 AND fence > ?3)",
    )?;
    for (write, fence) in fenced {
        let place = place(&write.entry.id.address);
        let fence = fence.0.cast_signed();
        if newer.query_row(params![table.as_str(), place, fence], |row| row.get(0))? {
            return Err(superseded().into());
        }
    }
    Ok(())
}

/// A digest of an address; two that share one wait for each other, and no more.
fn place(at: &Address) -> [u8; 16] {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&(at.key.as_bytes().len() as u64).to_le_bytes());
    hasher.update(at.key.as_bytes());
    hasher.update(at.partition.as_str().as_bytes());
    hasher.digest128().to_le_bytes()
}
