//! Reading a key back into a type, field by field.

use super::{
    field::{FieldKind, FieldRef},
    raw::{Fields, RawKey},
    typed::KeyField,
};
use crate::{Error, ErrorKind, Result};

/// Reads a key field by field, in order; its errors name the field that does not fit. The counterpart of [`KeyWriter`](super::KeyWriter).
///
/// ```
/// use restow::{FieldRef, RawKey, key::KeyReader};
/// let raw = RawKey::new([FieldRef::Text("6"), FieldRef::Integer(20)], "")?;
/// let mut reader = KeyReader::new(&raw);
/// let id: String = reader.read("id")?;
/// let offset: i64 = reader.read("offset")?;
/// reader.finish()?;
/// assert_eq!((id.as_str(), offset), ("6", 20));
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyReader<'a> {
    key: &'a RawKey,
    rest: Fields<'a>,
}

impl<'a> KeyReader<'a> {
    /// Starts at the first field of `key`.
    pub fn new(key: &'a RawKey) -> Self {
        Self {
            key,
            rest: key.fields(),
        }
    }

    /// Reads the next field, which errors call `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where there is no further field, or its value is not of type `T`.
    pub fn read<T: KeyField>(&mut self, name: &str) -> Result<T> {
        let Some(field) = self.rest.next() else {
            return Err(self.other_type(format_args!("it ends before field {name:?}")));
        };
        T::from_field(field).ok_or_else(|| {
            let wanted = match (T::KIND, T::OPTIONAL) {
                (FieldKind::Text, false) => "text",
                (FieldKind::Text, true) => "text or absent",
                (FieldKind::Integer, false) => "an integer",
                (FieldKind::Integer, true) => "an integer or absent",
            };
            match field {
                FieldRef::Absent => self.other_type(format_args!(
                    "field {name:?} is absent and must be {wanted}"
                )),
                // The right kind, but not a value of this type: 300 for a `u8`.
                _ if field.kind() == Some(T::KIND) => {
                    self.other_type(format_args!("field {name:?} cannot hold {field}"))
                }
                FieldRef::Text(_) => {
                    self.other_type(format_args!("field {name:?} is text and must be {wanted}"))
                }
                FieldRef::Integer(_) => self.other_type(format_args!(
                    "field {name:?} is an integer and must be {wanted}"
                )),
            }
        })
    }

    /// Ends the key.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where there are fields left.
    pub fn finish(mut self) -> Result<()> {
        if self.rest.next().is_none() {
            return Ok(());
        }
        let left = 1 + self.rest.by_ref().count();
        let all = self.key.fields().count();
        Err(self.other_type(format_args!(
            "it has {all} fields, {left} more than the key type"
        )))
    }

    fn other_type(&self, why: std::fmt::Arguments<'_>) -> Error {
        let message = format!(
            "the key ({}) does not fit the key type of this repository: {why}",
            self.key
        );
        Error::new(ErrorKind::Key, message)
    }
}
