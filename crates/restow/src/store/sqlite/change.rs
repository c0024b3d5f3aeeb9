//! Opening a table: as it is, changed to what is declared, or set aside.

use super::{
    error::Attempt,
    layout::{Layout, declared_column, field_column, sql_type},
    rows::key_value,
    schema,
};
use crate::{
    Error, ErrorKind, FieldValue,
    store::{FieldSource, Migration, OnSchemaChange, SchemaChange, TableName, TableSpec},
};
use rusqlite::{Connection, OptionalExtension, params};

/// Returns the spec of a table that is what `wanted` says already.
pub(super) fn unchanged(conn: &Connection, wanted: &TableSpec) -> Attempt<Option<TableSpec>> {
    let stored = schema::spec(conn, &wanted.name)?;
    Ok(stored.filter(|stored| wanted.taking_over(stored) == *stored))
}

/// Makes the table what `wanted` says, and returns the spec it has then.
pub(super) fn open(conn: &Connection, wanted: &TableSpec) -> Attempt<TableSpec> {
    let Some(stored) = schema::spec(conn, &wanted.name)? else {
        schema::create(conn, wanted)?;
        return Ok(wanted.clone());
    };
    let spec = wanted.taking_over(&stored);
    match spec.change_from(&stored)? {
        SchemaChange::None if stored == spec => {}
        SchemaChange::None => {
            schema::remember(conn, &spec)?;
            conn.execute_batch(&Layout::of(&spec).create_budget_index())?;
        }
        SchemaChange::Migrate(migration) => migrate(conn, &stored, &spec, &migration)?,
        SchemaChange::SetAside => {
            set_aside(conn, &stored)?;
            schema::create(conn, &spec)?;
        }
    }
    Ok(spec)
}

/// Checks that the table is what `wanted` says, and returns its spec; changes nothing.
pub(super) fn open_read_only(conn: &Connection, wanted: &TableSpec) -> Attempt<TableSpec> {
    let Some(stored) = schema::spec(conn, &wanted.name)? else {
        let message =
            "the file has no such table, and mode=ro makes none; open it without mode=ro once";
        return Err(Error::new(ErrorKind::ReadOnly, message)
            .in_repository(wanted.name.shared())
            .into());
    };
    let wanted = TableSpec {
        on_schema_change: OnSchemaChange::Refuse,
        ..wanted.clone()
    };
    wanted.change_from(&stored)?;
    Ok(wanted)
}

/// Returns the declared columns that older entries have no values for yet.
pub(super) fn pending(conn: &Connection, name: &TableName) -> Attempt<Vec<Box<str>>> {
    let stored: Option<String> = conn
        .query_row(
            "SELECT value FROM restow_meta WHERE key = ?1",
            [pending_key(name)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(stored
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default())
}

/// Remembers which declared columns older entries have no values for.
pub(super) fn set_pending(
    conn: &Connection,
    name: &TableName,
    columns: &[Box<str>],
) -> Attempt<()> {
    if columns.is_empty() {
        conn.execute(
            "DELETE FROM restow_meta WHERE key = ?1",
            [pending_key(name)],
        )?;
    } else {
        conn.execute(
            "INSERT OR REPLACE INTO restow_meta VALUES (?1, ?2)",
            params![
                pending_key(name),
                serde_json::Value::from_iter(columns.iter().map(|c| &**c)).to_string()
            ],
        )?;
    }
    Ok(())
}

fn migrate(
    conn: &Connection,
    stored: &TableSpec,
    spec: &TableSpec,
    migration: &Migration,
) -> Attempt<()> {
    let table = Layout::of(stored).table;
    // Columns cannot be dropped while an index or a view names them; the identity's index changes with the fields.
    conn.execute_batch(&Layout::of(stored).drop_rest())?;
    for column in stored.columns.iter().filter(|c| !spec.columns.contains(c)) {
        let column = declared_column(&column.name);
        conn.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {column}"))?;
    }
    for (field, source) in spec.fields.iter().zip(&migration.fields) {
        let FieldSource::Added(value) = source else {
            continue;
        };
        let (column, kind) = (field_column(field.name()), sql_type(field.kind()));
        conn.execute_batch(&format!(
            "ALTER TABLE {table} ADD COLUMN {column} {kind} NOT NULL DEFAULT x''"
        ))?;
        if *value != FieldValue::Absent {
            conn.execute(
                &format!("UPDATE {table} SET {column} = ?1"),
                [key_value(value.as_ref())],
            )?;
        }
    }
    let mut waiting = pending(conn, &spec.name)?;
    for (column, source) in spec.columns.iter().zip(&migration.columns) {
        if source.is_none() {
            let name = declared_column(&column.name);
            conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {name}"))?;
            waiting.push(column.name.clone());
        }
    }
    conn.execute_batch(&Layout::of(spec).create_rest())?;
    waiting.retain(|name| spec.columns.iter().any(|c| c.name == *name));
    waiting.sort();
    waiting.dedup();
    set_pending(conn, &spec.name, &waiting)?;
    schema::remember(conn, spec)
}

/// Renames a table, so that its entries stay where people can find them.
fn set_aside(conn: &Connection, stored: &TableSpec) -> Attempt<()> {
    let mut number = 1;
    let aside = loop {
        let name = stored.name.aside(number);
        if !schema::is_taken(conn, &name)? {
            break TableSpec {
                name,
                ..stored.clone()
            };
        }
        number += 1;
    };
    let (old, new) = (Layout::of(stored), Layout::of(&aside));
    conn.execute_batch(&old.drop_rest())?;
    conn.execute_batch(&format!(
        "ALTER TABLE {} RENAME TO {}",
        old.table, new.table
    ))?;
    conn.execute_batch(&new.create_rest())?;
    for table in ["restow_tags", "restow_counts", "restow_dictionaries"] {
        conn.execute(
            &format!("UPDATE {table} SET repository = ?2 WHERE repository = ?1"),
            [stored.name.as_str(), aside.name.as_str()],
        )?;
    }
    set_pending(conn, &aside.name, &pending(conn, &stored.name)?)?;
    set_pending(conn, &stored.name, &[])?;
    schema::forget(conn, &stored.name)?;
    schema::remember(conn, &aside)
}

fn pending_key(name: &TableName) -> String {
    format!("pending:{name}")
}
