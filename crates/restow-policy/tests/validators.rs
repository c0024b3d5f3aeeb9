//! Conditions sent, conditions answered, and `Retry-After`.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are not seen as tests by the lint"
)]

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restow_policy::*;

const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const DATE_MS: i64 = 784_111_777_000;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn entry<'a>(facts: &'a Facts, answer: &'a HeaderMap) -> Stored<'a> {
    Stored {
        status: StatusCode::OK,
        facts,
        vary: "",
        variant: 0,
        etag: answer.get("etag").map(HeaderValue::as_bytes),
        last_modified: answer.get("last-modified").map(HeaderValue::as_bytes),
        expires_at: None,
        stored_at: 0,
        keep_until: None,
    }
}

#[test]
fn validators_are_sent_back_byte_for_byte() {
    type Lines = &'static [(&'static str, &'static str)];
    let cases: &[(Lines, Lines)] = &[
        (&[], &[]),
        (&[("etag", "")], &[]),
        (&[("etag", "\"a\"")], &[("if-none-match", "\"a\"")]),
        (&[("etag", "W/\"a\"")], &[("if-none-match", "W/\"a\"")]),
        (&[("etag", "bare")], &[("if-none-match", "bare")]),
        (
            &[("etag", "\"\u{e9}\"")],
            &[("if-none-match", "\"\u{e9}\"")],
        ),
        (
            &[("etag", "\"a\""), ("last-modified", "yesterday")],
            &[
                ("if-none-match", "\"a\""),
                ("if-modified-since", "yesterday"),
            ],
        ),
    ];
    for (answer, expected) in cases {
        let (answer, facts) = (map(answer), Facts::default());
        let sent: HeaderMap = conditions(&entry(&facts, &answer)).collect();
        assert_eq!(sent, map(expected));
    }
}

#[test]
fn a_clients_own_conditions_and_range_are_seen_and_dropped() {
    for name in [
        "if-none-match",
        "If-Modified-Since",
        "if-match",
        "if-unmodified-since",
        "if-range",
        "range",
    ] {
        let mut headers = map(&[(name, "x"), ("accept", "x")]);
        assert!(own_conditions_present(&headers), "{name}");
        drop_own_conditions(&mut headers);
        assert!(!own_conditions_present(&headers), "{name}");
        assert!(headers.contains_key("accept"));
    }
    assert!(!own_conditions_present(&map(&[("accept", "x")])));
}

#[test]
fn if_none_match_is_compared_weakly_and_goes_first() {
    let cases: &[(&str, &[&str], bool)] = &[
        ("\"a\"", &["\"a\""], true),
        ("\"a\"", &["W/\"a\""], true),
        ("W/\"a\"", &["\"a\""], true),
        ("\"a\"", &["\"b\""], false),
        ("\"a\"", &["*"], true),
        ("\"a\"", &["\"b\" , \"a\""], true),
        ("\"a\"", &["\"b\"", "\"a\""], true),
        ("\"a,b\"", &["\"c\", W/\"a,b\""], true),
        ("\"b\"", &["\"a, \"b\""], false),
        ("\"a\"", &["\"a"], false),
        ("\"a\"", &["a"], false),
        ("bare", &["bare"], true),
        ("bare", &["x, bare"], true),
        ("\"a\"", &[""], false),
        ("\"a\"", &[",, \"a\""], true),
        ("", &["\"a\""], false),
        ("", &[","], false),
    ];
    for (etag, asked, expected) in cases {
        let answer = map(&[("etag", etag)]);
        let facts = Facts::parse(StatusCode::OK, &answer, 0, 0);
        // A date that would say "not modified" must not be looked at.
        let mut lines = vec![("if-modified-since", LATER)];
        lines.extend(asked.iter().map(|value| ("if-none-match", *value)));
        assert_eq!(
            not_modified(&map(&lines), &entry(&facts, &answer)),
            *expected,
            "{etag} {asked:?}"
        );
    }
}

#[test]
fn if_modified_since_is_compared_with_the_best_date_there_is() {
    let modified: &[(&str, &str)] = &[("last-modified", DATE)];
    let dated: &[(&str, &str)] = &[("date", DATE)];
    let both: &[(&str, &str)] = &[("last-modified", DATE), ("date", LATER)];
    for answer in [modified, dated, both, &[]] {
        let answer = map(answer);
        let facts = Facts::parse(StatusCode::OK, &answer, DATE_MS, DATE_MS);
        let stored = entry(&facts, &answer);
        let asked = |lines: &[(&str, &str)]| not_modified(&map(lines), &stored);
        assert!(!asked(&[]));
        assert!(!asked(&[("if-modified-since", EARLIER)]));
        assert!(asked(&[("if-modified-since", DATE)]));
        assert!(asked(&[("if-modified-since", LATER)]));
        assert!(!asked(&[("if-modified-since", "soon")]));
        assert!(!asked(&[
            ("if-modified-since", LATER),
            ("if-modified-since", LATER)
        ]));
    }
}

#[test]
fn only_a_success_is_not_modified() {
    let (answer, facts) = (map(&[("etag", "\"a\"")]), Facts::default());
    let stored = Stored {
        status: StatusCode::NOT_FOUND,
        ..entry(&facts, &answer)
    };
    assert!(!not_modified(&map(&[("if-none-match", "\"a\"")]), &stored));
}

#[test]
fn retry_after_is_read_as_seconds_or_as_a_date() {
    let cases = [
        ("120", DATE_MS, Some(120_000)),
        (" 0 ", DATE_MS, Some(0)),
        (LATER, DATE_MS, Some(1_000)),
        (EARLIER, DATE_MS, Some(0)),
        (LATER, i64::MIN, Some(i64::MAX)),
        (
            "99999999999999999999",
            DATE_MS,
            Some(i64::from(MAX_SECONDS) * 1000),
        ),
        ("-1", DATE_MS, None),
        ("soon", DATE_MS, None),
    ];
    for (value, now, expected) in cases {
        assert_eq!(
            retry_after(&map(&[("retry-after", value)]), now),
            expected,
            "{value}"
        );
    }
    assert_eq!(retry_after(&HeaderMap::new(), 0), None);
}
