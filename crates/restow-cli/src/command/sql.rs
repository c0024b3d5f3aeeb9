//! `restow sql STATEMENT`.

mod cell;

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
    session::path_of,
};
use cell::{fit, json, shown, text, width};
use clap::Args;
use restow::{
    ErrorKind,
    store::sqlite::{SqlRows, SqlValue, SqliteOptions, SqliteStore},
};
use serde_json::{Map, Value};

/// So many rows are looked at before their columns get their widths.
const PAGE: usize = 1_000;

/// Asks the cache's file in SQL, which only reads. Header lines and bodies are there as they came, compressed or not.
#[derive(Debug, Args)]
#[command(
    after_help = "Each repository is a table of its name, and a view restow_NAME of what is live, with times in ISO 8601.
Names with other characters than letters, digits and _ stand in double quotes.

Examples:
  restow sql \"SELECT id, json_extract(body, '$.name') FROM restow_items LIMIT 10\"
  restow sql --csv \"SELECT status, count(*) FROM items GROUP BY status\"
  restow sql --width 0 \"SELECT headers FROM items LIMIT 1\""
)]
pub(crate) struct Sql {
    /// One statement: SELECT, WITH, VALUES, EXPLAIN or a PRAGMA that answers.
    #[arg(value_name = "STATEMENT")]
    statement: String,
    /// Writes comma-separated values, with a heading.
    #[arg(long)]
    csv: bool,
    /// The most characters of a column in the table for people; 0 for whole values.
    #[arg(
        long,
        value_name = "CHARACTERS",
        default_value_t = 60,
        conflicts_with = "csv"
    )]
    width: usize,
}

impl Sql {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        if self.csv && out.is_json() {
            return Err(Failure::usage("--csv and --json exclude each other"));
        }
        let path = path_of(
            None,
            global,
            "SQL is for SQLite files; name one with --cache",
        )?;
        let rows = SqliteStore::query(SqliteOptions::file(path), &self.statement).await;
        let rows = rows.map_err(|e| match e.kind() {
            // The file may well be written to, by others: the command is wrong.
            ErrorKind::ReadOnly => Failure::new(Exit::Usage, e.to_string()),
            _ => e.into(),
        })?;
        if out.is_json() {
            objects(rows, out).await
        } else if self.csv {
            separated(rows, out).await
        } else {
            let most = if self.width == 0 {
                usize::MAX
            } else {
                self.width
            };
            table(rows, most, out).await
        }
    }
}

/// One object a row.
async fn objects(mut rows: SqlRows, out: &mut Out) -> Result<(), Failure> {
    let names = distinct(rows.columns());
    while let Some(row) = rows.next().await? {
        let object: Map<String, Value> = names.iter().cloned().zip(row.iter().map(json)).collect();
        out.json(&object)?;
    }
    Ok(())
}

/// Comma-separated values (RFC 4180).
async fn separated(mut rows: SqlRows, out: &mut Out) -> Result<(), Failure> {
    let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
    let mut write = |cells: Vec<String>, out: &mut Out| -> Result<(), Failure> {
        let failed = |e| Failure::new(Exit::Store, "a row cannot be written").because(e);
        line.write_record(cells).map_err(failed)?;
        line.flush()?;
        out.bytes(line.get_ref())?;
        line = csv::WriterBuilder::new().from_writer(Vec::new());
        Ok(())
    };
    write(rows.columns().to_vec(), out)?;
    while let Some(row) = rows.next().await? {
        write(row.iter().map(text).collect(), out)?;
    }
    Ok(())
}

/// A table for people, whose columns are as wide as they have to be.
async fn table(mut rows: SqlRows, most: usize, out: &mut Out) -> Result<(), Failure> {
    let heading: Vec<String> = rows.columns().iter().map(|c| fit(c, most)).collect();
    let mut widths: Vec<usize> = heading.iter().map(|c| width(c)).collect();
    let mut heading = Some(heading);
    loop {
        let mut page = Vec::new();
        while page.len() < PAGE
            && let Some(row) = rows.next().await?
        {
            let cells: Vec<(String, bool)> = row
                .iter()
                .map(|v| {
                    (
                        shown(v, most),
                        matches!(v, SqlValue::Integer(_) | SqlValue::Real(_)),
                    )
                })
                .collect();
            for (wide, (cell, _)) in widths.iter_mut().zip(&cells) {
                *wide = (*wide).max(width(cell));
            }
            page.push(cells);
        }
        if let Some(heading) = heading.take() {
            let cells: Vec<_> = heading.into_iter().map(|c| (c, false)).collect();
            let line = aligned(&cells, &widths);
            out.line(out.dim(line))?;
        }
        for cells in &page {
            out.line(aligned(cells, &widths))?;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// One line; numbers stand to the right.
fn aligned(cells: &[(String, bool)], widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, number), wide) in cells.iter().zip(widths) {
        let padding = " ".repeat(wide.saturating_sub(width(cell)));
        match number {
            true => line.extend([&padding, cell.as_str()]),
            false => line.extend([cell.as_str(), &padding]),
        }
        line.push_str("  ");
    }
    line.truncate(line.trim_end().len());
    line
}

/// The names of the columns, no two alike: JSON would keep one of them.
fn distinct(columns: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{column}_{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own() {
        let columns = ["a", "b", "a", "a_2", "a"].map(str::to_owned);
        assert_eq!(distinct(&columns), ["a", "b", "a_2", "a_2_2", "a_3"]);
    }
}
