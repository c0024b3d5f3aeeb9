//! Facts and entries, whatever they came from.

use crate::made::{facts, headers, limits, options, stored, time, times};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use restow_policy::*;

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
