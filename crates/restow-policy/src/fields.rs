//! Which fields of an answer are stored, and what a 304 does to them (RFC 9111 3.1, 3.2).

use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG,
    LAST_MODIFIED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::control::{self, Piece, list_of_names};
use crate::validate::same_tag;

/// The fields of an answer that are stored (RFC 9111 3.1).
///
/// Dropped are `Connection` and what it names, the other fields that concern one connection only, and the fields that `no-cache="f"`
/// and `private="f"` name. All else stays, repeated lines in their order.
pub fn storable(headers: &HeaderMap) -> HeaderMap {
    let named = named(headers);
    copy(headers, |name| {
        !is_hop_by_hop(name) && !named.contains(name)
    })
}

/// Drops what concerns one connection only: `Connection` and what it names, and the other hop-by-hop fields (RFC 9110 7.6.1).
///
/// For a message that goes on to somebody else, whether it is stored or not.
pub fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let mut named: Vec<HeaderName> = of_connection(headers).collect();
    named.extend(headers.keys().filter(|name| is_hop_by_hop(name)).cloned());
    for name in named {
        headers.remove(name);
    }
}

/// Drops the fields that set a cookie: one user's session is not for everyone.
///
/// For what goes to the public partition; a deliberate deviation from RFC 9111 7.3, which leaves it to the origin.
pub fn drop_cookies(headers: &mut HeaderMap) {
    headers.remove(SET_COOKIE);
    headers.remove(SET_COOKIE2);
}

/// Says whether a 304 speaks of the stored answer (RFC 9111 4.3.4), so that [`merge_304`] may follow.
///
/// It does not where it carries another `ETag` than the stored one, compared weakly, or, where the two tags cannot be compared, another
/// `Last-Modified`: then the answer must be fetched anew, without condition. A 304 without any validator speaks of what was asked about.
pub fn freshens(stored: &HeaderMap, fresh: &HeaderMap) -> bool {
    let both = |name| Some((stored.get(&name)?.as_bytes(), fresh.get(&name)?.as_bytes()));
    match both(ETAG) {
        Some((stored, fresh)) => same_tag(stored, fresh),
        None => both(LAST_MODIFIED).is_none_or(|(stored, fresh)| stored == fresh),
    }
}

/// What the answer to a HEAD says of the stored answer to a GET (RFC 9111 4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadUpdate {
    /// The stored answer is still what a GET would bring: its head takes over the fresh fields, as by a 304.
    Freshens,
    /// A GET would bring something else.
    Invalidates,
    /// It says nothing.
    Nothing,
}

/// Says what the answer to a HEAD, with this status and these fields, does to a stored answer with the fields `stored`.
///
/// Only a 200 speaks of a representation. Another `ETag`, `Last-Modified` or `Content-Length` than the stored one makes it invalid.
pub fn head_update(stored: &HeaderMap, status: StatusCode, fresh: &HeaderMap) -> HeadUpdate {
    if status != StatusCode::OK {
        return HeadUpdate::Nothing;
    }
    let differs = |name: HeaderName| match (stored.get(&name), fresh.get(&name)) {
        (Some(stored), Some(fresh)) => stored != fresh,
        _ => false,
    };
    if freshens(stored, fresh) && !differs(CONTENT_LENGTH) && !differs(LAST_MODIFIED) {
        HeadUpdate::Freshens
    } else {
        HeadUpdate::Invalidates
    }
}

/// The head that is stored after a 304 (RFC 9111 3.2, 4.3.4): its fields replace those of the same name, and add new ones.
///
/// What describes the stored body stays as it is: `Content-Length`, `Content-Encoding`, `Content-Range`, and an `ETag` that is already
/// there. The stored `Age` goes, for it told of the journey of the earlier answer. The 304 may bring another `Vary`, and so another
/// variant: read it again from the merged head. What [`storable`] drops is dropped here too, also where only the 304 names it.
pub fn merge_304(stored: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let fresh = storable(fresh);
    let replaces = |name: &HeaderName| {
        fresh.contains_key(name)
            && !describes_body(name)
            && !(name == ETAG && stored.contains_key(ETAG))
    };
    let mut merged = copy(stored, |name| name != AGE && !replaces(name));
    add(&mut merged, &fresh, replaces);
    storable(&merged)
}

const SET_COOKIE2: &str = "set-cookie2";

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || [
            "keep-alive",
            "proxy-connection",
            "proxy-authentication-info",
        ]
        .contains(&name.as_str())
}

/// The fields that `Connection` names.
fn of_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    lines.flat_map(|line| list_of_names(line.as_bytes()).flatten())
}

/// The fields that the answer itself asks to leave out.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut named: Vec<_> = of_connection(headers).collect();
    for piece in control::pieces(headers, &CACHE_CONTROL) {
        let Piece::Directive(directive) = piece else {
            continue;
        };
        if (directive.is("no-cache") || directive.is("private"))
            && let Some(names) = directive.field_names()
        {
            named.extend(names);
        }
    }
    named
}

fn describes_body(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE].contains(name)
}

fn copy(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    add(&mut out, headers, keep);
    out
}

fn add(out: &mut HeaderMap, headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers.iter().filter(|(name, _)| keep(name)) {
        // A map holds 32,768 names. A head with more than that does not arrive; were it to, the surplus is dropped.
        let _ = out.try_append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn map(lines: Lines<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        // Stable, so that repeated lines keep their order.
        lines.sort_by(|one, other| one.split(':').next().cmp(&other.split(':').next()));
        lines
    }

    #[test]
    fn what_concerns_one_connection_is_not_stored_and_all_else_is() {
        let received = map(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authentication-info", "x"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            (
                "cache-control",
                "no-cache=\"x-a, X-B\", private=\"x-c\", max-age=5",
            ),
            ("x-a", "1"),
            ("x-b", "1"),
            ("x-c", "1"),
            ("link", "<2>"),
            ("link", "<1>"),
            ("proxy-status", "x"),
            ("set-cookie", "a=b"),
        ]);
        let expected = [
            "cache-control: no-cache=\"x-a, X-B\", private=\"x-c\", max-age=5",
            "link: <2>",
            "link: <1>",
            "proxy-status: x",
            "set-cookie: a=b",
        ];
        assert_eq!(text(&storable(&received)), expected);
    }

    #[test]
    fn cookies_are_dropped_from_what_everyone_gets() {
        let mut headers = map(&[
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("set-cookie2", "e"),
            ("etag", "1"),
        ]);
        drop_cookies(&mut headers);
        assert_eq!(text(&headers), ["etag: 1"]);
    }

    #[test]
    fn a_304_replaces_and_adds_fields_but_not_what_describes_the_body() {
        let stored = map(&[
            ("age", "7200"),
            ("content-length", "10"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("etag", "\"a\""),
            ("link", "<1>"),
            ("link", "<2>"),
            ("x-kept", "1"),
            ("x-secret", "1"),
        ]);
        let fresh = map(&[
            ("content-length", "0"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-1/2"),
            ("content-type", "text/plain;charset=utf-8"),
            ("etag", "W/\"a\""),
            ("link", "<3>"),
            ("link", "<4>"),
            ("x-new", "1"),
            ("cache-control", "no-cache=\"x-secret\""),
            // It speaks of the fields of the 304, not of those that are stored.
            ("connection", "x-hop, x-kept"),
            ("x-hop", "1"),
        ]);
        let expected = [
            "cache-control: no-cache=\"x-secret\"",
            "content-encoding: gzip",
            "content-length: 10",
            "content-type: text/plain;charset=utf-8",
            "etag: \"a\"",
            "link: <3>",
            "link: <4>",
            "x-kept: 1",
            "x-new: 1",
        ];
        assert_eq!(text(&merge_304(&stored, &fresh)), expected);
        assert_eq!(
            text(&merge_304(&map(&[]), &map(&[("etag", "\"b\"")]))),
            ["etag: \"b\""],
            "an ETag that is new is added"
        );
    }

    #[test]
    fn a_304_with_another_validator_speaks_of_another_answer() {
        let cases: &[(Lines<'_>, Lines<'_>, bool)] = &[
            (&[("etag", "\"a\"")], &[("etag", "\"a\"")], true),
            (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], true),
            (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
            (&[("etag", "\"a\"")], &[], true),
            (&[], &[("etag", "\"a\"")], true),
            (&[("last-modified", "1")], &[("last-modified", "1")], true),
            (&[("last-modified", "1")], &[("last-modified", "2")], false),
            (&[("last-modified", "1")], &[("etag", "\"a\"")], true),
            (
                &[("etag", "\"a\""), ("last-modified", "1")],
                &[("etag", "\"a\""), ("last-modified", "2")],
                true,
            ),
            (
                &[("etag", "\"a\""), ("last-modified", "1")],
                &[("last-modified", "2")],
                false,
            ),
        ];
        for (stored, fresh, expected) in cases {
            assert_eq!(
                freshens(&map(stored), &map(fresh)),
                *expected,
                "{stored:?} {fresh:?}"
            );
        }
    }
}
