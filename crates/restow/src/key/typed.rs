//! Typed keys: the trait, the types a field may have, and the keys that need no derive.

use super::{
    field::{Field, FieldKind, FieldRef},
    raw::{KeyWriter, RawKey},
};
use crate::{Error, ErrorKind, Result};
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// A typed key of a repository. Write `#[derive(restow::Key)]`; tuples, `String` and integers are keys already.
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

/// A type that one field of a key may have.
pub trait KeyField: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// The kind of its values.
    const KIND: FieldKind;
    /// Whether it may be absent.
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
    const OPTIONAL: bool = true;

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

impl Key for RawKey {
    fn shape() -> Shape {
        Shape::Any
    }

    fn to_raw(&self) -> Result<RawKey> {
        Ok(self.clone())
    }

    fn from_raw(raw: &RawKey) -> Result<Self> {
        Ok(raw.clone())
    }
}

macro_rules! one_field_key {
    ($($t:ty),*) => {$(impl Key for $t {
        fn shape() -> Shape { Shape::Slots(const { &[Slot::of::<$t>()] }) }
        fn to_raw(&self) -> Result<RawKey> { RawKey::new([self.as_field()], "") }
        fn from_raw(raw: &RawKey) -> Result<Self> {
            let mut fields = raw.fields();
            match (fields.next().and_then(<$t>::from_field), fields.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(other_type(raw)),
            }
        }
    })*};
}
one_field_key!(String, Box<str>, Arc<str>, i64, i32, u32);

macro_rules! tuple_key {
    ($($t:ident $v:ident),+) => {
        impl<$($t: KeyField),+> Key for ($($t,)+) {
            fn shape() -> Shape { Shape::Slots(const { &[$(Slot::of::<$t>()),+] }) }
            fn to_raw(&self) -> Result<RawKey> {
                let ($($v,)+) = self;
                let mut writer = KeyWriter::new();
                $(writer.push($v.as_field());)+
                writer.finish("")
            }
            fn from_raw(raw: &RawKey) -> Result<Self> {
                let mut fields = raw.fields();
                let key = ($(fields.next().and_then($t::from_field).ok_or_else(|| other_type(raw))?,)+);
                if fields.next().is_some() { Err(other_type(raw)) } else { Ok(key) }
            }
        }
    };
}
tuple_key!(A a);
tuple_key!(A a, B b);
tuple_key!(A a, B b, C c);
tuple_key!(A a, B b, C c, D d);
tuple_key!(A a, B b, C c, D d, E e);
tuple_key!(A a, B b, C c, D d, E e, F f);

fn other_type(raw: &RawKey) -> Error {
    Error::new(
        ErrorKind::Key,
        format!("the key ({raw}) does not fit the key type of this repository"),
    )
}
