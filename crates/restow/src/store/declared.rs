//! The spec of a table as JSON, so that a file says what is in it.

use crate::{
    Error, ErrorKind, Field, FieldKind, FieldValue, Millis, Result,
    store::{Budget, Column, Compression, OnSchemaChange, TableName, TableSpec},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    method: String,
    fields: Vec<StoredField>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    defaults: Vec<(Box<str>, StoredValue)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<StoredColumn>,
    codec: String,
    keep_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_entries: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    ranked: bool,
    max_variants: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compression: Option<StoredCompression>,
    on_schema_change: StoredChange,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    declaration: String,
}

#[derive(Serialize, Deserialize)]
struct StoredField {
    name: String,
    kind: StoredKind,
    #[serde(default)]
    optional: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredColumn {
    name: Box<str>,
    pointer: Box<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredKind {
    Text,
    Integer,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredChange {
    Refuse,
    Migrate,
    SetAside,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredCompression {
    Zstd,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredValue {
    Absent,
    Integer(i64),
    Text(Box<str>),
}

/// Writes a spec.
pub(crate) fn write(spec: &TableSpec) -> String {
    let stored = Stored {
        name: spec.name.as_str().to_owned(),
        method: spec.method.as_str().to_owned(),
        fields: spec.fields.iter().map(store_field).collect(),
        defaults: spec
            .defaults
            .iter()
            .map(|(name, value)| (name.clone(), store_value(value)))
            .collect(),
        columns: spec
            .columns
            .iter()
            .map(|c| StoredColumn {
                name: c.name.clone(),
                pointer: c.pointer.clone(),
            })
            .collect(),
        codec: spec.codec.as_ref().to_owned(),
        keep_ms: Millis(0).plus(spec.keep).0,
        max_bytes: spec.budget.bytes,
        max_entries: spec.budget.entries,
        ranked: spec.ranked,
        max_variants: spec.max_variants,
        compression: match spec.compression {
            Compression::None => None,
            Compression::Zstd => Some(StoredCompression::Zstd),
        },
        on_schema_change: match spec.on_schema_change {
            OnSchemaChange::Refuse => StoredChange::Refuse,
            OnSchemaChange::Migrate => StoredChange::Migrate,
            OnSchemaChange::SetAside => StoredChange::SetAside,
        },
        declaration: spec.declaration.as_ref().to_owned(),
    };
    // Maps with keys that are not text are all that JSON cannot hold.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads a spec.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it is not one.
pub(crate) fn read(json: &str) -> Result<TableSpec> {
    let corrupt = || {
        Error::new(
            ErrorKind::Corrupt,
            "the store holds a declaration of a repository that cannot be read; restore the store from a backup, or begin a new one",
        )
    };
    let stored: Stored = serde_json::from_str(json).map_err(|e| corrupt().with_source(e))?;
    let spec = TableSpec {
        name: TableName::new(&stored.name)?,
        method: stored.method.parse().map_err(|_| corrupt())?,
        fields: stored.fields.into_iter().map(load_field).collect(),
        defaults: stored
            .defaults
            .into_iter()
            .map(|(name, value)| (name, load_value(value)))
            .collect(),
        columns: stored
            .columns
            .into_iter()
            .map(|c| Column {
                name: c.name,
                pointer: c.pointer,
            })
            .collect(),
        codec: stored.codec.into(),
        keep: Duration::from_millis(u64::try_from(stored.keep_ms).map_err(|_| corrupt())?),
        budget: Budget {
            bytes: stored.max_bytes,
            entries: stored.max_entries,
        },
        ranked: stored.ranked,
        max_variants: stored.max_variants,
        compression: match stored.compression {
            None => Compression::None,
            Some(StoredCompression::Zstd) => Compression::Zstd,
        },
        on_schema_change: match stored.on_schema_change {
            StoredChange::Refuse => OnSchemaChange::Refuse,
            StoredChange::Migrate => OnSchemaChange::Migrate,
            StoredChange::SetAside => OnSchemaChange::SetAside,
        },
        declaration: stored.declaration.into(),
    };
    spec.check()?;
    Ok(spec)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn store_field(field: &Field) -> StoredField {
    StoredField {
        name: field.name().to_owned(),
        kind: match field.kind() {
            FieldKind::Text => StoredKind::Text,
            FieldKind::Integer => StoredKind::Integer,
        },
        optional: field.is_optional(),
    }
}

fn load_field(stored: StoredField) -> Field {
    let kind = match stored.kind {
        StoredKind::Text => FieldKind::Text,
        StoredKind::Integer => FieldKind::Integer,
    };
    let field = Field::new(stored.name, kind);
    if stored.optional {
        field.optional()
    } else {
        field
    }
}

fn store_value(value: &FieldValue) -> StoredValue {
    match value {
        FieldValue::Absent => StoredValue::Absent,
        FieldValue::Text(text) => StoredValue::Text(text.clone()),
        FieldValue::Integer(i) => StoredValue::Integer(*i),
    }
}

fn load_value(stored: StoredValue) -> FieldValue {
    match stored {
        StoredValue::Absent => FieldValue::Absent,
        StoredValue::Text(text) => FieldValue::Text(text),
        StoredValue::Integer(i) => FieldValue::Integer(i),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut spec = TableSpec::new(
            "my \"repo\"",
            vec![Field::text("id"), Field::integer("offset").optional()],
        )
        .unwrap();
        assert_eq!(read(&write(&spec)).unwrap(), spec);
        spec.method = http::Method::POST;
        spec.defaults = [
            ("a".into(), FieldValue::Absent),
            ("b".into(), FieldValue::Integer(-1)),
            ("c".into(), FieldValue::from("GB")),
        ]
        .into();
        spec.columns = [Column {
            name: "artist".into(),
            pointer: "/a/0".into(),
        }]
        .into();
        spec.keep = Duration::from_millis(1);
        spec.budget = Budget {
            bytes: Some(u64::MAX),
            entries: Some(3),
        };
        spec.ranked = true;
        spec.compression = Compression::Zstd;
        spec.on_schema_change = OnSchemaChange::SetAside;
        spec.declaration = "{\"a\":1}".into();
        assert_eq!(read(&write(&spec)).unwrap(), spec);
    }

    #[test]
    fn what_is_not_a_spec_is_refused() {
        for json in ["", "{}", "[1]"] {
            assert_eq!(read(json).unwrap_err().kind(), ErrorKind::Corrupt, "{json}");
        }
    }
}
