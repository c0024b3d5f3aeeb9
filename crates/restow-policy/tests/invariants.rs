//! What holds for every input: any bytes in any header, and any reading of the clock.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are not seen as tests by the lint"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use restow_policy::*;

const NAMES: &[&str] = &[
    "age",
    "cache-control",
    "connection",
    "content-length",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "last-modified",
    "pragma",
    "retry-after",
    "set-cookie",
    "vary",
    "x-a",
];

/// Pieces that get past the first check of a parser, so that what follows them is reached.
const PIECES: &[&str] = &[
    "max-age=",
    "s-maxage=",
    "no-store",
    "no-cache",
    "private",
    "private=\"x-a\"",
    "must-revalidate",
    "max-stale",
    "min-fresh=",
    "only-if-cached",
    "\"",
    "\\",
    ",",
    ", ",
    ";",
    "=",
    "*",
    "W/",
    "x-a",
    "close",
    "0",
    "60",
    "99999999999999999999",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
];

fn value() -> impl Strategy<Value = HeaderValue> {
    let piece = prop_oneof![
        3 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..6).prop_map(|pieces| {
        let mut bytes = pieces.concat();
        bytes.retain(|byte| matches!(byte, b'\t' | 32..=126 | 128..));
        HeaderValue::from_bytes(&bytes).unwrap()
    })
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    vec((proptest::sample::select(NAMES), value()), 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -200_000..200_000i64,
        Just(i64::MIN),
        Just(i64::MAX)
    ]
}

fn facts() -> impl Strategy<Value = Facts> {
    let numbers = (any::<u32>(), time(), time());
    let dates = any::<[Option<i64>; 3]>();
    let seconds = any::<[Option<u32>; 4]>();
    (any::<u32>(), numbers, dates, seconds).prop_map(|(flags, numbers, dates, seconds)| Facts {
        flags: Flags::from_bits_truncate(flags),
        age: numbers.0,
        requested_at: numbers.1,
        received_at: numbers.2,
        date: dates[0],
        expires: dates[1],
        last_modified: dates[2],
        max_age: seconds[0],
        s_maxage: seconds[1],
        stale_while_revalidate: seconds[2],
        stale_if_error: seconds[3],
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    proptest::sample::select(&[Mode::Live, Mode::Revalidate, Mode::Refresh, Mode::Offline][..])
}

fn limits() -> impl Strategy<Value = Limits> {
    (time(), time(), mode()).prop_map(|(swr, sie, mode)| Limits {
        stale_while_revalidate_ms: swr,
        stale_if_error_ms: sie,
        insist_if_error: false,
        insist_while_revalidate: false,
        mode,
    })
}

fn options() -> impl Strategy<Value = Options> {
    any::<[bool; 5]>().prop_map(|[shared, http, background, force, share]| Options {
        shared,
        http,
        background,
        force,
        share,
    })
}

fn stored<'a>(facts: &'a Facts, answer: &'a HeaderMap, times: [Option<i64>; 3]) -> Stored<'a> {
    Stored {
        status: StatusCode::OK,
        facts,
        vary: "",
        variant: 0,
        etag: answer.get("etag").map(HeaderValue::as_bytes),
        last_modified: answer.get("last-modified").map(HeaderValue::as_bytes),
        expires_at: times[0],
        keep_until: times[1],
        stored_at: times[2].unwrap_or(0),
    }
}

fn times() -> impl Strategy<Value = [Option<i64>; 3]> {
    let one = || proptest::option::weighted(0.8, time());
    [one(), one(), one()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_fresh_outside_its_lifetime_at_any_reading_of_the_clock(
        facts in facts(), answer in headers(), request in headers(), times in times(),
        now in time(), limits in limits(), options in options(),
    ) {
        let stored = stored(&facts, &answer, times);
        let request = Request { method: &Method::GET, headers: &request, credential: false };
        let decision = on_request(&request, [stored].into_iter(), now, &limits, &options, &mut |_| Some(0));
        let live = stored.expires_at.is_none_or(|at| now < at)
            && now >= stored.stored_at.saturating_sub(CLOCK_SKEW_MS);
        if stored.is_fresh(now) || matches!(decision, OnRequest::Serve(_, rule::FRESH)) {
            prop_assert!(live);
        }
        if let OnRequest::ServeStaleAndRefresh(..) = decision {
            // One that expired before it was stored is stale at once.
            let end = stored.expires_at.unwrap();
            prop_assert!(options.background && (now >= end || end <= stored.stored_at.max(facts.received_at)));
            let of_answer = i64::from(facts.stale_while_revalidate.unwrap_or(0)) * 1000;
            let window = if options.http { of_answer } else { limits.stale_while_revalidate_ms };
            prop_assert!(now.saturating_sub(stored.expires_at.unwrap()) <= window);
        }
        let kept = stored.keep_until.is_none_or(|until| now < until);
        if matches!(decision, OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..) | OnRequest::Revalidate(..)) {
            prop_assert!(kept);
        }
        if limits.mode == Mode::Offline {
            prop_assert!(matches!(decision, OnRequest::Serve(..) | OnRequest::Refuse(_)));
        }
        let forbids = Flags::MUST_REVALIDATE | Flags::NO_CACHE;
        if facts.flags.intersects(forbids) && limits.mode != Mode::Offline && !live {
            prop_assert!(!matches!(decision, OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..)));
            prop_assert_eq!(on_error(&stored, now, &limits, &options, ErrorKind::Unreachable), None);
        }
    }

    #[test]
    fn no_bytes_in_any_header_panic_and_none_permit_what_another_forbids(
        one in headers(), other in headers(), now in time(), times in times(), options in options(),
    ) {
        let facts = Facts::parse(StatusCode::OK, &one, now, now);
        let entry = stored(&facts, &one, times);
        let _ = (facts.age_ms(now), facts.age_seconds(now), retry_after(&one, now), freshens(&one, &other));
        let _ = (not_modified(&other, &entry), own_conditions_present(&other), may_share(&facts));
        let _ = conditions(&entry).count();
        let _ = variant(vary_names(&one).as_str(), &other, &|_| Role::Selects, &[0; 32]);
        for headers in [storable(&one), merge_304(&one, &other)] {
            prop_assert!(!headers.contains_key("connection"));
            prop_assert_eq!(storable(&headers), headers);
        }

        // A second line can only restrict further.
        let request = StoreRequest { method: &Method::GET, headers: &other, credential: false };
        let verdict = may_store(&request, StatusCode::OK, &facts, &options);
        let mut stricter = one.clone();
        stricter.append("cache-control", HeaderValue::from_static("no-store"));
        stricter.append("cache-control", HeaderValue::from_static("must-revalidate"));
        let stricter = Facts::parse(StatusCode::OK, &stricter, now, now);
        prop_assert!(stricter.flags.contains(facts.flags | Flags::NO_STORE | Flags::MUST_REVALIDATE));
        if !options.force && !facts.flags.contains(Flags::MUST_UNDERSTAND) {
            prop_assert!(may_store(&request, StatusCode::OK, &stricter, &options).is_err());
        }
        if facts.flags.intersects(Flags::VARY_STAR) || facts.flags.contains(Flags::PRIVATE) && options.shared {
            prop_assert!(verdict.is_err());
        }
    }

    #[test]
    fn facts_survive_being_stored_and_nothing_shorter_is_read(facts in facts(), noise in vec(any::<u8>(), 0..90)) {
        let mut bytes = Vec::new();
        facts.encode(&mut bytes);
        prop_assert_eq!(Facts::decode(&bytes), Some(facts));
        for end in 0..bytes.len() {
            prop_assert_eq!(Facts::decode(&bytes[..end]), None);
        }
        if let Some(read) = Facts::decode(&noise) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(again, noise, "one set of facts has one form");
        }
    }

    #[test]
    fn requests_share_a_variant_only_where_their_lists_agree(
        one in vec("[ab, ]{0,4}", 0..3), two in vec("[ab, ]{0,4}", 0..3),
        three in vec("[ab, ]{0,4}", 0..3), four in vec("[ab, ]{0,4}", 0..3),
    ) {
        let request = |a: &[String], b: &[String]| {
            let mut headers = HeaderMap::new();
            for (name, values) in [("a", a), ("b", b)] {
                for value in values {
                    headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
                }
            }
            headers
        };
        let joined = |values: &[String]| {
            let members = values.iter().flat_map(|value| value.split(','));
            let trimmed = members.map(|member| member.trim_matches(' '));
            let members: Vec<_> = trimmed.filter(|member| !member.is_empty()).collect();
            (!values.is_empty()).then(|| members.join(", "))
        };
        let select = |headers: &HeaderMap| variant("a,b", headers, &|_| Role::Selects, &[0; 32]);
        let same = (joined(&one), joined(&two)) == (joined(&three), joined(&four));
        prop_assert_eq!(select(&request(&one, &two)) == select(&request(&three, &four)), same);
    }
}
