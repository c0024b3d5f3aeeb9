//! How long an answer is fresh by what it says (RFC 9111 4.2).

use http::StatusCode;

use crate::facts::{Facts, Flags};
use crate::store::Options;

/// The longest lifetime that is guessed: a day, in milliseconds.
const MOST_GUESSED: i64 = 86_400_000;
/// The same of an error: ten minutes. Whoever provokes one must not have it shown to everyone for long.
const MOST_GUESSED_OF_ERROR: i64 = 600_000;

/// How long an answer is fresh, in milliseconds from its reception; the age that it had on arrival is taken off already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// The answer says so.
    Explicit(i64),
    /// A guess by `Last-Modified` (RFC 9111 4.2.2).
    Heuristic(i64),
    /// The answer says nothing, and nothing can be guessed.
    Unknown,
}

/// Says how long an answer is fresh, never negative.
///
/// In a shared cache `s-maxage` goes before `max-age`, and that before `Expires` (RFC 9111 4.2.1). What is invalid, or there twice with
/// different values, is stale at once; so is an answer with `no-cache`, with a `Cache-Control` that cannot be read, or with `Vary: *`.
///
/// Without any of them a tenth of the time since `Last-Modified`, at most a day, is guessed (4.2.2), and only where the status allows it
/// or the answer says `public`. So an error that says nothing of itself is never fresh: it needs a `Last-Modified`, which pages of errors
/// do not have, and a status on the list, or `public`; and then ten minutes are the most.
pub fn lifetime(status: StatusCode, facts: &Facts, options: &Options) -> Lifetime {
    let age = facts.age_ms(facts.received_at);
    match whole(status, facts, options) {
        Lifetime::Explicit(ms) => Lifetime::Explicit(ms.saturating_sub(age).max(0)),
        Lifetime::Heuristic(ms) => Lifetime::Heuristic(ms.saturating_sub(age).max(0)),
        Lifetime::Unknown => Lifetime::Unknown,
    }
}

/// Tells whether an answer was fresh when the server that sent it did so: what it lost since, it lost on the way.
///
/// Whoever asked before it came may be given it (RFC 9111 4): it is what the origin would have answered.
pub fn was_fresh(status: StatusCode, facts: &Facts, options: &Options) -> bool {
    match whole(status, facts, options) {
        Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => ms > i64::from(facts.age) * 1000,
        Lifetime::Unknown => false,
    }
}

/// By how much an answer was stale already when it arrived, in milliseconds: one that says nothing of its lifetime by its whole age.
///
/// Its `expires_at` cannot tell: nothing expires before it is there.
pub(crate) fn late(status: StatusCode, facts: &Facts, options: &Options) -> i64 {
    let lived = match whole(status, facts, options) {
        Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => ms,
        Lifetime::Unknown => 0,
    };
    facts.age_ms(facts.received_at).saturating_sub(lived).max(0)
}

/// The freshness lifetime of RFC 9111 4.2.1, from when the origin made the answer.
fn whole(status: StatusCode, facts: &Facts, options: &Options) -> Lifetime {
    let says = |flag| facts.flags.contains(flag);
    if facts
        .flags
        .intersects(Flags::NO_CACHE | Flags::CACHE_CONTROL_INVALID | Flags::VARY_STAR)
    {
        return Lifetime::Explicit(0);
    }
    let seconds = |seconds: u32, invalid| {
        let seconds = if says(invalid) { 0 } else { seconds };
        Lifetime::Explicit(i64::from(seconds) * 1000)
    };
    if options.shared
        && let Some(s_maxage) = facts.s_maxage
    {
        return seconds(s_maxage, Flags::S_MAXAGE_INVALID);
    }
    if let Some(max_age) = facts.max_age {
        return seconds(max_age, Flags::MAX_AGE_INVALID);
    }
    if says(Flags::EXPIRES_INVALID) {
        return Lifetime::Explicit(0);
    }
    let date = facts.date.unwrap_or(facts.received_at);
    if let Some(expires) = facts.expires {
        return Lifetime::Explicit(expires.saturating_sub(date).max(0));
    }
    match facts.last_modified {
        Some(modified) if says(Flags::STATUS_HEURISTIC) || says(Flags::PUBLIC) => {
            let is_error = status.is_client_error() || status.is_server_error();
            let most = if is_error {
                MOST_GUESSED_OF_ERROR
            } else {
                MOST_GUESSED
            };
            let guess = date.saturating_sub(modified).max(0) / 10;
            Lifetime::Heuristic(guess.min(most))
        }
        _ => Lifetime::Unknown,
    }
}
