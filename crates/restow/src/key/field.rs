//! The fields of a key: their names, kinds and values.

use std::{borrow::Cow, fmt};

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FieldKind {
    /// UTF-8 text.
    Text,
    /// A 64-bit signed integer.
    Integer,
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
        })
    }
}

/// A declared field of a key: its name, its kind, and whether it may be absent.
///
/// ```
/// use restow::{Field, FieldKind};
/// const FIELDS: &[Field] = &[Field::text("id"), Field::text("market").optional()];
/// assert!(FIELDS[1].is_optional());
/// assert_eq!(FIELDS[0].kind(), FieldKind::Text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    name: Cow<'static, str>,
    kind: FieldKind,
    optional: bool,
}

impl Field {
    /// Declares a field of text.
    pub const fn text(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind: FieldKind::Text,
            optional: false,
        }
    }

    /// Declares a field of integers.
    pub const fn integer(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind: FieldKind::Integer,
            optional: false,
        }
    }

    /// Declares a field whose name is known at run time.
    pub fn new(name: impl Into<Cow<'static, str>>, kind: FieldKind) -> Self {
        Self {
            name: name.into(),
            kind,
            optional: false,
        }
    }

    /// Lets the field be absent.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind.
    pub const fn kind(&self) -> FieldKind {
        self.kind
    }

    /// Tells whether it may be absent.
    pub const fn is_optional(&self) -> bool {
        self.optional
    }
}

impl fmt::Display for Field {
    /// Writes the name, with the kind where it is not text: `id`, `offset:int`, `market?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.kind == FieldKind::Integer {
            f.write_str(":int")?;
        }
        if self.optional {
            f.write_str("?")
        } else {
            Ok(())
        }
    }
}

/// The value of a field, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FieldRef<'a> {
    /// The field is absent: not the same as empty.
    Absent,
    /// Text.
    Text(&'a str),
    /// An integer.
    Integer(i64),
}

impl FieldRef<'_> {
    /// Returns an owned copy.
    pub fn to_value(self) -> FieldValue {
        match self {
            Self::Absent => FieldValue::Absent,
            Self::Text(s) => FieldValue::Text(s.into()),
            Self::Integer(i) => FieldValue::Integer(i),
        }
    }

    /// Returns the kind; an absent value has none.
    pub fn kind(self) -> Option<FieldKind> {
        match self {
            Self::Absent => None,
            Self::Text(_) => Some(FieldKind::Text),
            Self::Integer(_) => Some(FieldKind::Integer),
        }
    }
}

impl fmt::Display for FieldRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("-"),
            Self::Text(s) => f.write_str(s),
            Self::Integer(i) => fmt::Display::fmt(i, f),
        }
    }
}

/// The value of a field or of a declared column, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FieldValue {
    /// Absent.
    #[default]
    Absent,
    /// Text.
    Text(Box<str>),
    /// An integer.
    Integer(i64),
}

impl FieldValue {
    /// Borrows the value.
    pub fn as_ref(&self) -> FieldRef<'_> {
        match self {
            Self::Absent => FieldRef::Absent,
            Self::Text(s) => FieldRef::Text(s),
            Self::Integer(i) => FieldRef::Integer(*i),
        }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl From<&str> for FieldValue {
    fn from(s: &str) -> Self {
        Self::Text(s.into())
    }
}

impl From<String> for FieldValue {
    fn from(s: String) -> Self {
        Self::Text(s.into())
    }
}

impl From<i64> for FieldValue {
    fn from(i: i64) -> Self {
        Self::Integer(i)
    }
}

impl<T: Into<FieldValue>> From<Option<T>> for FieldValue {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Absent, Into::into)
    }
}
