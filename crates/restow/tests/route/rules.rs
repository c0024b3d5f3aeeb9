//! Undeclared parameters, defaults and credentials.

use super::{route, said, target, with};
use restow::{
    ErrorKind, Field, FieldKind, FieldRef, FieldValue, RawKey,
    route::{Matched, Place, QueryRules, Route, Template, Undeclared},
};

fn rules(change: impl FnOnce(&mut QueryRules)) -> QueryRules {
    let mut rules = QueryRules::default();
    change(&mut rules);
    rules
}

#[test]
fn undeclared_parameters_go_by_the_policy() {
    let template = "https://h/{id}{?m}";
    let ignore = || vec!["utm_*".into(), "*_id".into()];
    let key = with(template, rules(|r| r.ignore = ignore()));
    let none = with(template, rules(|r| r.undeclared = Undeclared::Ignore));
    let bypass = with(
        template,
        rules(|r| {
            r.undeclared = Undeclared::Bypass;
            r.ignore = ignore();
        }),
    );
    let cases = [
        ("https://h/1?x=1", r#""1" - ?x=1"#, r#""1" -"#, "Undeclared"),
        ("https://h/1?m=1", r#""1" "1""#, r#""1" "1""#, r#""1" "1""#),
        (
            "https://h/1?utm_a=1&c_id=2",
            r#""1" -"#,
            r#""1" -"#,
            r#""1" -"#,
        ),
        ("https://h/1?utm_a=%ff", r#""1" -"#, r#""1" -"#, r#""1" -"#),
        (
            "https://h/1?x=1&utm_a=1",
            r#""1" - ?x=1"#,
            r#""1" -"#,
            "Undeclared",
        ),
        (
            "https://h/1?x=1&m=1&m=2",
            "Repeated",
            "Repeated",
            "Repeated",
        ),
    ];
    for (url, with_key, with_ignore, with_bypass) in cases {
        assert_eq!(said(&key, url), with_key, "{url}");
        assert_eq!(said(&none, url), with_ignore, "{url}");
        assert_eq!(said(&bypass, url), with_bypass, "{url}");
    }
}

#[test]
fn a_declared_parameter_is_not_ignored() {
    let route = with(
        "https://h/{?utm_x}",
        rules(|r| r.ignore = vec!["utm_*".into()]),
    );
    assert_eq!(said(&route, "https://h/?utm_x=1"), r#""1""#);
}

#[test]
fn a_credential_is_in_no_key() {
    let route = with(
        "https://h/{id}",
        rules(|r| r.secret = vec!["access_token".into()]),
    );
    for url in [
        "https://h/1?access_token=s3cret&a=1",
        "https://h/1?a=1&access%5Ftoken=other",
        "https://h/1?access_token&a=1",
        "https://h/1?access_token=%ff&a=1",
    ] {
        assert_eq!(said(&route, url), r#""1" ?a=1"#, "{url}");
    }
    let key = RawKey::new([FieldRef::Text("1")], "access_token=s3cret").unwrap();
    assert_eq!(route.expand(&key).unwrap_err().kind(), ErrorKind::Key);
}

#[test]
fn absent_and_default_are_one_key() {
    let template = Template::parse("https://h/{id}{?market,limit:int}").unwrap();
    let fields = [
        Field::text("id"),
        Field::text("market"),
        Field::integer("limit").optional(),
    ];
    let rules = rules(|r| {
        r.defaults = vec![
            ("market".into(), FieldValue::from("GB")),
            ("limit".into(), FieldValue::from(20)),
        ];
    });
    let route = Route::new(template, &fields, rules).unwrap();
    for url in [
        "https://h/1",
        "https://h/1?market=GB",
        "https://h/1?limit=20",
        "https://h/1?limit=20&market=GB",
    ] {
        assert_eq!(said(&route, url), r#""1" "GB" 20"#, "{url}");
    }
    assert_eq!(said(&route, "https://h/1?market="), r#""1" "" 20"#);

    let absent = RawKey::new(
        [FieldRef::Text("1"), FieldRef::Absent, FieldRef::Absent],
        "",
    )
    .unwrap();
    let url = route.expand(&absent).unwrap();
    assert_eq!(url, "https://h/1?market=GB&limit=20");
    let canonical = route.canonical(absent).unwrap();
    assert_eq!(route.key(&target(&url)), Matched::Key(canonical));
}

#[test]
fn a_template_without_a_field_stands_for_its_default() {
    let template = Template::parse("https://h/uk/{id}").unwrap();
    let fields = [Field::text("id"), Field::text("market")];
    let rules = rules(|r| r.defaults = vec![("market".into(), "GB".into())]);
    let route = Route::new(template, &fields, rules).unwrap();
    assert_eq!(said(&route, "https://h/uk/1"), r#""1" "GB""#);
    let key = |market| RawKey::new([FieldRef::Text("1"), FieldRef::Text(market)], "").unwrap();
    assert_eq!(route.expand(&key("GB")).unwrap(), "https://h/uk/1");
    assert_eq!(route.expand(&key("FR")).unwrap_err().kind(), ErrorKind::Key);
}

#[test]
fn fields_bind_in_their_own_order_and_give_their_kinds() {
    let template = Template::parse("https://{r}.h/{id}/{n}{/rest*}{?m,l}").unwrap();
    let fields = [
        Field::integer("l").optional(),
        Field::text("rest"),
        Field::integer("n"),
        Field::text("m"),
        Field::text("id"),
        Field::text("r"),
    ];
    let route = Route::new(template, &fields, QueryRules::default()).unwrap();
    assert_eq!(
        route.template().to_string(),
        "https://{r}.h/{id}/{n:int}{/rest*}{?m!,l:int}"
    );
    let cases = [
        ("https://eu.h/a/5/x/y?m=1&l=2", r#"2 "x/y" 5 "1" "a" "eu""#),
        ("https://eu.h/a/5/x/y?m=1", r#"- "x/y" 5 "1" "a" "eu""#),
        ("https://eu.h/a/5/x/y", "no"),
        ("https://eu.h/a/5?m=1", "no"),
        ("https://eu.h/a/b/x?m=1", "no"),
        ("https://eu.h/a/5/x?m=1&l=b", "no"),
    ];
    for (url, expected) in cases {
        assert_eq!(said(&route, url), expected, "{url}");
    }
    let Matched::Key(key) = route.key(&target(cases[0].0)) else {
        panic!("no key");
    };
    assert_eq!(route.expand(&key).unwrap(), cases[0].0);
}

#[test]
fn the_variables_of_a_template_tell_kind_place_and_need() {
    let template = Template::parse("https://{r}.h/{id:int}{/rest*}?t={k}{&m,ids!}").unwrap();
    let told: Vec<_> = template
        .variables()
        .map(|v| (v.name(), v.kind(), v.place(), v.is_required()))
        .collect();
    let text = FieldKind::Text;
    assert_eq!(
        told,
        [
            ("r", text, Place::Host, true),
            ("id", FieldKind::Integer, Place::Path, true),
            ("rest", text, Place::Rest, false),
            ("k", text, Place::Query, true),
            ("m", text, Place::Query, false),
            ("ids", text, Place::Query, true),
        ]
    );
    let fields: Vec<_> = template.fields().iter().map(ToString::to_string).collect();
    assert_eq!(fields, ["r", "id:int", "rest?", "k", "m?", "ids"]);
}

#[test]
fn a_long_segment_of_many_readings_is_given_up_soon() {
    let route = route("https://h/{n:int}-{a}-{b}-{c}-{d}");
    let url = format!("https://h/x{}", "-y".repeat(30_000));
    assert_eq!(said(&route, &url), "no");
}

#[test]
fn a_key_too_long_is_no_key() {
    let url = format!("https://h/{}", "x".repeat(70_000));
    assert_eq!(said(&route("https://h/{id}"), &url), "TooLong");
}
