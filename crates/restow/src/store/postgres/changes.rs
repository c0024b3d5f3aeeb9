//! What is done to a table.

use super::{
    engine::{Engine, Keys, Lent, Query, Way},
    error::Fault,
    notices,
    rows::{Put, Rows, column, push_meta, push_rows},
    select::Filter,
    values::{Blob, Place, Values, escape},
};
use crate::{
    Error, ErrorKind, Millis, Result,
    entry::{Address, Generation, Variant},
    store::{Renewal, Write, lease::superseded},
};
use futures_util::{TryStreamExt, stream::FuturesOrdered};
use std::{
    collections::{
        HashMap, HashSet,
        hash_map::Entry::{Occupied, Vacant},
    },
    sync::Arc,
};
use tokio_postgres::{Row, types::Type};

/// An entry that is larger cannot be sent for certain.
const MAX_ENTRY: u64 = 256 << 20;
/// So much is sent by one statement; more by several in one transaction, where the server works on one while the next is on its way.
const MAX_ROWS: usize = 256;
const MAX_BYTES: u64 = 4 << 20;
/// So many statements of a transaction are under way at once.
const AHEAD: usize = 4;
/// So many rows are removed by one statement.
const CHUNK: u64 = 1_000;

/// Writes entries, all or none.
pub(super) async fn write(
    engine: &Engine,
    rows: &Rows,
    writes: &[Write],
    now: Millis,
) -> Result<()> {
    for write in writes {
        rows.spec.check_key(&write.entry.id.address.key)?;
        if write.entry.size() > MAX_ENTRY {
            let message = format!(
                "an entry of {} bytes is larger than the {MAX_ENTRY} that are sent to PostgreSQL",
                write.entry.size()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
    }
    let batch = Batch::new(writes);
    match (batch.before.as_slice(), batch.chunks.as_slice()) {
        (_, []) => Ok(()),
        ([], [one]) => {
            let (query, values) = put(rows, one, now, batch.told(engine, rows));
            let answer = engine.run(Way::Change, query, &values).await?;
            if others(&answer)? || batch.has_variants() {
                engine
                    .run(Way::Change, &rows.crowd, &crowd(rows, &batch.last, now))
                    .await?;
            }
            Ok(())
        }
        _ => batch.write_at_once(engine, rows, now).await,
    }
}

type Chunk<'w> = Vec<(Place, &'w Write)>;

/// Entries to write, in the order in which all writers take locks.
struct Batch<'w> {
    /// Entries that others of the batch replace.
    before: Vec<Chunk<'w>>,
    /// Each identity once.
    chunks: Vec<Chunk<'w>>,
    /// The variant written last at each address.
    last: HashMap<Place, Variant>,
}

impl<'w> Batch<'w> {
    fn new(writes: &'w [Write]) -> Self {
        let (mut kept, mut last) = (HashMap::new(), HashMap::new());
        let (mut batch, mut before) = (Vec::with_capacity(writes.len()), Vec::new());
        // Of several with one identity the last stays. Where another body came in between, it is a change all the same.
        for write in writes.iter().rev() {
            let id = &write.entry.id;
            let place = Place::of(&id.address);
            match kept.entry((place, id.variant)) {
                Vacant(entry) => {
                    entry.insert(Some(write.entry.meta.seal));
                    last.entry(place).or_insert(id.variant);
                    batch.push((place, write));
                }
                Occupied(mut entry) => {
                    if entry
                        .get()
                        .is_some_and(|seal| seal != write.entry.meta.seal)
                    {
                        entry.insert(None);
                        before.push((place, write));
                    }
                }
            }
        }
        Self {
            before: chunks(before),
            chunks: chunks(batch),
            last,
        }
    }

    /// Tells whether there may be several entries at one address.
    fn has_variants(&self) -> bool {
        self.chunks.iter().map(Vec::len).sum::<usize>() > self.last.len()
    }

    /// What others are told of it, as a whole.
    fn told(&self, engine: &Engine, rows: &Rows) -> Vec<String> {
        let addresses = self.chunks.iter().flatten();
        let addresses = addresses.map(|(_, write)| &write.entry.id.address);
        notices::of_addresses(engine.instance, &rows.spec.name, addresses)
    }

    /// Writes all chunks in one transaction.
    async fn write_at_once(&self, engine: &Engine, rows: &Rows, now: Millis) -> Result<()> {
        let at = |fault: Fault| fault.at(engine.place());
        let mut tries = 0;
        loop {
            let mut lent = engine.lend().await?;
            match self.attempt(engine, rows, &mut lent, now).await {
                // Done twice it does the same.
                Err(fault) if (fault.is_conflict() || fault.is_lost()) && tries < 5 => tries += 1,
                done => return done.map_err(at),
            }
        }
    }

    async fn attempt(
        &self,
        engine: &Engine,
        rows: &Rows,
        lent: &mut Lent,
        now: Millis,
    ) -> Result<(), Fault> {
        let transaction = lent.keys().await?;
        let mut crowded = self.has_variants();
        for chunk in &self.before {
            crowded |= put_in(&transaction, rows, chunk, now, Vec::new()).await?;
        }
        let mut told = self.told(engine, rows);
        let mut under_way = FuturesOrdered::new();
        for chunk in &self.chunks {
            if under_way.len() == AHEAD {
                crowded |= under_way.try_next().await?.unwrap_or_default();
            }
            let told = std::mem::take(&mut told);
            under_way.push_back(put_in(&transaction, rows, chunk, now, told));
        }
        while let Some(others) = under_way.try_next().await? {
            crowded |= others;
        }
        drop(under_way);
        if crowded {
            let values = crowd(rows, &self.last, now);
            transaction.ask(&rows.crowd, &values).await?;
        }
        transaction.commit().await
    }
}

/// Writes a chunk within a transaction; returns whether there are others at the addresses.
async fn put_in(
    transaction: &Keys<'_>,
    rows: &Rows,
    chunk: &Chunk<'_>,
    now: Millis,
    told: Vec<String>,
) -> Result<bool, Fault> {
    let (query, values) = put(rows, chunk, now, told);
    others(&transaction.ask(query, &values).await?).map_err(Fault::from)
}

/// As many rows in each as one statement takes, in the order in which all writers take locks.
fn chunks<'w>(mut batch: Chunk<'w>) -> Vec<Chunk<'w>> {
    batch.sort_unstable_by_key(|(place, write)| (*place, write.entry.id.variant.to_bytes()));
    let mut chunks: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for one in batch {
        let size = one.1.entry.size();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < MAX_ROWS && bytes + size <= MAX_BYTES => chunk.push(one),
            _ => {
                chunks.push(vec![one]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    chunks
}

/// The statement that writes entries, and its values.
fn put<'r>(
    rows: &'r Rows,
    chunk: &[(Place, &Write)],
    now: Millis,
    told: Vec<String>,
) -> (&'r Arc<Query>, Values) {
    let addresses: Vec<&Address> = chunk
        .iter()
        .map(|(_, write)| &write.entry.id.address)
        .collect();
    let mut values = beginning(rows, now, told);
    values.push(Box::new(
        chunk
            .iter()
            .any(|(_, write)| write.entry.id.variant != Variant::NONE),
    ));
    let fences: Vec<_> = chunk
        .iter()
        .filter_map(|(place, write)| Some((*place, write.fence?)))
        .collect();
    let query = if fences.is_empty() {
        &rows.put
    } else {
        values.push(Box::new(rows.spec.name.as_str().to_owned()));
        column(&mut values, &fences, |(place, _)| *place);
        column(&mut values, &fences, |(_, fence)| fence.0.cast_signed());
        &rows.put_fenced
    };
    let mut puts: Vec<_> = chunk
        .iter()
        .filter_map(|(_, write)| Put::new(rows, &write.entry.id, &write.entry.meta).ok())
        .collect();
    push_rows(&mut values, &puts);
    push_meta(&mut values, rows, &mut puts);
    for (nth, field) in rows.spec.fields.iter().enumerate() {
        values.push(rows.field_values(&addresses, nth, field.kind()));
    }
    column(&mut values, &addresses, |at| {
        escape(at.key.query()).into_owned()
    });
    column(&mut values, &addresses, |at| {
        escape(at.partition.as_str()).into_owned()
    });
    column(&mut values, chunk, |_| Generation::start().0.cast_signed());
    column(&mut values, chunk, |(_, write)| {
        Blob(write.entry.body.clone())
    });
    (query, values)
}

/// Reads the answer to [`put`]: whether there are others at the addresses.
fn others(answer: &[Row]) -> Result<bool> {
    let Some(row) = answer.first() else {
        return Ok(false);
    };
    let flag = |column| {
        row.try_get::<_, Option<bool>>(column)
            .ok()
            .flatten()
            .unwrap_or_default()
    };
    if flag(2) {
        return Err(superseded());
    }
    Ok(flag(1))
}

fn crowd(rows: &Rows, last: &HashMap<Place, Variant>, now: Millis) -> Values {
    let mut last: Vec<_> = last.iter().collect();
    last.sort_unstable();
    let mut values = Values::new();
    column(&mut values, &last, |(place, _)| **place);
    column(&mut values, &last, |(_, variant)| variant.to_bytes());
    values.push(Box::new(rows.horizon(now).0));
    values.push(Box::new(i64::from(rows.spec.max_variants)));
    values
}

/// Puts new metas on the entries that are still the ones read; returns how many.
pub(super) async fn renew(
    engine: &Engine,
    rows: &Rows,
    renewals: &[Renewal],
    now: Millis,
) -> Result<u64> {
    let mut seen = HashSet::new();
    let mut puts = Vec::with_capacity(renewals.len());
    for Renewal { id, read, meta } in renewals {
        rows.spec.check_key(&id.address.key)?;
        let put = Put::new(rows, id, meta)?;
        // The first of those that name one generation makes another of it.
        if seen.insert((put.place, id.variant)) {
            puts.push((put, *read));
        }
    }
    if puts.is_empty() {
        return Ok(0);
    }
    puts.sort_unstable_by_key(|(put, _)| (put.place, put.id.variant.to_bytes()));
    let (mut puts, reads): (Vec<_>, Vec<_>) = puts.into_iter().unzip();
    let addresses = puts.iter().map(|put| &put.id.address);
    let told = notices::of_addresses(engine.instance, &rows.spec.name, addresses);
    let mut values = beginning(rows, now, told);
    push_rows(&mut values, &puts);
    column(&mut values, &reads, |read: &Generation| {
        read.0.cast_signed()
    });
    push_meta(&mut values, rows, &mut puts);
    number(&engine.run(Way::Once, &rows.renew, &values).await?)
}

/// Deletes every variant at each address; returns at how many addresses one was retained.
pub(super) async fn delete(
    engine: &Engine,
    rows: &Rows,
    at: &[Address],
    now: Millis,
) -> Result<u64> {
    for address in at {
        rows.spec.check_key(&address.key)?;
    }
    if at.is_empty() {
        return Ok(0);
    }
    let mut places: Vec<_> = at.iter().map(Place::of).collect();
    places.sort_unstable();
    places.dedup();
    let told = notices::of_addresses(engine.instance, &rows.spec.name, at.iter());
    let values: Values = vec![
        Box::new(places),
        Box::new(rows.channel.to_string()),
        Box::new(told),
    ];
    let gone = engine.run(Way::Once, &rows.delete, &values).await?;
    let horizon = rows.horizon(now).0;
    let retained: HashSet<&[u8]> = gone
        .iter()
        .filter(|row| row.try_get::<_, i64>(1).is_ok_and(|at| at > horizon))
        .filter_map(|row| row.try_get(0).ok())
        .collect();
    Ok(retained.len() as u64)
}

/// Deletes up to `limit` of the entries that a filter covers.
pub(super) async fn clear(
    engine: &Engine,
    rows: &Rows,
    filter: &Filter,
    limit: u64,
) -> Result<u64> {
    let mut lent = engine.lend().await?;
    let mut removed = 0;
    // Who asks for it wants it gone, also what others have in hand: that is waited for in the end.
    // Who waits for locks takes them in the order in which all do.
    let in_order = format!("ORDER BY {}, variant", rows.layout.address);
    for (order, locked) in [("", "SKIP LOCKED"), (&*in_order, "")] {
        loop {
            let chunk = CHUNK.min(limit - removed);
            if chunk == 0 {
                return Ok(removed);
            }
            let n = remove(engine, rows, &mut lent, filter, (order, locked), chunk).await?;
            removed += n;
            if n < chunk {
                break;
            }
        }
    }
    Ok(removed)
}

/// Deletes up to `limit` entries past their keep that nobody has in hand. Nobody is told: to them they were gone already.
pub(super) async fn sweep(engine: &Engine, rows: &Rows, limit: u64, now: Millis) -> Result<u64> {
    let mut lent = engine.lend().await?;
    let sql = format!(
        "WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} \
         WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1) SELECT count(*) FROM gone",
        table = rows.layout.table
    );
    let query = Query::new(sql, [Type::INT8, Type::INT8]);
    let mut removed = 0;
    while removed < limit {
        let chunk = CHUNK.min(limit - removed);
        let values: Values = vec![
            Box::new(rows.horizon(now).0),
            Box::new(i64::try_from(chunk).unwrap_or(i64::MAX)),
        ];
        let n = lent
            .ask(&query, &values)
            .await
            .map_err(|f| f.at(engine.place()))?;
        let n = number(&n)?.min(chunk);
        removed += n;
        if n < chunk {
            break;
        }
    }
    Ok(removed)
}

/// Deletes rows that are still of the generation given.
pub(super) async fn delete_rows(
    engine: &Engine,
    query: &Query,
    rows: &[(Place, Vec<u8>, i64)],
) -> Result<u64> {
    let mut values = Values::new();
    column(&mut values, rows, |(place, ..)| *place);
    column(&mut values, rows, |(_, variant, _)| variant.clone());
    column(&mut values, rows, |(.., generation)| *generation);
    let removed = number(&engine.run(Way::Once, query, &values).await?)?;
    Ok(removed.min(rows.len() as u64))
}

async fn remove(
    engine: &Engine,
    rows: &Rows,
    lent: &mut Lent,
    filter: &Filter,
    (order, locked): (&str, &str),
    chunk: u64,
) -> Result<u64> {
    let told = notices::of_table(engine.instance, &rows.spec.name);
    let next = filter.values().len() + 1;
    let sql = format!(
        "WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {} \
         {order} LIMIT ${next} FOR UPDATE {locked})) RETURNING 1) \
         SELECT (SELECT count(*) FROM gone), (SELECT count(pg_notify(${}, p)) FROM unnest(${}) AS p WHERE EXISTS (SELECT FROM gone))",
        filter.sql,
        next + 1,
        next + 2,
        table = rows.layout.table
    );
    let types = filter
        .types
        .iter()
        .cloned()
        .chain([Type::INT8, Type::TEXT, Type::TEXT_ARRAY]);
    let query = Query::new(sql, types.collect::<Vec<_>>());
    let mut values = filter.values();
    values.push(Box::new(i64::try_from(chunk).unwrap_or(i64::MAX)));
    values.push(Box::new(rows.channel.to_string()));
    values.push(Box::new(told));
    let mut tries = 0;
    loop {
        match lent.ask(&query, &values).await {
            Err(fault) if fault.is_conflict() && tries < 5 => tries += 1,
            Err(fault) => return Err(fault.at(engine.place())),
            // Whatever it says, it was asked for no more.
            Ok(answer) => return Ok(number(&answer)?.min(chunk)),
        }
    }
}

/// What every change begins with: horizon, now, channel, notices.
fn beginning(rows: &Rows, now: Millis, told: Vec<String>) -> Values {
    vec![
        Box::new(rows.horizon(now).0),
        Box::new(now.0),
        Box::new(rows.channel.to_string()),
        Box::new(told),
    ]
}

/// The number that is all of an answer.
pub(super) fn number(answer: &[Row]) -> Result<u64> {
    let number = answer.first().and_then(|row| row.try_get::<_, i64>(0).ok());
    number.map(i64::cast_unsigned).ok_or_else(|| {
        Error::new(
            ErrorKind::Store,
            "PostgreSQL gave another answer than was asked for",
        )
    })
}
