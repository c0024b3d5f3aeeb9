//! HTTP dates as UTC milliseconds (RFC 9110 5.6.7): the standard form and the two obsolete ones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Reads an HTTP date; `None` for anything else, such as the `0` that some origins send as `Expires`.
pub(crate) fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let at = httpdate::parse_http_date(text)
        .ok()
        .or_else(|| lenient(text))?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads a date whose names are in the wrong case, or whose day of the week is another day's: what is meant is clear all the same.
fn lenient(text: &str) -> Option<SystemTime> {
    if text.len() > 40 || !text.is_ascii() {
        return None;
    }
    let mut inside = false;
    let mut name = |c: char| {
        let first = !std::mem::replace(&mut inside, c.is_ascii_alphabetic());
        if first {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    let named: String = text.chars().map(&mut name).collect();
    let named = match named.strip_suffix("Gmt") {
        Some(rest) => format!("{rest}GMT"),
        None => named,
    };
    let rest = named.get(3..)?;
    httpdate::parse_http_date(&named).ok().or_else(|| {
        let mut days = DAYS.iter().map(|day| format!("{day}{rest}"));
        days.find_map(|text| httpdate::parse_http_date(&text).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_nothing_that_is_not_clear() {
        let at = Some(784_111_777_000);
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"Sun, 06 Nov 1994 08:49:37 GMT", at),
            (b"Sunday, 06-Nov-94 08:49:37 GMT", at),
            (b"Sun Nov  6 08:49:37 1994", at),
            (b"Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            (b"SUN, 06 nov 1994 08:49:37 gmt", at),
            (b"Mon Nov  6 08:49:37 1994", at),
            (b"Tue, 06 Nov 1994 08:49:37 GMT", at),
            (b"Xyz, 31 Feb 1994 08:49:37 GMT", None),
            (b"Sun, 06 Nov 1994 08:49:37 UTC", None),
            (b"Sun, 06 Nov 1994 8:49:37 GMT", None),
            (b"0", None),
            (b"-1", None),
            (b"", None),
            (b"\xff\xff", None),
        ];
        for (value, expected) in cases {
            assert_eq!(
                parse(value),
                *expected,
                "{:?}",
                String::from_utf8_lossy(value)
            );
        }
    }
}
