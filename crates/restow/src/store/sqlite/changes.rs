//! What the writer does to a table. Each function runs within a transaction, and may run again where that failed.

use super::{
    coding::{self, Encoder},
    counts::{self, Counter},
    engine::Uses,
    error::Attempt,
    leases,
    rows::{Binder, Rows, seal},
    select::Filter,
};
use crate::{
    Millis,
    entry::{Address, Entry, EntryId, Generation, Meta, Seal, Variant},
    store::{Renewal, Write},
};
use rusqlite::{CachedStatement, Connection, Statement, params, params_from_iter};

/// A row at an address, as far as a write needs to know it.
struct Held {
    row: i64,
    variant: Option<Variant>,
    generation: Generation,
    stored_at: Millis,
    changed_at: Millis,
    expires_at: Millis,
    tagged: bool,
    seal: Option<Seal>,
    size: i64,
    coding: i64,
}

/// Writes entries; of several with one identity the last stays.
pub(super) fn write(conn: &Connection, rows: &Rows, entries: &[Write], now: Millis) -> Attempt<()> {
    leases::check(conn, &rows.spec.name, entries)?;
    let mut putter = Putter {
        conn,
        rows,
        now,
        encoder: rows.coder.encoder(conn)?,
        counter: Counter::new(conn, rows),
        held: conn.prepare_cached(&rows.variants)?,
        insert: None,
        replace: None,
    };
    for write in entries {
        putter.put(&write.entry)?;
    }
    putter.counter.finish()
}

/// Puts entries into a table, by statements that are looked up once.
struct Putter<'e> {
    conn: &'e Connection,
    rows: &'e Rows,
    now: Millis,
    encoder: Encoder<'e>,
    counter: Counter<'e>,
    held: CachedStatement<'e>,
    insert: Option<CachedStatement<'e>>,
    replace: Option<CachedStatement<'e>>,
}

impl<'e> Putter<'e> {
    fn put(&mut self, entry: &'e Entry) -> Attempt<()> {
        let Self {
            conn, rows, now, ..
        } = *self;
        let EntryId { address, variant } = &entry.id;
        let mut others = held(&mut self.held, rows, address)?;
        let old = others
            .iter()
            .position(|held| held.variant == Some(*variant))
            .map(|at| others.swap_remove(at));
        // What is past its keep was gone already: it hands on nothing but its row.
        let before = old
            .as_ref()
            .filter(|held| rows.is_retained(held.expires_at, now));
        let generation = before.map_or_else(Generation::start, |held| held.generation.next());
        let changed_at = before
            .filter(|held| held.seal == Some(entry.meta.seal))
            .map_or(entry.meta.changed_at, |held| held.changed_at);
        let (slot, sql) = match old {
            Some(_) => (&mut self.replace, &rows.replace),
            None => (&mut self.insert, &rows.insert),
        };
        let statement = match slot {
            Some(statement) => statement,
            slot => slot.insert(conn.prepare_cached(sql)?),
        };
        let coded = self.encoder.encode(entry.meta.head.lines(), &entry.body);
        let head = (coded.coding, &*coded.head);
        let mut binder = Binder::new(statement);
        binder
            .meta(
                &rows.spec,
                (&entry.id, &entry.meta),
                generation,
                changed_at,
                now,
                head,
            )?
            .put(coding::value(coded.coding, &coded.body))?;
        let size = signed(entry.meta.size());
        let row = match &old {
            Some(held) => {
                binder.put(held.row)?;
                statement.raw_execute()?;
                self.counter.add(&address.partition, 0, size - held.size)?;
                held.row
            }
            None => {
                binder
                    .address(&rows.spec, address)?
                    .put(variant.to_bytes())?;
                statement.raw_execute()?;
                self.counter.add(&address.partition, 1, size)?;
                conn.last_insert_rowid()
            }
        };
        tag(
            conn,
            rows,
            row,
            &entry.meta,
            old.is_some_and(|held| held.tagged),
        )?;
        if others.is_empty() {
            Ok(())
        } else {
            crowd_out(conn, rows, others, now)
        }
    }
}

/// Removes what else is at the address: what is past its keep, and the oldest where there are too many.
fn crowd_out(conn: &Connection, rows: &Rows, mut others: Vec<Held>, now: Millis) -> Attempt<()> {
    others.sort_by_key(|held| {
        (
            rows.is_retained(held.expires_at, now),
            held.stored_at,
            held.row,
        )
    });
    let gone = others.partition_point(|held| !rows.is_retained(held.expires_at, now));
    let room = usize::from(rows.spec.max_variants).saturating_sub(1);
    let surplus = gone.max(others.len().saturating_sub(room));
    for held in others.iter().take(surplus) {
        conn.prepare_cached(&rows.delete_row)?
            .execute(params![held.row, held.generation.0.cast_signed()])?;
    }
    Ok(())
}

/// Puts new metas on the entries that are still the ones read.
pub(super) fn renew(
    conn: &Connection,
    rows: &Rows,
    renewals: &[Renewal],
    now: Millis,
) -> Attempt<u64> {
    let mut renewed = 0;
    let mut counter = Counter::new(conn, rows);
    let mut variants = conn.prepare_cached(&rows.variants)?;
    for Renewal { id, read, meta } in renewals {
        let held = held(&mut variants, rows, &id.address)?
            .into_iter()
            .find(|held| {
                held.variant == Some(id.variant)
                    && held.generation == *read
                    && rows.is_retained(held.expires_at, now)
            });
        let Some((held, seal)) = held.and_then(|held| held.seal.map(|seal| (held, seal))) else {
            continue;
        };
        // The body stays, and so does its seal.
        let meta = Meta {
            seal,
            ..meta.clone()
        };
        let Some(head) = rows
            .coder
            .head_again(conn, held.coding, meta.head.lines())?
        else {
            continue;
        };
        let mut statement = conn.prepare_cached(&rows.renew)?;
        Binder::new(&mut statement)
            .meta(
                &rows.spec,
                (id, &meta),
                held.generation.next(),
                meta.changed_at,
                now,
                (held.coding, &head),
            )?
            .put(held.row)?;
        statement.raw_execute()?;
        tag(conn, rows, held.row, &meta, held.tagged)?;
        let grown = signed(meta.size()) - held.size;
        counter.add(&id.address.partition, 0, grown)?;
        renewed += 1;
    }
    counter.finish()?;
    Ok(renewed)
}

/// Deletes every variant at each address; returns at how many addresses one was retained.
pub(super) fn delete(conn: &Connection, rows: &Rows, at: &[Address], now: Millis) -> Attempt<u64> {
    let mut deleted = 0;
    for address in at {
        let mut statement = conn.prepare_cached(&rows.delete)?;
        Binder::new(&mut statement).address(&rows.spec, address)?;
        let mut gone = statement.raw_query();
        let mut retained = false;
        while let Some(row) = gone.next()? {
            retained |= rows.is_retained(Millis(row.get(0)?), now);
        }
        deleted += u64::from(retained);
    }
    Ok(deleted)
}

/// Deletes up to `limit` of the entries that a filter covers.
pub(super) fn clear(conn: &Connection, rows: &Rows, filter: &Filter, limit: u64) -> Attempt<u64> {
    rows.check_shape(conn)?;
    let table = &rows.layout.table;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "DELETE FROM {table} WHERE entry_id IN (SELECT entry_id FROM {table} WHERE {} LIMIT {limit})",
        filter.sql
    );
    Ok(conn
        .prepare_cached(&sql)?
        .execute(params_from_iter(&filter.values))? as u64)
}

/// Deletes up to `limit` entries: past their keep, then beyond the budget, least recently used first.
pub(super) fn sweep(
    conn: &Connection,
    rows: &Rows,
    uses: &Uses,
    limit: u64,
    now: Millis,
) -> Attempt<u64> {
    let table = &rows.layout.table;
    let past = Filter {
        sql: "expires_at <= ?".to_owned(),
        values: vec![rows.horizon(now).0.into()],
    };
    let mut removed = clear(conn, rows, &past, limit)?;
    let budget = rows.spec.budget;
    if removed < limit && (budget.bytes.is_some() || budget.entries.is_some()) {
        uses.flush(conn)?;
        let (mut entries, mut bytes) = counts::total(conn, rows, None)?;
        let most =
            |most: Option<u64>| most.map_or(i64::MAX, |m| i64::try_from(m).unwrap_or(i64::MAX));
        let (most_entries, most_bytes) = (most(budget.entries), most(budget.bytes));
        let mut oldest = conn.prepare_cached(&format!(
            "SELECT entry_id, size FROM {table} ORDER BY used_at LIMIT ?1"
        ))?;
        let left = i64::try_from(limit - removed).unwrap_or(i64::MAX);
        let mut found = oldest.query([left])?;
        let mut surplus = Vec::new();
        while entries > most_entries || bytes > most_bytes {
            let Some(row) = found.next()? else { break };
            surplus.push(row.get::<_, i64>(0)?);
            entries -= 1;
            bytes -= row.get::<_, i64>(1)?;
        }
        drop(found);
        let mut delete =
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE entry_id = ?1"))?;
        for row in surplus {
            removed += delete.execute([row])? as u64;
        }
    }
    Ok(removed)
}

/// Deletes rows that a read found damaged, where they are still the same.
pub(super) fn discard(conn: &Connection, rows: &Rows, damaged: &[(i64, i64)]) -> Attempt<()> {
    let mut delete = conn.prepare_cached(&rows.delete_row)?;
    for (row, generation) in damaged {
        delete.execute([row, generation])?;
    }
    Ok(())
}

fn held(statement: &mut Statement<'_>, rows: &Rows, address: &Address) -> Attempt<Vec<Held>> {
    Binder::new(statement).address(&rows.spec, address)?;
    let mut found = statement.raw_query();
    let mut held = Vec::new();
    while let Some(row) = found.next()? {
        held.push(Held {
            row: row.get(0)?,
            variant: row
                .get_ref(1)?
                .as_bytes()
                .ok()
                .and_then(Variant::from_bytes),
            generation: Generation(row.get::<_, i64>(2)?.cast_unsigned()),
            stored_at: Millis(row.get(3)?),
            changed_at: Millis(row.get(4)?),
            expires_at: Millis(row.get(5)?),
            tagged: row.get(6)?,
            seal: row.get_ref(7)?.as_bytes().ok().and_then(seal),
            size: row.get(8)?,
            coding: row.get(9)?,
        });
    }
    Ok(held)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn tag(
    conn: &Connection,
    rows: &Rows,
    row: i64,
    meta: &Meta,
    was_tagged: bool,
) -> Attempt<()> {
    let name = rows.spec.name.as_str();
    if was_tagged {
        conn.prepare_cached("DELETE FROM restow_tags WHERE repository = ?1 AND entry_id = ?2")?
            .execute(params![name, row])?;
    }
    for tag in meta.tags.iter() {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO restow_tags (repository, tag, entry_id) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![name, tag, row])?;
    }
    Ok(())
}
