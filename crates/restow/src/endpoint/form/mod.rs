//! How the values of a configuration are written: each reads what people write, and says what it wants where it cannot.

mod field;
mod many;
mod number;
mod text;

pub(crate) use field::FieldText;
pub(crate) use many::{Many, Pairs};
pub(crate) use number::{DefaultValue, Size, Status, Whole};
pub(crate) use text::{Origin, Pointer, RouteText};

use crate::{Error, ErrorKind, Result};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// A value with a written form.
pub(crate) trait Written: Sized {
    /// What is expected, for errors: "a lifetime such as ...".
    const EXPECTED: &'static str;

    /// Reads the form.
    fn read(text: &str) -> Result<Self>;

    /// Writes the form.
    fn write(&self) -> String;
}

/// A value in its written form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Written> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.write())
    }
}

impl<'de, T: Written> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<T: Written> Visitor<'_> for Reader<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                T::read(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Reader(PhantomData)).map(Self)
    }
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// Makes the error of a value that is not what it should be.
fn wrong(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}
