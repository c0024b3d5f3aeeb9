//! The field of a key, as a file has it.

use super::is_false;
use crate::{Field, FieldKind};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

/// A field: `"id"`, `"offset:int"`, `"market?"`, or a table for a name that such text cannot carry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldText(pub(crate) Field);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldTable {
    name: String,
    #[serde(default, skip_serializing_if = "is_false")]
    integer: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    optional: bool,
}

impl FieldText {
    fn read(text: &str) -> Option<Field> {
        let (text, optional) = text.strip_suffix('?').map_or((text, false), |t| (t, true));
        let (name, kind) = match text.rsplit_once(':') {
            None => (text, FieldKind::Text),
            Some((name, "int")) => (name, FieldKind::Integer),
            Some(_) => return None,
        };
        (!name.is_empty()).then(|| field(name.to_owned(), kind, optional))
    }
}

fn field(name: String, kind: FieldKind, optional: bool) -> Field {
    let field = Field::new(name, kind);
    if optional { field.optional() } else { field }
}

impl Serialize for FieldText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_string();
        if Self::read(&text).as_ref() == Some(&self.0) {
            return serializer.serialize_str(&text);
        }
        let table = FieldTable {
            name: self.0.name().to_owned(),
            integer: self.0.kind() == FieldKind::Integer,
            optional: self.0.is_optional(),
        };
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FieldText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = FieldText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field such as \"id\", \"offset:int\" or \"market?\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldText, E> {
                FieldText::read(text).map(FieldText).ok_or_else(|| {
                    E::custom(format_args!(
                        "{text:?} is not a field; write it like \"id\", \"offset:int\" or \"market?\" (which may be absent)"
                    ))
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldText, A::Error> {
                let FieldTable {
                    name,
                    integer,
                    optional,
                } = FieldTable::deserialize(MapAccessDeserializer::new(map))?;
                let kind = if integer {
                    FieldKind::Integer
                } else {
                    FieldKind::Text
                };
                Ok(FieldText(field(name, kind, optional)))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
