//! The decisions: what a request may be answered with, and what may be served when the origin fails.

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, Method, StatusCode};

use crate::control::RequestControl;
use crate::facts::{Facts, Flags};
use crate::lifetime::late;
use crate::rule::{self, Rule};
use crate::store::{Options, may_share, understood};

/// How far the clock may seem to have gone back before the age of an entry counts as unknown, in milliseconds.
///
/// Processes that share a store do not share a clock, and an entry that another one has just written is not suspicious.
pub const CLOCK_SKEW_MS: i64 = 5_000;

/// A request, as far as caching looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// Whether it shows a credential: in a shared cache it is given only what everyone may have (RFC 9111 3.5).
    pub credential: bool,
}

/// A borrowed view of a stored head: nothing is copied, and nothing is parsed on a hit.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// What was parsed when it was stored, or when a 304 last renewed it.
    pub facts: &'a Facts,
    /// The names it varies on, as [`VaryNames::as_str`](crate::VaryNames::as_str) gave them.
    pub vary: &'a str,
    /// The digest of what its request said under those names.
    pub variant: u128,
    /// Its `ETag`, as received.
    pub etag: Option<&'a [u8]>,
    /// Its `Last-Modified`, as received.
    pub last_modified: Option<&'a [u8]>,
    /// When it expires; `None` for never.
    pub expires_at: Option<i64>,
    /// When it was stored; after a 304, [`Facts::received_at`] is later and counts instead.
    pub stored_at: i64,
    /// When it is gone, even for validation and stale answers; `None` for never.
    pub keep_until: Option<i64>,
}

/// How the cache is to treat the network. A read-only cache decides like [`Live`](Self::Live).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Serve what is fresh, ask for the rest.
    #[default]
    Live,
    /// Always ask, with a condition where there is a validator.
    Revalidate,
    /// Always ask, without a condition.
    Refresh,
    /// Serve whatever is retained, and never ask.
    Offline,
}

/// How long stale answers are good for, and the mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How long after its expiry an entry is served while it is refreshed, in milliseconds.
    pub stale_while_revalidate_ms: i64,
    /// How long after its expiry an entry is served when the origin fails, in milliseconds.
    pub stale_if_error_ms: i64,
    /// Whether the program set `stale_if_error` itself: then it goes before what the answer says against being served stale.
    pub insist_if_error: bool,
    /// The same for `stale_while_revalidate`.
    pub insist_while_revalidate: bool,
    /// How the network is treated.
    pub mode: Mode,
}

/// What to do with a request. The index is that of the entry in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRequest {
    /// Answer with this entry.
    Serve(usize, Rule),
    /// Answer with this entry, which has expired, and refresh it behind the answer.
    ServeStaleAndRefresh(usize, Rule),
    /// Ask the origin whether this entry still holds.
    Revalidate(usize, Rule),
    /// Ask the origin.
    Fetch(Rule),
    /// Answer that there is nothing to serve (504).
    Refuse(Rule),
}

/// How the origin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It answered with a status that the caller counts as an error.
    Status(u16),
    /// It could not be reached, or cut the connection.
    Unreachable,
}

/// Decides what a request may be answered with (RFC 9111 4): an entry is live until its `expires_at`.
///
/// `stored` are all retained entries under the key, expired ones too. Of those whose `variant` is what the request selects under
/// their names, as `variant_of` says, the newest counts (RFC 9111 4.1). `no-cache` and the lifetimes in an answer are ignored while
/// the entry is live: they went into `expires_at` by [`lifetime`](crate::lifetime()) where the answer decides ([`Options::http`]), and
/// where the program decides they do not count. What an answer says against being served stale is honoured.
///
/// Where the answer decides, its own `stale-while-revalidate` is the window (RFC 5861 3), unless the program insists on another, and an
/// `immutable` one is not asked for again by a mere reload of a private cache (RFC 8246 2). In a shared cache a request that shows a
/// credential is given only what everyone may have (RFC 9111 3.5); all else is as if it were not there.
///
/// An entry is live from when it was stored until `expires_at`, and at no other reading of the clock: one that seems to come from
/// more than [`CLOCK_SKEW_MS`] in the future has an unknown age and is validated. Nothing is allocated.
pub fn on_request<'a>(
    request: &Request<'_>,
    stored: impl Iterator<Item = Stored<'a>>,
    now: i64,
    limits: &Limits,
    options: &Options,
    variant_of: &mut dyn FnMut(&str) -> Option<u128>,
) -> OnRequest {
    let control = RequestControl::parse(request.headers);
    let selected = select(
        stored,
        now,
        options.shared && request.credential && !options.share,
        variant_of,
    );
    if limits.mode == Mode::Offline {
        return offline(&selected, now);
    }
    match decide(request, &control, &selected, now, limits, options) {
        OnRequest::Revalidate(..) | OnRequest::Fetch(_) if control.only_if_cached => {
            OnRequest::Refuse(rule::ONLY_IF_CACHED)
        }
        decision => decision,
    }
}

/// Says whether an entry may be served although the origin failed, and by which rule.
///
/// `None` past its `stale_if_error` window, and where the answer itself forbids to be served stale (RFC 9111 4.2.4). Where the answer
/// decides ([`Options::http`]) and the program does not insist on a window, it is the answer's own `stale-if-error` for an error that the
/// origin sent (RFC 5861 4), and without end where the origin cannot be reached.
pub fn on_error(
    stored: &Stored<'_>,
    now: i64,
    limits: &Limits,
    options: &Options,
    outcome: ErrorKind,
) -> Option<Rule> {
    let rule = match outcome {
        ErrorKind::Status(..400) => return None,
        ErrorKind::Status(_) => rule::STALE_IF_ERROR,
        ErrorKind::Unreachable => rule::STALE_IF_UNREACHABLE,
    };
    let within = match stored.freshness(now) {
        Freshness::Fresh { .. } => true,
        Freshness::Stale { by } => {
            let by = stale_by(by, stored, options);
            let within = if limits.insist_if_error || !options.http {
                by < limits.stale_if_error_ms
            } else {
                match outcome {
                    // RFC 9111 4.2.4: a cache that is cut off may serve what it has.
                    ErrorKind::Unreachable => true,
                    ErrorKind::Status(_) => stored
                        .facts
                        .stale_if_error
                        .is_some_and(|window| by < milliseconds(window)),
                }
            };
            within && (limits.insist_if_error || may_be_stale(stored.facts, options))
        }
        Freshness::Unknown => false,
    };
    (within && stored.is_kept(now)).then_some(rule)
}

impl Stored<'_> {
    /// Says whether the entry is live at `now`: not expired, and not from the future.
    pub fn is_fresh(&self, now: i64) -> bool {
        matches!(self.freshness(now), Freshness::Fresh { .. })
    }

    /// Says whether the answer has a validator, so that a 304 can renew it.
    pub fn has_validator(&self) -> bool {
        [self.etag, self.last_modified]
            .into_iter()
            .flatten()
            .any(|value| !value.is_empty())
    }

    /// When the entry was stored or last renewed.
    fn since(&self) -> i64 {
        self.stored_at.max(self.facts.received_at)
    }

    fn is_kept(&self, now: i64) -> bool {
        self.keep_until.is_none_or(|until| now < until)
    }

    fn freshness(&self, now: i64) -> Freshness {
        let resident = now.saturating_sub(self.since());
        if resident < -CLOCK_SKEW_MS {
            return Freshness::Unknown;
        }
        let Some(expires_at) = self.expires_at else {
            return Freshness::Fresh {
                remaining: i64::MAX,
            };
        };
        let remaining = expires_at.saturating_sub(now.max(self.since()));
        if remaining > 0 {
            Freshness::Fresh { remaining }
        } else {
            Freshness::Stale {
                by: remaining.saturating_neg(),
            }
        }
    }
}

/// The state of an entry at one reading of the clock, in milliseconds.
#[derive(Clone, Copy)]
enum Freshness {
    Fresh { remaining: i64 },
    Stale { by: i64 },
    Unknown,
}

enum Selected<'a> {
    Entry(usize, Stored<'a>),
    OtherVariant,
    /// There are some that not everyone may have.
    Authorized,
    Absent,
}

fn select<'a>(
    stored: impl Iterator<Item = Stored<'a>>,
    now: i64,
    for_everyone: bool,
    variant_of: &mut dyn FnMut(&str) -> Option<u128>,
) -> Selected<'a> {
    let mut selected = Selected::Absent;
    let mut last = ("", variant_of(""));
    for (nth, entry) in stored.enumerate().filter(|(_, entry)| entry.is_kept(now)) {
        if for_everyone && may_share(entry.facts).is_err() {
            if matches!(selected, Selected::Absent) {
                selected = Selected::Authorized;
            }
            continue;
        }
        // The variants of one key nearly always vary on the same names.
        if last.0 != entry.vary {
            last = (entry.vary, variant_of(entry.vary));
        }
        if last.1 != Some(entry.variant) {
            if matches!(selected, Selected::Absent | Selected::Authorized) {
                selected = Selected::OtherVariant;
            }
            continue;
        }
        let newer = match &selected {
            Selected::Entry(_, best) => {
                (entry.since(), entry.facts.date) > (best.since(), best.facts.date)
            }
            Selected::OtherVariant | Selected::Authorized | Selected::Absent => true,
        };
        if newer {
            selected = Selected::Entry(nth, entry);
        }
    }
    selected
}

fn offline(selected: &Selected<'_>, now: i64) -> OnRequest {
    match selected {
        Selected::Entry(nth, entry) if entry.is_fresh(now) => OnRequest::Serve(*nth, rule::FRESH),
        Selected::Entry(nth, _) => OnRequest::Serve(*nth, rule::OFFLINE),
        Selected::OtherVariant | Selected::Authorized | Selected::Absent => {
            OnRequest::Refuse(rule::OFFLINE_MISS)
        }
    }
}

fn decide(
    request: &Request<'_>,
    control: &RequestControl,
    selected: &Selected<'_>,
    now: i64,
    limits: &Limits,
    options: &Options,
) -> OnRequest {
    if !understood(request.method) {
        return OnRequest::Fetch(rule::METHOD);
    }
    // Only the origin can judge these (RFC 9111 4.3.2).
    if request.headers.contains_key(IF_MATCH) || request.headers.contains_key(IF_UNMODIFIED_SINCE) {
        return OnRequest::Fetch(rule::PRECONDITION);
    }
    if control.no_store {
        return OnRequest::Fetch(rule::REQUEST_NO_STORE);
    }
    if limits.mode == Mode::Refresh {
        return OnRequest::Fetch(rule::MODE_REFRESH);
    }
    let (nth, entry) = match selected {
        Selected::Entry(nth, entry) => (*nth, entry),
        Selected::OtherVariant => return OnRequest::Fetch(rule::OTHER_VARIANT),
        Selected::Authorized => return OnRequest::Fetch(rule::AUTHORIZED),
        Selected::Absent => return OnRequest::Fetch(rule::ABSENT),
    };
    // `If-None-Match` on a POST is a precondition that fails, not a validation (RFC 9110 13.1.2).
    let can_validate = request.method.is_safe() && entry.has_validator();
    let ask = |rule| {
        if can_validate {
            OnRequest::Revalidate(nth, rule)
        } else {
            OnRequest::Fetch(rule)
        }
    };
    if limits.mode == Mode::Revalidate {
        return ask(rule::MODE_REVALIDATE);
    }
    if control.no_cache {
        return ask(rule::REQUEST_NO_CACHE);
    }
    if control
        .max_age
        .is_some_and(|limit| entry.facts.is_older_than(limit, now))
        && !needs_no_reload(control, entry, now, options)
    {
        return ask(rule::REQUEST_MAX_AGE);
    }
    match entry.freshness(now) {
        Freshness::Unknown => ask(rule::CLOCK_WENT_BACK),
        Freshness::Fresh { remaining } => match control.min_fresh {
            Some(least) if remaining < milliseconds(least) => ask(rule::REQUEST_MIN_FRESH),
            _ => OnRequest::Serve(nth, rule::FRESH),
        },
        Freshness::Stale { by } => {
            let by = stale_by(by, entry, options);
            let forbidden = !may_be_stale(entry.facts, options);
            if !accepts_stale(control, by) || forbidden && !limits.insist_while_revalidate {
                ask(rule::EXPIRED)
            } else if options.background && by < window(entry, limits, options) {
                OnRequest::ServeStaleAndRefresh(nth, rule::STALE_WHILE_REVALIDATE)
            } else if control.max_stale.is_some() && !forbidden {
                OnRequest::Serve(nth, rule::MAX_STALE)
            } else {
                ask(rule::EXPIRED)
            }
        }
    }
}

/// Whether the request is a reload (`max-age=0`) of an answer that will not change while it is fresh (RFC 8246 2).
///
/// A forced reload says `no-cache`, and is not meant. A shared cache asks all the same: whoever reloads may doubt the cache itself.
fn needs_no_reload(
    control: &RequestControl,
    entry: &Stored<'_>,
    now: i64,
    options: &Options,
) -> bool {
    options.http
        && !options.shared
        && control.max_age == Some(0)
        && entry.facts.flags.contains(Flags::IMMUTABLE)
        && entry.is_fresh(now)
}

/// How long after its expiry an entry is served while it is refreshed, in milliseconds (RFC 5861 3).
fn window(entry: &Stored<'_>, limits: &Limits, options: &Options) -> i64 {
    if options.http && !limits.insist_while_revalidate {
        milliseconds(entry.facts.stale_while_revalidate.unwrap_or(0))
    } else {
        limits.stale_while_revalidate_ms
    }
}

/// By how much an entry is stale that expired so long ago: one that was stale when it came is staler by that.
fn stale_by(expired: i64, entry: &Stored<'_>, options: &Options) -> i64 {
    let came_stale = entry.expires_at.is_some_and(|at| at <= entry.since());
    if options.http && came_stale {
        expired.saturating_add(late(entry.status, entry.facts, options))
    } else {
        expired
    }
}

/// What the request says of an answer that is stale by that many milliseconds (RFC 9111 5.2.1.1 to 5.2.1.3).
fn accepts_stale(control: &RequestControl, by: i64) -> bool {
    if control.min_fresh.is_some() {
        return false;
    }
    match control.max_stale {
        Some(u32::MAX) => true,
        Some(limit) => by <= milliseconds(limit),
        None => control.max_age.is_none(),
    }
}

/// Whether nothing in the answer forbids that it be served stale (RFC 9111 4.2.4).
pub(crate) fn may_be_stale(facts: &Facts, options: &Options) -> bool {
    let mut forbids = Flags::MUST_REVALIDATE | Flags::NO_CACHE | Flags::CACHE_CONTROL_INVALID;
    forbids.set(Flags::PROXY_REVALIDATE, options.shared);
    let forbidden = facts.flags.intersects(forbids) || options.shared && facts.s_maxage.is_some();
    !forbidden
}

fn milliseconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}
