//! Values of columns and parameters: how keys, texts and bytes are written so that PostgreSQL holds them exactly.

use crate::{FieldRef, FieldValue, entry::Address};
use bytes::{BufMut, Bytes, BytesMut};
use std::borrow::Cow;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// The values of a statement's parameters.
pub(super) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

type Wrong = Box<dyn std::error::Error + Sync + Send>;

/// Where an address is in a table: 8 bytes of its first field's digest, then 16 of the whole address's (BLAKE3).
///
/// A text may be longer than an entry of an index, so that the index is over this. Entries with one first field are beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place([u8; 24]);

impl Place {
    pub(super) fn of(at: &Address) -> Self {
        let mut hasher = blake3::Hasher::new();
        // No key is the beginning of another.
        hasher.update(at.key.as_bytes());
        hasher.update(at.partition.as_str().as_bytes());
        let mut place = [0; 24];
        let (first, whole) = place.split_at_mut(8);
        first.copy_from_slice(&first_digest(at.key.fields().next()));
        for (to, from) in whole.iter_mut().zip(hasher.finalize().as_bytes()) {
            *to = *from;
        }
        Self(place)
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The places of all addresses whose first field has this value: from the first bound up to, but without, the second; that is
    /// none where they are the last.
    pub(super) fn range(first: FieldRef<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
        let start = u64::from_be_bytes(first_digest(Some(first)));
        let end = start.checked_add(1).map(|end| end.to_be_bytes().to_vec());
        (start.to_be_bytes().to_vec(), end)
    }
}

fn first_digest(first: Option<FieldRef<'_>>) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    match first {
        None => return [0; 8],
        Some(FieldRef::Absent) => hasher.update(b"-"),
        Some(FieldRef::Integer(i)) => hasher.update(b"i").update(&i.to_be_bytes()),
        Some(FieldRef::Text(text)) => hasher.update(b"t").update(text.as_bytes()),
    };
    let mut digest = [0; 8];
    for (to, from) in digest.iter_mut().zip(hasher.finalize().as_bytes()) {
        *to = *from;
    }
    digest
}

impl ToSql for Place {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::BYTEA
    }

    to_sql_checked!();
}

/// Bytes that are shared, not copied.
#[derive(Clone, Debug)]
pub(super) struct Blob(pub(super) Bytes);

impl ToSql for Blob {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::BYTEA
    }

    to_sql_checked!();
}

/// JSON as text, for a column of type `jsonb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Json(pub(super) String);

impl ToSql for Json {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        // The version of its binary form.
        out.put_u8(1);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        let text = raw
            .strip_prefix(&[1])
            .ok_or("an unknown version of jsonb")?;
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }
}

impl Json {
    /// The value of a declared column; `None` where it is absent.
    pub(super) fn of_value(value: FieldRef<'_>) -> Option<Self> {
        match value {
            FieldRef::Absent => None,
            FieldRef::Integer(i) => Some(Self(i.to_string())),
            FieldRef::Text(text) => Some(Self(serde_json::Value::from(&*escape(text)).to_string())),
        }
    }

    pub(super) fn to_value(&self) -> Option<FieldValue> {
        match serde_json::from_str(&self.0).ok()? {
            serde_json::Value::String(text) => Some(FieldValue::from(&*unescape(&text))),
            serde_json::Value::Number(number) => number.as_i64().map(FieldValue::Integer),
            _ => None,
        }
    }

    /// Tags; `None` where there are none.
    pub(super) fn of_tags(tags: &[Box<str>]) -> Option<Self> {
        let list = || tags.iter().map(|tag| escape(tag).into_owned());
        (!tags.is_empty()).then(|| Self(serde_json::Value::from_iter(list()).to_string()))
    }

    pub(super) fn to_tags(&self) -> Option<Vec<Box<str>>> {
        let tags: Vec<String> = serde_json::from_str(&self.0).ok()?;
        Some(tags.iter().map(|tag| unescape(tag).into()).collect())
    }
}

/// What stands for NUL, which PostgreSQL's texts cannot hold.
const NUL: char = '\u{2400}';
/// What stands before that and before itself where they are meant.
const ESCAPE: char = '\u{241b}';

/// Writes a text so that PostgreSQL can hold it: only NUL, `␀` and `␛` are written otherwise, and no two texts become one.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', NUL, ESCAPE]) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => escaped.push(NUL),
            NUL | ESCAPE => escaped.extend([ESCAPE, c]),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

/// Reads what [`escape`] writes.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains([NUL, ESCAPE]) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ESCAPE => plain.extend(chars.next()),
            NUL => plain.push('\0'),
            c => plain.push(c),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn texts_come_back_and_hold_no_nul(text in "[\0\u{2400}\u{241b}ab日]{0,12}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains('\0'));
            prop_assert_eq!(unescape(&escaped), text.as_str());
        }

        #[test]
        fn values_come_back(text in "[\0\u{2400}\u{241b}\"\\\\1-9]{0,8}", number: i64) {
            for value in [FieldValue::from(&*text), FieldValue::Integer(number)] {
                let json = Json::of_value(value.as_ref()).unwrap();
                prop_assert_eq!(json.to_value(), Some(value));
            }
        }
    }

    #[test]
    fn most_texts_are_written_as_they_are() {
        for text in ["", "a b", "日本", "it's 100%\\", "null"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(escape("a\0b"), "a␀b");
    }

    #[test]
    fn values_of_one_look_have_places_of_their_own() {
        let values = [
            FieldRef::Absent,
            FieldRef::Text(""),
            FieldRef::Text("-"),
            FieldRef::Text("1"),
            FieldRef::Integer(1),
            FieldRef::Integer(i64::from_be_bytes(*b"00000001")),
            FieldRef::Text("00000001"),
        ];
        let places: HashSet<_> = values.map(|v| Place::range(v).0).into_iter().collect();
        assert_eq!(places.len(), values.len());
    }
}
