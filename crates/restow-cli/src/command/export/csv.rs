//! Entries as a table for people: comma-separated values.

use crate::{entries, exit::Failure, output::iso};
use futures_util::TryStreamExt as _;
use restow::{
    AnyRepository, FieldRef, FieldValue, Millis,
    entry::{Entry, Variant},
    repository::{Select, Untyped},
};
use std::{collections::BTreeSet, io::Write};

/// The columns before and behind those that the repositories declare.
const BEFORE: [&str; 1] = ["repository"];
const BEHIND: [&str; 12] = [
    "query",
    "partition",
    "variant",
    "status",
    "label",
    "url",
    "stored_at",
    "checked_at",
    "changed_at",
    "expires_at",
    "size",
    "tags",
];
const BODY: &str = "body";

/// Writes a row for each entry; returns how many there were.
pub(super) async fn write(
    selected: &[(AnyRepository, Select<Untyped>)],
    bodies: bool,
    to: impl Write,
) -> Result<u64, Failure> {
    let declared = Declared::of(selected);
    let mut writer = csv::Writer::from_writer(to);
    let mut heading: Vec<String> = BEFORE.map(str::to_owned).to_vec();
    heading.extend(
        declared
            .fields
            .iter()
            .map(|name| declared.heading("field", name)),
    );
    heading.extend(BEHIND.map(str::to_owned));
    heading.extend(
        declared
            .columns
            .iter()
            .map(|name| declared.heading("column", name)),
    );
    if bodies {
        heading.push(BODY.to_owned());
    }
    writer.write_record(&heading).map_err(failed)?;
    let mut count = 0;
    for (repository, select) in selected {
        let mut entries = match bodies {
            true => select.whole_entries(),
            false => select.entries(),
        };
        while let Some(entry) = entries.try_next().await? {
            writer
                .write_record(declared.row(repository, &entry, bodies))
                .map_err(failed)?;
            count += 1;
        }
    }
    writer.flush()?;
    Ok(count)
}

/// The fields and columns of all repositories, each name once.
struct Declared {
    fields: Vec<String>,
    columns: Vec<String>,
}

impl Declared {
    fn of(selected: &[(AnyRepository, Select<Untyped>)]) -> Self {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for (repository, _) in selected {
            let declaration = repository.endpoint().inner().declaration();
            for field in declaration.fields.iter() {
                if seen.insert(("field", field.name().to_owned())) {
                    fields.push(field.name().to_owned());
                }
            }
            for column in &declaration.columns {
                if seen.insert(("column", column.name.to_string())) {
                    columns.push(column.name.to_string());
                }
            }
        }
        Self { fields, columns }
    }

    /// The heading of a declared name: with what it is before it where another heading has that name.
    fn heading(&self, what: &str, name: &str) -> String {
        let others = match what {
            "field" => &self.columns,
            _ => &self.fields,
        };
        let taken = BEFORE.iter().chain(&BEHIND).any(|fixed| *fixed == name) || name == BODY;
        if taken || others.iter().any(|other| other == name) {
            return format!("{what}_{name}");
        }
        name.to_owned()
    }

    fn row(&self, repository: &AnyRepository, entry: &Entry, bodies: bool) -> Vec<String> {
        let declaration = repository.endpoint().inner().declaration();
        let (meta, address) = (&entry.meta, &entry.id.address);
        let key: Vec<_> = declaration
            .fields
            .iter()
            .zip(address.key.fields())
            .collect();
        let mut row = vec![repository.name().to_owned()];
        row.extend(self.fields.iter().map(|name| {
            let value = key.iter().find(|(field, _)| field.name() == name);
            value.map_or_else(String::new, |(_, value)| cell(*value))
        }));
        let time = |at: Millis| iso(at).unwrap_or_default();
        row.extend([
            address.key.query().to_owned(),
            entries::owner(&address.partition),
            match entry.id.variant {
                Variant::NONE => String::new(),
                variant => format!("{:032x}", variant.0),
            },
            meta.head.status().as_u16().to_string(),
            meta.label.as_deref().unwrap_or_default().to_owned(),
            entries::url(repository, entry).unwrap_or_default(),
            time(meta.stored_at),
            time(meta.checked_at),
            time(meta.changed_at),
            time(meta.expires_at),
            meta.seal.len.to_string(),
            meta.tags.join(" "),
        ]);
        row.extend(self.columns.iter().map(|name| {
            let mut held = declaration.columns.iter().zip(meta.columns.iter());
            let value = held.find(|(column, _)| *column.name == **name);
            value.map_or_else(String::new, |(_, value)| cell(FieldValue::as_ref(value)))
        }));
        if bodies {
            row.push(match std::str::from_utf8(&entry.body) {
                Ok(text) => text.to_owned(),
                Err(_) => entry
                    .body
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            });
        }
        row
    }
}

fn cell(value: FieldRef<'_>) -> String {
    match value {
        FieldRef::Absent => String::new(),
        value => value.to_string(),
    }
}

fn failed(error: csv::Error) -> Failure {
    std::io::Error::from(error).into()
}
