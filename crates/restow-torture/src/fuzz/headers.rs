//! Header lines out of bytes, with the names that caching reads.

use super::input::Input;
use http::{HeaderMap, HeaderName, HeaderValue};

const NAMES: [&str; 18] = [
    "accept",
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "date",
    "etag",
    "expires",
    "if-modified-since",
    "if-none-match",
    "last-modified",
    "pragma",
    "retry-after",
    "set-cookie",
    "vary",
    "x-a",
];

/// Pieces of their values.
pub(super) const WORDS: &[&str] = &[
    "max-age=",
    "s-maxage=",
    "no-store",
    "no-cache",
    "private",
    "private=\"x-a\"",
    "public",
    "must-revalidate",
    "must-understand",
    "max-stale",
    "min-fresh=",
    "only-if-cached",
    "stale-if-error=",
    "stale-while-revalidate=",
    "\"",
    "\\",
    ",",
    ", ",
    ";",
    "=",
    "*",
    "W/\"a\"",
    "x-a",
    "accept, authorization",
    "close",
    "60",
    "99999999999999999999",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
];

/// Takes some header lines; a value that HTTP does not allow is left out.
pub(super) fn take(input: &mut Input<'_>) -> HeaderMap {
    take_of(input, &NAMES)
}

/// Takes some header lines of these names.
pub(super) fn take_of(input: &mut Input<'_>, names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for _ in 0..input.byte() % 10 {
        let name = input.choose(names, "x-a");
        if let Ok(value) = HeaderValue::from_bytes(input.bytes()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}
