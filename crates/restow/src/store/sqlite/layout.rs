//! A repository's table: the names of its columns, and the statements that make and remove it.

use super::ident::{Ident, Literal, column_name};
use crate::{Field, FieldKind, store::TableSpec};

/// The format of files that this program writes. It grows when an older program could no longer read the file.
pub(super) const FORMAT: i32 = 2;

/// The columns that every table has. A field or declared column of such a name gets another: see [`column_name`].
const FIXED: [&str; 20] = [
    "entry_id",
    "query",
    "partition",
    "variant",
    "generation",
    "label",
    "status",
    "url",
    "stored_at",
    "checked_at",
    "changed_at",
    "expires_at",
    "used_at",
    "size",
    "tags",
    "facts",
    "completeness",
    "headers",
    "body",
    // Since format 2.
    "coding",
];
/// How many of them there were in format 1.
const FIXED_1: usize = 19;

/// Names in SQL of everything that belongs to a repository.
#[derive(Debug)]
pub(super) struct Layout {
    name: Box<str>,
    format: i32,
    pub(super) budgeted: bool,
    pub(super) table: Ident,
    pub(super) view: Ident,
    /// The columns of the key's fields, in their order.
    pub(super) fields: Vec<Ident>,
    /// The declared columns, in their order.
    pub(super) columns: Vec<Ident>,
    kinds: Vec<FieldKind>,
}

impl Layout {
    /// The layout of this program's format.
    pub(super) fn of(spec: &TableSpec) -> Self {
        Self::of_format(spec, FORMAT)
    }

    /// The layout of an older format, for files that are only read, and for those that are brought to this one.
    pub(super) fn of_format(spec: &TableSpec, format: i32) -> Self {
        let name = spec.name.as_str();
        let fixed = fixed(format);
        Self {
            name: name.into(),
            format,
            budgeted: spec.ranked || spec.budget.is_bounded(),
            table: Ident::new(name),
            view: view_name(name),
            fields: spec
                .fields
                .iter()
                .map(|f| column_name("field_", f.name(), fixed))
                .collect(),
            columns: spec
                .columns
                .iter()
                .map(|c| column_name("column_", &c.name, fixed))
                .collect(),
            kinds: spec.fields.iter().map(Field::kind).collect(),
        }
    }

    /// Tells whether entries and bytes are counted in `restow_counts`.
    pub(super) fn is_counted(&self) -> bool {
        self.format >= 2
    }

    /// Tells whether a row says how its header lines and body are coded.
    pub(super) fn is_coded(&self) -> bool {
        self.format >= 2
    }

    /// The columns that identify an entry's address, in the order of the unique index.
    pub(super) fn address(&self) -> impl Iterator<Item = String> {
        self.fields
            .iter()
            .map(ToString::to_string)
            .chain(["query".to_owned(), "partition".to_owned()])
    }

    /// The unique index, named after the fields.
    pub(super) fn identity(&self) -> Ident {
        let fields: Vec<_> = self.fields.iter().map(ToString::to_string).collect();
        Ident::new(&format!("restow_ {} ({})", self.table, fields.join(", ")))
    }

    pub(super) fn create_table(&self) -> String {
        let fields: String = self
            .fields
            .iter()
            .zip(&self.kinds)
            .map(|(name, kind)| format!("{name} {} NOT NULL, ", sql_type(*kind)))
            .collect();
        // Without a type, so that the integer 1 and the text "1" stay two values.
        let columns: String = self.columns.iter().map(|c| format!("{c}, ")).collect();
        // A number given twice would let a scan meet an entry twice: removed, and saved again further on.
        format!(
            "CREATE TABLE {} (entry_id INTEGER PRIMARY KEY AUTOINCREMENT, {fields}\
             query TEXT NOT NULL, partition TEXT NOT NULL, variant BLOB NOT NULL, generation INTEGER NOT NULL, \
             label TEXT, status INTEGER NOT NULL, url TEXT, stored_at INTEGER NOT NULL, checked_at INTEGER NOT NULL, \
             changed_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL, size INTEGER NOT NULL, \
             tags TEXT, facts BLOB NOT NULL, completeness, coding INTEGER NOT NULL DEFAULT 0, {columns}headers NOT NULL, body NOT NULL);",
            self.table
        )
    }

    /// Indexes, trigger and view.
    pub(super) fn create_rest(&self) -> String {
        let table = &self.table;
        let address: Vec<_> = self.address().collect();
        let mut sql = format!(
            "CREATE UNIQUE INDEX {} ON {table} ({}, variant);\
             CREATE INDEX {} ON {table} (expires_at, partition);\
             CREATE TRIGGER {} AFTER DELETE ON {table} WHEN OLD.tags IS NOT NULL BEGIN \
             DELETE FROM restow_tags WHERE repository = {} AND entry_id = OLD.entry_id; END;",
            self.identity(),
            address.join(", "),
            self.index("expires_at"),
            self.trigger("tags"),
            Literal(&self.name),
        );
        sql += &self.create_counting();
        for column in &self.columns {
            sql += &format!(
                "CREATE INDEX {} ON {table} ({column});",
                self.index(column.as_str())
            );
        }
        sql + &self.create_budget_index() + &self.create_view()
    }

    /// The trigger that counts removals, those by hand too; what is added is counted by who adds it, many at once.
    pub(super) fn create_counting(&self) -> String {
        format!(
            "CREATE TRIGGER {} AFTER DELETE ON {} BEGIN \
             UPDATE restow_counts SET entries = entries - 1, bytes = bytes - OLD.size \
             WHERE repository = {} AND partition = OLD.partition; END;",
            self.trigger("counts"),
            self.table,
            Literal(&self.name),
        )
    }

    /// The index that finds what was used least recently; only a budget needs it.
    pub(super) fn create_budget_index(&self) -> String {
        let index = self.index("used_at");
        if self.budgeted {
            format!(
                "CREATE INDEX IF NOT EXISTS {index} ON {} (used_at, size);",
                self.table
            )
        } else {
            format!("DROP INDEX IF EXISTS {index};")
        }
    }

    /// Removes indexes, trigger and view.
    pub(super) fn drop_rest(&self) -> String {
        let mut sql = format!(
            "DROP VIEW IF EXISTS {}; DROP TRIGGER IF EXISTS {}; DROP TRIGGER IF EXISTS {};",
            self.view,
            self.trigger("tags"),
            self.trigger("counts")
        );
        sql += &format!("DROP INDEX IF EXISTS {};", self.identity());
        let names = ["expires_at", "used_at"]
            .into_iter()
            .chain(self.columns.iter().map(Ident::as_str));
        for name in names {
            sql += &format!("DROP INDEX IF EXISTS {};", self.index(name));
        }
        sql
    }

    pub(super) fn drop_all(&self) -> String {
        format!("{} DROP TABLE IF EXISTS {};", self.drop_rest(), self.table)
    }

    fn create_view(&self) -> String {
        let iso = |column: &str| {
            format!("strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch') AS {column}")
        };
        let mut shown = vec!["entry_id".to_owned()];
        shown.extend(
            self.fields
                .iter()
                .map(|f| format!("nullif({f}, x'') AS {f}")),
        );
        shown.push("nullif(query, '') AS query, nullif(partition, '') AS partition".to_owned());
        shown.push("nullif(lower(hex(variant)), '') AS variant, label, status, url".to_owned());
        shown.extend(
            [
                "stored_at",
                "checked_at",
                "changed_at",
                "expires_at",
                "used_at",
            ]
            .map(iso),
        );
        shown.extend(self.columns.iter().map(ToString::to_string));
        shown.push(
            match self.is_coded() {
                true => "size, tags, coding, iif(coding = 0, CAST(headers AS TEXT), headers) AS headers, body",
                false => "size, tags, CAST(headers AS TEXT) AS headers, body",
            }
            .to_owned(),
        );
        format!(
            "CREATE VIEW {} AS SELECT {} FROM {} \
             WHERE expires_at > CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER);",
            self.view,
            shown.join(", "),
            self.table
        )
    }

    /// The view for people over what stands in for the table.
    pub(super) fn create_temporary_view(&self) -> String {
        self.create_view()
            .replacen("CREATE VIEW", "CREATE TEMP VIEW", 1)
    }

    /// Both names quoted, so that no two pairs of names make one; the blank keeps it apart from the names of views.
    pub(super) fn index(&self, of: &str) -> Ident {
        Ident::new(&format!("restow_ {} {}", self.table, Ident::new(of)))
    }

    fn trigger(&self, of: &str) -> Ident {
        Ident::new(&format!("restow_ {} {of}", self.table))
    }
}

/// Returns the column of a key's field.
pub(super) fn field_column(name: &str) -> Ident {
    column_name("field_", name, &FIXED)
}

/// Returns the column of a declared column.
pub(super) fn declared_column(name: &str) -> Ident {
    column_name("column_", name, &FIXED)
}

fn fixed(format: i32) -> &'static [&'static str] {
    match format {
        ..2 => FIXED.split_at(FIXED_1).0,
        _ => &FIXED,
    }
}

pub(super) fn sql_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "TEXT",
        FieldKind::Integer => "INTEGER",
    }
}

/// `restow_<name>`; the names that are taken get the prefix again, which no repository's name can hold.
fn view_name(name: &str) -> Ident {
    let taken = ["meta", "tags", "counts", "dictionaries"]
        .iter()
        .any(|t| name.eq_ignore_ascii_case(t));
    Ident::new(&format!(
        "{}{name}",
        if taken { "restow_restow_" } else { "restow_" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn columns_with_a_fixed_name_get_another_and_no_two_are_one() {
        let cases = [
            ("id", "id", "id"),
            ("STATUS", "field_STATUS", "column_STATUS"),
            ("field_status", "field_field_status", "column_field_status"),
            (
                "column_status",
                "field_column_status",
                "column_column_status",
            ),
            ("field_id", "field_id", "field_id"),
            ("restow_x", "field_restow_x", "column_restow_x"),
        ];
        let mut seen = HashSet::new();
        for (name, field, column) in cases {
            assert_eq!(field_column(name).as_str(), field);
            assert_eq!(declared_column(name).as_str(), column);
            assert!(seen.insert(field.to_lowercase()), "{field}");
            assert!(
                field == column || seen.insert(column.to_lowercase()),
                "{column}"
            );
        }
        for name in FIXED {
            assert_eq!(field_column(name).as_str(), format!("field_{name}"));
        }
    }

    #[test]
    fn views_are_apart_from_the_fixed_tables() {
        assert_eq!(view_name("tracks").as_str(), "restow_tracks");
        assert_eq!(view_name("Meta").as_str(), "restow_restow_Meta");
    }
}
