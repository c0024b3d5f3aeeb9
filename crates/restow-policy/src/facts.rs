//! [`Facts`]: what caching needs of an answer, parsed once when it is stored, so that a hit parses nothing.

use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::control::{self, Directive, MAX_SECONDS, Piece, Value};
use crate::date;
use crate::targeted;
use crate::vary::{VaryNames, vary_names};

bitflags::bitflags! {
    /// What an answer says, or is, that is either so or not.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u32 {
        /// `no-store`.
        const NO_STORE = 1 << 0;
        /// `private`, for the whole answer.
        const PRIVATE = 1 << 1;
        /// `private="field, .."`, for these fields only.
        const PRIVATE_FIELDS = 1 << 2;
        /// `no-cache`, for the whole answer.
        const NO_CACHE = 1 << 3;
        /// `no-cache="field, .."`, for these fields only.
        const NO_CACHE_FIELDS = 1 << 4;
        /// `must-revalidate`.
        const MUST_REVALIDATE = 1 << 5;
        /// `proxy-revalidate`.
        const PROXY_REVALIDATE = 1 << 6;
        /// `public`.
        const PUBLIC = 1 << 7;
        /// `must-understand`.
        const MUST_UNDERSTAND = 1 << 8;
        /// `immutable` (RFC 8246).
        const IMMUTABLE = 1 << 9;
        /// `no-transform`.
        const NO_TRANSFORM = 1 << 10;
        /// There is a `Cache-Control` field.
        const CACHE_CONTROL = 1 << 11;
        /// `Cache-Control` holds something that its grammar does not allow.
        const CACHE_CONTROL_INVALID = 1 << 12;
        /// `max-age` cannot be read, or is there twice with different values: it makes the answer stale.
        const MAX_AGE_INVALID = 1 << 13;
        /// `s-maxage` cannot be read, or is there twice with different values: it makes the answer stale.
        const S_MAXAGE_INVALID = 1 << 14;
        /// `Expires` is no date, or is there twice with different values: it makes the answer stale.
        const EXPIRES_INVALID = 1 << 15;
        /// The answer varies on request fields.
        const VARY = 1 << 16;
        /// `Vary: *`, or a `Vary` that cannot be read.
        const VARY_STAR = 1 << 17;
        /// There is a `Set-Cookie` field.
        const SET_COOKIE = 1 << 18;
        /// There is an `ETag` field.
        const ETAG = 1 << 19;
        /// The status is one whose caching requirements are known here (RFC 9111 5.2.2.3).
        const STATUS_UNDERSTOOD = 1 << 20;
        /// The status allows heuristic freshness (RFC 9110 15.1).
        const STATUS_HEURISTIC = 1 << 21;
    }
}

/// Everything that caching needs of a stored answer.
///
/// It holds no option and no decision, so the same facts serve a private and a shared cache. Times are UTC milliseconds; lengths of
/// time are in seconds, at most [`MAX_SECONDS`](crate::MAX_SECONDS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What is either so or not.
    pub flags: Flags,
    /// When the origin made the answer, if it says so.
    pub date: Option<i64>,
    /// How old the answer was when it arrived, by its `Age` field.
    pub age: u32,
    /// When the request was sent.
    pub requested_at: i64,
    /// When the answer, or the last 304 for it, was received.
    pub received_at: i64,
    /// `max-age`; 0 where it cannot be read, the smallest where there are several.
    pub max_age: Option<u32>,
    /// `s-maxage`; 0 where it cannot be read, the smallest where there are several.
    pub s_maxage: Option<u32>,
    /// `Expires`, where it is a date.
    pub expires: Option<i64>,
    /// `Last-Modified`, where it is a date.
    pub last_modified: Option<i64>,
    /// `stale-while-revalidate` (RFC 5861 3).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` (RFC 5861 4).
    pub stale_if_error: Option<u32>,
}

impl Facts {
    /// Parses the head of an answer **as it was received**, before [`storable`](crate::storable) drops what `Connection` names.
    ///
    /// After a 304, pass the merged head and the times of the 304.
    pub fn parse(
        status: StatusCode,
        headers: &HeaderMap,
        requested_at: i64,
        received_at: i64,
    ) -> Self {
        let mut facts = Self {
            requested_at,
            received_at,
            ..Self::default()
        };
        facts
            .flags
            .set(Flags::CACHE_CONTROL, headers.contains_key(CACHE_CONTROL));
        for piece in control::pieces(headers, &CACHE_CONTROL) {
            match piece {
                Piece::Directive(directive) => facts.directive(&directive),
                Piece::Malformed => facts.flags |= Flags::CACHE_CONTROL_INVALID,
            }
        }
        facts.flags |= match vary_names(headers) {
            VaryNames::None => Flags::empty(),
            VaryNames::Names(_) => Flags::VARY,
            VaryNames::Star => Flags::VARY | Flags::VARY_STAR,
        };
        facts
            .flags
            .set(Flags::SET_COOKIE, headers.contains_key(SET_COOKIE));
        facts.flags.set(Flags::ETAG, headers.contains_key(ETAG));
        facts
            .flags
            .set(Flags::STATUS_UNDERSTOOD, is_understood(status));
        facts
            .flags
            .set(Flags::STATUS_HEURISTIC, is_heuristic(status));
        facts.date = first_date(headers, &DATE);
        facts.last_modified = first_date(headers, &LAST_MODIFIED);
        facts.age = age(headers);
        facts.read_expires(headers);
        facts
    }

    /// The same where fields for this kind of cache go before `Cache-Control` and `Expires` (RFC 9213): of the fields `targets`, the first
    /// that is there and valid takes their place.
    pub fn parse_targeted(
        status: StatusCode,
        headers: &HeaderMap,
        requested_at: i64,
        received_at: i64,
        targets: &[HeaderName],
    ) -> Self {
        let mut facts = Self::parse(status, headers, requested_at, received_at);
        targeted::apply(&mut facts, headers, targets);
        facts
    }

    /// Whether the answer is older at `now` than a request wants it, in seconds (RFC 9111 5.2.1.1): none is young enough for 0.
    pub fn is_older_than(&self, seconds: u32, now: i64) -> bool {
        seconds == 0 || self.age_ms(now) > i64::from(seconds) * 1000
    }

    /// How old the answer is at `now`, in milliseconds (RFC 9111 4.2.3).
    ///
    /// A `now` before the answer was received adds nothing.
    pub fn age_ms(&self, now: i64) -> i64 {
        let apparent = self
            .date
            .map_or(0, |date| self.received_at.saturating_sub(date))
            .max(0);
        let delay = self.received_at.saturating_sub(self.requested_at).max(0);
        let corrected = i64::from(self.age)
            .saturating_mul(1000)
            .saturating_add(delay);
        let resident = now.saturating_sub(self.received_at).max(0);
        apparent.max(corrected).saturating_add(resident)
    }

    /// The value of the `Age` field that an answer from the store carries at `now`, in whole seconds (RFC 9111 5.1).
    pub fn age_seconds(&self, now: i64) -> u32 {
        u32::try_from(self.age_ms(now) / 1000)
            .unwrap_or(MAX_SECONDS)
            .min(MAX_SECONDS)
    }

    fn directive(&mut self, directive: &Directive<'_>) {
        let is = |name| directive.is(name);
        if is("no-store") {
            self.flags |= Flags::NO_STORE;
        } else if is("private") {
            self.flags |= qualified(directive, Flags::PRIVATE, Flags::PRIVATE_FIELDS);
        } else if is("no-cache") {
            self.flags |= qualified(directive, Flags::NO_CACHE, Flags::NO_CACHE_FIELDS);
        } else if is("must-revalidate") {
            self.flags |= Flags::MUST_REVALIDATE;
        } else if is("proxy-revalidate") {
            self.flags |= Flags::PROXY_REVALIDATE;
        } else if is("public") {
            self.flags |= Flags::PUBLIC;
        } else if is("must-understand") {
            self.flags |= Flags::MUST_UNDERSTAND;
        } else if is("immutable") {
            self.flags |= Flags::IMMUTABLE;
        } else if is("no-transform") {
            self.flags |= Flags::NO_TRANSFORM;
        } else if is("max-age") {
            if !lifetime(&mut self.max_age, directive) {
                self.flags |= Flags::MAX_AGE_INVALID;
            }
        } else if is("s-maxage") {
            if !lifetime(&mut self.s_maxage, directive) {
                self.flags |= Flags::S_MAXAGE_INVALID;
            }
        } else if is("stale-while-revalidate") {
            smallest(&mut self.stale_while_revalidate, directive.seconds());
        } else if is("stale-if-error") {
            smallest(&mut self.stale_if_error, directive.seconds());
        }
    }

    fn read_expires(&mut self, headers: &HeaderMap) {
        let mut lines = headers.get_all(EXPIRES).iter();
        let Some(first) = lines.next() else { return };
        self.expires = date::parse(first.as_bytes());
        let conflict = lines.any(|line| line != first);
        self.flags
            .set(Flags::EXPIRES_INVALID, conflict || self.expires.is_none());
    }
}

/// A qualified directive restricts its fields only. Just the quoted form qualifies: `private=1` was not meant to name a field.
fn qualified(directive: &Directive<'_>, whole: Flags, fields: Flags) -> Flags {
    match directive.value {
        Value::Quoted(_) if directive.field_names().is_some() => fields,
        Value::Absent | Value::Token(_) | Value::Quoted(_) => whole,
    }
}

/// Takes in one lifetime; `false` where it cannot be read or differs from an earlier one (RFC 9111 4.2.1).
fn lifetime(slot: &mut Option<u32>, directive: &Directive<'_>) -> bool {
    let seconds = directive.seconds();
    let agrees = slot.is_none() || *slot == seconds;
    smallest(slot, Some(seconds.unwrap_or(0)));
    seconds.is_some() && agrees
}

fn smallest(slot: &mut Option<u32>, seconds: Option<u32>) {
    *slot = match (*slot, seconds) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

fn first_date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    date::parse(headers.get(name)?.as_bytes())
}

/// The first value counts, and one that cannot be read is ignored (RFC 9111 5.1).
fn age(headers: &HeaderMap) -> u32 {
    let first = headers
        .get(AGE)
        .and_then(|line| line.as_bytes().split(|byte| *byte == b',').next());
    first
        .and_then(|value| control::seconds(control::trim(value)))
        .unwrap_or(0)
}

fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=415 | 417 | 421 | 422 | 426 | 500..=505)
}

fn is_heuristic(status: StatusCode) -> bool {
    // 206 is heuristically cacheable too, but a partial answer is never stored here.
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn parse(lines: &[(&'static str, &[u8])]) -> Facts {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Facts::parse(StatusCode::OK, &headers, 1_000, 2_000)
    }

    fn flags(value: &[u8]) -> Flags {
        parse(&[("cache-control", value)]).flags
            - Flags::CACHE_CONTROL
            - Flags::STATUS_UNDERSTOOD
            - Flags::STATUS_HEURISTIC
    }

    #[test]
    fn directives_set_flags_in_any_case_and_never_from_inside_a_quoted_string() {
        let cases: &[(&[u8], Flags)] = &[
            (b"No-Store, MAX-AGE=60", Flags::NO_STORE),
            (b"PRIVATE", Flags::PRIVATE),
            (b"private=\"set-cookie, x-a\"", Flags::PRIVATE_FIELDS),
            (b"private=\"\"", Flags::PRIVATE),
            (b"private=\"a b\"", Flags::PRIVATE),
            (b"private=1", Flags::PRIVATE),
            (
                b"no-cache=\"a\", no-cache",
                Flags::NO_CACHE.union(Flags::NO_CACHE_FIELDS),
            ),
            (
                b"must-revalidate,proxy-revalidate",
                Flags::MUST_REVALIDATE.union(Flags::PROXY_REVALIDATE),
            ),
            (b"public, must-understand, immutable, no-transform", {
                Flags::PUBLIC
                    .union(Flags::MUST_UNDERSTAND)
                    .union(Flags::IMMUTABLE)
                    .union(Flags::NO_TRANSFORM)
            }),
            (b"ext=\"no-store, private\"", Flags::empty()),
            (
                b"max-age=1; private",
                Flags::CACHE_CONTROL_INVALID.union(Flags::PRIVATE),
            ),
            (
                b"\xff no-store",
                Flags::CACHE_CONTROL_INVALID.union(Flags::NO_STORE),
            ),
            (b"max-age=1, max-age=1", Flags::empty()),
            (b"max-age=1, max-age=2", Flags::MAX_AGE_INVALID),
            (b"max-age=x, max-age=0", Flags::MAX_AGE_INVALID),
            (b"s-maxage", Flags::S_MAXAGE_INVALID),
        ];
        for (value, expected) in cases {
            assert_eq!(
                flags(value),
                *expected,
                "{}",
                String::from_utf8_lossy(value)
            );
        }
    }

    #[test]
    fn lifetimes_are_capped_and_the_smallest_of_several_counts() {
        let cases: &[(&[u8], Option<u32>)] = &[
            (b"max-age=60", Some(60)),
            (b"max-age=\"60\"", Some(60)),
            (b"max-age=003600", Some(3600)),
            (b"max-age=18446744073709551616", Some(MAX_SECONDS)),
            (b"max-age=1800, max-age=1", Some(1)),
            (b"max-age='3600'", Some(0)),
            (b"max-age =3600", Some(0)),
            (b"max-age= 3600", Some(0)),
            (b"max-age=3600.0", Some(0)),
            (b"ext=\"max-age=3600\", max-age=1", Some(1)),
            (b"ext=\"a, max-age=5\"", None),
        ];
        for (value, expected) in cases {
            assert_eq!(
                parse(&[("cache-control", value)]).max_age,
                *expected,
                "{}",
                String::from_utf8_lossy(value)
            );
        }
        let both = parse(&[
            ("cache-control", b"s-maxage=5, stale-while-revalidate=6"),
            ("cache-control", b"stale-if-error=7, stale-if-error=x"),
        ]);
        assert_eq!(
            (
                both.s_maxage,
                both.stale_while_revalidate,
                both.stale_if_error
            ),
            (Some(5), Some(6), Some(7))
        );
    }

    #[test]
    fn the_first_age_counts_and_a_huge_one_is_capped() {
        let cases: &[(&[&[u8]], u32)] = &[
            (&[b"7200"], 7200),
            (&[b"7200,0"], 7200),
            (&[b"0, 7200"], 0),
            (&[b"7200", b"0"], 7200),
            (&[b"abc"], 0),
            (&[b"-7200"], 0),
            (&[b"7200.0"], 0),
            (&[b"2147483648"], MAX_SECONDS),
            (&[b"9223372036854775808"], MAX_SECONDS),
            (&[b"18446744073709551615"], MAX_SECONDS),
            (&[b"1000000000000000000000000000000"], MAX_SECONDS),
        ];
        for (values, expected) in cases {
            let lines: Vec<_> = values.iter().map(|value| ("age", *value)).collect();
            assert_eq!(parse(&lines).age, *expected, "{values:?}");
        }
    }

    #[test]
    fn dates_are_read_and_an_unreadable_or_conflicting_expires_is_marked() {
        let one: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let two: &[u8] = b"Sun, 06 Nov 1994 08:49:38 GMT";
        let at = Some(784_111_777_000);
        let facts = parse(&[("date", one), ("last-modified", one), ("expires", one)]);
        assert_eq!(
            (facts.date, facts.last_modified, facts.expires),
            (at, at, at)
        );
        assert!(!facts.flags.contains(Flags::EXPIRES_INVALID));
        assert!(
            parse(&[("expires", b"0")])
                .flags
                .contains(Flags::EXPIRES_INVALID)
        );
        assert!(
            parse(&[("expires", one), ("expires", two)])
                .flags
                .contains(Flags::EXPIRES_INVALID)
        );
        assert!(
            !parse(&[("expires", one), ("expires", one)])
                .flags
                .contains(Flags::EXPIRES_INVALID)
        );
    }

    #[test]
    fn age_takes_the_larger_of_the_apparent_and_the_corrected_one() {
        let base = Facts {
            requested_at: 1_000,
            received_at: 2_000,
            ..Facts::default()
        };
        assert_eq!(base.age_ms(2_000), 1_000, "the delay of the answer");
        assert_eq!(base.age_ms(5_000), 4_000, "and the time since");
        assert_eq!(base.age_ms(0), 1_000, "a clock that went back adds nothing");
        assert_eq!(Facts { age: 10, ..base }.age_ms(2_000), 11_000);
        assert_eq!(
            Facts {
                date: Some(-98_000),
                age: 10,
                ..base
            }
            .age_ms(2_000),
            100_000
        );
        assert_eq!(
            Facts {
                date: Some(1_000_000),
                ..base
            }
            .age_ms(2_000),
            1_000,
            "a date in the future"
        );
        assert_eq!(
            Facts {
                age: MAX_SECONDS,
                ..base
            }
            .age_seconds(i64::MAX),
            MAX_SECONDS
        );
        assert_eq!(
            Facts {
                date: Some(i64::MIN),
                ..base
            }
            .age_ms(i64::MAX),
            i64::MAX
        );
    }
}
