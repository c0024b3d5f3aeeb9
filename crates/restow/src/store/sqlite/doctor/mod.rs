//! Looks at a whole file for what is wrong in it, and changes nothing.

mod finding;

pub use finding::{Depth, Finding, Report};

use super::{
    counts, engine::Source, error::Attempt, layout::Layout, leases, options::SqliteOptions,
    rows::Rows, schema,
};
use crate::{
    Error, ErrorKind, Result,
    store::{Parts, TableSpec},
};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Checks a file on a thread of its own.
pub(super) async fn check(options: SqliteOptions, depth: Depth) -> Result<Report> {
    look(options, move |conn| examine(conn, depth)).await
}

/// Looks at a file on a thread of its own; nothing else is opened for it.
pub(super) async fn look<T: Send + 'static>(
    options: SqliteOptions,
    with: impl FnOnce(&Connection) -> Attempt<T> + Send + 'static,
) -> Result<T> {
    let work = move || {
        let source = Source::prepare(options.read_only())?;
        let seen = source.scanner().and_then(|conn| with(&conn));
        seen.map_err(|e| e.at(source.place()))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(ErrorKind::Store, "the check of the file was broken off").with_source(e)
    })?
}

fn examine(conn: &Connection, depth: Depth) -> Attempt<Report> {
    // One snapshot: what others write meanwhile must not look like damage.
    let conn = &*conn.unchecked_transaction()?;
    let mut report = Report::default();
    let pragma = match depth {
        Depth::Quick => "PRAGMA quick_check",
        Depth::Whole => "PRAGMA integrity_check",
    };
    let said = texts(conn, pragma)?;
    let damage = said.into_iter().filter(|line| line != "ok");
    report.findings.extend(damage.map(Finding::Damage));
    let specs = schema::specs(conn)?;
    report.repositories = specs.len() as u64;
    let parts = Schema::of(conn)?;
    for name in parts.tables() {
        let known = schema::TABLES.contains(&name)
            || name == leases::TABLE
            || specs.iter().any(|s| s.name.as_str() == name);
        if !known {
            report
                .findings
                .push(Finding::UndeclaredTable(name.to_owned()));
        }
    }
    for spec in &specs {
        if !parts.has("table", spec.name.as_str()) {
            let finding = Finding::MissingTable(spec.name.clone());
            report.findings.push(finding);
            continue;
        }
        compare(conn, &parts, spec, &mut report)?;
        if !counts::agree(conn, spec)? {
            report.findings.push(Finding::WrongCounts {
                repository: spec.name.clone(),
                sql: counts::recount(spec),
            });
        }
        if let Err(fault) = entries(conn, spec, depth, &mut report) {
            let why = fault.at("the table").to_string();
            let name = spec.name.clone();
            report.findings.push(Finding::Unreadable(name, why));
        }
    }
    tags(conn, &specs, &parts, &mut report)?;
    Ok(report)
}

/// Compares a table with one that is made anew from its declaration.
fn compare(
    conn: &Connection,
    parts: &Schema,
    spec: &TableSpec,
    report: &mut Report,
) -> Attempt<()> {
    let layout = Layout::of_format(spec, schema::format(conn)?);
    let model = Connection::open_in_memory()?;
    model.execute_batch(&layout.create_table())?;
    model.execute_batch(&layout.create_rest())?;
    for ((kind, name), sql) in Schema::of(&model)?.0 {
        if !parts.has(&kind, &name) {
            report.findings.push(Finding::MissingPart {
                repository: spec.name.clone(),
                kind,
                name,
                sql,
            });
        }
    }
    let wanted = columns(&model, spec)?;
    for column in columns(conn, spec)? {
        if !wanted.contains(&column) {
            let finding = Finding::OrphanedColumn(spec.name.clone(), column);
            report.findings.push(finding);
        }
    }
    Ok(())
}

/// Reads every entry as a caller would, and counts those that do not verify.
fn entries(conn: &Connection, spec: &TableSpec, depth: Depth, report: &mut Report) -> Attempt<()> {
    let rows = Rows::of_format(spec.clone(), schema::format(conn)?);
    let table = &rows.layout.table;
    if depth == Depth::Quick {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        report.entries += count.cast_unsigned();
        return Ok(());
    }
    // Not by an index: the table itself is what matters.
    let sql = format!(
        "SELECT {} FROM {table} NOT INDEXED ORDER BY entry_id",
        rows.selected_with_address(Parts::Whole)
    );
    let mut statement = conn.prepare(&sql)?;
    let mut stored = statement.query([])?;
    let mut damaged = 0;
    let end = loop {
        match stored.next() {
            Ok(Some(row)) => {
                report.entries += 1;
                let whole = rows
                    .address(row)
                    .and_then(|at| rows.decode(conn, row, Parts::Whole, &at));
                damaged += u64::from(whole.is_none());
            }
            Ok(None) => break Ok(()),
            Err(e) => break Err(e.into()),
        }
    };
    if damaged > 0 {
        let finding = Finding::DamagedEntries(spec.name.clone(), damaged);
        report.findings.push(finding);
    }
    end
}

/// Counts the tags of entries that are not there.
fn tags(
    conn: &Connection,
    specs: &[TableSpec],
    parts: &Schema,
    report: &mut Report,
) -> Attempt<()> {
    let mut stray = 0;
    for name in texts(conn, "SELECT DISTINCT repository FROM restow_tags")? {
        let spec = specs.iter().find(|s| s.name.as_str() == name);
        let held = match spec.filter(|_| parts.has("table", &name)) {
            Some(spec) => format!(
                "AND entry_id NOT IN (SELECT entry_id FROM {})",
                Layout::of(spec).table
            ),
            None => String::new(),
        };
        let sql = format!("SELECT count(*) FROM restow_tags WHERE repository = ?1 {held}");
        let count: i64 = conn.query_row(&sql, [&name], |row| row.get(0))?;
        stray += count.cast_unsigned();
    }
    if stray > 0 {
        report.findings.push(Finding::StrayTags(stray));
    }
    Ok(())
}

/// What is in a file, by kind and name, with the statement that makes it.
struct Schema(BTreeMap<(String, String), String>);

impl Schema {
    fn of(conn: &Connection) -> Attempt<Self> {
        let sql = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut select = conn.prepare(sql)?;
        let parts = select.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
        Ok(Self(parts.collect::<rusqlite::Result<_>>()?))
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.0.keys().any(|(k, n)| k == kind && n == name)
    }

    fn tables(&self) -> impl Iterator<Item = &str> {
        let tables = self.0.keys().filter(|(kind, _)| kind == "table");
        tables.map(|(_, name)| name.as_str())
    }
}

fn columns(conn: &Connection, spec: &TableSpec) -> Attempt<Vec<String>> {
    let mut select = conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = select.query_map([spec.name.as_str()], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

fn texts(conn: &Connection, sql: &str) -> Attempt<Vec<String>> {
    let mut select = conn.prepare(sql)?;
    let lines = select.query_map([], |row| row.get(0))?;
    Ok(lines.collect::<rusqlite::Result<_>>()?)
}
