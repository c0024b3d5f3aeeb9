//! Keys: what identifies an entry comes back, and nothing else is found by it.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Field, FieldRef,
    FieldRef::Absent,
    RawKey, Selection,
    entry::Address,
    store::{Parts, TableSpec},
};

promises! {
    text_comes_back: "A field of text comes back byte for byte: empty, blanks, quotes, control characters, NUL, any script.",
    texts_that_look_alike_are_apart: "Texts that differ in case, in blanks, in normalization or behind a NUL are different keys.",
    long_text_comes_back: "A field of 60,000 bytes comes back, and is apart from one that differs in its last byte.",
    integers_come_back: "Integers come back, from the smallest to the largest.",
    absent_is_not_empty: "An absent field is not an empty one: they are two keys.",
    keys_with_absent_fields_are_replaced: "Writing a key with absent fields again replaces the entry.",
    values_stay_in_their_fields: "The same values in other fields are another key.",
    many_fields_come_back: "A key of sixteen fields comes back, and each of them tells keys apart.",
    a_key_may_have_no_fields: "A table without fields holds one entry for each query.",
    the_query_is_part_of_the_key: "Undeclared parameters are part of the key, and come back with it.",
    fields_may_have_any_name: "Fields may have the names of a store's own columns, of SQL words, and of any text.",
    a_key_with_too_few_fields_is_refused: "A key with too few or too many fields is an error of kind Key, for every call that takes one.",
    a_key_with_other_kinds_is_refused: "A key with text for an integer, or an integer for text, is an error of kind Key.",
    a_required_field_may_not_be_absent: "A key in which a required field is absent is an error of kind Key.",
}

const TEXTS: [&str; 22] = [
    "",
    " ",
    "a",
    "6fWoFduMpBem73DMLCOh1Z",
    "two words",
    "ümläut",
    "日本語",
    "👩‍👩‍👧",
    "\u{feff}",
    "a\0b",
    "\0",
    "tab\tline\nreturn\r",
    "it's \"quoted\" `so`",
    "a\\b",
    "100%",
    "under_score",
    "a/b?c=d&e#f",
    "null",
    "NULL",
    "-1",
    "1.0",
    "{}",
];

async fn text_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    for text in TEXTS {
        t.comes_back(entry(text)?).await?;
        let key = key("t", FieldRef::Text(text), Absent, "")?;
        t.comes_back(entry_at(address_of(key)?)?).await?;
    }
    same!(t.all(T0).await?, 2 * TEXTS.len() as u64, "entries held");
    Ok(())
}

async fn texts_that_look_alike_are_apart(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let alike = [
        "a", "A", " a", "a ", "a\0", "a\0b", "\u{e9}", "e\u{301}", "01", "1", "1.0", "ß", "ss",
        "ａ",
    ];
    for text in alike {
        t.write(T0, [entry(text)?.label(text)]).await?;
    }
    for text in alike {
        let got = t.one(&address(text)?, T0).await?;
        same!(got.meta.label.as_deref(), Some(text), "label at {text:?}");
    }
    Ok(())
}

async fn long_text_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let long = "x".repeat(60_000);
    let other = format!("{}y", "x".repeat(59_999));
    t.write(T0, [entry(&long)?, entry(&other)?.body("other")])
        .await?;
    same_entry(&*t.one(&address(&long)?, T0).await?, &entry(&long)?)?;
    same!(t.one(&address(&other)?, T0).await?.body, "other", "body");
    Ok(())
}

async fn integers_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let numbers = [i64::MIN, -1, 0, 1, (1 << 53) + 1, i64::MAX];
    for n in numbers {
        let key = key("n", Absent, FieldRef::Integer(n), "")?;
        t.comes_back(entry_at(address_of(key)?)?).await?;
    }
    same!(t.all(T0).await?, numbers.len() as u64, "entries held");
    Ok(())
}

async fn absent_is_not_empty(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let absent = address_of(key("a", Absent, Absent, "")?)?;
    let empty = address_of(key("a", FieldRef::Text(""), Absent, "")?)?;
    let zero = address_of(key("a", Absent, FieldRef::Integer(0), "")?)?;
    for (at, body) in [(&absent, "absent"), (&empty, "empty"), (&zero, "zero")] {
        t.write(T0, [entry_at(at.clone())?.body(body)]).await?;
    }
    for (at, body) in [(&absent, "absent"), (&empty, "empty"), (&zero, "zero")] {
        same!(t.one(at, T0).await?.body, body, "body");
    }
    Ok(())
}

async fn keys_with_absent_fields_are_replaced(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.body("first")]).await?;
    t.write(T0, [entry("a")?.body("second")]).await?;
    same!(t.one(&address("a")?, T0).await?.body, "second", "body");
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn values_stay_in_their_fields(subject: &dyn Subject) -> Kept {
    let spec = TableSpec::new("pairs", [Field::text("a"), Field::text("b")])?;
    let t = Trial::with(subject, &spec).await?;
    let pairs = [
        ("x", "y"),
        ("y", "x"),
        ("xy", ""),
        ("", "xy"),
        ("x,y", ""),
        ("x", ",y"),
    ];
    let at = |(a, b)| address_of(RawKey::new([FieldRef::Text(a), FieldRef::Text(b)], "")?);
    for pair in pairs {
        t.write(T0, [entry_at(at(pair)?)?.body(format!("{pair:?}"))])
            .await?;
    }
    for pair in pairs {
        same!(
            t.one(&at(pair)?, T0).await?.body,
            format!("{pair:?}"),
            "body of {pair:?}"
        );
    }
    Ok(())
}

async fn many_fields_come_back(subject: &dyn Subject) -> Kept {
    let fields: Vec<_> = (0..16)
        .map(|i| Field::new(format!("f{i}"), crate::FieldKind::Integer))
        .collect();
    let t = Trial::with(subject, &TableSpec::new("wide", fields)?).await?;
    for changed in 0..16 {
        let values = (0..16).map(|i| FieldRef::Integer(i64::from(i == changed)));
        t.comes_back(entry_at(address_of(RawKey::new(values, "")?)?)?)
            .await?;
    }
    same!(t.all(T0).await?, 16, "entries held");
    Ok(())
}

async fn a_key_may_have_no_fields(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &TableSpec::new("me", [])?).await?;
    for query in ["", "page=1"] {
        let at = address_of(RawKey::new([], query)?)?;
        t.write(T0, [entry_at(at.clone())?.body("before")]).await?;
        t.comes_back(entry_at(at)?.body(query.to_owned())).await?;
    }
    same!(t.all(T0).await?, 2, "entries held");
    Ok(())
}

async fn the_query_is_part_of_the_key(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let queries = ["", "a=1", "a=1&b=2", "b=2&a=1", "a", "a=", "ü=%00", "A=1"];
    for query in queries {
        let at = address_of(key("q", Absent, Absent, query)?)?;
        let got = t.comes_back(entry_at(at)?.body(query.to_owned())).await?;
        same!(got.id.address.key.query(), query, "query");
    }
    same!(t.all(T0).await?, queries.len() as u64, "entries held");
    Ok(())
}

async fn fields_may_have_any_name(subject: &dyn Subject) -> Kept {
    let names = [
        "id",
        "order",
        "select",
        "from",
        "body",
        "status",
        "headers",
        "facts",
        "url",
        "query",
        "partition",
        "variant",
        "generation",
        "label",
        "stored_at",
        "checked_at",
        "changed_at",
        "expires_at",
        "used_at",
        "completeness",
        "rowid",
        "oid",
        "_rowid_",
        "key",
        "tag",
        "tags",
        "a b",
        "a\"b",
        "a'b",
        "a]b",
        "a.b",
        "a;b",
        "日本",
        "0",
        "%",
        "?1",
        "$1",
        ":a",
        "--",
    ];
    for chunk in names.chunks(8) {
        let fields: Vec<_> = chunk.iter().map(|n| Field::text(n)).collect();
        let t = Trial::with(subject, &TableSpec::new("named", fields)?).await?;
        let values = chunk.iter().map(|n| FieldRef::Text(n));
        t.comes_back(entry_at(address_of(RawKey::new(values, "")?)?)?)
            .await?;
        for name in chunk {
            let which = Selection::default().eq(name, *name).scan();
            same!(
                t.count(&which, T0).await?,
                1,
                "entries whose field {name:?} is its name"
            );
            let which = Selection::default().eq(name, "other").scan();
            same!(
                t.count(&which, T0).await?,
                0,
                "entries whose field {name:?} is another"
            );
        }
    }
    Ok(())
}

async fn a_key_with_too_few_fields_is_refused(subject: &dyn Subject) -> Kept {
    let text = FieldRef::Text("a");
    is_refused(subject, RawKey::new([text], "")?).await?;
    is_refused(subject, RawKey::new([], "")?).await?;
    is_refused(subject, RawKey::new([text, Absent, Absent, Absent], "")?).await
}

async fn a_key_with_other_kinds_is_refused(subject: &dyn Subject) -> Kept {
    let (text, number) = (FieldRef::Text("1"), FieldRef::Integer(1));
    is_refused(subject, RawKey::new([number, Absent, Absent], "")?).await?;
    is_refused(subject, RawKey::new([text, Absent, text], "")?).await
}

async fn a_required_field_may_not_be_absent(subject: &dyn Subject) -> Kept {
    is_refused(subject, RawKey::new([Absent, Absent, Absent], "")?).await
}

async fn is_refused(subject: &dyn Subject, key: RawKey) -> Kept {
    let t = Trial::start(subject).await?;
    let (good, bad): (_, Address) = (address("good")?, address_of(key)?);
    t.write(T0, [entry("good")?]).await?;
    let entry = entry_at(bad.clone())?;
    let both = [good, bad];
    let [_, bad] = &both;
    fails(
        t.table.read(bad, Parts::Whole, T0).await,
        ErrorKind::Key,
        "read",
    )?;
    fails(
        t.table.read_many(&both, Parts::Whole, T0).await,
        ErrorKind::Key,
        "read_many",
    )?;
    fails(
        t.table.write(&writes([entry.clone()]), T0).await,
        ErrorKind::Key,
        "write",
    )?;
    fails(t.table.delete(&both, T0).await, ErrorKind::Key, "delete")?;
    let renewals = [renewal(&entry, entry.meta.clone())];
    fails(t.table.renew(&renewals, T0).await, ErrorKind::Key, "renew")?;
    same!(t.all(T0).await?, 1, "entries held afterwards");
    Ok(())
}
