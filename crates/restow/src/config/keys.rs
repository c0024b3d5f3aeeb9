//! The keys of a table: which there are, and which one a misspelt one stands for.

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor, value},
    forward_to_deserialize_any,
};

/// Returns the keys of a table, as the type that reads it has them.
pub(super) fn of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It always fails, once the type has said what it is made of.
    let _ = T::deserialize(Listing(&mut keys));
    keys
}

/// Returns the known key that `key` most likely stands for.
pub(super) fn nearest<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let scored = known
        .into_iter()
        .map(|k| (k, strsim::jaro_winkler(&key, k)));
    scored
        .filter(|(_, score)| *score > 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(k, _)| k)
}

/// Asks a type for its keys and gives it nothing.
struct Listing<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Listing<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(de::Error::custom("it has no keys"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = keys;
        Err(de::Error::custom("its keys are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_recognised_and_what_is_strange_is_not() {
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct Table {
            expire_after: u8,
            keep: u8,
            label: u8,
            max_bytes: u8,
            max_body: u8,
        }
        let known = of::<Table>();
        assert_eq!(
            known,
            ["expire_after", "keep", "label", "max_bytes", "max_body"]
        );
        let cases = [
            ("expire_afer", Some("expire_after")),
            ("expires", Some("expire_after")),
            ("expire-after", Some("expire_after")),
            ("ExpireAfter", Some("expire_after")),
            ("lable", Some("label")),
            ("kepp", Some("keep")),
            ("max_byte", Some("max_bytes")),
            ("colour", None),
            ("", None),
        ];
        for (key, expected) in cases {
            assert_eq!(nearest(key, known.iter().copied()), expected, "{key}");
        }
    }
}
