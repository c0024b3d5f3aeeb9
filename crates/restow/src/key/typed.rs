//! Typed keys: the trait, what a type fixes of its fields, and the types a field may have.

use super::{
    field::{Field, FieldKind, FieldRef},
    raw::RawKey,
};
use crate::{Error, ErrorKind, Result};
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// A typed key of a repository. Write [`#[derive(restow::Key)]`](macro@crate::Key); tuples, `String` and integers are keys already.
///
/// ```
/// #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct TrackKey { id: String, market: Option<String> }
///
/// use restow::Key;
/// let key = TrackKey { id: "6".into(), market: None };
/// assert_eq!(TrackKey::from_raw(&key.to_raw()?)?, key);
/// # Ok::<(), restow::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key",
    label = "not a key",
    note = "write `#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]` above the struct, or use a tuple, `String` or an integer"
)]
pub trait Key: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// Returns what the type fixes of a key's fields.
    fn shape() -> Shape;

    /// Returns the canonical bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where it is longer than [`MAX_KEY_BYTES`](super::MAX_KEY_BYTES).
    fn to_raw(&self) -> Result<RawKey>;

    /// Reads the key from canonical bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where the values are not of this type.
    fn from_raw(raw: &RawKey) -> Result<Self>;

    /// Checks that this type holds keys made of `fields`, in their order. Asked once, when a repository is opened.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaMismatch`] with both lists where it does not.
    fn check(fields: &[Field]) -> Result<()> {
        Self::shape().check(fields)
    }
}

/// What a key type fixes of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Nothing: the fields are known at run time.
    Any,
    /// Number and kinds; the names come from the route, in its order.
    Slots(&'static [Slot]),
    /// Names and kinds.
    Named(&'static [Field]),
}

/// A field without a name: what a tuple fixes of each of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The kind of its values.
    pub kind: FieldKind,
    /// Whether it may be absent.
    pub optional: bool,
}

impl Slot {
    /// Returns the slot of a field of type `T`.
    pub const fn of<T: KeyField>() -> Self {
        Self {
            kind: T::KIND,
            optional: T::OPTIONAL,
        }
    }
}

impl Field {
    /// Declares a field of type `T`.
    pub const fn of<T: KeyField>(name: &'static str) -> Self {
        match (T::KIND, T::OPTIONAL) {
            (FieldKind::Text, false) => Self::text(name),
            (FieldKind::Text, true) => Self::text(name).optional(),
            (FieldKind::Integer, false) => Self::integer(name),
            (FieldKind::Integer, true) => Self::integer(name).optional(),
        }
    }
}

impl Shape {
    fn check(self, fields: &[Field]) -> Result<()> {
        let fits = match self {
            Self::Any => true,
            Self::Slots(slots) => {
                slots.len() == fields.len()
                    && slots
                        .iter()
                        .zip(fields)
                        .all(|(s, f)| s.kind == f.kind() && (s.optional || !f.is_optional()))
            }
            Self::Named(named) => {
                named.len() == fields.len()
                    && named.iter().zip(fields).all(|(n, f)| {
                        n.name() == f.name()
                            && n.kind() == f.kind()
                            && (n.is_optional() || !f.is_optional())
                    })
            }
        };
        if fits {
            return Ok(());
        }
        let ours = match self {
            Self::Named(named) => list(named),
            Self::Slots(slots) => list(
                slots
                    .iter()
                    .map(|s| {
                        let field = Field::new("_", s.kind);
                        if s.optional { field.optional() } else { field }
                    })
                    .collect::<Vec<_>>()
                    .as_slice(),
            ),
            Self::Any => String::new(),
        };
        let message = format!(
            "the endpoint's fields are ({}), the key type has ({ours}); make them the same, in the same order",
            list(fields)
        );
        Err(Error::new(ErrorKind::SchemaMismatch, message))
    }
}

fn list(fields: &[Field]) -> String {
    fields
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A type that one field of a key may have: text, an integer, or an `Option` of either.
///
/// `#[derive(Key)]` on a tuple struct with one field implements it too, so that a newtype can be a field of another key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a key",
    label = "not a type that a field of a key may have",
    note = "a field is text (`String`, `Box<str>`, `Arc<str>`), an integer (`i64`, `i32`, `i16`, `i8`, `u32`, `u16`, `u8`), or an `Option` of one",
    note = "for a type of your own, derive `restow::Key` on a tuple struct with one field, or implement `restow::key::KeyField`"
)]
pub trait KeyField: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// The kind of its values.
    const KIND: FieldKind;
    /// Whether it may be absent. An `Option` of a type that may be absent does not compile:
    /// `None` and `Some(None)` would be one key.
    ///
    /// ```compile_fail,E0080
    /// #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
    /// struct Market(Option<String>);
    /// let slot = restow::key::Slot::of::<Option<Market>>();
    /// ```
    const OPTIONAL: bool = false;

    /// Returns the value as a field.
    fn as_field(&self) -> FieldRef<'_>;

    /// Reads the value; `None` where it is not of this type.
    fn from_field(field: FieldRef<'_>) -> Option<Self>;
}

macro_rules! text_field {
    ($($t:ty),*) => {$(impl KeyField for $t {
        const KIND: FieldKind = FieldKind::Text;
        fn as_field(&self) -> FieldRef<'_> { FieldRef::Text(self) }
        fn from_field(field: FieldRef<'_>) -> Option<Self> {
            if let FieldRef::Text(s) = field { Some(s.into()) } else { None }
        }
    })*};
}
text_field!(String, Box<str>, Arc<str>);

macro_rules! integer_field {
    ($($t:ty),*) => {$(impl KeyField for $t {
        const KIND: FieldKind = FieldKind::Integer;
        fn as_field(&self) -> FieldRef<'_> { FieldRef::Integer(i64::from(*self)) }
        fn from_field(field: FieldRef<'_>) -> Option<Self> {
            if let FieldRef::Integer(i) = field { i.try_into().ok() } else { None }
        }
    })*};
}
integer_field!(i64, i32, i16, i8, u32, u16, u8);

impl<T: KeyField> KeyField for Option<T> {
    const KIND: FieldKind = T::KIND;
    const OPTIONAL: bool = {
        assert!(
            !T::OPTIONAL,
            "a field that may be absent cannot be wrapped in another `Option`: `None` and `Some(None)` would be one key"
        );
        true
    };

    fn as_field(&self) -> FieldRef<'_> {
        self.as_ref().map_or(FieldRef::Absent, T::as_field)
    }

    fn from_field(field: FieldRef<'_>) -> Option<Self> {
        if field == FieldRef::Absent {
            Some(None)
        } else {
            T::from_field(field).map(Some)
        }
    }
}
