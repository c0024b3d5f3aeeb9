//! A key as canonical, injective bytes.

use super::field::FieldRef;
use crate::{Error, ErrorKind, Result};
use smallvec::SmallVec;
use std::{fmt, sync::Arc};

/// The longest key, in bytes of its canonical form.
pub const MAX_KEY_BYTES: usize = 64 * 1024;

const END: u8 = 0;
const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const ABSENT: u8 = 3;
const QUERY: u8 = 4;

/// The values of a key in canonical bytes: each field tagged and length-prefixed, then the undeclared query.
///
/// Two keys are equal exactly where all their values are, and no key is the beginning of another. It is itself a [`Key`](crate::Key): of an endpoint that is declared in a file.
///
/// ```
/// use restow::{FieldRef, RawKey};
/// let key = RawKey::new([FieldRef::Text("6"), FieldRef::Absent], "")?;
/// assert_eq!(key.fields().collect::<Vec<_>>(), [FieldRef::Text("6"), FieldRef::Absent]);
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawKey(Arc<[u8]>);

impl RawKey {
    /// Makes a key of field values, in the order of the declared fields, and a canonical undeclared query (mostly empty).
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where it is longer than [`MAX_KEY_BYTES`].
    pub fn new<'a>(fields: impl IntoIterator<Item = FieldRef<'a>>, query: &str) -> Result<Self> {
        let mut writer = KeyWriter::new();
        for field in fields {
            writer.push(field);
        }
        writer.finish(query)
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where they are not the canonical form of a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        while let Some((_, after)) = split_field(rest) {
            rest = after;
        }
        if split_query(rest).is_none() || bytes.len() > MAX_KEY_BYTES {
            return Err(Error::new(ErrorKind::Corrupt, "these bytes are not a key"));
        }
        Ok(Self(bytes.into()))
    }

    /// Returns the canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the values of the declared fields, in order.
    pub fn fields(&self) -> Fields<'_> {
        Fields(&self.0)
    }

    /// Returns the undeclared query parameters in canonical form; empty where there are none.
    pub fn query(&self) -> &str {
        let mut rest = &*self.0;
        while let Some((_, after)) = split_field(rest) {
            rest = after;
        }
        split_query(rest).unwrap_or("")
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawKey({self})")
    }
}

impl fmt::Display for RawKey {
    /// Writes the values for people: `6, -`, with `?query` behind where there is one. Not a form to read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, field) in self.fields().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{field}")?;
        }
        if self.query().is_empty() {
            Ok(())
        } else {
            write!(f, " ?{}", self.query())
        }
    }
}

/// The values of a key's declared fields, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = FieldRef<'a>;

    fn next(&mut self) -> Option<FieldRef<'a>> {
        let (field, rest) = split_field(self.0)?;
        self.0 = rest;
        Some(field)
    }
}

/// Writes a key field by field; short keys take one allocation, made at the end.
#[derive(Clone, Debug, Default)]
pub struct KeyWriter(SmallVec<[u8; 120]>);

impl KeyWriter {
    /// Starts an empty key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value of the next field.
    pub fn push(&mut self, field: FieldRef<'_>) {
        match field {
            FieldRef::Absent => self.0.push(ABSENT),
            FieldRef::Integer(i) => {
                self.0.push(INTEGER);
                self.0.extend_from_slice(&i.to_be_bytes());
            }
            FieldRef::Text(s) => {
                self.0.push(TEXT);
                self.push_text(s);
            }
        }
    }

    /// Ends the key with its undeclared query.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where it is longer than [`MAX_KEY_BYTES`].
    pub fn finish(mut self, query: &str) -> Result<RawKey> {
        if query.is_empty() {
            self.0.push(END);
        } else {
            self.0.push(QUERY);
            self.push_text(query);
        }
        if self.0.len() > MAX_KEY_BYTES {
            let message = format!(
                "the key is {} bytes long; the most is {MAX_KEY_BYTES}",
                self.0.len()
            );
            return Err(Error::new(ErrorKind::Key, message));
        }
        Ok(RawKey(Arc::from(self.0.as_slice())))
    }

    fn push_text(&mut self, s: &str) {
        // A text too long for its prefix is too long for a key: `finish` refuses it.
        let len = u32::try_from(s.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(s.as_bytes());
    }
}

fn split_field(bytes: &[u8]) -> Option<(FieldRef<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        ABSENT => Some((FieldRef::Absent, rest)),
        INTEGER => rest
            .split_first_chunk()
            .map(|(i, rest)| (FieldRef::Integer(i64::from_be_bytes(*i)), rest)),
        TEXT => split_text(rest).map(|(text, rest)| (FieldRef::Text(text), rest)),
        _ => None,
    }
}

/// Reads what comes after the fields; `None` where it is not the canonical end of a key.
fn split_query(end: &[u8]) -> Option<&str> {
    match end.split_first()? {
        (&END, []) => Some(""),
        (&QUERY, text) => split_text(text)
            .filter(|(query, rest)| !query.is_empty() && rest.is_empty())
            .map(|(query, _)| query),
        _ => None,
    }
}

fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}
