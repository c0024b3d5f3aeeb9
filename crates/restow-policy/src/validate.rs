//! Validators (RFC 9111 4.3): conditions we send, conditions we answer, and how long an origin asks to be left alone.

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::control::{seconds, trim};
use crate::date;
use crate::decide::Stored;

/// The conditions with which the cache validates a stored answer: its `ETag` and `Last-Modified`, byte for byte as they came.
///
/// Nothing is repaired: an origin that sends an `ETag` without quotes gets it back without quotes. Nothing comes out where the answer
/// has no validator. Where [`own_conditions_present`], drop the client's own first.
pub fn conditions(stored: &Stored<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let field = |name, value: Option<&[u8]>| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    };
    [
        field(IF_NONE_MATCH, stored.etag),
        field(IF_MODIFIED_SINCE, stored.last_modified),
    ]
    .into_iter()
    .flatten()
}

/// Says whether a request carries conditions or a range of its own, which must not be mixed with ours (RFC 9111 4.3.1).
pub fn own_conditions_present(headers: &HeaderMap) -> bool {
    OWN_CONDITIONS.iter().any(|name| headers.contains_key(name))
}

/// Drops the conditions and the range of a request, so that it can be validated or fetched for the store.
pub fn drop_own_conditions(headers: &mut HeaderMap) {
    for name in &OWN_CONDITIONS {
        headers.remove(name);
    }
}

/// Says whether the client's own condition is met by the stored answer, so that it gets a 304 (RFC 9111 4.3.2).
///
/// `If-None-Match` goes before `If-Modified-Since` and is compared weakly. Only for `GET` and `HEAD`, and for an entry that may be
/// served: a 304 says as much as the answer itself.
pub fn not_modified(request: &HeaderMap, stored: &Stored<'_>) -> bool {
    // A condition is judged only where the answer without it would be a success (RFC 9110 13.2.1).
    if !stored.status.is_success() {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        let mut lines = request.get_all(IF_NONE_MATCH).iter();
        return lines
            .any(|line| trim(line.as_bytes()) == b"*" || names_tag(line.as_bytes(), stored.etag));
    }
    let Some(since) = request
        .get(IF_MODIFIED_SINCE)
        .and_then(|line| date::parse(line.as_bytes()))
    else {
        return false;
    };
    if request.get_all(IF_MODIFIED_SINCE).iter().nth(1).is_some() {
        return false;
    }
    let facts = stored.facts;
    facts
        .last_modified
        .or(facts.date)
        .unwrap_or(facts.received_at)
        <= since
}

/// How long the origin asks to be left alone, in milliseconds from `now` (RFC 9110 10.2.3): `Retry-After` in seconds or as a date.
///
/// `None` where it does not say, or says it unreadably; 0 for a date that has passed.
pub fn retry_after(headers: &HeaderMap, now: i64) -> Option<i64> {
    let value = trim(headers.get(RETRY_AFTER)?.as_bytes());
    match seconds(value) {
        Some(seconds) => Some(i64::from(seconds).saturating_mul(1000)),
        None => date::parse(value).map(|at| at.saturating_sub(now).max(0)),
    }
}

/// Compares two entity tags weakly (RFC 9110 8.8.3.2).
pub(crate) fn same_tag(one: &[u8], other: &[u8]) -> bool {
    opaque(trim(one)) == opaque(trim(other))
}

const OWN_CONDITIONS: [HeaderName; 6] = [
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
];

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Says whether a list of entity tags holds `tag`. A comma inside quotes is part of the tag.
fn names_tag(list: &[u8], tag: Option<&[u8]>) -> bool {
    let Some(tag) = tag.map(trim).filter(|tag| !tag.is_empty()) else {
        return false;
    };
    let mut rest = list;
    while !rest.is_empty() {
        let (member, after) = split_tag(rest);
        if !member.is_empty() && same_tag(member, tag) {
            return true;
        }
        rest = after;
    }
    false
}

/// Splits after the first member of a list of entity tags.
fn split_tag(list: &[u8]) -> (&[u8], &[u8]) {
    let quoted_from = list.iter().position(|byte| *byte == b'"');
    let comma = list
        .iter()
        .position(|byte| *byte == b',')
        .unwrap_or(list.len());
    let end = match quoted_from {
        // Tags know no escapes (RFC 9110 8.8.3), so the next quote closes.
        Some(quote) if quote < comma => {
            let inside = quote + 1;
            let close = list
                .get(inside..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b'"'));
            let after = close.map_or(list.len(), |close| inside + close + 1);
            list.get(after..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b','))
                .map_or(list.len(), |more| after + more)
        }
        _ => comma,
    };
    let (member, rest) = list.split_at_checked(end).unwrap_or((list, &[]));
    (member, rest.get(1..).unwrap_or(&[]))
}
