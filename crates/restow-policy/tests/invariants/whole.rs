//! Whole answers: stored, asked for, renewed. What they say is known here, for they are written from it, and not read back.

use crate::made::{headers, limits};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use proptest::{collection::vec, option::weighted, sample::select};
use restow_policy::*;
use std::time::{Duration, UNIX_EPOCH};

const T0: i64 = 1_800_000_000_000;
const CDN: [HeaderName; 1] = [HeaderName::from_static("cdn-cache-control")];
const DAY: i64 = 86_400_000;

/// What a `Cache-Control` says.
#[derive(Clone, Debug, Default)]
struct Said {
    flags: Vec<&'static str>,
    max_age: Option<u32>,
    s_maxage: Option<u32>,
}

const WORDS: &[&str] = &[
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "immutable",
    "unknown",
];

fn said() -> impl Strategy<Value = Said> {
    let seconds = || weighted(0.5, select(&[0, 1, 10, 60, 3_600][..]));
    let words = proptest::sample::subsequence(WORDS, 0..3);
    (words, seconds(), seconds()).prop_map(|(flags, max_age, s_maxage)| Said {
        flags,
        max_age,
        s_maxage,
    })
}

impl Said {
    fn is(&self, word: &str) -> bool {
        self.flags.contains(&word)
    }

    fn is_empty(&self) -> bool {
        self.flags.is_empty() && self.max_age.is_none() && self.s_maxage.is_none()
    }

    /// Whether everyone may have the answer to somebody's request (RFC 9111 3.5).
    fn shares(&self) -> bool {
        !self.is("private")
            && (self.is("public") || self.is("must-revalidate") || self.s_maxage.is_some())
    }

    /// The directives, in one line each or in one line, with what must not be read between them.
    fn lines(&self, style: u8) -> Vec<String> {
        let seconds = |name: &str, of: Option<u32>| of.map(|of| format!("{name}={of}"));
        let mut pieces: Vec<String> = self.flags.iter().map(|word| (*word).to_owned()).collect();
        pieces.extend(seconds("max-age", self.max_age));
        pieces.extend(seconds("s-maxage", self.s_maxage));
        if pieces.is_empty() {
            return pieces;
        }
        if style & 1 != 0 {
            pieces.insert(
                0,
                "ext=\"public, max-age=99999, s-maxage=99999\"".to_owned(),
            );
        }
        if style & 2 != 0 {
            pieces.reverse();
        }
        if style & 4 != 0 {
            return pieces;
        }
        vec![pieces.join(if style & 8 == 0 { ", " } else { "," })]
    }
}

/// An answer, or a 304.
#[derive(Clone, Debug)]
struct Made {
    control: Said,
    targeted: Said,
    style: u8,
    /// Seconds from its arrival back to its `Date`.
    date: Option<i64>,
    age: Option<u32>,
    /// Seconds from its `Date`, or its arrival.
    expires: Option<i64>,
    modified: Option<i64>,
}

fn made() -> impl Strategy<Value = Made> {
    let ago = || select(&[0, 1, 30, 3_600, -60][..]);
    let parts = (
        said(),
        prop_oneof![3 => Just(Said::default()), 1 => said()],
        any::<u8>(),
        weighted(0.5, ago()),
        weighted(0.3, select(&[0, 5, 30, 100_000][..])),
        weighted(0.3, select(&[-60, 0, 60, 3_600][..])),
        weighted(0.3, select(&[0, 600, 100_000_000][..])),
    );
    parts.prop_map(
        |(control, targeted, style, date, age, expires, modified)| Made {
            control,
            targeted,
            style,
            date,
            age,
            expires,
            modified,
        },
    )
}

impl Made {
    /// Its `Date`, where it has one and came at `at`: whole seconds.
    fn date(&self, at: i64) -> Option<i64> {
        self.date.map(|ago| at / 1_000 * 1_000 - ago * 1_000)
    }

    fn expires(&self, at: i64) -> Option<i64> {
        let from = self.date(at).unwrap_or(at / 1_000 * 1_000);
        self.expires.map(|after| from + after * 1_000)
    }

    fn modified(&self, at: i64) -> Option<i64> {
        self.modified.map(|ago| at / 1_000 * 1_000 - ago * 1_000)
    }

    fn headers(&self, at: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        };
        for line in self.control.lines(self.style) {
            let capitals = self.style & 16 != 0;
            add(
                "cache-control",
                &if capitals { line.to_uppercase() } else { line },
            );
        }
        for line in self.targeted.lines(self.style) {
            add("cdn-cache-control", &line);
        }
        if let Some(age) = self.age {
            add("age", &age.to_string());
        }
        for (name, date) in [
            ("date", self.date(at)),
            ("expires", self.expires(at)),
            ("last-modified", self.modified(at)),
        ] {
            if let Some(date) = date {
                add(name, &http_date(date));
            }
        }
        headers
    }
}

fn http_date(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1_000).unwrap();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// What is in force of an answer, and of the 304s that renewed it.
#[derive(Clone, Debug, Default)]
struct InForce {
    control: Said,
    targeted: Said,
    came: i64,
    date: Option<i64>,
    expires: Option<i64>,
    modified: Option<i64>,
    age: u32,
}

impl InForce {
    /// The fields that a head has take the place of those before; its `Age` is its own.
    fn then(self, head: &Made, at: i64) -> Self {
        let pick = |before: Said, now: &Said| if now.is_empty() { before } else { now.clone() };
        Self {
            control: pick(self.control, &head.control),
            targeted: pick(self.targeted, &head.targeted),
            came: at,
            date: head.date(at).or(self.date),
            expires: head.expires(at).or(self.expires),
            modified: head.modified(at).or(self.modified),
            age: head.age.unwrap_or(0),
        }
    }

    fn said(&self) -> &Said {
        if self.targeted.is_empty() {
            &self.control
        } else {
            &self.targeted
        }
    }

    /// The longest that it may still be fresh from when it came, in milliseconds.
    fn at_most(&self, shared: bool) -> i64 {
        let said = self.said();
        let seconds = said.s_maxage.filter(|_| shared).or(said.max_age);
        // What a target replaces is `Cache-Control` and `Expires`.
        let expires = self.expires.filter(|_| self.targeted.is_empty());
        let date = self.date.unwrap_or(self.came);
        let whole = match (said.is("no-cache"), seconds, expires) {
            (true, ..) => 0,
            (_, Some(seconds), _) => i64::from(seconds) * 1_000,
            (_, None, Some(expires)) => expires - date,
            (_, None, None) => self.modified.map_or(0, |at| ((date - at) / 10).min(DAY)),
        };
        let apparent = self.date.map_or(0, |date| self.came - date);
        (whole - apparent.max(i64::from(self.age) * 1_000)).max(0)
    }
}

fn facts(headers: &HeaderMap, at: i64) -> Facts {
    Facts::parse_targeted(StatusCode::OK, headers, at, at, &CDN)
}

fn expires_at(facts: &Facts, options: &Options, at: i64) -> i64 {
    match lifetime(StatusCode::OK, facts, options) {
        Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => at + ms,
        Lifetime::Unknown => at,
    }
}

fn stored<'a>(facts: &'a Facts, (expires_at, stored_at): (i64, i64)) -> Stored<'a> {
    Stored {
        status: StatusCode::OK,
        facts,
        vary: "",
        variant: 0,
        etag: Some(b"\"a\""),
        last_modified: None,
        expires_at: Some(expires_at),
        stored_at,
        keep_until: None,
    }
}

/// Whether a decision gives the entry away, or lets the origin confirm it for whoever asks.
fn touches(decision: OnRequest) -> bool {
    matches!(
        decision,
        OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..) | OnRequest::Revalidate(..)
    )
}

fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -20_000..4_000_000i64,
        1 => -200_000_000..200_000_000i64,
        1 => select(&[-5_001, -5_000, -1, 0, 999, 1_000, 9_999, 10_000, 59_999, 60_000][..]),
    ]
    .prop_map(|after| T0 + after)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shared_cache_keeps_and_gives_only_what_everyone_may_have(
        answer in made(), fresh in made(), request in headers(), asked in headers(),
        [authorized, asks, background] in any::<[bool; 3]>(), now in clock(), limits in limits(),
    ) {
        let options = Options { shared: true, http: true, background, ..Options::default() };
        let get = StoreRequest { method: &Method::GET, headers: &request, credential: authorized };
        let head = answer.headers(T0);
        let merged = merge_304(&storable(&head), &fresh.headers(T0));
        let first = InForce::default().then(&answer, T0);
        let second = first.clone().then(&fresh, T0);
        for (head, force) in [(head, first), (merged, second)] {
            let (said, facts) = (force.said(), facts(&head, T0));
            let verdict = may_store(&get, StatusCode::OK, &facts, &options);
            let forbidden = said.is("no-store")
                || said.is("private")
                || RequestControl::parse(&request).no_store
                || authorized && !said.shares();
            prop_assert!(verdict.is_err() || !forbidden, "{said:?} is stored: {head:?}");
            prop_assert_eq!(may_share(&facts).is_ok(), said.shares(), "{:?}", head);

            // Were it stored all the same, it is not given to one who shows who they are.
            let ask = Request { method: &Method::GET, headers: &asked, credential: asks };
            let entries = [stored(&facts, (expires_at(&facts, &options, T0), T0))];
            let decision = on_request(&ask, entries.into_iter(), now, &limits, &options, &mut |_| Some(0));
            prop_assert!(!touches(decision) || !asks || said.shares(), "{said:?}: {decision:?}");
        }
    }

    #[test]
    fn nothing_is_fresh_beyond_what_it_says_whatever_the_clock_does(
        answer in made(), renewals in vec((clock(), made()), 0..3), readings in vec(clock(), 1..8),
        shared in any::<bool>(), asked in headers(),
    ) {
        let options = Options { shared, http: true, ..Options::default() };
        let mut head = storable(&answer.headers(T0));
        let mut force = InForce::default().then(&answer, T0);
        let mut stored_at = T0;
        for renewal in std::iter::once(None).chain(renewals.iter().map(Some)) {
            if let Some((at, fresh)) = renewal {
                head = merge_304(&head, &fresh.headers(*at));
                force = force.then(fresh, *at);
                stored_at = stored_at.min(*at);
            }
            let facts = facts(&head, force.came);
            let end = expires_at(&facts, &options, force.came);
            let stored = stored(&facts, (end, stored_at));
            for now in &readings {
                let ask = Request { method: &Method::GET, headers: &asked, credential: false };
                let decision = on_request(
                    &ask, [stored].into_iter(), *now, &Limits::default(), &options, &mut |_| Some(0),
                );
                let fresh = stored.is_fresh(*now) || matches!(decision, OnRequest::Serve(_, rule::FRESH));
                let resident = now - force.came;
                let within = resident < force.at_most(shared) && resident >= -CLOCK_SKEW_MS;
                prop_assert!(!fresh || within, "fresh after {resident} ms, not {}: {head:?}", force.at_most(shared));
            }
        }
    }
}
