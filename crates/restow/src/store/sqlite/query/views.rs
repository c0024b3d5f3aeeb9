//! Views over the tables of a file that stand in for them: header lines and bodies as they came.

use super::{
    super::{coding::Decoder, error::Attempt, ident::Ident, layout::Layout, schema},
    forbid_writing,
};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::{ToSqlOutput, Value},
};

/// Makes the views, and returns the names of what can be asked.
///
/// A repository's table is hidden by a view of the same name, and so is its view for people: what is there for entries that are stored
/// as they came works for the others just as well. The tables themselves are `main.<name>`.
pub(super) fn create(conn: &Connection) -> Attempt<Vec<String>> {
    let decoder = Decoder::load(conn)?;
    // Pure, and so it may be used in views of whatever file.
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("restow_plain", 3, flags, move |call| plain(call, &decoder))?;
    conn.pragma_update(None, "query_only", false)?;
    let mut known = Vec::new();
    for spec in schema::specs(conn)? {
        let layout = Layout::of(&spec);
        let columns = columns(conn, spec.name.as_str())?;
        known.extend([layout.view.to_string(), layout.table.to_string()]);
        // A file of an older format has all as it came; a damaged one may lack the table.
        if !columns.iter().any(|c| c == "coding") {
            continue;
        }
        let shown: Vec<String> = columns
            .iter()
            .map(|name| match name.as_str() {
                "headers" | "body" => {
                    format!("restow_plain({name}, coding, size) AS {name}")
                }
                _ => Ident::new(name).to_string(),
            })
            .collect();
        let table = &layout.table;
        conn.execute_batch(&format!(
            "CREATE TEMP VIEW {table} AS SELECT {} FROM main.{table};",
            shown.join(", ")
        ))?;
        conn.execute_batch(&layout.create_temporary_view())?;
    }
    forbid_writing(conn)?;
    Ok(known)
}

/// `restow_plain(value, coding, size)`: what came, for what is stored; NULL where it is damaged.
fn plain(call: &Context<'_>, decoder: &Decoder) -> rusqlite::Result<ToSqlOutput<'static>> {
    let coding = call.get::<Option<i64>>(1)?.unwrap_or_default();
    let most = call.get::<Option<i64>>(2)?.unwrap_or_default();
    let bytes = match call.get_raw(0).as_bytes() {
        Ok(bytes) if coding != 0 => bytes,
        _ => return Ok(ToSqlOutput::Arg(0)),
    };
    let came = decoder.decode(coding, bytes, usize::try_from(most).unwrap_or_default());
    Ok(ToSqlOutput::Owned(match came.map(String::from_utf8) {
        None => Value::Null,
        // As in tables: text ends at NUL for some functions of SQL.
        Some(Ok(text)) if !text.contains('\0') => Value::Text(text),
        Some(Ok(text)) => Value::Blob(text.into_bytes()),
        Some(Err(e)) => Value::Blob(e.into_bytes()),
    }))
}

fn columns(conn: &Connection, table: &str) -> Attempt<Vec<String>> {
    let mut select = conn.prepare("SELECT name FROM pragma_table_info(?1, 'main') ORDER BY cid")?;
    let names = select.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}
