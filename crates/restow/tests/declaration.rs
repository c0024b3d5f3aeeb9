//! A declaration as JSON: what is written reads back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use http::{Method, StatusCode};
use proptest::{collection::vec, option, prelude::*, sample::select};
use restow::{
    Credentials, Declaration, DeclaredEndpoint, ErrorKind, Expiry, Field, FieldKind, FieldValue,
    RouteEndpoint,
    codec::{Binary, Json},
    endpoint::{Coding, Rules},
    route::Undeclared,
    store::{Budget, Column, Compression, OnSchemaChange},
};
use std::{sync::Arc, time::Duration};

fn field() -> impl Strategy<Value = Field> {
    // Names that the short form of a field cannot carry are among them.
    let name = prop_oneof![
        "[a-z_]{1,8}",
        select(vec!["a?", "b:int", "c:text", "?", ":int", "日本", "d?:int"])
            .prop_map(str::to_owned)
    ];
    let kind = select(vec![FieldKind::Text, FieldKind::Integer]);
    (name, kind, any::<bool>()).prop_map(|(name, kind, optional)| {
        let field = Field::new(name, kind);
        if optional { field.optional() } else { field }
    })
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<String>().prop_map(FieldValue::from),
        any::<i64>().prop_map(FieldValue::from),
        Just(FieldValue::Absent)
    ]
}

fn pointer() -> impl Strategy<Value = Box<str>> {
    "(/[a-z~0-9\" é]{0,6}){0,3}".prop_map(Into::into)
}

fn expiry() -> impl Strategy<Value = Expiry> {
    let text = select(vec![
        "never",
        "0",
        "1 month 2 days",
        "90 seconds",
        "2 years",
        "36h",
        "1ms",
    ]);
    prop_oneof![
        text.prop_map(|t| t.parse().unwrap()),
        millis().prop_map(Expiry::from)
    ]
}

/// Lengths of time are written to the millisecond.
fn millis() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..100_000_000_000_u64).prop_map(Duration::from_millis),
        Just(Duration::MAX)
    ]
}

fn statuses() -> impl Strategy<Value = Arc<[StatusCode]>> {
    vec(
        (100..1000_u16).prop_map(|s| StatusCode::from_u16(s).unwrap()),
        0..4,
    )
    .prop_map(Into::into)
}

fn encoding() -> impl Strategy<Value = Option<Coding>> {
    let all = [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd];
    option::of(select(all.to_vec()))
}

prop_compose! {
    fn rules()(
        times in (option::of(expiry()), option::of(millis()), option::of(millis()), option::of(millis())),
        error_statuses in option::of(statuses()),
        kept in option::of(statuses()),
        negative in vec((statuses(), expiry()), 0..3),
        require in vec(pointer(), 0..3),
        reject in vec(pointer(), 0..3),
        max_body in any::<u64>(),
        credentials in option::of(select(vec![
            Credentials::default(),
            Credentials::none(),
            Credentials::parse(["cookie:session", "query:a b", "header:x-me"]).unwrap(),
        ])),
        flags in any::<(bool, bool)>(),
        origins in vec(select(vec!["https://cdn.example.com", "http://127.0.0.1:8080"]), 0..3),
        then in select(vec![OnSchemaChange::Refuse, OnSchemaChange::Migrate, OnSchemaChange::SetAside]),
        budget in any::<(Option<u64>, Option<u64>)>(),
        max_variants in any::<u16>(),
        (compression, encoding) in (select(vec![Compression::None, Compression::Zstd]), encoding()),
    ) -> Rules {
        let mut rules = Rules::default();
        (rules.expire_after, rules.keep, rules.stale_if_error, rules.stale_while_revalidate) = times;
        rules.error_statuses = error_statuses;
        rules.statuses = kept;
        rules.negative = negative.into_iter().flat_map(|(s, e)| s.iter().map(|s| (*s, e)).collect::<Vec<_>>()).collect();
        rules.require = require;
        rules.reject = reject;
        rules.max_body = max_body;
        rules.credentials = credentials;
        (rules.share, rules.force) = flags;
        rules.redirect_origins = origins.into_iter().map(Into::into).collect();
        rules.on_schema_change = then;
        rules.budget = Budget { bytes: budget.0, entries: budget.1 };
        rules.max_variants = max_variants;
        rules.compression = compression;
        rules.upstream_encoding = encoding;
        rules
    }
}

prop_compose! {
    fn declaration()(
        name in "[a-z][a-z 0-9\"é-]{0,10}[a-z]",
        method in select(vec![Method::GET, Method::POST]),
        fields in vec(field(), 0..4),
        codec in select(vec!["json", "text", "binary", "auto", "lines"]),
        columns in vec(("[a-z]{1,6}", pointer()), 0..3),
        label in vec(pointer(), 0..3),
        templates in vec(select(vec![
            "https://api.example.com/v1/tracks/{id}{?market,limit:int,ids!}",
            "https://{region}.example.com:8443/x-{name}.{ext}{/rest*}?type=a%20b&c{&q}",
            "http://[::1]/{+rest}",
        ]), 0..3),
        undeclared in select(vec![Undeclared::Key, Undeclared::Ignore, Undeclared::Bypass]),
        ignore in vec("[a-z*_]{1,6}", 0..3),
        defaults in vec(("[a-z]{1,6}", value()), 0..3),
        rules in rules(),
    ) -> Declaration {
        let mut d = Declaration::new(&name, fields).unwrap();
        d.method = method;
        d.codec = codec.into();
        d.columns = columns.into_iter().map(|(name, pointer)| Column { name: name.into(), pointer }).collect();
        d.label = label;
        d.templates = templates.into_iter().map(|t| t.parse().unwrap()).collect();
        d.query.undeclared = undeclared;
        d.query.ignore = ignore.into_iter().map(Into::into).collect();
        d.query.defaults = defaults.into_iter().map(|(name, v)| (name.into(), v)).collect();
        d.rules = rules;
        d
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(declaration in declaration()) {
        let json = declaration.to_json();
        let back = Declaration::from_json(&json);
        prop_assert_eq!(back.map_err(|e| format!("{e:?}: {json}")), Ok(declaration));
    }
}

#[test]
fn an_endpoint_of_code_is_one_of_a_file() {
    let code = RouteEndpoint::<(String, Option<i64>), Json<serde_json::Value>>::get(
        "tracks",
        "https://api.example.com/{id}{?limit}",
    )
    .unwrap()
    .alias("https://old.example.com/{id}{?limit}")
    .unwrap()
    .default("limit", 20)
    .negative(StatusCode::NOT_FOUND, Duration::from_secs(600))
    .keep(Duration::MAX);
    let declaration = restow::Endpoint::declaration(&code);
    let json = declaration.to_json();
    assert_eq!(
        json,
        r#"{"name":"tracks","routes":["https://api.example.com/{id}{?limit}","https://old.example.com/{id}{?limit}"],"codec":"json","#
            .to_owned()
            + r#""fields":["id","limit:int?"],"defaults":{"limit":20},"keep":"forever","negative":{"404":"10m"}}"#
    );
    let read = Declaration::from_json(&json).unwrap();
    assert_eq!(&read, declaration);
    DeclaredEndpoint::from_declaration(read, Binary).unwrap();
}

#[test]
fn what_is_no_declaration_is_a_format_error() {
    let wrong = [
        "",
        "{}",
        "[]",
        r#"{"name":"a","jitter":1}"#,
        r#"{"name":"restow_a"}"#,
        r#"{"name":"a","label":"x"}"#,
    ];
    for text in wrong {
        let error = Declaration::from_json(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{text}");
        assert!(std::error::Error::source(&error).is_some(), "{text}");
    }
}
