//! HTTP dates as UTC milliseconds (RFC 9110 5.6.7): the standard form and the two obsolete ones.

use std::time::UNIX_EPOCH;

/// Reads an HTTP date; `None` for anything else, such as the `0` that some origins send as `Expires`.
pub(crate) fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let since = httpdate::parse_http_date(text)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_nothing_else() {
        let at = Some(784_111_777_000);
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"Sun, 06 Nov 1994 08:49:37 GMT", at),
            (b"Sunday, 06-Nov-94 08:49:37 GMT", at),
            (b"Sun Nov  6 08:49:37 1994", at),
            (b"Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
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
