//! From the table that is held to the one declared.

use super::{OnSchemaChange, TableSpec};
use crate::{Error, ErrorKind, Field, FieldValue, RawKey, Result};
use std::sync::Arc;

const CANNOT: &str = "only added fields that have a default can be migrated; on_schema_change = \"set-aside\" begins a new table";

/// What has to happen to a table before it can be opened as declared.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaChange {
    /// Nothing: its fields and columns are the ones declared.
    None,
    /// Its entries get the fields and columns declared.
    Migrate(Migration),
    /// It is renamed, and a new table is made.
    SetAside,
}

/// Where the fields and columns of a migrated table come from, in the order declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Migration {
    /// The fields.
    pub fields: Vec<FieldSource>,
    /// The columns: the place of the column that is held, `None` for an added one, whose values are absent until an entry is written again.
    pub columns: Vec<Option<usize>>,
}

/// Where a field's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// The field that is held at this place.
    Held(usize),
    /// Added: older entries get this value.
    Added(FieldValue),
}

impl TableSpec {
    /// Returns this declaration with what is taken over from the table that is held: the endpoint's declaration, where there is none here, and the
    /// order of use.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(crate) fn taking_over(&self, held: &Self) -> Self {
        let mut spec = self.clone();
        if spec.declaration.is_empty() {
            spec.declaration = held.declaration.clone();
        }
        // Who opens it without a budget does not know who else has one.
        spec.ranked |= held.ranked;
        spec
    }

    /// Compares the table that is held with this declaration of it.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaMismatch`] with both lists where they differ and [`TableSpec::on_schema_change`] does not let the table change.
    pub fn change_from(&self, held: &Self) -> Result<SchemaChange> {
        if self.fields == held.fields && self.columns == held.columns {
            return Ok(SchemaChange::None);
        }
        match self.on_schema_change {
            OnSchemaChange::SetAside => Ok(SchemaChange::SetAside),
            OnSchemaChange::Refuse if self.migration_from(held).is_some() => Err(self.mismatch(
                held,
                "`restow migrate` changes the table, and so does on_schema_change = \"migrate\"; \"set-aside\" begins a new one",
            )),
            OnSchemaChange::Refuse => Err(self.mismatch(held, CANNOT)),
            OnSchemaChange::Migrate => self
                .migration_from(held)
                .map(SchemaChange::Migrate)
                .ok_or_else(|| self.mismatch(held, CANNOT)),
        }
    }

    fn migration_from(&self, held: &Self) -> Option<Migration> {
        let mut taken = 0;
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in self.fields.iter() {
            if held.fields.get(taken) == Some(field) {
                fields.push(FieldSource::Held(taken));
                taken += 1;
            } else {
                let (_, value) = self.defaults.iter().find(|(n, _)| **n == *field.name())?;
                if !fits(field, value) {
                    return None;
                }
                fields.push(FieldSource::Added(value.clone()));
            }
        }
        let columns = self.columns.iter();
        let columns = columns
            .map(|c| held.columns.iter().position(|h| h == c))
            .collect();
        // A held field that is not declared any more would make different keys alike.
        (taken == held.fields.len()).then_some(Migration { fields, columns })
    }

    fn mismatch(&self, held: &Self, way_out: &str) -> Error {
        let message = format!(
            "declared are fields ({}) and columns ({}), the table has fields ({}) and columns ({}); {way_out}",
            fields(self),
            columns(self),
            fields(held),
            columns(held),
        );
        Error::new(ErrorKind::SchemaMismatch, message).in_repository(self.name.shared())
    }
}

impl Migration {
    /// Returns a held key with the fields declared.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where the added values make it too long.
    pub fn key(&self, held: &RawKey) -> Result<RawKey> {
        let values: Vec<_> = held.fields().collect();
        let fields = self.fields.iter().map(|source| match source {
            FieldSource::Held(i) => values.get(*i).copied().unwrap_or(crate::FieldRef::Absent),
            FieldSource::Added(value) => value.as_ref(),
        });
        RawKey::new(fields, held.query())
    }

    /// Returns the names of the added columns, which older entries have no values for yet.
    pub fn added_columns(&self, declared: &TableSpec) -> Vec<Box<str>> {
        let columns = declared.columns.iter().zip(&self.columns);
        let added = columns.filter(|(_, source)| source.is_none());
        added.map(|(column, _)| column.name.clone()).collect()
    }

    /// Returns an entry's column values in the order declared.
    pub fn columns(&self, held: &[FieldValue]) -> Arc<[FieldValue]> {
        let values = self.columns.iter();
        values
            .map(|source| {
                let value = source.and_then(|i| held.get(i));
                value.cloned().unwrap_or_default()
            })
            .collect()
    }
}

fn fits(field: &Field, value: &FieldValue) -> bool {
    match value.as_ref().kind() {
        None => field.is_optional(),
        Some(kind) => kind == field.kind(),
    }
}

fn fields(spec: &TableSpec) -> String {
    join(spec.fields.iter().map(ToString::to_string))
}

fn columns(spec: &TableSpec) -> String {
    join(
        spec.columns
            .iter()
            .map(|c| format!("{} = {}", c.name, c.pointer)),
    )
}

fn join(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
