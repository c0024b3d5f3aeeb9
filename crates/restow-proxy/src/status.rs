//! `Cache-Status` (RFC 9211): what the cache did with a request, in the form that tools read.

use http::{HeaderName, HeaderValue, StatusCode};
use restow::{
    Millis,
    endpoint::Rejection,
    entry::Entry,
    exchange::{Answered, Bypassed, Missed, Outcome, OutcomeKind, Saved},
};
use restow_policy::rule;
use std::fmt::Write as _;

/// The field's name.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The most digits that an integer of a structured field may have are 15 (RFC 9651 section 3.3.1): a parser drops a field with more.
const MOST: i64 = 999_999_999_999_999;

/// The field of an answer out of the store, with how long it is still fresh, in seconds; past its lifetime the number is negative.
pub(crate) fn held(name: &str, answered: &Answered, entry: &Entry, now: Millis) -> HeaderValue {
    let ttl = entry
        .meta
        .expires_at
        .0
        .saturating_sub(now.0)
        .div_euclid(1_000)
        .clamp(-MOST, MOST);
    let mut text = String::with_capacity(48);
    // Writing to a String does not fail.
    _ = match answered.outcome.kind {
        OutcomeKind::Hit => write!(text, "{name}; hit; ttl={ttl}"),
        OutcomeKind::Coalesced => write!(text, "{name}; fwd=uri-miss; collapsed; ttl={ttl}"),
        _ => write!(text, "{name}; hit; ttl={ttl}; detail={}", detail(answered)),
    };
    value(&text)
}

/// The field of an answer for which the API was asked, and that said this status: its own, or a stored one that it confirmed or stands in for it.
pub(crate) fn fetched(name: &str, answered: &Answered, status: StatusCode) -> HeaderValue {
    match answered.outcome.kind {
        OutcomeKind::Validated | OutcomeKind::Stale(_) => value(&format!(
            "{name}; fwd={}; fwd-status={}; detail={}",
            renewal(answered.outcome),
            status.as_u16(),
            detail(answered)
        )),
        _ => forwarded(name, answered, status),
    }
}

/// The field of an answer of the API.
pub(crate) fn forwarded(name: &str, answered: &Answered, status: StatusCode) -> HeaderValue {
    let mut text = format!(
        "{name}; fwd={}; fwd-status={}",
        forward(answered.outcome),
        status.as_u16()
    );
    match (answered.outcome.kind, answered.saved()) {
        // It is stored behind the answer, if the store is back by then.
        (OutcomeKind::Miss(Missed::StoreDown), None | Some(Saved::StoreDown | Saved::Stored)) => {
            text.push_str("; detail=store-down");
        }
        (OutcomeKind::Miss(_), None | Some(Saved::Stored)) => text.push_str("; stored"),
        (_, Some(Saved::Rejected(_))) | (OutcomeKind::Bypass(_), _) => {
            _ = write!(text, "; detail={}", detail(answered));
        }
        _ => {}
    }
    value(&text)
}

/// The field of an answer for which nobody was asked, since the request wants none but a stored one.
pub(crate) fn refused(name: &str, answered: &Answered) -> HeaderValue {
    value(&format!("{name}; detail={}", detail(answered)))
}

/// The field of a request that the API did not answer: `forward` is why it was asked, and `collapsed` whether by another request.
pub(crate) fn unanswered(name: &str, forward: &str, collapsed: bool) -> HeaderValue {
    let collapsed = if collapsed { "; collapsed" } else { "" };
    value(&format!("{name}; fwd={forward}{collapsed}"))
}

/// Why an API is asked, in a word of RFC 9211 section 2.2.
pub(crate) fn forward(outcome: Outcome) -> &'static str {
    match outcome.kind {
        OutcomeKind::Miss(Missed::Absent | Missed::OtherPartition | Missed::Evicted) => "uri-miss",
        OutcomeKind::Miss(Missed::OtherVariant) => "vary-miss",
        OutcomeKind::Miss(Missed::Expired) => renewal(outcome),
        OutcomeKind::Miss(_) => "miss",
        OutcomeKind::Bypass(Bypassed::Method) => "method",
        OutcomeKind::Bypass(Bypassed::Range) => "partial",
        _ => "bypass",
    }
}

/// Why an API is asked for what is held: the request wants it so, or it is stale.
fn renewal(outcome: Outcome) -> &'static str {
    match outcome.rule {
        Some(
            rule::REQUEST_NO_CACHE
            | rule::REQUEST_MAX_AGE
            | rule::REQUEST_MIN_FRESH
            | rule::REQUEST_NO_STORE
            | rule::PRECONDITION,
        ) => "request",
        _ => "stale",
    }
}

/// The rule that decided, else the outcome's own word: a token either way.
fn detail(answered: &Answered) -> &'static str {
    match answered.saved() {
        Some(Saved::Rejected(Rejection::Policy(rule))) => return rule.name,
        Some(Saved::Rejected(Rejection::Encoding)) => return "encoding",
        Some(Saved::Rejected(Rejection::Expands)) => return "expands",
        _ => {}
    }
    match (answered.outcome.rule, answered.outcome.kind.as_strs()) {
        (Some(rule), _) => rule.name,
        (None, (_, Some(detail))) => detail,
        (None, (word, None)) => word,
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("restow"))
}
