//! A repository's table: the names of its columns, and the statements that make and remove it.

use crate::{
    Error, ErrorKind, Field, FieldKind, Result,
    store::{
        TableSpec,
        ident::{Ident, column_name},
    },
};
use xxhash_rust::xxh3::xxh3_64;

/// The format that this program reads and writes. It grows when an older program could no longer read a table.
pub(super) const FORMAT: i32 = 1;

/// The longest name; PostgreSQL would cut a longer one.
const MAX_NAME: usize = 63;

/// The columns that every table has, and those that PostgreSQL gives every table. A field or declared column of such a name gets another:
/// see [`column_name`].
const FIXED: [&str; 25] = [
    "variant",
    "query",
    "partition",
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
    "tableoid",
    "ctid",
    "xmin",
    "xmax",
    "cmin",
    "cmax",
    "oid",
];

/// Where a store's tables are: in a schema, under names with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) schema: Ident,
    prefix: Box<str>,
}

impl Area {
    pub(super) fn new(schema: &str, prefix: &str) -> Self {
        Self {
            schema: Ident::new(schema),
            prefix: prefix.into(),
        }
    }

    /// One of the store's own tables, with the schema.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{}.{}", self.schema, self.named(&format!("restow_{name}")))
    }

    /// A number for what must not be done twice at once here.
    pub(super) fn number(&self) -> u64 {
        xxh3_64(format!("restow {} {}", self.schema, self.prefix).as_bytes())
    }

    fn named(&self, name: &str) -> Ident {
        Ident::new(&format!("{}{name}", self.prefix))
    }
}

/// Names in SQL of everything that belongs to a repository.
#[derive(Debug)]
pub(super) struct Layout {
    area: Area,
    pub(super) budgeted: bool,
    name: Ident,
    view: Ident,
    /// The table, with its schema.
    pub(super) table: String,
    /// The column that addresses are found by. It is named after the fields, so that where another program changed them statements fail
    /// instead of taking the entries of several keys for those of one.
    pub(super) address: Ident,
    /// The columns of the key's fields, in their order.
    pub(super) fields: Vec<Ident>,
    /// The declared columns, in their order.
    pub(super) columns: Vec<Ident>,
    types: Vec<String>,
}

impl Layout {
    pub(super) fn of(area: &Area, spec: &TableSpec) -> Self {
        let name = area.named(spec.name.as_str());
        Self {
            budgeted: spec.ranked || spec.budget.is_bounded(),
            view: area.named(&view_name(spec.name.as_str())),
            table: format!("{}.{name}", area.schema),
            name,
            address: address_column(&spec.fields),
            fields: spec.fields.iter().map(|f| field_column(f.name())).collect(),
            columns: spec
                .columns
                .iter()
                .map(|c| declared_column(&c.name))
                .collect(),
            types: spec.fields.iter().map(field_type).collect(),
            area: area.clone(),
        }
    }

    /// Checks that no name is so long that PostgreSQL would cut it.
    pub(super) fn check(&self) -> Result<()> {
        let names = [&self.name, &self.view]
            .into_iter()
            .chain(&self.fields)
            .chain(&self.columns);
        match names
            .into_iter()
            .find(|name| name.as_str().len() > MAX_NAME)
        {
            None => Ok(()),
            Some(long) => Err(Error::new(
                ErrorKind::Name,
                format!(
                    "the name {:?} is longer than the {MAX_NAME} bytes that PostgreSQL keeps; choose a shorter one, or a shorter prefix=",
                    long.as_str()
                ),
            )),
        }
    }

    pub(super) fn create_table(&self) -> String {
        let fields: String = self
            .fields
            .iter()
            .zip(&self.types)
            .map(|(name, ty)| format!("{name} {ty}, "))
            .collect();
        // Of one type that tells the integer 1 from the text "1".
        let columns: String = self
            .columns
            .iter()
            .map(|c| format!("{c} JSONB, "))
            .collect();
        let (table, address) = (&self.table, &self.address);
        format!(
            "CREATE TABLE {table} ({address} BYTEA NOT NULL, variant BYTEA NOT NULL, generation BIGINT NOT NULL, \
             stored_at BIGINT NOT NULL, checked_at BIGINT NOT NULL, changed_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, \
             used_at BIGINT NOT NULL, size BIGINT NOT NULL, status INTEGER NOT NULL, completeness INTEGER, {fields}\
             query TEXT COLLATE \"C\" NOT NULL, partition TEXT COLLATE \"C\" NOT NULL, label TEXT COLLATE \"C\", url TEXT COLLATE \"C\", \
             tags JSONB, {columns}facts BYTEA NOT NULL, headers BYTEA NOT NULL, body BYTEA NOT NULL) \
             WITH (toast_tuple_target = 4080);\n\
             ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN headers SET STORAGE EXTERNAL, \
             ALTER COLUMN facts SET STORAGE MAIN;"
        )
    }

    /// Indexes and view.
    pub(super) fn create_rest(&self) -> String {
        let table = &self.table;
        let mut sql = format!(
            "CREATE UNIQUE INDEX {} ON {table} ({}, variant);\n\
             CREATE INDEX {} ON {table} ({}) WHERE variant <> '';\n\
             CREATE INDEX {} ON {table} (expires_at, partition);\n\
             CREATE INDEX {} ON {table} USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL;\n",
            self.index("key"),
            self.address,
            self.index("variants"),
            self.address,
            self.index("expires_at"),
            self.index("tags"),
        );
        for column in &self.columns {
            // What is longer than an entry of an index is found by its beginning.
            sql += &format!(
                "CREATE INDEX {} ON {table} ({});\n",
                self.index(&column.to_string()),
                indexed(column)
            );
        }
        if self.budgeted {
            sql += &self.change_budget_index();
        }
        sql + &self.create_view()
    }

    /// Makes the index that finds what was used least recently, or removes it: only a budget needs it.
    pub(super) fn change_budget_index(&self) -> String {
        let index = self.index("used_at");
        if self.budgeted {
            format!(
                "CREATE INDEX IF NOT EXISTS {index} ON {} (used_at, size);\n",
                self.table
            )
        } else {
            format!("DROP INDEX IF EXISTS {}.{index};\n", self.area.schema)
        }
    }

    /// Removes indexes and view.
    pub(super) fn drop_rest(&self) -> String {
        let mut sql = format!("DROP VIEW IF EXISTS {}.{};", self.area.schema, self.view);
        let names = ["key", "variants", "expires_at", "tags", "used_at"].map(str::to_owned);
        for name in names
            .into_iter()
            .chain(self.columns.iter().map(ToString::to_string))
        {
            sql += &format!(
                "DROP INDEX IF EXISTS {}.{};\n",
                self.area.schema,
                self.index(&name)
            );
        }
        sql
    }

    pub(super) fn drop_all(&self) -> String {
        format!("{} DROP TABLE IF EXISTS {};", self.drop_rest(), self.table)
    }

    /// Gives the table the name of another layout.
    pub(super) fn rename_to(&self, other: &Self) -> String {
        format!("ALTER TABLE {} RENAME TO {};", self.table, other.name)
    }

    fn create_view(&self) -> String {
        let iso = |column: &str| {
            format!(
                "CASE WHEN {column} BETWEEN -62135596800000 AND 253402300799999 THEN \
                 to_char(to_timestamp({column} / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END AS {column}"
            )
        };
        let mut shown: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        shown.push("nullif(query, '') AS query, nullif(partition, '') AS partition".to_owned());
        shown.push("nullif(encode(variant, 'hex'), '') AS variant, label, status, url".to_owned());
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
        shown.extend(
            self.columns
                .iter()
                .map(|c| format!("{c} #>> '{{}}' AS {c}")),
        );
        shown.push(
            "size, tags, encode(headers, 'escape') AS headers, encode(body, 'escape') AS body"
                .to_owned(),
        );
        format!(
            "CREATE VIEW {}.{} AS SELECT {} FROM {} WHERE expires_at > extract(epoch FROM now()) * 1000;\n",
            self.area.schema,
            self.view,
            shown.join(", "),
            self.table
        )
    }

    /// The blank keeps it apart from the names of views. One that would be too long is a digest.
    fn index(&self, of: &str) -> Ident {
        let name = format!("restow_ {} {of}", self.name);
        match name.len() {
            ..=MAX_NAME => Ident::new(&name),
            _ => Ident::new(&format!("restow_ {:016x}", xxh3_64(name.as_bytes()))),
        }
    }
}

/// What is indexed of a declared column.
pub(super) fn indexed(column: &Ident) -> String {
    format!("left({column} #>> '{{}}', 200)")
}

/// Returns the column that addresses of these fields are found by.
pub(super) fn address_column(fields: &[Field]) -> Ident {
    let names: Vec<_> = fields
        .iter()
        .map(|f| format!("{:?} {}", f.name(), sql_type(f.kind())))
        .collect();
    let digest = xxh3_64(names.join(",").as_bytes());
    Ident::new(&format!("restow_key_{:08x}", digest >> 32))
}

/// Returns the column of a key's field.
pub(super) fn field_column(name: &str) -> Ident {
    column_name("field_", name, &FIXED)
}

/// Returns the column of a declared column.
pub(super) fn declared_column(name: &str) -> Ident {
    column_name("column_", name, &FIXED)
}

/// The type of a field's column, and whether it may be absent.
pub(super) fn field_type(field: &Field) -> String {
    let not_null = if field.is_optional() { "" } else { " NOT NULL" };
    format!("{}{not_null}", sql_type(field.kind()))
}

fn sql_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "TEXT COLLATE \"C\"",
        FieldKind::Integer => "BIGINT",
    }
}

/// `restow_<name>`; the names that are taken get the prefix again, which no repository's name can hold.
fn view_name(name: &str) -> String {
    let taken = ["meta", "leases", "fences"].contains(&name);
    format!("{}{name}", if taken { "restow_restow_" } else { "restow_" })
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
            ("ctid", "field_ctid", "column_ctid"),
            ("field_status", "field_field_status", "column_field_status"),
            ("field_id", "field_id", "field_id"),
            ("restow_key_0", "field_restow_key_0", "column_restow_key_0"),
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
    }

    #[test]
    fn names_that_would_be_cut_are_refused() {
        let spec = TableSpec::new(
            &"n".repeat(48),
            [Field::new("f".repeat(48), FieldKind::Text)],
        )
        .unwrap();
        Layout::of(&Area::new("restow", "short_"), &spec)
            .check()
            .unwrap();
        let error = Layout::of(&Area::new("restow", &"p".repeat(16)), &spec)
            .check()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Name);
    }

    #[test]
    fn other_fields_are_found_by_another_column() {
        let columns = [
            &[][..],
            &[Field::text("a")],
            &[Field::integer("a")],
            &[Field::text("a"), Field::text("b")],
            &[Field::text("b"), Field::text("a")],
        ];
        let columns: HashSet<_> = columns.map(address_column).into_iter().collect();
        assert_eq!(columns.len(), 5);
    }
}
