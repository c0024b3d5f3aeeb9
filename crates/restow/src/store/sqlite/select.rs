//! Selections as conditions of SQL.

use super::rows::Rows;
use crate::{Condition, FieldRef, Millis, Scope, Selection};
use rusqlite::types::Value;

/// What stands behind `WHERE`, and the values of its parameters.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// How the rows will be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// By the best index.
    Index,
    /// In the order of rows: the index on expiry would have to sort each page anew.
    Walk,
}

impl Filter {
    /// Makes the conditions of a selection.
    pub(super) fn new(rows: &Rows, which: &Selection, now: Millis, plan: Plan) -> Self {
        let mut filter = Self {
            sql: String::new(),
            values: Vec::new(),
        };
        let expires_at = match plan {
            Plan::Index => "expires_at",
            Plan::Walk => "+expires_at",
        };
        let horizon = rows.horizon(now);
        let after = if which.scope == Scope::Live {
            now.max(horizon)
        } else {
            horizon
        };
        filter.and(&format!("{expires_at} > ?"), [after.0.into()]);
        if which.scope == Scope::Expired {
            filter.and(&format!("{expires_at} <= ?"), [now.0.into()]);
        }
        if let Some(partition) = &which.partition {
            filter.and("partition = ?", [partition.as_str().to_owned().into()]);
        }
        for condition in &which.conditions {
            filter.condition(rows, condition);
        }
        if let Some(query) = &which.query {
            filter.and("query = ?", [query.to_string().into()]);
        }
        if let Some(tag) = &which.tag {
            filter.and(
                "entry_id IN (SELECT entry_id FROM restow_tags WHERE repository = ? AND tag = ?)",
                [
                    rows.spec.name.as_str().to_owned().into(),
                    tag.to_string().into(),
                ],
            );
        }
        if let Some(status) = which.status {
            filter.and("status = ?", [i64::from(status).into()]);
        }
        let times = [
            ("stored_at >= ?", which.stored_since),
            ("stored_at < ?", which.stored_before),
            ("changed_at >= ?", which.changed_since),
            ("changed_at < ?", which.changed_before),
        ];
        for (sql, at) in times {
            if let Some(at) = at {
                filter.and(sql, [at.0.into()]);
            }
        }
        filter
    }

    fn condition(&mut self, rows: &Rows, condition: &Condition) {
        let (name, value) = (&*condition.name, condition.value.as_ref());
        let mut fields = rows.spec.fields.iter().zip(&rows.layout.fields);
        let mut columns = rows.spec.columns.iter().zip(&rows.layout.columns);
        let field = fields.find(|(field, _)| field.name() == name);
        if let Some((field, column)) = field {
            // SQLite would find the text '1' by the integer 1; they are two values.
            if value.kind().is_some_and(|kind| kind != field.kind()) {
                self.and("0", []);
            } else {
                self.and(&format!("{column} = ?"), [owned(value)]);
            }
            return;
        }
        match columns.find(|(column, _)| *column.name == *name) {
            None => self.and("0", []),
            Some((_, column)) if value == FieldRef::Absent => {
                self.and(&format!("{column} IS NULL"), []);
            }
            Some((_, column)) => self.and(&format!("{column} = ?"), [owned(value)]),
        }
    }

    fn and<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        if !self.sql.is_empty() {
            self.sql += " AND ";
        }
        self.sql += sql;
        self.values.extend(values);
    }
}

fn owned(value: FieldRef<'_>) -> Value {
    match value {
        FieldRef::Absent => Value::Blob(Vec::new()),
        FieldRef::Text(text) => text.to_owned().into(),
        FieldRef::Integer(i) => i.into(),
    }
}
