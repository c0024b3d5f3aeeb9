//! One entry as a line.

use super::{
    body::{Body, base64, from_base64},
    line,
    time::Time,
};
use crate::{
    Error, ErrorKind, FieldRef, FieldValue, Millis, RawKey, Result,
    entry::{Address, Entry, EntryId, Generation, Meta, Partition, Record, Variant},
    store::TableSpec,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

#[derive(Serialize)]
struct Written<'a> {
    repository: &'a str,
    key: Fields<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    query: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    partition: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    stored_at: Time,
    checked_at: Time,
    changed_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    columns: Fields<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_base64: Option<String>,
    record: String,
    body: Body<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read<'a> {
    #[serde(borrow)]
    pub(super) repository: Cow<'a, str>,
    #[serde(borrow)]
    key: BTreeMap<Cow<'a, str>, Value<'a>>,
    #[serde(borrow, default)]
    query: Cow<'a, str>,
    #[serde(borrow, default)]
    partition: Cow<'a, str>,
    #[serde(default)]
    variant: Option<String>,
    status: u16,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    label: Option<String>,
    stored_at: Time,
    checked_at: Time,
    changed_at: Time,
    #[serde(default)]
    expires_at: Option<Time>,
    #[serde(borrow, default)]
    columns: BTreeMap<Cow<'a, str>, Value<'a>>,
    #[serde(default)]
    tags: Vec<Box<str>>,
    #[serde(borrow, default)]
    headers: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    headers_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    record: Cow<'a, str>,
    #[serde(borrow)]
    body: Body<'a>,
}

/// The value of a field or a column.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Absent,
    Integer(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// Fields with their values, as an object in their order.
struct Fields<'a>(Vec<(&'a str, FieldRef<'a>)>);

impl Fields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                FieldRef::Text(text) => map.serialize_entry(name, text)?,
                FieldRef::Integer(number) => map.serialize_entry(name, number)?,
                FieldRef::Absent => map.serialize_entry(name, &())?,
            }
        }
        map.end()
    }
}

/// Writes an entry of a table as a line.
///
/// # Errors
/// [`ErrorKind::TooLarge`] where the names in its `Vary` are longer than a record holds.
pub fn line(spec: &TableSpec, entry: &Entry) -> Result<Vec<u8>> {
    let Entry { id, meta, body, .. } = entry;
    let lines = lines(meta.head.lines());
    let fields = spec.fields.iter().zip(id.address.key.fields());
    let columns = spec.columns.iter().zip(meta.columns.iter());
    line::write(&Written {
        repository: spec.name.as_str(),
        key: Fields(fields.map(|(field, value)| (field.name(), value)).collect()),
        query: id.address.key.query(),
        partition: id.address.partition.as_str(),
        variant: (id.variant != Variant::NONE).then(|| format!("{:032x}", id.variant.0)),
        status: meta.head.status().as_u16(),
        url: meta.head.url(),
        label: meta.label.as_deref(),
        stored_at: Time(meta.stored_at),
        checked_at: Time(meta.checked_at),
        changed_at: Time(meta.changed_at),
        expires_at: (meta.expires_at != Millis::MAX).then_some(Time(meta.expires_at)),
        columns: Fields(
            columns
                .map(|(column, value)| (&*column.name, value.as_ref()))
                .collect(),
        ),
        tags: &meta.tags,
        headers_base64: lines.is_none().then(|| base64(meta.head.lines())),
        headers: lines,
        record: base64(&Record::encode(meta, id, spec.name.sealed(), &spec.fields)?),
        body: Body::of(body),
    })
}

impl Read<'_> {
    /// Makes the entry, where all of it is as it was written.
    pub(super) fn entry(self, spec: &TableSpec) -> Result<Entry> {
        let mut key = self.key;
        let mut values = Vec::with_capacity(spec.fields.len());
        for field in spec.fields.iter() {
            let value = key.remove(field.name()).map(Value::field);
            values.push(
                value.ok_or_else(|| wrong(format!("its key has no field {:?}", field.name())))?,
            );
        }
        if let Some(name) = key.keys().next() {
            return Err(wrong(format!(
                "its key has a field {name:?}, which is not declared"
            )));
        }
        let key = RawKey::new(values.iter().map(FieldValue::as_ref), &self.query)?;
        spec.check_key(&key)?;
        let variant = match &self.variant {
            None => Variant::NONE,
            Some(hex) => Variant(hexadecimal(hex).ok_or_else(|| wrong("its variant is none"))?),
        };
        let id = EntryId {
            address: Address {
                key,
                partition: Partition::parse(&self.partition)?,
            },
            variant,
        };
        let mut columns = self.columns;
        let mut held: Vec<FieldValue> = Vec::with_capacity(spec.columns.len());
        for column in spec.columns.iter() {
            held.push(
                columns
                    .remove(&*column.name)
                    .map(Value::field)
                    .unwrap_or_default(),
            );
        }
        if let Some(name) = columns.keys().next() {
            return Err(wrong(format!(
                "it has a column {name:?}, which is not declared"
            )));
        }
        let record = from_base64(&self.record).ok_or_else(|| wrong("its record is no base64"))?;
        let record = Record::decode(&record)?;
        record.verify_id(&id, spec.name.sealed(), &spec.fields)?;
        let body = self
            .body
            .bytes()
            .ok_or_else(|| wrong("its body is no base64"))?;
        record.verify_body(&body)?;
        let seal = record.seal();
        let lines = match (self.headers, self.headers_base64) {
            (Some(lines), None) => lines.iter().fold(Vec::new(), |mut all, line| {
                all.extend_from_slice(line.as_bytes());
                all.extend_from_slice(b"\r\n");
                all
            }),
            (None, Some(text)) => {
                from_base64(&text).ok_or_else(|| wrong("its header lines are no base64"))?
            }
            _ => return Err(wrong("it has no header lines, or has them twice")),
        };
        let head = record.into_head(self.status, self.url.map(Arc::from), Bytes::from(lines))?;
        Ok(Entry {
            id,
            generation: Generation::UNKNOWN,
            meta: Meta {
                head: Arc::new(head),
                seal,
                label: self.label.map(Arc::from),
                stored_at: self.stored_at.0,
                checked_at: self.checked_at.0,
                changed_at: self.changed_at.0,
                expires_at: self.expires_at.map_or(Millis::MAX, |at| at.0),
                columns: held.into(),
                tags: self.tags.into(),
            },
            body,
        })
    }
}

impl Value<'_> {
    fn field(self) -> FieldValue {
        match self {
            Self::Absent => FieldValue::Absent,
            Self::Integer(number) => number.into(),
            Self::Text(text) => text.into_owned().into(),
        }
    }
}

/// Header lines without their ends; `None` where they are not text, or do not all end.
fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.strip_suffix("\r\n")?.split("\r\n").collect())
}

fn hexadecimal(text: &str) -> Option<u128> {
    let strict = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    strict.then(|| u128::from_str_radix(text, 16).ok())?
}

fn wrong(what: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}
