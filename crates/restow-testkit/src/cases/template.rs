//! Header lines of a case, with dates that depend on its time.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, UNIX_EPOCH};

/// When every case starts, in UTC milliseconds: 2026-08-01, 00:00.
pub const START: i64 = 1_785_542_400_000;

/// Reads a line such as `date: {date-60}`: the date 60 s before the time of its step, `at` seconds after [`START`].
///
/// A character from U+0080 to U+00FF is one byte of that value.
pub fn line(template: &str, at: i64) -> (HeaderName, HeaderValue) {
    let (name, value) = template.split_once(':').expect("a header line has a colon");
    let bytes: Vec<u8> = with_dates(value.trim(), at)
        .chars()
        .map(|c| u8::try_from(u32::from(c)).expect("a header line is Latin-1"))
        .collect();
    (
        HeaderName::from_bytes(name.as_bytes()).expect("a field has a name"),
        HeaderValue::from_bytes(&bytes).expect("a field has a value"),
    )
}

/// Reads several lines; repeated ones stay.
pub fn lines(templates: &[String], at: i64) -> HeaderMap {
    let mut map = HeaderMap::new();
    for template in templates {
        let (name, value) = line(template, at);
        map.append(name, value);
    }
    map
}

fn with_dates(value: &str, at: i64) -> String {
    let Some((before, rest)) = value.split_once("{date") else {
        return value.to_owned();
    };
    let (offset, after) = rest.split_once('}').expect("a template is closed");
    let offset: i64 = offset.parse().expect("a template tells seconds");
    let seconds = START / 1_000 + at + offset;
    let seconds = u64::try_from(seconds).expect("a date is after 1970");
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    format!("{before}{date}{}", with_dates(after, at))
}
