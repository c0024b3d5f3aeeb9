//! Opening a table: as it is, changed to what is declared, or set aside.

use super::{
    engine::Engine,
    error::{Attempt, Fault},
    layout::{Area, Layout, declared_column, field_column, field_type},
    notices,
    rows::Rows,
    schema,
    values::{Place, escape},
};
use crate::{
    FieldValue, Result,
    store::{
        FieldSource, Migration, SchemaChange, TableName, TableSpec,
        ident::{Ident, Literal},
    },
};
use tokio_postgres::{GenericClient, types::Type};

/// So many rows are given their new places at once.
const PAGE: usize = 1_000;

/// Makes the table what `wanted` says, and returns the spec it has then.
pub(super) async fn open(engine: &Engine, wanted: &TableSpec) -> Result<TableSpec> {
    Layout::of(&engine.area, wanted).check()?;
    let at = |fault: Fault| fault.at(engine.place());
    let mut lent = engine.lend().await?;
    // Most are as they were left, and nothing has to be written.
    let stored = schema::spec(&engine.area, lent.client().map_err(at)?, &wanted.name)
        .await
        .map_err(at)?;
    if let Some(stored) = stored
        && wanted.taking_over(&stored) == stored
    {
        return Ok(stored);
    }
    let transaction = lent.transaction().await.map_err(at)?;
    schema::lock(&engine.area, &*transaction)
        .await
        .map_err(at)?;
    let spec = change(engine, &*transaction, wanted).await.map_err(at)?;
    transaction.commit().await.map_err(|e| at(e.into()))?;
    Ok(spec)
}

async fn change(
    engine: &Engine,
    conn: &impl GenericClient,
    wanted: &TableSpec,
) -> Attempt<TableSpec> {
    let area = &engine.area;
    // Somebody else may have come first.
    let Some(stored) = schema::spec(area, conn, &wanted.name).await? else {
        schema::create_table(area, conn, wanted).await?;
        return Ok(wanted.clone());
    };
    let spec = wanted.taking_over(&stored);
    match spec.change_from(&stored)? {
        SchemaChange::None if stored == spec => return Ok(spec),
        SchemaChange::None => {
            schema::remember(area, conn, &spec).await?;
            let (old, new) = (Layout::of(area, &stored), Layout::of(area, &spec));
            // Who only uses the tables may not make an index, and need not where it is there.
            if old.budgeted != new.budgeted {
                conn.batch_execute(&new.change_budget_index()).await?;
            }
            return Ok(spec);
        }
        SchemaChange::Migrate(migration) => migrate(area, conn, &stored, &spec, &migration).await?,
        SchemaChange::SetAside => {
            set_aside(area, conn, &stored).await?;
            schema::create_table(area, conn, &spec).await?;
        }
    }
    let told = notices::of_table(engine.instance, &spec.name);
    schema::notify(conn, &notices::channel(area), &told).await?;
    Ok(spec)
}

/// Returns the declared columns that older entries have no values for yet.
pub(super) async fn pending(
    area: &Area,
    conn: &impl GenericClient,
    name: &TableName,
) -> Attempt<Vec<Box<str>>> {
    let stored = schema::get(area, conn, &pending_key(name)).await?;
    Ok(stored
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default())
}

/// Remembers which declared columns older entries have no values for.
pub(super) async fn set_pending(
    area: &Area,
    conn: &impl GenericClient,
    name: &TableName,
    columns: &[Box<str>],
) -> Attempt<()> {
    let json = serde_json::Value::from_iter(columns.iter().map(|c| &**c)).to_string();
    let value = (!columns.is_empty()).then_some(&*json);
    schema::set(area, conn, &pending_key(name), value).await
}

/// Notes that every entry has values for these columns now.
pub(super) async fn filled(engine: &Engine, name: &TableName, columns: &[Box<str>]) -> Result<()> {
    let at = |fault: Fault| fault.at(engine.place());
    let mut lent = engine.lend().await?;
    let transaction = lent.transaction().await.map_err(at)?;
    schema::lock(&engine.area, &*transaction)
        .await
        .map_err(at)?;
    let mut waiting = pending(&engine.area, &*transaction, name)
        .await
        .map_err(at)?;
    waiting.retain(|name| !columns.contains(name));
    set_pending(&engine.area, &*transaction, name, &waiting)
        .await
        .map_err(at)?;
    transaction.commit().await.map_err(|e| at(e.into()))
}

async fn migrate(
    area: &Area,
    conn: &impl GenericClient,
    stored: &TableSpec,
    spec: &TableSpec,
    migration: &Migration,
) -> Attempt<()> {
    let (old, new) = (Layout::of(area, stored), Layout::of(area, spec));
    let table = &old.table;
    // Columns cannot be dropped while a view names them.
    conn.batch_execute(&old.drop_rest()).await?;
    for column in stored.columns.iter().filter(|c| !spec.columns.contains(c)) {
        let column = declared_column(&column.name);
        conn.batch_execute(&format!("ALTER TABLE {table} DROP COLUMN {column}"))
            .await?;
    }
    for (field, source) in spec.fields.iter().zip(&migration.fields) {
        let FieldSource::Added(value) = source else {
            continue;
        };
        let column = field_column(field.name());
        // A default of the moment, so that no row has to be written for it.
        let default = match value {
            FieldValue::Absent => "NULL".to_owned(),
            FieldValue::Integer(number) => format!("'{number}'"),
            FieldValue::Text(text) => Literal(&escape(text)).to_string(),
        };
        conn.batch_execute(&format!(
            "ALTER TABLE {table} ADD COLUMN {column} {} DEFAULT {default}; ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT",
            field_type(field)
        ))
        .await?;
    }
    let mut waiting = pending(area, conn, &spec.name).await?;
    for (column, source) in spec.columns.iter().zip(&migration.columns) {
        if source.is_none() {
            let name = declared_column(&column.name);
            conn.batch_execute(&format!("ALTER TABLE {table} ADD COLUMN {name} JSONB"))
                .await?;
            waiting.push(column.name.clone());
        }
    }
    if old.address != new.address {
        let rename = format!(
            "ALTER TABLE {table} RENAME COLUMN {} TO {}",
            old.address, new.address
        );
        conn.batch_execute(&rename).await?;
        move_rows(area, conn, spec).await?;
    }
    conn.batch_execute(&new.create_rest()).await?;
    waiting.retain(|name| spec.columns.iter().any(|c| c.name == *name));
    waiting.sort();
    waiting.dedup();
    set_pending(area, conn, &spec.name, &waiting).await?;
    schema::remember(area, conn, spec).await
}

/// Gives all rows the places of their new addresses.
async fn move_rows(area: &Area, conn: &impl GenericClient, spec: &TableSpec) -> Attempt<()> {
    let rows = Rows::new(area, spec.clone())?;
    let Layout {
        table,
        address,
        fields,
        ..
    } = &rows.layout;
    let fields: String = fields
        .iter()
        .map(|field: &Ident| format!("{field}, "))
        .collect();
    schema::ask(
        conn,
        &format!(
            "DECLARE restow_move NO SCROLL CURSOR FOR SELECT ctid::text, {fields}query, partition, {address} FROM {table}"
        ),
        &[],
    )
    .await?;
    loop {
        let page = schema::ask(conn, &format!("FETCH {PAGE} FROM restow_move"), &[]).await?;
        if page.is_empty() {
            schema::ask(conn, "CLOSE restow_move", &[]).await?;
            return Ok(());
        }
        let (mut at, mut places) = (Vec::new(), Vec::new());
        for row in &page {
            // What cannot be read keeps a place that nobody asks for.
            if let Some(address) = rows.address(row) {
                at.push(row.try_get::<_, String>(0)?);
                places.push(Place::of(&address));
            }
        }
        let sql = format!(
            "UPDATE {table} AS t SET {address} = n.place FROM unnest($1, $2) AS n(at, place) WHERE t.ctid = n.at::tid"
        );
        schema::ask(
            conn,
            &sql,
            &[(&at, Type::TEXT_ARRAY), (&places, Type::BYTEA_ARRAY)],
        )
        .await?;
    }
}

/// Removes a table with all that belongs to it; returns whether there was one.
pub(super) async fn remove(engine: &Engine, name: &TableName) -> Result<bool> {
    let at = |fault: Fault| fault.at(engine.place());
    let mut lent = engine.lend().await?;
    let transaction = lent.transaction().await.map_err(at)?;
    schema::lock(&engine.area, &*transaction)
        .await
        .map_err(at)?;
    let removed = schema::remove(&engine.area, &*transaction, name)
        .await
        .map_err(at)?;
    if removed {
        set_pending(&engine.area, &*transaction, name, &[])
            .await
            .map_err(at)?;
        let told = notices::of_table(engine.instance, name);
        let channel = notices::channel(&engine.area);
        schema::notify(&*transaction, &channel, &told)
            .await
            .map_err(at)?;
    }
    transaction.commit().await.map_err(|e| at(e.into()))?;
    Ok(removed)
}

/// Renames a table, so that its entries stay where people can find them.
async fn set_aside(area: &Area, conn: &impl GenericClient, stored: &TableSpec) -> Attempt<()> {
    let mut number = 1;
    let aside = loop {
        let spec = TableSpec {
            name: stored.name.aside(number),
            ..stored.clone()
        };
        if !schema::exists(conn, &Layout::of(area, &spec).table).await? {
            break spec;
        }
        number += 1;
    };
    let (old, new) = (Layout::of(area, stored), Layout::of(area, &aside));
    new.check()?;
    conn.batch_execute(&old.drop_rest()).await?;
    conn.batch_execute(&old.rename_to(&new)).await?;
    conn.batch_execute(&new.create_rest()).await?;
    let waiting = pending(area, conn, &stored.name).await?;
    set_pending(area, conn, &aside.name, &waiting).await?;
    set_pending(area, conn, &stored.name, &[]).await?;
    schema::forget(area, conn, &stored.name).await?;
    schema::remember(area, conn, &aside).await
}

fn pending_key(name: &TableName) -> String {
    format!("pending:{name}")
}
