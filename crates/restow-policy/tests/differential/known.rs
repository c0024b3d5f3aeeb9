//! The differences that are known.

use crate::{
    exchange::{Exchange, LONG_AGO, MALFORMED},
    policies::{at, theirs},
};
use Question::{Fresh, Give, Store};
use http::Method;
use http_cache_semantics::CachePolicy;
use restow_policy::CLOCK_SKEW_MS;
use restow_testkit::cases::START;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// May the answer be stored?
    Store,
    /// Is it fresh then?
    Fresh,
    /// May it be given to the later request without asking?
    Give,
}

/// A difference that is known: what we say where it applies, and why.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) rfc: &'static str,
    pub(crate) on: &'static [Question],
    /// Our answer; either where there is none.
    pub(crate) ours: Option<bool>,
    pub(crate) applies: fn(&Exchange, &CachePolicy) -> bool,
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

/// The statuses that the other policy understands.
const FEW: &[u16] = &[
    200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501,
];

pub(crate) const KNOWN: &[Known] = &[
    Known {
        name: "any final status may be stored that says for how long",
        rfc: "9111 3",
        on: &[Store],
        ours: YES,
        applies: |exchange, _| !FEW.contains(&exchange.status),
    },
    Known {
        name: "an answer to HEAD is not stored for itself",
        rfc: "9110 9.3.2",
        on: &[Store],
        ours: NO,
        applies: |exchange, _| exchange.method == Method::HEAD,
    },
    Known {
        name: "whoever declares an endpoint by POST wants its answers",
        rfc: "9110 9.3.3",
        on: &[Store],
        ours: YES,
        applies: |exchange, _| exchange.method == Method::POST && !exchange.has_explicit(),
    },
    Known {
        name: "directives in capitals restrict",
        rfc: "9111 5.2",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| {
            exchange.controls(&[
                "No-Store",
                "No-Cache",
                "Private",
                "Max-Age=60",
                "S-MaxAge=30",
                "Must-Revalidate",
            ])
        },
    },
    Known {
        name: "directives in capitals permit",
        rfc: "9111 5.2",
        on: &[Store, Fresh, Give],
        ours: YES,
        applies: |exchange, _| {
            exchange.controls(&[
                "Max-Age=60",
                "S-MaxAge=30",
                "Public",
                "Private",
                "Must-Revalidate",
            ])
        },
    },
    Known {
        name: "private for a field leaves out that field",
        rfc: "9111 5.2.2.7",
        on: &[Store],
        ours: YES,
        applies: |exchange, _| exchange.shared && exchange.controls(&["private=\"x-a\""]),
    },
    Known {
        name: "private allows the one user's cache to store",
        rfc: "9111 3",
        on: &[Store],
        ours: YES,
        applies: |exchange, _| !exchange.shared && exchange.controls(&["private"]),
    },
    Known {
        name: "must-understand goes before no-store",
        rfc: "9111 5.2.2.3",
        on: &[Store],
        ours: YES,
        applies: |exchange, _| exchange.controls(&["must-understand", "must-understand, no-store"]),
    },
    Known {
        name: "what cannot be read allows nothing",
        rfc: "9111 4.2.1",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.controls(MALFORMED),
    },
    Known {
        name: "what is stale on arrival and has no validator is of no use",
        rfc: "9111 3",
        on: &[Store],
        ours: NO,
        applies: |exchange, policy| {
            !exchange.has("etag:") && !exchange.has("last-modified:") && policy.is_stale(at(START))
        },
    },
    Known {
        name: "what varies on everything is never selected",
        rfc: "9111 4.1",
        on: &[Store],
        ours: NO,
        applies: |exchange, _| exchange.answers(&["vary: *", "vary: accept, *"]),
    },
    Known {
        name: "a Vary that cannot be read is one on everything",
        rfc: "9111 4.1",
        on: &[Store],
        ours: NO,
        applies: |exchange, _| exchange.answers(&["vary: a b"]),
    },
    Known {
        name: "s-maxage that cannot be read shares nothing",
        rfc: "9111 3.5",
        on: &[Store],
        ours: NO,
        applies: |exchange, _| {
            exchange.shared
                && exchange.asks(&["authorization: a"])
                && exchange.controls(&["s-maxage=x"])
        },
    },
    Known {
        name: "a quoted string holds no directives",
        rfc: "9110 5.6.4",
        on: &[Store, Fresh, Give],
        ours: None,
        applies: |exchange, _| {
            exchange.controls(&["ext=\"a, max-age=600\"", "ext=\"a, no-store, b\""])
        },
    },
    Known {
        name: "an old Date is an age",
        rfc: "9111 4.2.3",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.answers(&["date: {date-60}", "date: {date-3600}"]),
    },
    Known {
        name: "no-cache for a field leaves out that field",
        rfc: "9111 5.2.2.4",
        on: &[Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.controls(&["no-cache=\"x-a\""]),
    },
    Known {
        name: "two lifetimes that differ are none, and share nothing",
        rfc: "9111 4.2.1",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.conflicts(),
    },
    Known {
        name: "two directives that differ do not mean must-revalidate",
        rfc: "9111 4.2.1",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| exchange.conflicts(),
    },
    Known {
        name: "a lifetime without a value is none",
        rfc: "9111 4.2.1",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.controls(&["max-age"]),
    },
    Known {
        name: "a cookie is left out, and the answer fresh",
        rfc: "9111 7.3",
        on: &[Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.shared && exchange.has("set-cookie:"),
    },
    Known {
        name: "proxy-revalidate matters where an answer is stale",
        rfc: "9111 5.2.2.8",
        on: &[Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.shared && exchange.controls(&["proxy-revalidate"]),
    },
    Known {
        name: "a guess has an end",
        rfc: "9111 4.2.2",
        on: &[Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.answers(&[LONG_AGO]),
    },
    Known {
        name: "the first of two ages counts",
        rfc: "9111 5.1",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.answers(&["age: 30, 0"]),
    },
    Known {
        name: "Pragma in an answer says nothing",
        rfc: "9111 5.4",
        on: &[Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.has("pragma:") && exchange.control.is_empty(),
    },
    Known {
        name: "a lifetime beyond 64 bits is a long one",
        rfc: "9111 1.2.2",
        on: &[Store, Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.controls(&["max-age=99999999999999999999"]),
    },
    Known {
        name: "a lifetime has no sign",
        rfc: "9111 1.2.2",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.controls(&["max-age=+60"]),
    },
    Known {
        name: "the obsolete forms of dates are read",
        rfc: "9110 5.6.7",
        on: &[Store, Fresh, Give],
        ours: YES,
        applies: |exchange, _| exchange.answers(&["expires: Thursday, 18-Aug-50 02:01:18 GMT"]),
    },
    Known {
        name: "two dates of expiry that differ are none",
        rfc: "9111 4.2.1",
        on: &[Store, Fresh, Give],
        ours: NO,
        applies: |exchange, _| {
            exchange
                .answer
                .iter()
                .filter(|line| line.starts_with("expires:"))
                .count()
                > 1
        },
    },
    Known {
        name: "a clock that went back leaves the age unknown",
        rfc: "9111 4.2.3",
        on: &[Fresh, Give],
        ours: NO,
        applies: |exchange, _| exchange.after < -CLOCK_SKEW_MS / 1_000,
    },
    Known {
        name: "what is stored for GET answers HEAD",
        rfc: "9111 4",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| exchange.later_method == Method::HEAD,
    },
    Known {
        name: "lists that agree select the same",
        rfc: "9111 4.1",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| exchange.has("vary:") && exchange.asks(&["x-lang: de, en"]),
    },
    Known {
        name: "all lines of a field select",
        rfc: "9111 4.1",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| {
            exchange.has("vary:")
                && exchange
                    .later
                    .iter()
                    .filter(|line| line.starts_with("x-lang:"))
                    .count()
                    > 1
        },
    },
    Known {
        name: "directives of a request are read in capitals",
        rfc: "9111 5.2",
        on: &[Store, Give],
        ours: NO,
        applies: |exchange, _| {
            exchange.asks(&["cache-control: No-Store"])
                || exchange.asks_later(&["cache-control: No-Cache"])
        },
    },
    Known {
        name: "who wants nothing stored is not given what is",
        rfc: "9111 5.2.1.5",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| exchange.asks_later(&["cache-control: no-store"]),
    },
    Known {
        name: "preconditions are for the origin",
        rfc: "9110 13.1.1",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| exchange.asks_later(&["if-match: \"a\""]),
    },
    Known {
        name: "a reload asks, however young the answer is",
        rfc: "9111 5.2.1.1",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| exchange.asks_later(&["cache-control: max-age=0"]),
    },
    Known {
        name: "a reload does not ask for what will not change",
        rfc: "8246 2",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| {
            exchange.asks_later(&["cache-control: max-age=0"]) && exchange.controls(&["immutable"])
        },
    },
    Known {
        name: "what a request demands unreadably is demanded strictly",
        rfc: "9111 4.2.1",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| {
            exchange.asks_later(&[
                "cache-control: max-age=x",
                "cache-control: min-fresh=x",
                "cache-control: max-stale=x",
            ])
        },
    },
    Known {
        name: "max-stale takes what is stale by just as much",
        rfc: "9111 5.2.1.2",
        on: &[Give],
        ours: YES,
        applies: |exchange, policy| {
            exchange.asks_later(&["cache-control: max-stale=30"]) && {
                let more = exchange.later.iter().map(|line| match *line {
                    "cache-control: max-stale=30" => "cache-control: max-stale=31",
                    line => line,
                });
                let patient = Exchange {
                    later: more.collect(),
                    ..exchange.clone()
                };
                theirs(&patient, policy).gives
            }
        },
    },
    Known {
        name: "max-stale lifts nothing that forbids to be stale",
        rfc: "9111 4.2.4",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| {
            let shared = &[
                "proxy-revalidate",
                "s-maxage=30",
                "s-maxage=120",
                "s-maxage=x",
            ];
            exchange.asks_later(&["cache-control: max-stale", "cache-control: max-stale=30"])
                && (exchange.controls(&["no-cache"])
                    || exchange.shared && exchange.controls(shared))
        },
    },
    Known {
        name: "a credential is given what everyone may have",
        rfc: "9111 3.5",
        on: &[Give],
        ours: NO,
        applies: |exchange, _| exchange.shared && exchange.asks_later(&["authorization: b"]),
    },
    Known {
        name: "Pragma beside Cache-Control says nothing",
        rfc: "9111 5.4",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| {
            exchange.asks_later(&["pragma: no-cache"])
                && exchange
                    .later
                    .iter()
                    .any(|line| line.starts_with("cache-control:"))
        },
    },
    Known {
        name: "a quoted string of a request holds no directives",
        rfc: "9110 5.6.4",
        on: &[Give],
        ours: YES,
        applies: |exchange, _| exchange.asks_later(&["cache-control: ext=\"a, no-cache, b\""]),
    },
];
