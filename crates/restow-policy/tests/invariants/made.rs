//! Headers, facts, times and options of every kind.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use restow_policy::*;

const NAMES: &[&str] = &[
    "age",
    "cache-control",
    "cache-group-invalidation",
    "cache-groups",
    "cdn-cache-control",
    "connection",
    "content-length",
    "content-location",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "x-a",
];

/// Pieces that get past the first check of a parser, so that what follows them is reached.
const PIECES: &[&str] = &[
    "max-age=",
    "s-maxage=",
    "no-store",
    "no-cache",
    "private",
    "private=\"x-a\"",
    "public",
    "bytes=",
    "-",
    "\"a\"",
    "must-revalidate",
    "max-stale",
    "min-fresh=",
    "only-if-cached",
    "\"",
    "\\",
    ",",
    ", ",
    ";",
    "=",
    "*",
    "W/",
    "x-a",
    "close",
    "0",
    "60",
    "99999999999999999999",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
];

pub(crate) fn value() -> impl Strategy<Value = HeaderValue> {
    let piece = prop_oneof![
        3 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..6).prop_map(|pieces| {
        let mut bytes = pieces.concat();
        bytes.retain(|byte| matches!(byte, b'\t' | 32..=126 | 128..));
        HeaderValue::from_bytes(&bytes).unwrap()
    })
}

pub(crate) fn headers() -> impl Strategy<Value = HeaderMap> {
    vec((proptest::sample::select(NAMES), value()), 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

pub(crate) fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -200_000..200_000i64,
        Just(i64::MIN),
        Just(i64::MAX)
    ]
}

pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let numbers = (any::<u32>(), time(), time());
    let dates = any::<[Option<i64>; 3]>();
    let seconds = any::<[Option<u32>; 4]>();
    (any::<u32>(), numbers, dates, seconds).prop_map(|(flags, numbers, dates, seconds)| Facts {
        flags: Flags::from_bits_truncate(flags),
        age: numbers.0,
        requested_at: numbers.1,
        received_at: numbers.2,
        date: dates[0],
        expires: dates[1],
        last_modified: dates[2],
        max_age: seconds[0],
        s_maxage: seconds[1],
        stale_while_revalidate: seconds[2],
        stale_if_error: seconds[3],
    })
}

pub(crate) fn mode() -> impl Strategy<Value = Mode> {
    proptest::sample::select(&[Mode::Live, Mode::Revalidate, Mode::Refresh, Mode::Offline][..])
}

pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    (time(), time(), mode()).prop_map(|(swr, sie, mode)| Limits {
        stale_while_revalidate_ms: swr,
        stale_if_error_ms: sie,
        insist_if_error: false,
        insist_while_revalidate: false,
        mode,
    })
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    any::<[bool; 5]>().prop_map(|[shared, http, background, force, share]| Options {
        shared,
        http,
        background,
        force,
        share,
    })
}

pub(crate) fn stored<'a>(
    facts: &'a Facts,
    answer: &'a HeaderMap,
    times: [Option<i64>; 3],
) -> Stored<'a> {
    Stored {
        status: StatusCode::OK,
        facts,
        vary: "",
        variant: 0,
        etag: answer.get("etag").map(HeaderValue::as_bytes),
        last_modified: answer.get("last-modified").map(HeaderValue::as_bytes),
        expires_at: times[0],
        keep_until: times[1],
        stored_at: times[2].unwrap_or(0),
    }
}

pub(crate) fn times() -> impl Strategy<Value = [Option<i64>; 3]> {
    let one = || proptest::option::weighted(0.8, time());
    [one(), one(), one()]
}
