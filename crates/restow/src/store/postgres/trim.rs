//! Budgets: of one table, and of all together. What was used least recently goes first.

use super::{
    changes::delete_rows,
    engine::{Engine, Lent, Query},
    error::{Attempt, Fault},
    layout::Layout,
    questions::held,
    rows::Rows,
    schema, statements,
    values::{Place, Values},
};
use crate::{
    Result,
    store::{Budget, TableName, TableSpec, Trimmed},
};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};
use tokio_postgres::types::Type;

/// So many entries are removed in one transaction: others want to write as well.
const CHUNK: u64 = 200;

/// A row that may go.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    used_at: i64,
    table: usize,
    place: Place,
    variant: Vec<u8>,
    generation: i64,
    size: u64,
}

/// Removes up to `limit` entries of a table that are beyond its own budget; returns how many.
pub(super) async fn sweep(engine: &Engine, rows: &Rows, limit: u64) -> Result<u64> {
    let most = rows.spec.budget;
    if !most.is_bounded() || limit == 0 {
        return Ok(0);
    }
    engine.uses.flush(engine).await?;
    let table = Ranked::new(&rows.layout);
    Ok(remove(engine, &[table], most, limit).await?.removed)
}

/// Removes up to `limit` entries of all tables until they are within `most`.
pub(super) async fn trim(engine: &Arc<Engine>, most: Budget, limit: u64) -> Result<Trimmed> {
    engine.uses.flush(engine).await?;
    let tables = ranked(engine, limit > 0 && most.is_bounded()).await?;
    remove(engine, &tables, most, limit).await
}

/// A table with an index that orders its entries by use.
struct Ranked {
    table: String,
    oldest: Query,
    delete: Query,
}

impl Ranked {
    fn new(layout: &Layout) -> Self {
        let sql = format!(
            "SELECT used_at, {}, variant, generation, size FROM {} ORDER BY used_at LIMIT $1",
            layout.address, layout.table
        );
        Self {
            oldest: Query::new(sql, [Type::INT8]),
            delete: statements::delete_rows(layout),
            table: layout.table.clone(),
        }
    }
}

/// Returns all tables; those that may have to give something up with their order of use.
async fn ranked(engine: &Arc<Engine>, in_order: bool) -> Result<Vec<Ranked>> {
    let specs = there(engine).await?;
    let mut tables = Vec::with_capacity(specs.len());
    for spec in specs {
        if in_order && !spec.ranked {
            // Nobody who opened it since knew of a budget over all tables.
            let name = spec.name.clone();
            let ranking = engine.arrange(Some(&spec.name), move |engine| async move {
                let mut lent = engine.lend().await?;
                let ranked = rank(&engine, &mut lent, &name).await;
                ranked.map_err(|fault| fault.at(engine.place()))
            });
            ranking.await?;
        }
        tables.push(Ranked::new(&Layout::of(&engine.area, &spec)));
    }
    Ok(tables)
}

/// The specs of all tables that are there.
async fn there(engine: &Engine) -> Result<Vec<TableSpec>> {
    let at = |fault: Fault| fault.at(engine.place());
    let lent = engine.lend().await?;
    let client = lent.client().map_err(at)?;
    let mut there = Vec::new();
    for spec in schema::specs(&engine.area, client).await.map_err(at)? {
        let table = Layout::of(&engine.area, &spec).table;
        if schema::exists(client, &table).await.map_err(at)? {
            there.push(spec);
        }
    }
    Ok(there)
}

/// Gives a table its order of use.
async fn rank(engine: &Engine, lent: &mut Lent, name: &TableName) -> Attempt<()> {
    let area = &engine.area;
    let transaction = lent.transaction().await?;
    schema::lock(area, &*transaction).await?;
    // Somebody else may have come first.
    let stored = schema::spec(area, &*transaction, name).await?;
    if let Some(stored) = stored.filter(|stored| !stored.ranked) {
        let spec = TableSpec {
            ranked: true,
            ..stored.clone()
        };
        let (old, new) = (Layout::of(area, &stored), Layout::of(area, &spec));
        // A budget of its own has made the index; who only uses the tables may not ask for it.
        if !old.budgeted {
            transaction
                .batch_execute(&new.change_budget_index())
                .await?;
        }
        schema::remember(area, &*transaction, &spec).await?;
    }
    Ok(transaction.commit().await?)
}

/// Removes what was used least recently, chunk by chunk.
async fn remove(engine: &Engine, tables: &[Ranked], most: Budget, limit: u64) -> Result<Trimmed> {
    let mut trimmed = Trimmed::default();
    for table in tables {
        let (entries, bytes) = held(engine, &table.table).await?;
        trimmed.entries = trimmed.entries.saturating_add(entries);
        trimmed.bytes = trimmed.bytes.saturating_add(bytes);
    }
    while trimmed.removed < limit && !most.allows(trimmed.entries, trimmed.bytes) {
        let chunk = CHUNK.min(limit - trimmed.removed);
        let mut next = BinaryHeap::new();
        for (number, table) in tables.iter().enumerate() {
            next.extend(
                oldest(engine, number, table, chunk)
                    .await?
                    .into_iter()
                    .map(Reverse),
            );
        }
        let mut gone: Vec<Vec<_>> = tables.iter().map(|_| Vec::new()).collect();
        let (mut entries, mut bytes) = (trimmed.entries, trimmed.bytes);
        for _ in 0..chunk {
            if most.allows(entries, bytes) {
                break;
            }
            let Some(Reverse(row)) = next.pop() else {
                break;
            };
            entries = entries.saturating_sub(1);
            bytes = bytes.saturating_sub(row.size);
            if let Some(gone) = gone.get_mut(row.table) {
                gone.push((row.place, row.variant, row.generation));
            }
        }
        let mut removed = 0;
        for (table, rows) in tables.iter().zip(&mut gone) {
            if !rows.is_empty() {
                // All who take several locks take them in one order.
                rows.sort_unstable();
                removed += delete_rows(engine, &table.delete, rows).await?;
            }
        }
        trimmed.removed += removed;
        (trimmed.entries, trimmed.bytes) = (entries, bytes);
        if removed == 0 {
            break;
        }
    }
    Ok(trimmed)
}

async fn oldest(
    engine: &Engine,
    number: usize,
    table: &Ranked,
    limit: u64,
) -> Result<Vec<Candidate>> {
    let values: Values = vec![Box::new(i64::try_from(limit).unwrap_or(i64::MAX))];
    let mut lent = engine.lend().await?;
    let rows = lent
        .ask(&table.oldest, &values)
        .await
        .map_err(|f| f.at(engine.place()))?;
    let read = |row: &tokio_postgres::Row| {
        Some(Candidate {
            used_at: row.try_get(0).ok()?,
            table: number,
            place: Place::read(row.try_get(1).ok()?)?,
            variant: row.try_get(2).ok()?,
            generation: row.try_get(3).ok()?,
            size: row.try_get::<_, i64>(4).ok()?.cast_unsigned(),
        })
    };
    Ok(rows.iter().filter_map(read).collect())
}
