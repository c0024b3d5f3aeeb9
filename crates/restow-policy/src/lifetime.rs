//! How long an answer is fresh by what it says (RFC 9111 4.2).

use http::StatusCode;

use crate::facts::{Facts, Flags};
use crate::store::Options;

/// The longest lifetime that is guessed: a day, in milliseconds.
const MOST_GUESSED: i64 = 86_400_000;

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
pub fn lifetime(status: StatusCode, facts: &Facts, options: &Options) -> Lifetime {
    let says = |flag| facts.flags.contains(flag);
    if facts
        .flags
        .intersects(Flags::NO_CACHE | Flags::CACHE_CONTROL_INVALID | Flags::VARY_STAR)
    {
        return Lifetime::Explicit(0);
    }
    let left = |lifetime: i64| {
        lifetime
            .saturating_sub(facts.age_ms(facts.received_at))
            .max(0)
    };
    let seconds = |seconds: u32, invalid| {
        let lifetime = if says(invalid) {
            0
        } else {
            i64::from(seconds) * 1000
        };
        Lifetime::Explicit(left(lifetime))
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
    if let Some(expires) = facts.expires {
        let date = facts.date.unwrap_or(facts.received_at);
        return Lifetime::Explicit(left(expires.saturating_sub(date)));
    }
    let may_guess = says(Flags::STATUS_HEURISTIC) || says(Flags::PUBLIC);
    match facts.last_modified {
        Some(modified) if may_guess && !status.is_server_error() => {
            let date = facts.date.unwrap_or(facts.received_at);
            let guess = date.saturating_sub(modified).max(0) / 10;
            Lifetime::Heuristic(left(guess.min(MOST_GUESSED)))
        }
        _ => Lifetime::Unknown,
    }
}
