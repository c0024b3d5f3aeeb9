//! Selections as conditions of SQL.

use super::{
    layout::indexed,
    rows::Rows,
    values::{Json, Place, Values, escape},
};
use crate::{Condition, FieldRef, Millis, Scope, Selection};
use tokio_postgres::types::Type;

/// What stands behind `WHERE`, and its parameters.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) types: Vec<Type>,
    given: Vec<Given>,
}

#[derive(Clone, Debug)]
enum Given {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    Json(Json),
}

impl Filter {
    /// Makes the conditions of a selection.
    pub(super) fn new(rows: &Rows, which: &Selection, now: Millis) -> Self {
        let horizon = rows.horizon(now);
        let mut filter = Self {
            // Fails where another program changed the table's fields since it was opened.
            sql: format!(
                "(SELECT {} FROM {} LIMIT 0) IS NULL",
                rows.layout.address, rows.layout.table
            ),
            types: Vec::new(),
            given: Vec::new(),
        };
        let after = match which.scope {
            Scope::Live => now.max(horizon),
            Scope::All | Scope::Expired => horizon,
        };
        filter.and("expires_at > %", Given::Number(after.0));
        if which.scope == Scope::Expired {
            filter.and("expires_at <= %", Given::Number(now.0));
        }
        if let Some(partition) = &which.partition {
            filter.and("partition = %", text(partition.as_str()));
        }
        for condition in &which.conditions {
            filter.condition(rows, condition);
        }
        if let Some(query) = &which.query {
            filter.and("query = %", text(query));
        }
        if let Some(tag) = &which.tag {
            filter.tag(tag);
        }
        if let Some(status) = which.status {
            filter.and("status = %", Given::Number(i64::from(status)));
        }
        let times = [
            ("stored_at >= %", which.stored_since),
            ("stored_at < %", which.stored_before),
            ("changed_at >= %", which.changed_since),
            ("changed_at < %", which.changed_before),
        ];
        for (sql, at) in times {
            if let Some(at) = at {
                filter.and(sql, Given::Number(at.0));
            }
        }
        filter
    }

    /// The values of its parameters.
    pub(super) fn values(&self) -> Values {
        let value = |given: &Given| match given.clone() {
            Given::Number(number) => Box::new(number) as _,
            Given::Text(text) => Box::new(text) as _,
            Given::Bytes(bytes) => Box::new(bytes) as _,
            Given::Json(json) => Box::new(json) as _,
        };
        self.given.iter().map(value).collect()
    }

    fn condition(&mut self, rows: &Rows, condition: &Condition) {
        let (name, value) = (&*condition.name, condition.value.as_ref());
        if let Some(nth) = rows
            .spec
            .fields
            .iter()
            .position(|field| field.name() == name)
        {
            self.field(rows, nth, value);
            return;
        }
        let mut columns = rows.spec.columns.iter().zip(&rows.layout.columns);
        match columns.find(|(column, _)| *column.name == *name) {
            None => self.never(),
            Some((_, column)) => self.column(&column.to_string(), &indexed(column), value),
        }
    }

    fn field(&mut self, rows: &Rows, nth: usize, value: FieldRef<'_>) {
        let (Some(field), Some(column)) = (rows.spec.fields.get(nth), rows.layout.fields.get(nth))
        else {
            return self.never();
        };
        if value.kind().is_some_and(|kind| kind != field.kind()) {
            return self.never();
        }
        if nth == 0 {
            // The index is over places, and those of one first field are beside each other.
            let address = &rows.layout.address;
            let (from, to) = Place::range(value);
            self.and(&format!("{address} >= %"), Given::Bytes(from));
            if let Some(to) = to {
                self.and(&format!("{address} < %"), Given::Bytes(to));
            }
        }
        match value {
            FieldRef::Absent => self.sql += &format!(" AND {column} IS NULL"),
            FieldRef::Integer(number) => self.and(&format!("{column} = %"), Given::Number(number)),
            FieldRef::Text(value) => self.and(&format!("{column} = %"), text(value)),
        }
    }

    fn column(&mut self, column: &str, indexed: &str, value: FieldRef<'_>) {
        match Json::of_value(value) {
            None => self.sql += &format!(" AND {column} IS NULL AND {indexed} IS NULL"),
            Some(json) => {
                let plain = match value {
                    FieldRef::Text(value) => text(value),
                    other => Given::Text(other.to_string()),
                };
                self.and(&format!("{indexed} = left(%, 200)"), plain);
                self.and(&format!("{column} = %"), Given::Json(json));
            }
        }
    }

    fn tag(&mut self, tag: &str) {
        // The index is of rows that have tags.
        self.sql += " AND tags IS NOT NULL";
        if let Some(json) = Json::of_tags(&[tag.into()]) {
            self.and("tags @> %", Given::Json(json));
        }
    }

    fn never(&mut self) {
        self.sql += " AND false";
    }

    /// Adds a condition; `%` stands for the parameter.
    fn and(&mut self, sql: &str, given: Given) {
        let number = self.given.len() + 1;
        // A name may hold the mark: the last one is the parameter's.
        let (before, after) = sql.rsplit_once('%').unwrap_or((sql, ""));
        self.sql += &format!(" AND {before}${number}{after}");
        self.types.push(match given {
            Given::Number(_) => Type::INT8,
            Given::Text(_) => Type::TEXT,
            Given::Bytes(_) => Type::BYTEA,
            Given::Json(_) => Type::JSONB,
        });
        self.given.push(given);
    }
}

fn text(text: &str) -> Given {
    Given::Text(escape(text).into_owned())
}
