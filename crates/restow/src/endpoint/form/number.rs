//! Values that are numbers, or text that stands for one.

use crate::FieldValue;
use bytesize::ByteSize;
use http::StatusCode;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use std::{fmt, marker::PhantomData};

/// A number of bytes: an integer, or text such as `"16 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"16 MiB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                let size = text.trim().parse::<ByteSize>();
                size.map(|s| Size(s.as_u64())).map_err(|_| {
                    E::custom(format_args!(
                        "{text:?} is not a size; write it like \"16 MiB\" or \"1.5 GB\""
                    ))
                })
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<T: TryFrom<u64>> Visitor<'_> for Reader<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match size_of::<T>() {
                    2 => f.write_str("a whole number from 0 to 65535"),
                    _ => f.write_str("a whole number from 0"),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole<T>, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
                T::try_from(number).map(Whole).map_err(wrong)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole<T>, E> {
                let whole = u64::try_from(number).ok().and_then(|n| T::try_from(n).ok());
                let wrong = || E::invalid_value(de::Unexpected::Signed(number), &self);
                whole.map(Whole).ok_or_else(wrong)
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// A status: a number, or its digits where it is the key of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Status(pub(crate) StatusCode);

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0.as_u16())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Status;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 999")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Status, E> {
                let status = text
                    .parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Status(status))
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<Status, E> {
                let code = u16::try_from(status)
                    .ok()
                    .and_then(|s| StatusCode::from_u16(s).ok());
                code.map(Status)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(status), &self))
            }

            fn visit_i64<E: de::Error>(self, status: i64) -> Result<Status, E> {
                let wrong = || E::invalid_value(de::Unexpected::Signed(status), &self);
                u64::try_from(status)
                    .map_err(|_| wrong())
                    .and_then(|s| Reader.visit_u64(s))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// The default of a field: text or an integer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DefaultValue(pub(crate) FieldValue);

impl Serialize for DefaultValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            FieldValue::Text(text) => serializer.serialize_str(text),
            FieldValue::Integer(integer) => serializer.serialize_i64(*integer),
            FieldValue::Absent => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for DefaultValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = DefaultValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or an integer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DefaultValue, E> {
                Ok(DefaultValue(text.into()))
            }

            fn visit_i64<E: de::Error>(self, integer: i64) -> Result<DefaultValue, E> {
                Ok(DefaultValue(integer.into()))
            }

            fn visit_u64<E: de::Error>(self, integer: u64) -> Result<DefaultValue, E> {
                let wrong = || E::invalid_value(de::Unexpected::Unsigned(integer), &self);
                i64::try_from(integer)
                    .map_err(|_| wrong())
                    .map(|i| DefaultValue(i.into()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<DefaultValue, E> {
                Ok(DefaultValue(FieldValue::Absent))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
