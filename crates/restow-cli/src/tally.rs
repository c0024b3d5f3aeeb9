//! What became of entries that were moved: for people and for programs, the same in every command.

use crate::output::{Columns, size};
use restow::moving::Tally;
use serde_json::{Map, Value, json};

/// The columns of a tally, without those that are empty in every row.
pub(crate) fn columns(rows: &[(String, Tally)], dry_run: bool) -> Columns {
    type Cell = (&'static str, fn(&Tally) -> u64);
    let written = if dry_run { ">WOULD WRITE" } else { ">WRITTEN" };
    let cells: [Cell; 7] = [
        (">ENTRIES", |t| t.seen),
        (written, |t| t.written),
        (">RENEWED", |t| t.renewed),
        (">PRESENT", |t| t.present),
        (">NEWER THERE", |t| t.newer),
        (">LEFT OUT", |t| t.left_out),
        (">GONE", |t| t.gone),
    ];
    let shown: Vec<Cell> = cells
        .into_iter()
        .enumerate()
        .filter(|(nth, (_, of))| *nth < 2 || rows.iter().any(|(_, tally)| of(tally) > 0))
        .map(|(_, cell)| cell)
        .collect();
    let mut heading = vec!["REPOSITORY"];
    heading.extend(shown.iter().map(|(name, _)| *name));
    heading.push(">SIZE");
    let mut columns = Columns::new(&heading);
    for (name, tally) in rows {
        let mut row = vec![name.clone()];
        row.extend(shown.iter().map(|(_, of)| of(tally).to_string()));
        row.push(size(tally.bytes));
        columns.row(row);
    }
    columns
}

/// A tally as an object, under the name of its repository.
pub(crate) fn object(name: &str, tally: &Tally) -> Map<String, Value> {
    let object = json!({
        "repository": name,
        "seen": tally.seen,
        "written": tally.written,
        "renewed": tally.renewed,
        "present": tally.present,
        "newer": tally.newer,
        "left_out": tally.left_out,
        "gone": tally.gone,
        "bytes": tally.bytes,
    });
    match object {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
