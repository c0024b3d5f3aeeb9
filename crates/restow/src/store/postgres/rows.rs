//! Rows and entries: how one becomes the other, and the statements of a table.

use super::{
    engine::Query,
    layout::{Area, Layout},
    statements,
    values::{Blob, Json, Place, Values, unescape},
};
use crate::{
    FieldKind, FieldRef, FieldValue, Millis, RawKey, Result,
    entry::{self, Address, Entry, EntryId, Generation, Meta, Partition, Record, Variant},
    store::{Parts, TableSpec, uses::is_use_due},
};
use bytes::Bytes;
use std::sync::Arc;
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};

/// A table's spec with its statements, made once.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) spec: TableSpec,
    pub(super) layout: Layout,
    /// How others are told of changes.
    pub(super) channel: Box<str>,
    read: [Arc<Query>; 3],
    read_many: [Arc<Query>; 3],
    pub(super) put: Arc<Query>,
    pub(super) put_fenced: Arc<Query>,
    pub(super) crowd: Arc<Query>,
    pub(super) renew: Arc<Query>,
    pub(super) delete: Arc<Query>,
    pub(super) delete_rows: Arc<Query>,
    /// Writes uses; shared with the uses noted.
    pub(super) used: Arc<Query>,
}

/// What a read came upon besides the answer.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Rows whose use is worth a note.
    pub(super) used: Vec<(Place, Variant)>,
    /// Damaged rows, with the generation they had.
    pub(super) damaged: Vec<(Place, Vec<u8>, i64)>,
}

impl Notices {
    pub(super) fn merge(&mut self, more: Self) {
        self.used.extend(more.used);
        self.damaged.extend(more.damaged);
    }
}

pub(super) const PARTS: [Parts; 3] = [Parts::Meta, Parts::Body, Parts::Whole];

impl Rows {
    pub(super) fn new(area: &Area, spec: TableSpec) -> Result<Self> {
        let layout = Layout::of(area, &spec);
        layout.check()?;
        let make = |query: Query| Arc::new(query);
        Ok(Self {
            channel: super::notices::channel(area).into(),
            read: PARTS.map(|parts| make(statements::read(&layout, parts))),
            read_many: PARTS.map(|parts| make(statements::read_many(&layout, parts))),
            put: make(statements::put(&layout, &spec, None)),
            put_fenced: make(statements::put(&layout, &spec, Some(&area.own("leases")))),
            crowd: make(statements::crowd(&layout)),
            renew: make(statements::renew(&layout)),
            delete: make(statements::delete(&layout)),
            delete_rows: make(statements::delete_rows(&layout)),
            used: make(statements::used(&layout)),
            layout,
            spec,
        })
    }

    /// The statement that reads an address: its place, and the moment that retained entries expire after.
    pub(super) fn read(&self, parts: Parts) -> &Arc<Query> {
        of(&self.read, parts)
    }

    /// The same for many places.
    pub(super) fn read_many(&self, parts: Parts) -> &Arc<Query> {
        of(&self.read_many, parts)
    }

    /// The statements that most requests read with. Each one that is prepared costs the server memory.
    pub(super) fn reads(&self) -> impl Iterator<Item = &Arc<Query>> + Clone {
        [Parts::Body, Parts::Whole]
            .into_iter()
            .map(|parts| self.read(parts))
    }

    /// The statements that most requests change something with.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Arc<Query>> {
        std::iter::once(&self.put)
    }

    /// The moment that retained entries expire after.
    pub(super) fn horizon(&self, now: Millis) -> Millis {
        now.minus(self.spec.keep)
    }

    /// Makes the entry of a row; `None` where it is damaged, which is noted.
    pub(super) fn entry(
        &self,
        row: &Row,
        parts: Parts,
        address: &Address,
        place: Place,
        now: Millis,
        notices: &mut Notices,
    ) -> Option<Arc<Entry>> {
        match self.decode(row, parts, address) {
            Some((entry, used_at)) => {
                if is_use_due(used_at, now, self.layout.budgeted) {
                    notices.used.push((place, entry.id.variant));
                }
                Some(Arc::new(entry))
            }
            None => {
                self.note_damage(row, place, notices);
                None
            }
        }
    }

    pub(super) fn note_damage(&self, row: &Row, place: Place, notices: &mut Notices) {
        // What is stored is nobody's business in a log.
        tracing::warn!(repository = %self.spec.name, "a stored entry is damaged; it counts as a miss and is removed");
        let variant: &[u8] = row.try_get(0).unwrap_or_default();
        notices.damaged.push((
            place,
            variant.to_owned(),
            row.try_get(1).unwrap_or_default(),
        ));
    }

    /// Makes the entry of a row, and tells when it was used; `None` where anything in it does not verify.
    fn decode(&self, row: &Row, parts: Parts, address: &Address) -> Option<(Entry, Millis)> {
        let mut row = Reader { row, next: 0 };
        let id = EntryId {
            address: address.clone(),
            variant: Variant::from_bytes(row.take()?)?,
        };
        let generation = Generation(row.take::<i64>()?.cast_unsigned());
        let stored_at = Millis(row.take()?);
        let checked_at = Millis(row.take()?);
        let expires_at = Millis(row.take()?);
        let used_at = Millis(row.take()?);
        let record = Record::decode(row.take()?).ok()?;
        let name = self.spec.name.sealed();
        record.verify_id(&id, name, &self.spec.fields).ok()?;
        let seal = record.seal();
        let body = match parts {
            Parts::Meta => Bytes::new(),
            Parts::Body | Parts::Whole => {
                let body: &[u8] = row.take()?;
                record.verify_body(body).ok()?;
                Bytes::copy_from_slice(body)
            }
        };
        let meta = match parts {
            // What is beside a body that is wanted alone was not asked for.
            Parts::Body => Meta {
                head: Arc::new(record.into_bare_head()),
                seal,
                label: None,
                stored_at,
                checked_at,
                changed_at: stored_at,
                expires_at,
                columns: entry::no_columns(),
                tags: entry::no_tags(),
            },
            Parts::Meta | Parts::Whole => {
                let status = u16::try_from(row.take::<i32>()?).ok()?;
                let label = row.text()?;
                let changed_at = Millis(row.take()?);
                let tags: Option<Json> = row.take()?;
                let url = row.text()?;
                let lines = Bytes::copy_from_slice(row.take()?);
                Meta {
                    head: Arc::new(record.into_head(status, url, lines).ok()?),
                    seal,
                    label,
                    stored_at,
                    checked_at,
                    changed_at,
                    expires_at,
                    columns: row.columns(self.layout.columns.len())?,
                    tags: match tags {
                        None => entry::no_tags(),
                        Some(tags) => tags.to_tags()?.into(),
                    },
                }
            }
        };
        let entry = Entry {
            id,
            generation,
            meta,
            body,
        };
        Some((entry, used_at))
    }

    /// Reads the address at the end of a row of a scan; `None` where it is damaged.
    pub(super) fn address(&self, row: &Row) -> Option<Address> {
        let first = row.len().checked_sub(self.spec.fields.len() + 3)?;
        let mut reader = Reader { row, next: first };
        let mut values = Vec::new();
        for field in self.spec.fields.iter() {
            values.push(match field.kind() {
                FieldKind::Integer => match reader.take::<Option<i64>>()? {
                    None => FieldValue::Absent,
                    Some(number) => FieldValue::from(number),
                },
                FieldKind::Text => match reader.take::<Option<&str>>()? {
                    None => FieldValue::Absent,
                    Some(text) => FieldValue::from(&*unescape(text)),
                },
            });
        }
        let query = unescape(reader.take()?);
        let partition = unescape(reader.take()?);
        Some(Address {
            key: RawKey::new(values.iter().map(FieldValue::as_ref), &query).ok()?,
            partition: Partition::parse(&partition).ok()?,
        })
    }

    /// The values of a field's column, of many entries.
    pub(super) fn field_values(
        &self,
        keys: &[&Address],
        nth: usize,
        kind: FieldKind,
    ) -> Box<dyn ToSql + Sync + Send> {
        let value = |at: &&Address| {
            at.key
                .fields()
                .nth(nth)
                .map_or(FieldValue::Absent, FieldRef::to_value)
        };
        match kind {
            FieldKind::Integer => Box::new(
                keys.iter()
                    .map(|at| match value(at) {
                        FieldValue::Integer(i) => Some(i),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            ),
            FieldKind::Text => Box::new(
                keys.iter()
                    .map(|at| match value(at) {
                        FieldValue::Text(text) => Some(super::values::escape(&text).into_owned()),
                        _ => None,
                    })
                    .collect::<Vec<_>>(),
            ),
        }
    }
}

/// An entry's new meta, ready to be written.
pub(super) struct Put<'e> {
    pub(super) place: Place,
    pub(super) id: &'e EntryId,
    pub(super) meta: &'e Meta,
    pub(super) facts: Vec<u8>,
}

impl<'e> Put<'e> {
    pub(super) fn new(rows: &Rows, id: &'e EntryId, meta: &'e Meta) -> Result<Self> {
        Ok(Self {
            place: Place::of(&id.address),
            facts: Record::encode(meta, id, rows.spec.name.sealed(), &rows.spec.fields)?,
            id,
            meta,
        })
    }
}

/// Adds the values of the columns that find rows: as [`statements::ROW`] names them.
pub(super) fn push_rows(values: &mut Values, puts: &[Put<'_>]) {
    column(values, puts, |p| p.place);
    column(values, puts, |p| p.id.variant.to_bytes());
}

/// Adds the values of the columns that a 304 may change: as [`statements::meta`] names them.
pub(super) fn push_meta(values: &mut Values, rows: &Rows, puts: &mut [Put<'_>]) {
    let text = |text: &str| super::values::escape(text).into_owned();
    column(values, puts, |p| p.meta.stored_at.0);
    column(values, puts, |p| p.meta.checked_at.0);
    column(values, puts, |p| p.meta.changed_at.0);
    column(values, puts, |p| p.meta.expires_at.0);
    column(values, puts, |p| {
        i64::try_from(p.meta.size()).unwrap_or(i64::MAX)
    });
    column(values, puts, |p| i32::from(p.meta.head.status().as_u16()));
    column(values, puts, |p| p.meta.label.as_deref().map(text));
    column(values, puts, |p| p.meta.head.url().map(text));
    column(values, puts, |p| Json::of_tags(&p.meta.tags));
    let facts: Vec<_> = puts
        .iter_mut()
        .map(|p| std::mem::take(&mut p.facts))
        .collect();
    values.push(Box::new(facts));
    column(values, puts, |p| Blob(p.meta.head.lines().clone()));
    for nth in 0..rows.layout.columns.len() {
        column(values, puts, |p| {
            p.meta
                .columns
                .get(nth)
                .and_then(|v| Json::of_value(v.as_ref()))
        });
    }
}

pub(super) fn column<P, T>(values: &mut Values, puts: &[P], value: impl Fn(&P) -> T)
where
    T: ToSql + Sync + Send + 'static,
{
    values.push(Box::new(puts.iter().map(value).collect::<Vec<_>>()));
}

/// Reads a row column by column.
struct Reader<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Reader<'r> {
    fn take<T: FromSql<'r>>(&mut self) -> Option<T> {
        let value = self.row.try_get(self.next).ok();
        self.next += 1;
        value
    }

    /// `None` where it is no text.
    fn text(&mut self) -> Option<Option<Arc<str>>> {
        Some(
            self.take::<Option<&str>>()?
                .map(|text| unescape(text).into()),
        )
    }

    fn columns(&mut self, number: usize) -> Option<Arc<[FieldValue]>> {
        if number == 0 {
            return Some(entry::no_columns());
        }
        let mut one = || match self.take::<Option<Json>>()? {
            None => Some(FieldValue::Absent),
            Some(json) => json.to_value(),
        };
        (0..number).map(|_| one()).collect()
    }
}

/// What is there for these parts, of as many as [`PARTS`] are.
pub(super) fn of<T>(each: &[T; 3], parts: Parts) -> &T {
    let [meta, body, whole] = each;
    match parts {
        Parts::Meta => meta,
        Parts::Body => body,
        Parts::Whole => whole,
    }
}
