//! `#[derive(Key)]`: what it writes, what it refuses at run time, and what it refuses to compile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use restow::{
    ErrorKind, Field, FieldKind, FieldRef, FieldValue, Key, RawKey,
    key::{FieldKind as Kind, KeyField, Shape, Slot},
};
use std::{marker::PhantomData, sync::Arc};

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    id: String,
    market: Option<String>,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct PageKey(Arc<str>, u8, Option<i64>);

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct AlbumId(String);

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Market(Option<String>);

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct AlbumKey {
    id: AlbumId,
    parent: Option<AlbumId>,
    market: Market,
    offset: u32,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct SearchKey {
    r#type: String,
    #[key(rename = "page[offset]")]
    offset: i64,
    #[key()]
    limit: Option<i64>,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Swapped {
    #[key(rename = "b")]
    a: String,
    #[key(rename = "a")]
    b: String,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Paged<T, const STEP: u8 = 20>
where
    T: Ord,
{
    of: T,
    page: Option<T>,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Wrapped<T>(T);

#[derive(Debug)]
struct Album;

/// A type that is a field by hand, and whose parameter is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Id<T>(String, PhantomData<fn() -> T>);

impl<T: 'static> KeyField for Id<T>
where
    Self: Clone + std::fmt::Debug + Eq + std::hash::Hash,
{
    const KIND: FieldKind = FieldKind::Text;
    fn as_field(&self) -> FieldRef<'_> {
        FieldRef::Text(&self.0)
    }
    fn from_field(field: FieldRef<'_>) -> Option<Self> {
        String::from_field(field).map(|id| Self(id, PhantomData))
    }
}

fn raw(fields: &[FieldValue]) -> RawKey {
    RawKey::new(fields.iter().map(FieldValue::as_ref), "").unwrap()
}

/// Checks both ways between `key` and `fields`.
#[track_caller]
fn assert_fields<K: Key>(key: &K, fields: &[FieldValue]) {
    assert_eq!(key.to_raw().unwrap(), raw(fields));
    assert_eq!(K::from_raw(&raw(fields)).unwrap(), *key);
}

/// Checks that no `K` can be read from `fields`, and that the message ends with `why`.
#[track_caller]
fn assert_refused<K: Key>(fields: &[FieldValue], why: &str) {
    let error = K::from_raw(&raw(fields)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.message().ends_with(why), "{error}");
}

fn text(s: &str) -> FieldValue {
    FieldValue::from(s)
}

fn int(i: i64) -> FieldValue {
    FieldValue::from(i)
}

const ABSENT: FieldValue = FieldValue::Absent;

#[test]
fn a_struct_is_the_list_of_its_fields() {
    let mut key = TrackKey {
        id: "6".into(),
        market: Some("GB".into()),
    };
    assert_fields(&key, &[text("6"), text("GB")]);
    key.market = Some(String::new());
    assert_fields(&key, &[text("6"), text("")]);
    key.market = None;
    assert_fields(&key, &[text("6"), ABSENT]);
}

#[test]
fn a_struct_fixes_the_names_of_its_fields() {
    const FIELDS: &[Field] = &[Field::text("id"), Field::text("market").optional()];
    assert_eq!(TrackKey::shape(), Shape::Named(FIELDS));
}

#[test]
fn a_tuple_struct_fixes_number_and_kinds() {
    assert_fields(
        &PageKey("6".into(), 255, Some(i64::MIN)),
        &[text("6"), int(255), int(i64::MIN)],
    );
    assert_fields(&PageKey("".into(), 0, None), &[text(""), int(0), ABSENT]);
    let slot = |kind, optional| Slot { kind, optional };
    let slots = [
        slot(Kind::Text, false),
        slot(Kind::Integer, false),
        slot(Kind::Integer, true),
    ];
    assert!(matches!(PageKey::shape(), Shape::Slots(s) if s == slots));
}

#[test]
fn a_newtype_is_a_key() {
    assert_fields(&AlbumId("6".into()), &[text("6")]);
    assert_fields(&Market(None), &[ABSENT]);
    assert_fields(&Wrapped(7_i16), &[int(7)]);
    assert!(
        matches!(Market::shape(), Shape::Slots([slot]) if slot.optional && slot.kind == Kind::Text)
    );
}

#[test]
fn a_newtype_is_a_field_of_another_key() {
    let key = AlbumKey {
        id: AlbumId("6".into()),
        parent: None,
        market: Market(Some("GB".into())),
        offset: u32::MAX,
    };
    assert_fields(&key, &[text("6"), ABSENT, text("GB"), int(u32::MAX.into())]);
    const FIELDS: &[Field] = &[
        Field::text("id"),
        Field::text("parent").optional(),
        Field::text("market").optional(),
        Field::integer("offset"),
    ];
    assert_eq!(AlbumKey::shape(), Shape::Named(FIELDS));
}

#[test]
fn names_are_as_written_unless_renamed() {
    const FIELDS: &[Field] = &[
        Field::text("type"),
        Field::integer("page[offset]"),
        Field::integer("limit").optional(),
    ];
    assert_eq!(SearchKey::shape(), Shape::Named(FIELDS));
    let key = SearchKey {
        r#type: "track".into(),
        offset: -1,
        limit: Some(5),
    };
    assert_fields(&key, &[text("track"), int(-1), int(5)]);
}

#[test]
fn two_fields_may_swap_their_names() {
    const FIELDS: &[Field] = &[Field::text("b"), Field::text("a")];
    assert_eq!(Swapped::shape(), Shape::Named(FIELDS));
    let key = Swapped {
        a: "1".into(),
        b: "2".into(),
    };
    assert_fields(&key, &[text("1"), text("2")]);
}

#[test]
fn a_generic_struct_is_a_key_of_each_type_of_field() {
    let texts = Paged::<String> {
        of: "6".into(),
        page: None,
    };
    assert_fields(&texts, &[text("6"), ABSENT]);
    let integers = Paged::<u8, 50> {
        of: 1,
        page: Some(2),
    };
    assert_fields(&integers, &[int(1), int(2)]);
    const FIELDS: &[Field] = &[Field::integer("of"), Field::integer("page").optional()];
    assert_eq!(Paged::<u8, 50>::shape(), Shape::Named(FIELDS));
}

#[test]
fn only_the_types_of_fields_are_bounded() {
    #[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
    struct ById<T: 'static> {
        id: Id<T>,
    }
    let _ = Album;
    fn is_field<T: KeyField>() {}
    is_field::<Id<u8>>();
    let key = ById::<u8> {
        id: Id("6".into(), PhantomData),
    };
    assert_fields(&key, &[text("6")]);
}

#[test]
fn a_value_of_another_kind_is_refused_by_name() {
    assert_refused::<TrackKey>(
        &[int(6), ABSENT],
        r#"field "id" is an integer and must be text"#,
    );
    assert_refused::<TrackKey>(
        &[text("6"), int(1)],
        r#"field "market" is an integer and must be text or absent"#,
    );
    assert_refused::<SearchKey>(
        &[text("track"), text("0"), ABSENT],
        r#"field "page[offset]" is text and must be an integer"#,
    );
    assert_refused::<PageKey>(
        &[text("6"), int(0), text("1")],
        r#"field "3" is text and must be an integer or absent"#,
    );
}

#[test]
fn absent_is_refused_where_the_type_has_no_place_for_it() {
    assert_refused::<TrackKey>(
        &[ABSENT, ABSENT],
        r#"field "id" is absent and must be text"#,
    );
    assert_refused::<AlbumId>(&[ABSENT], r#"field "1" is absent and must be text"#);
}

#[test]
fn an_integer_out_of_range_is_refused_and_not_cut() {
    for i in [-1, 256, i64::MAX] {
        let why = format!(r#"field "2" cannot hold {i}"#);
        assert_refused::<PageKey>(&[text("6"), int(i), ABSENT], &why);
    }
}

#[test]
fn fewer_fields_are_refused() {
    assert_refused::<TrackKey>(&[], r#"it ends before field "id""#);
    // An optional field that is absent is written as such; left out is another thing.
    assert_refused::<TrackKey>(&[text("6")], r#"it ends before field "market""#);
    assert_refused::<AlbumId>(&[], r#"it ends before field "1""#);
}

#[test]
fn more_fields_are_refused() {
    let why = "it has 4 fields, 2 more than the key type";
    assert_refused::<TrackKey>(&[text("6"), ABSENT, ABSENT, int(1)], why);
    assert_refused::<AlbumId>(
        &[text("6"), ABSENT],
        "it has 2 fields, 1 more than the key type",
    );
}

#[test]
fn a_key_too_long_is_refused_when_written() {
    let error = AlbumId("6".repeat(64 * 1024)).to_raw().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
}

#[test]
fn check_asks_for_the_declared_fields_in_their_order() {
    let id = || Field::text("id");
    let market = || Field::text("market");
    let cases = [
        (vec![id(), market().optional()], true),
        // The type may allow more than the route needs.
        (vec![id(), market()], true),
        (vec![id().optional(), market()], false),
        (vec![market().optional(), id()], false),
        (vec![id()], false),
        (vec![id(), market().optional(), market()], false),
        (vec![id(), Field::integer("market")], false),
        (vec![Field::text("ids"), market()], false),
    ];
    for (fields, fits) in cases {
        match TrackKey::check(&fields) {
            Ok(()) => assert!(fits, "{fields:?}"),
            Err(error) => {
                assert!(!fits, "{error}");
                assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
                assert!(error.message().contains("(id, market?)"), "{error}");
            }
        }
    }
}

#[test]
fn check_of_a_tuple_struct_takes_any_names() {
    let fields = |last| [Field::text("x"), Field::integer("y"), last];
    assert!(PageKey::check(&fields(Field::integer("z").optional())).is_ok());
    assert!(PageKey::check(&fields(Field::text("z"))).is_err());
}
