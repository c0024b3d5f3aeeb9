//! The one tokenizer of `Cache-Control` (RFC 9111 5.2, RFC 9110 5.6), shared by requests and responses.
//!
//! It works on bytes, so a value that is not UTF-8 is read like any other, and it fails closed: a byte that the grammar does not
//! allow is reported as [`Piece::Malformed`] and then separates, as a comma would. So `max-age=60; private` and
//! `x="never closed, no-store` still show the directive that restricts, and say that the field is not to be trusted.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The largest number of seconds kept: a larger one in a header means this one (RFC 9111 1.2.2).
pub const MAX_SECONDS: u32 = 1 << 31;

/// What a request says in `Cache-Control`, or in `Pragma` where it has none (RFC 9111 5.2.1, 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestControl {
    /// Nothing of this exchange may be stored.
    pub no_store: bool,
    /// A stored answer must be validated first.
    pub no_cache: bool,
    /// Only a stored answer is wanted.
    pub only_if_cached: bool,
    /// The largest acceptable age, in seconds; a value that cannot be read counts as 0.
    pub max_age: Option<u32>,
    /// How long the answer must still be fresh, in seconds; a value that cannot be read counts as the largest.
    pub min_fresh: Option<u32>,
    /// How stale the answer may be, in seconds; without a value, any staleness; a value that cannot be read counts as absent.
    pub max_stale: Option<u32>,
}

impl RequestControl {
    /// Reads the directives of a request.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            control.no_cache = pieces(headers, &PRAGMA).any(|piece| match piece {
                Piece::Directive(directive) => directive.is("no-cache"),
                Piece::Malformed => false,
            });
            return control;
        }
        for piece in pieces(headers, &CACHE_CONTROL) {
            let Piece::Directive(directive) = piece else {
                continue;
            };
            if directive.is("no-store") {
                control.no_store = true;
            } else if directive.is("no-cache") {
                control.no_cache = true;
            } else if directive.is("only-if-cached") {
                control.only_if_cached = true;
            } else if directive.is("max-age") {
                let seconds = directive.seconds().unwrap_or(0);
                control.max_age = Some(control.max_age.map_or(seconds, |other| other.min(seconds)));
            } else if directive.is("min-fresh") {
                let seconds = directive.seconds().unwrap_or(MAX_SECONDS);
                control.min_fresh = Some(
                    control
                        .min_fresh
                        .map_or(seconds, |other| other.max(seconds)),
                );
            } else if directive.is("max-stale") {
                let seconds = match directive.value {
                    Value::Absent => Some(u32::MAX),
                    Value::Token(_) | Value::Quoted(_) => directive.seconds(),
                };
                control.max_stale = match (control.max_stale, seconds) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
        control
    }
}

/// Says whether the content of a message, be it a request or an answer, is to be left as it is (RFC 9110 7.7, RFC 9111 5.2.1.6 and 5.2.2.6).
pub fn no_transform(headers: &HeaderMap) -> bool {
    pieces(headers, &CACHE_CONTROL).any(|piece| match piece {
        Piece::Directive(directive) => directive.is("no-transform"),
        Piece::Malformed => false,
    })
}

/// One thing found in a `Cache-Control` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Directive(Directive<'a>),
    /// Something the grammar does not allow stood here.
    Malformed,
}

/// A directive: a name, and perhaps a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directive<'a> {
    name: &'a [u8],
    pub(crate) value: Value<'a>,
}

/// The value of a directive; a quoted one without its quotes, escapes left in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Absent,
    Token(&'a [u8]),
    Quoted(&'a [u8]),
}

impl<'a> Directive<'a> {
    /// Says whether this is the directive `name`, in any case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value as seconds, capped at [`MAX_SECONDS`]; `None` where it is not a whole number.
    pub(crate) fn seconds(&self) -> Option<u32> {
        match self.value {
            Value::Absent => None,
            Value::Token(digits) | Value::Quoted(digits) => seconds(digits),
        }
    }

    /// The field names in the value: `Some` only where there is at least one and every one is valid.
    pub(crate) fn field_names(&self) -> Option<impl Iterator<Item = HeaderName> + use<'a>> {
        let (Value::Token(list) | Value::Quoted(list)) = self.value else {
            return None;
        };
        let mut names = list_of_names(list).peekable();
        let all_valid = list_of_names(list).all(|name| name.is_some());
        (names.peek().is_some() && all_valid).then(|| names.flatten())
    }
}

/// The pieces of every line of the field `name`, in order.
pub(crate) fn pieces<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Piece<'a>> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line: &HeaderValue| Pieces {
            rest: line.as_bytes(),
            separated: true,
        })
}

/// A comma-separated list of field names; `None` for a member that is not one. Empty members do not count (RFC 9110 5.6.1).
pub(crate) fn list_of_names(list: &[u8]) -> impl Iterator<Item = Option<HeaderName>> {
    list.split(|byte| *byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
        .map(|member| HeaderName::from_bytes(member).ok())
}

/// Whole seconds, capped at [`MAX_SECONDS`].
pub(crate) fn seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |total, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(
            total
                .saturating_mul(10)
                .saturating_add(digit)
                .min(MAX_SECONDS),
        )
    })
}

/// `bytes` without the optional whitespace around it.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

struct Pieces<'a> {
    rest: &'a [u8],
    /// Whether a directive may start here: at the start of a line, after a comma, and after anything malformed.
    separated: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            match self.rest {
                [] => return None,
                [b' ' | b'\t', rest @ ..] => self.rest = rest,
                [b',', rest @ ..] => {
                    self.rest = rest;
                    self.separated = true;
                }
                [byte, ..] if self.separated && is_token(*byte) => {
                    self.separated = false;
                    return Some(Piece::Directive(self.directive()));
                }
                // Two names without a comma between them: report it once, then read the second.
                [byte, ..] if is_token(*byte) => {
                    self.separated = true;
                    return Some(Piece::Malformed);
                }
                [_, rest @ ..] => {
                    self.rest = rest;
                    self.separated = true;
                    return Some(Piece::Malformed);
                }
            }
        }
    }
}

impl<'a> Pieces<'a> {
    fn directive(&mut self) -> Directive<'a> {
        let name = self.token();
        let value = match self.rest {
            [b'=', b'"', rest @ ..] => match closing_quote(rest) {
                Some((inside, after)) => {
                    self.rest = after;
                    Value::Quoted(inside)
                }
                // Never closed: the rest of the line is read as if the quote were not there, after `=` was reported as malformed.
                None => Value::Absent,
            },
            [b'=', rest @ ..] if rest.first().is_some_and(|byte| is_token(*byte)) => {
                self.rest = rest;
                Value::Token(self.token())
            }
            _ => Value::Absent,
        };
        Directive { name, value }
    }

    fn token(&mut self) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|byte| !is_token(*byte))
            .unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        token
    }
}

/// Splits after the closing quote of a quoted string whose opening quote was just read (RFC 9110 5.6.4).
pub(crate) fn closing_quote(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = bytes.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    let (inside, rest) = bytes.split_at_checked(end)?;
    Some((inside, rest.get(1..)?))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_bytes(line).unwrap());
        }
        let mut out = Vec::new();
        for piece in pieces(&headers, &CACHE_CONTROL) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            out.push(match piece {
                Piece::Malformed => "!".to_owned(),
                Piece::Directive(d) => match d.value {
                    Value::Absent => text(d.name),
                    Value::Token(v) => format!("{}={}", text(d.name), text(v)),
                    Value::Quoted(v) => format!("{}=<{}>", text(d.name), text(v)),
                },
            });
        }
        out.join(" ")
    }

    #[test]
    fn directives_are_read_and_what_is_malformed_separates_them() {
        let cases: &[(&[&[u8]], &str)] = &[
            (&[b"max-age=60"], "max-age=60"),
            (&[b" , no-store ,, Public,"], "no-store Public"),
            (&[b"max-age=60", b"private"], "max-age=60 private"),
            (
                &[b"ext=\"a, max-age=5\", no-cache"],
                "ext=<a, max-age=5> no-cache",
            ),
            (&[b"ext=\"a\\\", max-age=5\""], "ext=<a\\\", max-age=5>"),
            (&[b"max-age=\"60\""], "max-age=<60>"),
            (&[b"max-age=60; private"], "max-age=60 ! private"),
            (&[b"private max-age=60"], "private ! max-age=60"),
            (&[b"max-age = 60"], "max-age ! 60"),
            (&[b"max-age="], "max-age !"),
            (&[b"x=\"open, no-store"], "x ! ! open no-store"),
            (&[b"ext=\"a\"no-store"], "ext=<a> ! no-store"),
            (&[b"\xff\xfe, no-store"], "! ! no-store"),
            (&[b"ext=\"\xff\", no-store"], "ext=<\u{fffd}> no-store"),
            (&[b""], ""),
        ];
        for (lines, expected) in cases {
            assert_eq!(read(lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn seconds_are_digits_only_and_capped() {
        let cases: &[(&[u8], Option<u32>)] = &[
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"2147483648", Some(MAX_SECONDS)),
            (b"18446744073709551616", Some(MAX_SECONDS)),
            (b"1000000000000000000000000000000", Some(MAX_SECONDS)),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"'60'", None),
        ];
        for (digits, expected) in cases {
            assert_eq!(seconds(digits), *expected, "{digits:?}");
        }
    }

    #[test]
    fn a_request_is_read_with_the_stricter_of_two_values() {
        let read = |field: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(field, HeaderValue::from_static(value));
            RequestControl::parse(&headers)
        };
        let none = RequestControl::default();
        let cases = [
            (
                "cache-control",
                "No-Store",
                RequestControl {
                    no_store: true,
                    ..none
                },
            ),
            (
                "cache-control",
                "max-age=5, max-age=3",
                RequestControl {
                    max_age: Some(3),
                    ..none
                },
            ),
            (
                "cache-control",
                "max-age=x",
                RequestControl {
                    max_age: Some(0),
                    ..none
                },
            ),
            (
                "cache-control",
                "min-fresh=1, min-fresh=9",
                RequestControl {
                    min_fresh: Some(9),
                    ..none
                },
            ),
            (
                "cache-control",
                "max-stale",
                RequestControl {
                    max_stale: Some(u32::MAX),
                    ..none
                },
            ),
            ("cache-control", "max-stale=soon", none),
            (
                "cache-control",
                "max-stale, max-stale=4",
                RequestControl {
                    max_stale: Some(4),
                    ..none
                },
            ),
            (
                "cache-control",
                "only-if-cached",
                RequestControl {
                    only_if_cached: true,
                    ..none
                },
            ),
            (
                "pragma",
                "No-Cache",
                RequestControl {
                    no_cache: true,
                    ..none
                },
            ),
            ("pragma", "x=\"no-cache\"", none),
        ];
        for (field, value, expected) in cases {
            assert_eq!(read(field, value), expected, "{field}: {value}");
        }
    }

    #[test]
    fn pragma_is_ignored_beside_cache_control() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        assert!(!RequestControl::parse(&headers).no_cache);
    }

    #[test]
    fn no_transform_is_heard_among_others() {
        for (line, heard) in [
            ("no-transform", true),
            ("max-age=5, No-Transform", true),
            ("max-age=5", false),
            ("x-no-transform", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(line));
            assert_eq!(no_transform(&headers), heard, "{line}");
        }
    }
}
