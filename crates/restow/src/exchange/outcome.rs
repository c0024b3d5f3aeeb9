//! Outcomes: why a response is what it is.

use crate::{
    RawKey,
    endpoint::{Coding, Rejection},
    entry::Partition,
};
use http::HeaderValue;
use restow_policy::Rule;
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Why a response is what it is. `Display` is a stable string, with the rule that decided.
///
/// ```
/// use restow::exchange::{Missed, Outcome, OutcomeKind};
/// let outcome = Outcome::new(OutcomeKind::Miss(Missed::Absent), None);
/// assert_eq!(outcome.to_string(), "miss; detail=absent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// What happened.
    pub kind: OutcomeKind,
    /// The rule that decided, with the section of the RFC where there is one.
    pub rule: Option<Rule>,
}

/// What happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// Answered from the store, fresh.
    Hit,
    /// Answered from the store, though it had expired.
    Stale(Staleness),
    /// The API confirmed what is stored (304).
    Validated,
    /// Answered with what another request fetched.
    Coalesced,
    /// Fetched.
    Miss(Missed),
    /// The cache had no part in it.
    Bypass(Bypassed),
    /// Nothing may be served, and nobody may be asked.
    Refused,
}

/// Why an expired answer was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Staleness {
    /// Within `stale_while_revalidate`, or as stale as the request accepts.
    Window,
    /// The API failed.
    Error,
    /// The mode is offline.
    Offline,
}

/// Why an answer was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missed {
    /// Nothing is stored under the key.
    Absent,
    /// What is stored has expired, or the request asks for newer.
    Expired,
    /// It is stored for another user: name a principal, or let the endpoint share.
    OtherPartition,
    /// It is stored, but for other values of the headers in `Vary`.
    OtherVariant,
    /// It was evicted.
    Evicted,
    /// The store could not be read.
    StoreDown,
}

/// Why the cache had no part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bypassed {
    /// No endpoint matches.
    NotRouted,
    /// An endpoint matches, but the request has no key.
    NoKey,
    /// The mode says so.
    Mode,
    /// The method is not the endpoint's.
    Method,
    /// The request asks for a part of an answer.
    Range,
    /// The answer is too large to be stored.
    TooLarge,
    /// The table of its endpoint has other fields or columns: see [`Cache::open_or_bypass`](crate::Cache::open_or_bypass).
    Unfit,
}

/// What became of an answer that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// It is stored.
    Stored,
    /// No endpoint matches its request.
    NotRouted,
    /// Its request has no key.
    NoKey,
    /// A rule kept it out.
    Rejected(Rejection),
    /// Something newer goes before it. Another process took over the fetch, which had taken too long: see
    /// [`Coalesce::Shared`](crate::endpoint::Coalesce::Shared). Or this one removed what it would take the place of while it was on its way: a
    /// request changed it, or somebody purged it.
    Superseded,
    /// The store failed; it has been logged. Where it could not even be read, the answer may be stored yet, but nobody waits for that.
    StoreDown,
}

/// What the cache says about a response, attached to it as an extension.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Why the response is what it is.
    pub outcome: Outcome,
    /// The repository, where the request has one.
    pub repository: Option<Arc<str>>,
    /// The key and whose it is, where the request has one.
    pub key: Option<(RawKey, Partition)>,
    /// How long the API took for the answer that was served from the store; zero for one that was fetched.
    pub took: Duration,
    /// The encoding that the API is asked for where that is not the client's own: only of a
    /// [negotiating](crate::exchange::Exchange::negotiating) exchange.
    pub upstream_encoding: Option<Coding>,
    saved: Option<Arc<OnceLock<Saved>>>,
    /// What the API's 304 set for this caller alone.
    cookies: Box<[HeaderValue]>,
}

impl Outcome {
    /// Makes an outcome.
    pub const fn new(kind: OutcomeKind, rule: Option<Rule>) -> Self {
        Self { kind, rule }
    }

    /// Tells whether the response is one that is held, and not the API's own to this request: out of the store, or what another request brought.
    /// It then says how old it is (RFC 9111 section 5.1).
    pub const fn is_from_store(self) -> bool {
        matches!(
            self.kind,
            OutcomeKind::Hit
                | OutcomeKind::Stale(_)
                | OutcomeKind::Validated
                | OutcomeKind::Coalesced
        )
    }
}

impl OutcomeKind {
    /// Returns the stable word, and its detail.
    pub const fn as_strs(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Hit => ("hit", None),
            Self::Validated => ("validated", None),
            Self::Coalesced => ("coalesced", None),
            Self::Refused => ("refused", None),
            Self::Stale(why) => (
                "stale",
                Some(match why {
                    Staleness::Window => "window",
                    Staleness::Error => "error",
                    Staleness::Offline => "offline",
                }),
            ),
            Self::Miss(why) => (
                "miss",
                Some(match why {
                    Missed::Absent => "absent",
                    Missed::Expired => "expired",
                    Missed::OtherPartition => "other-partition",
                    Missed::OtherVariant => "other-variant",
                    Missed::Evicted => "evicted",
                    Missed::StoreDown => "store-down",
                }),
            ),
            Self::Bypass(why) => (
                "bypass",
                Some(match why {
                    Bypassed::NotRouted => "not-routed",
                    Bypassed::NoKey => "no-key",
                    Bypassed::Mode => "mode",
                    Bypassed::Method => "method",
                    Bypassed::Range => "range",
                    Bypassed::TooLarge => "too-large",
                    Bypassed::Unfit => "schema-mismatch",
                }),
            ),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, detail) = self.kind.as_strs();
        f.write_str(word)?;
        if let Some(detail) = detail {
            write!(f, "; detail={detail}")?;
        }
        if let Some(rule) = self.rule {
            write!(f, "; rule={}", rule.name)?;
            if !rule.rfc.is_empty() {
                write!(f, "; rfc={:?}", rule.rfc)?;
            }
        }
        Ok(())
    }
}

impl Answered {
    /// Says so of a request without a repository.
    pub fn bypass(outcome: Outcome) -> Self {
        Self {
            outcome,
            repository: None,
            key: None,
            took: Duration::ZERO,
            upstream_encoding: None,
            saved: None,
            cookies: Box::default(),
        }
    }

    pub(crate) fn new(
        outcome: Outcome,
        repository: Arc<str>,
        key: RawKey,
        partition: Partition,
    ) -> Self {
        Self {
            outcome,
            repository: Some(repository),
            key: Some((key, partition)),
            took: Duration::ZERO,
            upstream_encoding: None,
            saved: None,
            cookies: Box::default(),
        }
    }

    pub(crate) fn asked_for(mut self, coding: Option<Coding>) -> Self {
        self.upstream_encoding = coding;
        self
    }

    pub(crate) fn took(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }

    pub(crate) fn saving(mut self) -> (Self, Arc<OnceLock<Saved>>) {
        let cell = Arc::new(OnceLock::new());
        self.saved = Some(cell.clone());
        (self, cell)
    }

    pub(crate) fn setting(mut self, cookies: Box<[HeaderValue]>) -> Self {
        self.cookies = cookies;
        self
    }

    /// Returns the cookies that the API set for this caller when it confirmed the entry, which does not hold them:
    /// [`client::response`](crate::client::response) adds them.
    pub(crate) fn cookies(&self) -> &[HeaderValue] {
        &self.cookies
    }

    /// Returns what became of a fetched answer; `None` for one that was not fetched, and until its body was read to the end.
    pub fn saved(&self) -> Option<&Saved> {
        self.saved.as_deref().and_then(OnceLock::get)
    }
}
