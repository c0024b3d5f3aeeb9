//! The codec of keys: two keys have the same bytes exactly where all their values are the same.

use super::{Target, input::Input};
use anyhow::{Context, Result, ensure};
use restow::{FieldRef, FieldValue, RawKey};

pub(super) const TARGET: Target = Target {
    name: "key",
    check,
    words: &[
        "\0",
        "\u{1}\0\0\0\u{1}a",
        "\u{1}\0\0\0\0",
        "\u{2}\0\0\0\0\0\0\0\u{7}",
        "\u{3}",
        "\u{4}\0\0\0\u{3}a=b",
        "é",
    ],
};

fn check(data: &[u8]) -> Result<()> {
    read(data)?;
    let mut input = Input::new(data);
    let one = Values::take(&mut input);
    let two = if input.flag() {
        one.shifted()
    } else {
        Values::take(&mut input)
    };
    written(&one)?;
    written(&two)?;
    let (a, b) = (one.key()?, two.key()?);
    ensure!(
        (a == b) == (one == two),
        "{one:?} and {two:?} are told apart by their keys: {}",
        a != b
    );
    let begins = b.as_bytes().starts_with(a.as_bytes());
    ensure!(a == b || !begins, "{a:?} is the beginning of {b:?}");
    Ok(())
}

/// Bytes that are read as a key are the only form of that key.
fn read(data: &[u8]) -> Result<()> {
    let Ok(key) = RawKey::from_bytes(data) else {
        return Ok(());
    };
    ensure!(key.as_bytes() == data, "a key was read that is not there");
    let again =
        RawKey::new(key.fields(), key.query()).context("what was read cannot be written")?;
    ensure!(again == key, "{key} has two forms");
    for end in (0..data.len()).take(256) {
        let beginning = data.get(..end).unwrap_or_default();
        ensure!(
            RawKey::from_bytes(beginning).is_err(),
            "{key} begins with another key"
        );
    }
    Ok(())
}

/// What is written is read back, value by value.
fn written(values: &Values) -> Result<()> {
    let key = values.key()?;
    let back = RawKey::from_bytes(key.as_bytes())?;
    ensure!(back == key, "{values:?} came back as another key");
    let fields: Vec<FieldValue> = key.fields().map(FieldRef::to_value).collect();
    ensure!(
        fields == values.fields && *key.query() == *values.query,
        "{values:?} came back as {fields:?} and {:?}",
        key.query()
    );
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Values {
    fields: Vec<FieldValue>,
    query: String,
}

impl Values {
    fn take(input: &mut Input<'_>) -> Self {
        let number = input.byte() % 6;
        let fields = (0..number).map(|_| match input.byte() % 4 {
            0 => FieldValue::Absent,
            1 => input.number().into(),
            _ => input.text().into(),
        });
        Self {
            fields: fields.collect(),
            query: input.text(),
        }
    }

    /// The same letters in other fields: what a codec without lengths would take for the same.
    fn shifted(&self) -> Self {
        let mut carried = String::new();
        let mut fields: Vec<FieldValue> = Vec::new();
        for field in &self.fields {
            fields.push(match field {
                FieldValue::Text(text) => {
                    let mut text = format!("{carried}{text}");
                    carried = text.pop().map(String::from).unwrap_or_default();
                    text.into()
                }
                other => other.clone(),
            });
        }
        Self {
            fields,
            query: format!("{carried}{}", self.query),
        }
    }

    fn key(&self) -> Result<RawKey> {
        Ok(RawKey::new(
            self.fields.iter().map(FieldValue::as_ref),
            &self.query,
        )?)
    }
}
