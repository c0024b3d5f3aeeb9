//! What a request is answered with, and what is served when the origin fails: tables of cases through the public interface.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are not seen as tests by the lint"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use restow_policy::*;

/// When the entry of every case was stored; it lives for 60 s and is kept for 1,000 s.
const T0: i64 = 1_000_000_000;
const ETAG: Option<&[u8]> = Some(b"\"a\"");

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn facts(cache_control: &str) -> Facts {
    let headers = if cache_control.is_empty() {
        HeaderMap::new()
    } else {
        map(&[("cache-control", cache_control)])
    };
    Facts::parse(StatusCode::OK, &headers, T0, T0)
}

fn entry(facts: &Facts) -> Stored<'_> {
    Stored {
        status: StatusCode::OK,
        facts,
        vary: "",
        variant: 0,
        etag: ETAG,
        last_modified: None,
        expires_at: Some(T0 + 60_000),
        stored_at: T0,
        keep_until: Some(T0 + 1_000_000),
    }
}

/// A case: what differs from a plain GET in live mode.
struct Case {
    method: Method,
    request: &'static [(&'static str, &'static str)],
    answer: &'static str,
    etag: Option<&'static [u8]>,
    /// Milliseconds after the entry was stored.
    after: i64,
    limits: Limits,
    options: Options,
    expected: OnRequest,
}

const FOREGROUND: Options = Options {
    http: false,
    shared: false,
    background: false,
    force: false,
    share: false,
};
const BACKGROUND: Options = Options {
    background: true,
    ..FOREGROUND
};
const SHARED: Options = Options {
    shared: true,
    ..BACKGROUND
};
const LIVE: Limits = Limits {
    stale_while_revalidate_ms: 0,
    stale_if_error_ms: 0,
    insist_if_error: false,
    insist_while_revalidate: false,
    mode: Mode::Live,
};
const WINDOW: Limits = Limits {
    stale_while_revalidate_ms: 30_000,
    ..LIVE
};

const fn mode(mode: Mode) -> Limits {
    Limits { mode, ..LIVE }
}

fn case(after: i64, expected: OnRequest) -> Case {
    Case {
        method: Method::GET,
        request: &[],
        answer: "",
        etag: ETAG,
        after,
        limits: LIVE,
        options: BACKGROUND,
        expected,
    }
}

fn asks(request: &'static [(&'static str, &'static str)], after: i64, expected: OnRequest) -> Case {
    Case {
        request,
        ..case(after, expected)
    }
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for (nth, case) in cases.into_iter().enumerate() {
        let facts = facts(case.answer);
        let stored = Stored {
            etag: case.etag,
            ..entry(&facts)
        };
        let headers = map(case.request);
        let request = Request {
            method: &case.method,
            headers: &headers,
            credential: false,
        };
        let decision = on_request(
            &request,
            [stored].into_iter(),
            T0 + case.after,
            &case.limits,
            &case.options,
            &mut |_| Some(0),
        );
        assert_eq!(
            decision, case.expected,
            "case {nth}: {:?} after {}",
            case.request, case.after
        );
    }
}

const FRESH: OnRequest = OnRequest::Serve(0, rule::FRESH);
const EXPIRED: OnRequest = OnRequest::Revalidate(0, rule::EXPIRED);

#[test]
fn an_entry_is_served_while_it_lives_and_validated_after() {
    check([
        case(0, FRESH),
        case(59_999, FRESH),
        case(60_000, EXPIRED),
        case(999_999, EXPIRED),
        case(1_000_000, OnRequest::Fetch(rule::ABSENT)),
        Case {
            etag: None,
            ..case(60_000, OnRequest::Fetch(rule::EXPIRED))
        },
        Case {
            etag: Some(b""),
            ..case(60_000, OnRequest::Fetch(rule::EXPIRED))
        },
        Case {
            method: Method::HEAD,
            ..case(0, FRESH)
        },
        Case {
            method: Method::POST,
            ..case(0, FRESH)
        },
        Case {
            method: Method::POST,
            ..case(60_000, OnRequest::Fetch(rule::EXPIRED))
        },
        Case {
            method: Method::PUT,
            ..case(0, OnRequest::Fetch(rule::METHOD))
        },
        // The program decides the lifetime, whatever the answer says.
        Case {
            answer: "no-cache, max-age=0, must-revalidate",
            ..case(59_999, FRESH)
        },
    ]);
}

#[test]
fn a_clock_that_went_back_makes_the_age_unknown() {
    let unknown = OnRequest::Revalidate(0, rule::CLOCK_WENT_BACK);
    check([
        case(-CLOCK_SKEW_MS, FRESH),
        case(-CLOCK_SKEW_MS - 1, unknown),
        case(-10 * 365 * 86_400_000, unknown),
        Case {
            etag: None,
            ..case(-86_400_000, OnRequest::Fetch(rule::CLOCK_WENT_BACK))
        },
        Case {
            limits: WINDOW,
            request: &[("cache-control", "max-stale")],
            ..case(-86_400_000, unknown)
        },
        Case {
            limits: mode(Mode::Offline),
            ..case(-86_400_000, OnRequest::Serve(0, rule::OFFLINE))
        },
    ]);
}

#[test]
fn an_entry_without_expiry_lives_for_ever_and_one_without_lifetime_never() {
    let facts = facts("");
    let fresh = |expires_at, now| {
        Stored {
            expires_at,
            ..entry(&facts)
        }
        .is_fresh(now)
    };
    assert!(fresh(None, T0) && fresh(None, i64::MAX));
    assert!(!fresh(None, T0 - 86_400_000));
    for now in [T0 - CLOCK_SKEW_MS, T0 - 1, T0, T0 + 1] {
        assert!(!fresh(Some(T0), now), "{now}");
        assert!(!fresh(Some(T0 - 1), now), "{now}");
    }
}

#[test]
fn an_entry_renewed_by_a_304_counts_from_the_renewal() {
    let mut facts = facts("");
    facts.received_at = T0 + 50_000;
    let stored = Stored {
        expires_at: Some(T0 + 110_000),
        ..entry(&facts)
    };
    assert!(stored.is_fresh(T0 + 109_999));
    // Fresh there before the renewal, but now the reading lies before what we know to have happened.
    assert!(!stored.is_fresh(T0 + 10_000));
}

#[test]
fn a_request_can_ask_for_more_than_a_live_entry() {
    let ask = |rule| OnRequest::Revalidate(0, rule);
    check([
        asks(
            &[("cache-control", "no-cache")],
            0,
            ask(rule::REQUEST_NO_CACHE),
        ),
        asks(&[("pragma", "no-cache")], 0, ask(rule::REQUEST_NO_CACHE)),
        asks(
            &[("pragma", "no-cache"), ("cache-control", "max-age=9")],
            0,
            FRESH,
        ),
        asks(
            &[("cache-control", "max-age=0")],
            0,
            ask(rule::REQUEST_MAX_AGE),
        ),
        asks(&[("cache-control", "Max-Age=10")], 10_000, FRESH),
        asks(
            &[("cache-control", "max-age=10")],
            10_001,
            ask(rule::REQUEST_MAX_AGE),
        ),
        asks(
            &[("cache-control", "max-age=x")],
            0,
            ask(rule::REQUEST_MAX_AGE),
        ),
        asks(&[("cache-control", "min-fresh=50")], 10_000, FRESH),
        asks(
            &[("cache-control", "min-fresh=50")],
            10_001,
            ask(rule::REQUEST_MIN_FRESH),
        ),
        asks(
            &[("cache-control", "no-store")],
            0,
            OnRequest::Fetch(rule::REQUEST_NO_STORE),
        ),
        asks(&[("cache-control", "x=\"no-cache, no-store\"")], 0, FRESH),
        asks(
            &[("if-match", "\"a\"")],
            0,
            OnRequest::Fetch(rule::PRECONDITION),
        ),
        asks(
            &[("if-unmodified-since", "x")],
            0,
            OnRequest::Fetch(rule::PRECONDITION),
        ),
        asks(&[("if-none-match", "\"b\"")], 0, FRESH),
        Case {
            etag: None,
            ..asks(
                &[("cache-control", "no-cache")],
                0,
                OnRequest::Fetch(rule::REQUEST_NO_CACHE),
            )
        },
    ]);
}

#[test]
fn the_age_field_of_an_answer_counts_against_max_age_of_a_request() {
    let headers = map(&[("age", "100")]);
    let facts = Facts::parse(StatusCode::OK, &headers, T0, T0);
    let ask = map(&[("cache-control", "max-age=99")]);
    let request = Request {
        method: &Method::GET,
        headers: &ask,
        credential: false,
    };
    let decision = on_request(
        &request,
        [entry(&facts)].into_iter(),
        T0,
        &LIVE,
        &BACKGROUND,
        &mut |_| Some(0),
    );
    assert_eq!(decision, OnRequest::Revalidate(0, rule::REQUEST_MAX_AGE));
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let only: &[(&str, &str)] = &[("cache-control", "only-if-cached")];
    let refused = OnRequest::Refuse(rule::ONLY_IF_CACHED);
    check([
        asks(only, 0, FRESH),
        asks(only, 60_000, refused),
        asks(only, 2_000_000, refused),
        asks(&[("cache-control", "only-if-cached, no-cache")], 0, refused),
        asks(
            &[("cache-control", "only-if-cached, max-stale")],
            60_000,
            OnRequest::Serve(0, rule::MAX_STALE),
        ),
        Case {
            limits: mode(Mode::Refresh),
            ..asks(only, 0, refused)
        },
    ]);
}

#[test]
fn an_expired_entry_is_served_stale_only_where_all_agree() {
    let stale = OnRequest::ServeStaleAndRefresh(0, rule::STALE_WHILE_REVALIDATE);
    let max_stale = OnRequest::Serve(0, rule::MAX_STALE);
    let windowed = |after, expected| Case {
        limits: WINDOW,
        ..case(after, expected)
    };
    check([
        windowed(60_000, stale),
        windowed(89_999, stale),
        windowed(90_000, EXPIRED),
        Case {
            etag: None,
            ..windowed(60_000, stale)
        },
        Case {
            options: FOREGROUND,
            ..windowed(60_000, EXPIRED)
        },
        Case {
            request: &[("cache-control", "max-age=600")],
            ..windowed(60_000, EXPIRED)
        },
        Case {
            request: &[("cache-control", "min-fresh=1")],
            ..windowed(60_000, EXPIRED)
        },
        Case {
            request: &[("cache-control", "max-stale=5")],
            ..windowed(65_000, stale)
        },
        Case {
            request: &[("cache-control", "max-stale=5")],
            ..windowed(65_001, EXPIRED)
        },
        asks(&[("cache-control", "max-stale=5")], 65_000, max_stale),
        asks(&[("cache-control", "max-stale=5")], 65_001, EXPIRED),
        asks(&[("cache-control", "max-stale")], 999_999, max_stale),
        asks(&[("cache-control", "max-stale=x")], 60_000, EXPIRED),
        asks(
            &[("cache-control", "max-stale, max-age=70")],
            60_000,
            max_stale,
        ),
    ]);
}

/// What an answer says against being served stale, and whether it counts in a private and in a shared cache.
const FORBIDS: &[(&str, bool, bool)] = &[
    ("max-age=0", false, false),
    ("must-revalidate", true, true),
    ("Must-Revalidate", true, true),
    ("no-cache", true, true),
    ("no-cache=\"x-a\"", false, false),
    ("proxy-revalidate", false, true),
    ("s-maxage=5", false, true),
    ("max-age=5; must-revalidate", true, true),
    ("max-age=5;", true, true),
    ("x=\"must-revalidate\"", false, false),
];

#[test]
fn no_window_lets_a_forbidding_answer_be_served_stale() {
    for (answer, private, shared) in FORBIDS {
        for (options, forbidden) in [(BACKGROUND, private), (SHARED, shared)] {
            let stale = OnRequest::ServeStaleAndRefresh(0, rule::STALE_WHILE_REVALIDATE);
            let max_stale = OnRequest::Serve(0, rule::MAX_STALE);
            let expect = |otherwise| if *forbidden { EXPIRED } else { otherwise };
            let request: &[(&str, &str)] = &[("cache-control", "max-stale")];
            check([
                Case {
                    answer,
                    options,
                    limits: WINDOW,
                    ..case(60_000, expect(stale))
                },
                Case {
                    answer,
                    options,
                    ..asks(request, 60_000, expect(max_stale))
                },
            ]);
        }
    }
}

#[test]
fn the_modes_decide_whether_the_network_is_asked() {
    let in_mode = |m, after, expected| Case {
        limits: mode(m),
        ..case(after, expected)
    };
    check([
        in_mode(
            Mode::Revalidate,
            0,
            OnRequest::Revalidate(0, rule::MODE_REVALIDATE),
        ),
        Case {
            etag: None,
            ..in_mode(Mode::Revalidate, 0, OnRequest::Fetch(rule::MODE_REVALIDATE))
        },
        in_mode(Mode::Refresh, 0, OnRequest::Fetch(rule::MODE_REFRESH)),
        in_mode(Mode::Offline, 0, FRESH),
        in_mode(Mode::Offline, 60_000, OnRequest::Serve(0, rule::OFFLINE)),
        in_mode(
            Mode::Offline,
            1_000_000,
            OnRequest::Refuse(rule::OFFLINE_MISS),
        ),
        Case {
            request: &[("cache-control", "no-cache, no-store"), ("if-match", "x")],
            answer: "must-revalidate",
            ..in_mode(Mode::Offline, 60_000, OnRequest::Serve(0, rule::OFFLINE))
        },
    ]);
}

#[test]
fn the_newest_entry_that_the_request_selects_counts() {
    let facts = facts("");
    let dated = Facts {
        date: Some(T0),
        ..facts
    };
    let english = Stored {
        vary: "accept-language",
        variant: 1,
        ..entry(&facts)
    };
    let german = Stored {
        variant: 2,
        ..english
    };
    let never = Stored {
        vary: "*",
        ..entry(&facts)
    };
    let decide = |stored: &[Stored<'_>], now| {
        let headers = HeaderMap::new();
        let request = Request {
            method: &Method::GET,
            headers: &headers,
            credential: false,
        };
        on_request(
            &request,
            stored.iter().copied(),
            now,
            &LIVE,
            &BACKGROUND,
            &mut |vary| match vary {
                "" => Some(0),
                "accept-language" => Some(2),
                _ => None,
            },
        )
    };
    assert_eq!(decide(&[], T0), OnRequest::Fetch(rule::ABSENT));
    assert_eq!(
        decide(&[english, never], T0),
        OnRequest::Fetch(rule::OTHER_VARIANT)
    );
    assert_eq!(
        decide(&[english, german], T0),
        OnRequest::Serve(1, rule::FRESH)
    );
    let plain = Stored {
        stored_at: T0 + 10,
        ..entry(&facts)
    };
    assert_eq!(
        decide(&[english, plain, german], T0 + 20),
        OnRequest::Serve(1, rule::FRESH)
    );
    assert_eq!(
        decide(&[german, english, plain], T0 + 20),
        OnRequest::Serve(2, rule::FRESH)
    );
    let by_date = Stored {
        facts: &dated,
        ..german
    };
    assert_eq!(
        decide(&[german, by_date, german], T0),
        OnRequest::Serve(1, rule::FRESH),
        "stored in the same millisecond: the later Date counts"
    );
    let gone = Stored {
        keep_until: Some(T0 + 15),
        ..plain
    };
    assert_eq!(
        decide(&[german, gone], T0 + 20),
        OnRequest::Serve(0, rule::FRESH)
    );
    let expired = Stored {
        expires_at: Some(T0 + 11),
        ..plain
    };
    assert_eq!(
        decide(&[german, expired], T0 + 20),
        OnRequest::Revalidate(1, rule::EXPIRED),
        "an older answer is no substitute for the newest"
    );
}

#[test]
fn a_failing_origin_lets_a_stale_entry_be_served_within_its_window() {
    let limits = Limits {
        stale_if_error_ms: 100_000,
        ..LIVE
    };
    let unreachable = Some(rule::STALE_IF_UNREACHABLE);
    let cases = [
        (60_000, ErrorKind::Unreachable, limits, unreachable),
        (159_999, ErrorKind::Unreachable, limits, unreachable),
        (160_000, ErrorKind::Unreachable, limits, None),
        (60_000, ErrorKind::Unreachable, LIVE, None),
        (0, ErrorKind::Unreachable, LIVE, unreachable),
        (-86_400_000, ErrorKind::Unreachable, limits, None),
        (
            60_000,
            ErrorKind::Status(503),
            limits,
            Some(rule::STALE_IF_ERROR),
        ),
        (
            60_000,
            ErrorKind::Status(429),
            limits,
            Some(rule::STALE_IF_ERROR),
        ),
        (60_000, ErrorKind::Status(200), limits, None),
        (60_000, ErrorKind::Status(399), limits, None),
    ];
    let facts = facts("max-age=0, private");
    for (after, outcome, limits, expected) in cases {
        assert_eq!(
            on_error(&entry(&facts), T0 + after, &limits, &FOREGROUND, outcome),
            expected,
            "{after} {outcome:?}"
        );
    }
    let gone = Stored {
        keep_until: Some(T0 + 70_000),
        ..entry(&facts)
    };
    let at = |now| on_error(&gone, now, &limits, &FOREGROUND, ErrorKind::Unreachable);
    assert_eq!((at(T0 + 69_999), at(T0 + 70_000)), (unreachable, None));
}

#[test]
fn a_failing_origin_does_not_lift_what_the_answer_forbids() {
    let limits = Limits {
        stale_if_error_ms: 100_000,
        ..LIVE
    };
    for (answer, private, shared) in FORBIDS {
        for (options, forbidden) in [(FOREGROUND, private), (SHARED, shared)] {
            for outcome in [ErrorKind::Unreachable, ErrorKind::Status(500)] {
                let facts = facts(answer);
                let served = on_error(&entry(&facts), T0 + 60_000, &limits, &options, outcome);
                assert_eq!(
                    served.is_none(),
                    *forbidden,
                    "{answer} {options:?} {outcome:?}"
                );
            }
        }
    }
}

#[test]
fn windows_that_the_program_set_itself_go_before_what_the_answer_forbids() {
    let limits = Limits {
        stale_if_error_ms: 100_000,
        insist_if_error: true,
        ..LIVE
    };
    let refresh = Limits {
        insist_while_revalidate: true,
        ..WINDOW
    };
    let headers = HeaderMap::new();
    let request = Request {
        method: &Method::GET,
        headers: &headers,
        credential: false,
    };
    for (answer, ..) in FORBIDS {
        let facts = facts(answer);
        let served = |after| {
            on_error(
                &entry(&facts),
                T0 + after,
                &limits,
                &FOREGROUND,
                ErrorKind::Unreachable,
            )
        };
        assert_eq!(
            served(159_999),
            Some(rule::STALE_IF_UNREACHABLE),
            "{answer}"
        );
        assert_eq!(served(160_000), None, "{answer}");
        let behind = on_request(
            &request,
            [entry(&facts)].into_iter(),
            T0 + 61_000,
            &refresh,
            &BACKGROUND,
            &mut |_| Some(0),
        );
        assert_eq!(
            behind,
            OnRequest::ServeStaleAndRefresh(0, rule::STALE_WHILE_REVALIDATE),
            "{answer}"
        );
    }
}
