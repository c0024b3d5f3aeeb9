//! Rows and entries: how one becomes the other.

use super::{
    coding::{Coder, Length},
    error::Attempt,
    layout::{FORMAT, Layout},
};
use crate::{
    FieldRef, FieldValue, Millis, RawKey,
    entry::{self, Address, Entry, EntryId, Generation, Meta, Partition, Record, Seal, Variant},
    store::{Parts, TableSpec, uses::is_use_due},
};
use bytes::Bytes;
use rusqlite::{
    Connection, Row, Statement, ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};
use std::sync::Arc;

/// The columns that a 304 may change, in the order in which [`Binder::meta`] binds them; then the declared ones.
const META: &str = "generation, label, status, url, stored_at, checked_at, changed_at, expires_at, used_at, size, tags, facts, coding, headers";
const META_COLUMNS: usize = 14;

/// A table's spec with its statements, made once.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) spec: TableSpec,
    pub(super) layout: Layout,
    pub(super) coder: Coder,
    read: [String; 3],
    pub(super) variants: String,
    pub(super) insert: String,
    pub(super) replace: String,
    pub(super) renew: String,
    pub(super) delete: String,
    pub(super) delete_row: String,
    /// Finds no row, and fails where the table's fields are no longer these.
    shape: String,
    /// Writes a use; shared with the uses noted.
    pub(super) used: Arc<str>,
}

/// What a read came upon besides the answer.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Rows whose use is worth a note.
    pub(super) used: Vec<i64>,
    /// Damaged rows, with the generation they had.
    pub(super) damaged: Vec<(i64, i64)>,
}

impl Rows {
    pub(super) fn new(spec: TableSpec) -> Self {
        Self::of_format(spec, FORMAT)
    }

    /// For files of an older format that are only read.
    pub(super) fn of_format(spec: TableSpec, format: i32) -> Self {
        let layout = Layout::of_format(&spec, format);
        let table = &layout.table;
        // The index is named after the fields: where another program changed them, these statements fail
        // instead of taking the entries of several keys for those of one.
        let identity = layout.identity();
        let address: Vec<_> = layout.address().collect();
        let at: Vec<_> = (1..)
            .zip(&address)
            .map(|(i, name)| format!("{name} = ?{i}"))
            .collect();
        let at = at.join(" AND ");
        let meta: Vec<String> = META
            .split(", ")
            .map(str::to_owned)
            .chain(layout.columns.iter().map(ToString::to_string))
            .collect();
        let set: Vec<_> = (1..)
            .zip(&meta)
            .map(|(i, name)| format!("{name} = ?{i}"))
            .collect();
        let set = set.join(", ");
        let all = meta.len() + 1 + address.len() + 1;
        let marks: Vec<_> = (1..=all).map(|i| format!("?{i}")).collect();
        let read = |parts| {
            format!(
                "SELECT {} FROM {table} INDEXED BY {identity} WHERE {at} AND expires_at > ?{}",
                selected(&layout, parts),
                address.len() + 1
            )
        };
        Self {
            read: [Parts::Meta, Parts::Body, Parts::Whole].map(read),
            variants: format!(
                "SELECT entry_id, variant, generation, stored_at, changed_at, expires_at, tags IS NOT NULL, facts, size, coding FROM {table} INDEXED BY {identity} WHERE {at}"
            ),
            insert: format!(
                "INSERT INTO {table} ({}, body, {}, variant) VALUES ({})",
                meta.join(", "),
                address.join(", "),
                marks.join(", ")
            ),
            replace: format!(
                "UPDATE {table} SET {set}, body = ?{} WHERE entry_id = ?{}",
                meta.len() + 1,
                meta.len() + 2
            ),
            renew: format!(
                "UPDATE {table} SET {set} WHERE entry_id = ?{}",
                meta.len() + 1
            ),
            delete: format!(
                "DELETE FROM {table} INDEXED BY {identity} WHERE {at} RETURNING expires_at"
            ),
            delete_row: format!("DELETE FROM {table} WHERE entry_id = ?1 AND generation = ?2"),
            shape: format!("SELECT NULL FROM {table} INDEXED BY {identity} LIMIT 0"),
            used: format!("UPDATE {table} SET used_at = max(used_at, ?1) WHERE entry_id = ?2")
                .into(),
            coder: Coder::new(&spec),
            layout,
            spec,
        }
    }

    /// The statement that reads an address: its columns, then the moment that retained entries expire after.
    pub(super) fn read(&self, parts: Parts) -> &str {
        let [meta, body, whole] = &self.read;
        match parts {
            Parts::Meta => meta,
            Parts::Body => body,
            Parts::Whole => whole,
        }
    }

    /// Fails where another program changed the table's fields since it was opened.
    pub(super) fn check_shape(&self, conn: &Connection) -> Attempt<()> {
        conn.prepare_cached(&self.shape)?.query([])?.next()?;
        Ok(())
    }

    /// The columns that [`entry`](Self::entry) and [`address`](Self::address) read.
    pub(super) fn selected_with_address(&self, parts: Parts) -> String {
        let address: Vec<_> = self.layout.address().collect();
        format!("{}, {}", selected(&self.layout, parts), address.join(", "))
    }

    /// The moment that retained entries expire after.
    pub(super) fn horizon(&self, now: Millis) -> Millis {
        now.minus(self.spec.keep)
    }

    pub(super) fn is_retained(&self, expires_at: Millis, now: Millis) -> bool {
        expires_at > self.horizon(now)
    }

    /// Makes the entry of a row; `None` where it is damaged, which is noted.
    pub(super) fn entry(
        &self,
        conn: &Connection,
        row: &Row<'_>,
        parts: Parts,
        address: &Address,
        now: Millis,
        notices: &mut Notices,
    ) -> Attempt<Option<Arc<Entry>>> {
        let (row_id, generation): (i64, i64) = (row.get(0)?, row.get(2).unwrap_or(0));
        let entry = self.decode(conn, row, parts, address);
        if entry.is_none() {
            // What is stored is nobody's business in a log.
            tracing::warn!(repository = %self.spec.name, row = row_id, "a stored entry is damaged; it counts as a miss and is removed");
            notices.damaged.push((row_id, generation));
        } else {
            let used_at = Millis(row.get(9).unwrap_or(0));
            if is_use_due(used_at, now, self.layout.budgeted) {
                notices.used.push(row_id);
            }
        }
        Ok(entry.map(Arc::new))
    }

    /// Makes the entry of a row; `None` where anything in it does not verify.
    pub(super) fn decode(
        &self,
        conn: &Connection,
        row: &Row<'_>,
        parts: Parts,
        address: &Address,
    ) -> Option<Entry> {
        let time = |column| row.get(column).ok().map(Millis);
        let record = Record::decode(blob(row, 11)?).ok()?;
        let id = EntryId {
            address: address.clone(),
            variant: Variant::from_bytes(blob(row, 1)?)?,
        };
        let name = self.spec.name.sealed();
        record.verify_id(&id, name, &self.spec.fields).ok()?;
        let seal = record.seal();
        let coding = row.get(15).ok()?;
        let decode = |stored, length| self.coder.decode(conn, coding, stored, length);
        let body = match parts {
            Parts::Meta => Bytes::new(),
            Parts::Body | Parts::Whole => {
                let body = decode(blob(row, 14)?, Length::Exactly(seal.len))?;
                record.verify_body(&body).ok()?;
                body
            }
        };
        let head = match parts {
            Parts::Body => record.into_bare_head(),
            Parts::Meta | Parts::Whole => {
                let url = text(row, 12)?.map(Arc::from);
                let lines = decode(blob(row, 13)?, Length::Head)?;
                record.into_head(row.get(4).ok()?, url, lines).ok()?
            }
        };
        // What is beside a body that is wanted alone was not asked for.
        let bare = parts == Parts::Body;
        let stored_at = time(5)?;
        let tags = match if bare { None } else { text(row, 10)? } {
            None => entry::no_tags(),
            Some(json) => serde_json::from_str::<Vec<Box<str>>>(json).ok()?.into(),
        };
        let declared = if bare { 0 } else { self.layout.columns.len() };
        let columns = (16..16 + declared).map(|i| match row.get_ref(i).ok()? {
            ValueRef::Integer(i) => Some(FieldValue::Integer(i)),
            ValueRef::Text(text) => Some(FieldValue::from(std::str::from_utf8(text).ok()?)),
            _ => Some(FieldValue::Absent),
        });
        Some(Entry {
            id,
            generation: Generation(row.get::<_, i64>(2).ok()?.cast_unsigned()),
            meta: Meta {
                head: Arc::new(head),
                seal,
                label: if bare {
                    None
                } else {
                    text(row, 3)?.map(Arc::from)
                },
                stored_at,
                checked_at: time(6)?,
                changed_at: if bare { stored_at } else { time(7)? },
                expires_at: time(8)?,
                columns: match declared {
                    0 => entry::no_columns(),
                    _ => columns.collect::<Option<_>>()?,
                },
                tags,
            },
            body,
        })
    }

    /// Reads the address out of a row of [`selected_with_address`](Self::selected_with_address); `None` where it is damaged.
    pub(super) fn address(&self, row: &Row<'_>) -> Option<Address> {
        let first = 16 + self.layout.columns.len();
        let fields = self.layout.fields.len();
        let values = (first..first + fields)
            .map(|i| match row.get_ref(i).ok()? {
                ValueRef::Blob([]) => Some(FieldRef::Absent),
                ValueRef::Integer(i) => Some(FieldRef::Integer(i)),
                ValueRef::Text(text) => std::str::from_utf8(text).ok().map(FieldRef::Text),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        let query = text(row, first + fields)??;
        let partition = text(row, first + fields + 1)??;
        Some(Address {
            key: RawKey::new(values, query).ok()?,
            partition: Partition::parse(partition).ok()?,
        })
    }
}

/// Binds values to a statement one after the other.
#[derive(Debug)]
pub(super) struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

impl<'s, 'c> Binder<'s, 'c> {
    pub(super) fn new(statement: &'s mut Statement<'c>) -> Self {
        Self { statement, next: 1 }
    }

    pub(super) fn put(&mut self, value: impl ToSql) -> Attempt<&mut Self> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(self)
    }

    /// Binds the columns of an address.
    pub(super) fn address(&mut self, spec: &TableSpec, address: &Address) -> Attempt<&mut Self> {
        spec.check_key(&address.key)?;
        for value in address.key.fields() {
            self.put(key_value(value))?;
        }
        self.put(address.key.query())?
            .put(address.partition.as_str())
    }

    /// Binds the columns that a 304 may change.
    pub(super) fn meta(
        &mut self,
        spec: &TableSpec,
        (id, meta): (&EntryId, &Meta),
        generation: Generation,
        changed_at: Millis,
        now: Millis,
        (coding, head): (i64, &[u8]),
    ) -> Attempt<&mut Self> {
        debug_assert_eq!(self.next, 1, "the meta comes first");
        let tags = (!meta.tags.is_empty())
            .then(|| serde_json::Value::from_iter(meta.tags.iter().map(|t| &**t)).to_string());
        self.put(generation.0.cast_signed())?
            .put(meta.label.as_deref())?
            .put(meta.head.status().as_u16())?
            .put(meta.head.url())?
            .put(meta.stored_at.0)?
            .put(meta.checked_at.0)?
            .put(changed_at.0)?
            .put(meta.expires_at.0)?
            .put(now.0)?
            .put(i64::try_from(meta.size()).unwrap_or(i64::MAX))?
            .put(tags)?
            .put(Record::encode(meta, id, spec.name.sealed(), &spec.fields)?)?
            .put(coding)?
            .put(super::coding::value(coding, head))?;
        debug_assert_eq!(self.next, META_COLUMNS + 1, "as many as META names");
        for i in 0..spec.columns.len() {
            self.put(column_value(
                meta.columns
                    .get(i)
                    .map_or(FieldRef::Absent, FieldValue::as_ref),
            ))?;
        }
        Ok(self)
    }
}

/// A key's value as it is stored: absent is the empty blob, so that the unique index sees it.
pub(super) fn key_value(value: FieldRef<'_>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        FieldRef::Absent => ValueRef::Blob(&[]),
        FieldRef::Text(text) => ValueRef::Text(text.as_bytes()),
        FieldRef::Integer(i) => ValueRef::Integer(i),
    })
}

/// A declared column's value as it is stored.
pub(super) fn column_value(value: FieldRef<'_>) -> ToSqlOutput<'_> {
    match value {
        FieldRef::Absent => ToSqlOutput::Owned(Value::Null),
        value => key_value(value),
    }
}

/// Bytes as text where they are text, so that SQL can read them. Text ends at NUL for some of its functions.
pub(super) fn readable(bytes: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(
        if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) {
            ValueRef::Text(bytes)
        } else {
            ValueRef::Blob(bytes)
        },
    )
}

/// The seal in stored facts; `None` where they are damaged.
pub(super) fn seal(facts: &[u8]) -> Option<Seal> {
    Record::decode(facts).ok().map(|record| record.seal())
}

fn selected(layout: &Layout, parts: Parts) -> String {
    // Who wants a body alone pays for as few columns as can be.
    let bare = parts == Parts::Body;
    let or_null = |name: &str| {
        if bare {
            "NULL".to_owned()
        } else {
            name.to_owned()
        }
    };
    let parts = match parts {
        Parts::Meta => "url, headers, NULL",
        Parts::Body => "NULL, NULL, body",
        Parts::Whole => "url, headers, body",
    };
    let coding = if layout.is_coded() { "coding" } else { "0" };
    let columns: String = layout
        .columns
        .iter()
        .map(|c| format!(", {}", or_null(&c.to_string())))
        .collect();
    let [label, status, changed_at, tags] = ["label", "status", "changed_at", "tags"].map(or_null);
    format!(
        "entry_id, variant, generation, {label}, {status}, stored_at, checked_at, {changed_at}, expires_at, used_at, {tags}, facts, {parts}, {coding}{columns}"
    )
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r [u8]> {
    row.get_ref(column).ok()?.as_bytes().ok()
}

/// `None` where it is neither text nor NULL.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Option<Option<&'r str>> {
    row.get_ref(column).ok()?.as_str_or_null().ok()
}
