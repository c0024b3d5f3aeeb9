//! Keys and their canonical bytes: what goes in comes out, and nothing else does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use proptest::{collection::vec, prelude::*};
use restow::{
    ErrorKind, Field, FieldRef, FieldValue, Key, RawKey,
    key::{KeyField, MAX_KEY_BYTES, Shape},
};
use std::{collections::HashMap, fmt::Debug, sync::Arc};

fn raw(fields: &[FieldValue], query: &str) -> RawKey {
    RawKey::new(fields.iter().map(FieldValue::as_ref), query).unwrap()
}

/// Checks that `key` comes back from its bytes, by way of a store that keeps only these.
#[track_caller]
fn assert_returns<K: Key>(key: &K) {
    let bytes = key.to_raw().unwrap().as_bytes().to_vec();
    assert_eq!(
        K::from_raw(&RawKey::from_bytes(&bytes).unwrap()).unwrap(),
        *key
    );
}

/// Makes values of which many are alike, and whose bytes look like tags and lengths.
fn value() -> impl Strategy<Value = FieldValue> {
    let text = prop_oneof![
        "[\0-\u{5}]{0,6}",
        "[ab]{0,2}",
        ".{0,12}",
        Just("x".repeat(300))
    ];
    prop_oneof![
        Just(FieldValue::Absent),
        text.prop_map(FieldValue::from),
        (-2_i64..5).prop_map(FieldValue::from),
        any::<i64>().prop_map(FieldValue::from),
    ]
}

fn values() -> impl Strategy<Value = Vec<FieldValue>> {
    vec(value(), 0..5)
}

fn query() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[\0-\u{5}a=&]{1,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_raw_key_gives_its_values_back(fields in values(), query in query()) {
        let key = raw(&fields, &query);
        let back = key.fields().map(FieldRef::to_value).collect::<Vec<_>>();
        prop_assert_eq!(back, fields);
        prop_assert_eq!(key.query(), query);
    }

    #[test]
    fn the_bytes_that_were_written_are_read(fields in values(), query in query()) {
        let key = raw(&fields, &query);
        prop_assert_eq!(RawKey::from_bytes(key.as_bytes()).unwrap(), key);
    }

    #[test]
    fn no_key_is_the_beginning_of_another(fields in values(), query in query()) {
        let key = raw(&fields, &query);
        for len in 0..key.as_bytes().len() {
            let error = RawKey::from_bytes(&key.as_bytes()[..len]).unwrap_err();
            prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    /// Whatever is read is what would be written: there is no second form of a key.
    #[test]
    fn damaged_bytes_are_refused_or_are_another_key(
        fields in values(), query in query(), at in any::<prop::sample::Index>(), byte in 0_u8..6, tail in vec(0_u8..6, 0..3),
    ) {
        let mut bytes = raw(&fields, &query).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.extend(tail);
        if let Ok(key) = RawKey::from_bytes(&bytes) {
            let fields = key.fields().map(FieldRef::to_value).collect::<Vec<_>>();
            prop_assert_eq!(raw(&fields, key.query()).as_bytes().to_vec(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_are_a_key(bytes in vec(prop_oneof![4 => 0_u8..6, 1 => any::<u8>()], 0..16)) {
        if let Ok(key) = RawKey::from_bytes(&bytes) {
            let fields = key.fields().map(FieldRef::to_value).collect::<Vec<_>>();
            prop_assert_eq!(raw(&fields, key.query()).as_bytes().to_vec(), bytes);
        }
    }

    #[test]
    fn typed_keys_come_back(text in ".{0,9}", i in any::<i64>(), small in any::<u8>(), maybe in any::<Option<i32>>()) {
        assert_returns(&text);
        assert_returns(&Arc::<str>::from(text.as_str()));
        assert_returns(&i);
        assert_returns(&(maybe,));
        assert_returns(&(text.clone(), i));
        assert_returns(&(maybe, Some(text), small, i, None::<Box<str>>, u32::from(small)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each case compares all pairs of its keys.
    #[test]
    fn different_values_never_make_equal_keys(keys in vec((values(), query()), 2..200)) {
        let mut seen = HashMap::new();
        for (fields, query) in keys {
            let key = raw(&fields, &query);
            let first = seen.entry(key).or_insert_with(|| (fields.clone(), query.clone()));
            prop_assert_eq!(&*first, &(fields, query));
        }
    }
}

#[test]
fn look_alikes_are_different_keys() {
    let (absent, text, int) = (
        || FieldValue::Absent,
        |s: &str| FieldValue::from(s),
        |i: i64| FieldValue::from(i),
    );
    let keys = [
        raw(&[], ""),
        raw(&[absent()], ""),
        raw(&[text("")], ""),
        raw(&[text(""), text("")], ""),
        raw(&[int(0)], ""),
        raw(&[text("0")], ""),
        raw(&[text("ab"), text("c")], ""),
        raw(&[text("a"), text("bc")], ""),
        raw(&[text("a")], "a=1"),
        raw(&[text("a"), text("a=1")], ""),
        raw(&[], "a"),
        raw(&[text("a")], ""),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(!keys[..i].contains(key), "{key:?} is there twice");
    }
}

#[test]
fn bytes_with_more_than_one_reading_are_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("an unknown tag", &[9, 0]),
        ("something after the end", &[0, 0]),
        ("a query that is empty", &[4, 0, 0, 0, 0]),
        ("two queries", &[4, 0, 0, 0, 1, b'a', 4, 0, 0, 0, 1, b'a']),
        ("an end after the query", &[4, 0, 0, 0, 1, b'a', 0]),
        ("text that is not UTF-8", &[1, 0, 0, 0, 1, 0xff, 0]),
        ("a query that is not UTF-8", &[4, 0, 0, 0, 1, 0xff]),
        ("a length beyond the end", &[1, 0xff, 0xff, 0xff, 0xff, 0]),
    ];
    for (what, bytes) in cases {
        let error = RawKey::from_bytes(bytes).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}");
    }
}

#[test]
fn a_key_is_as_long_as_the_bound_and_no_longer() {
    // One text: its tag, its length and the end of the key take six bytes.
    let longest = "x".repeat(MAX_KEY_BYTES - 6);
    let key = longest.to_raw().unwrap();
    assert_eq!(key.as_bytes().len(), MAX_KEY_BYTES);
    assert!(RawKey::from_bytes(key.as_bytes()).is_ok());

    let error = format!("{longest}x").to_raw().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    let mut bytes = key.as_bytes().to_vec();
    bytes.insert(0, 3);
    assert!(RawKey::from_bytes(&bytes).is_err());
}

#[test]
fn a_raw_key_is_a_key_of_any_fields() {
    let key = raw(&[FieldValue::from("6"), FieldValue::Absent], "page=2");
    assert_returns(&key);
    assert_eq!(RawKey::shape(), Shape::Any);
    assert!(RawKey::check(&[Field::text("id")]).is_ok());
}

#[test]
fn a_plain_key_refuses_other_fields_and_says_which() {
    #[track_caller]
    fn refused<K: Key + Debug>(fields: &[FieldValue], why: &str) {
        let error = K::from_raw(&raw(fields, "")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.message().ends_with(why), "{error}");
    }
    let (six, seven) = (FieldValue::from("6"), FieldValue::from(7));
    refused::<String>(&[], r#"it ends before field "1""#);
    refused::<String>(
        std::slice::from_ref(&seven),
        r#"field "1" is an integer and must be text"#,
    );
    refused::<i64>(
        std::slice::from_ref(&six),
        r#"field "1" is text and must be an integer"#,
    );
    refused::<(String, i64)>(
        &[six.clone(), six.clone()],
        r#"field "2" is text and must be an integer"#,
    );
    refused::<(String, i64)>(
        &[six, seven, FieldValue::Absent],
        "it has 3 fields, 1 more than the key type",
    );
    refused::<u32>(&[FieldValue::from(-1)], r#"field "1" cannot hold -1"#);
}

#[test]
fn integers_are_never_cut_to_size() {
    assert_eq!(u8::from_field(FieldRef::Integer(255)), Some(255));
    assert_eq!(u8::from_field(FieldRef::Integer(256)), None);
    assert_eq!(i8::from_field(FieldRef::Integer(-129)), None);
    assert_eq!(u32::from_field(FieldRef::Integer(-1)), None);
    assert_eq!(i32::from_field(FieldRef::Integer(i64::MAX)), None);
}

#[test]
fn a_plain_key_fixes_number_and_kinds_of_its_fields() {
    let id = Field::text("id");
    let offset = Field::integer("offset");
    assert!(<(String, Option<i64>)>::check(&[id.clone(), offset.clone()]).is_ok());
    assert!(<(String, i64)>::check(&[id.clone(), offset.clone().optional()]).is_err());
    assert!(<(String, i64)>::check(&[offset, id.clone()]).is_err());
    assert!(String::check(std::slice::from_ref(&id)).is_ok());
    let error = i64::check(&[id]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
}
