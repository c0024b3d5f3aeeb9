//! What each function promises by itself.

use crate::made::{facts, headers, options, stored, time, times};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use restow_policy::*;

const DAY: i64 = 86_400_000;
const CDN: [HeaderName; 1] = [HeaderName::from_static("cdn-cache-control")];

fn status() -> impl Strategy<Value = StatusCode> {
    prop_oneof![Just(200), 100..600u16].prop_map(|code| StatusCode::from_u16(code).unwrap())
}

fn lived(status: StatusCode, facts: &Facts, options: &Options) -> i64 {
    match lifetime(status, facts, options) {
        Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => ms,
        Lifetime::Unknown => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lifetime_is_never_negative_nor_longer_for_what_came_older(
        status in status(), facts in facts(), options in options(), more in 1..MAX_SECONDS,
    ) {
        let ms = lived(status, &facts, &options);
        prop_assert!(ms >= 0);
        if let Lifetime::Heuristic(ms) = lifetime(status, &facts, &options) {
            prop_assert!(ms <= DAY);
        }
        let restricted = Flags::NO_CACHE | Flags::CACHE_CONTROL_INVALID | Flags::VARY_STAR;
        if facts.flags.intersects(restricted) {
            prop_assert_eq!(lifetime(status, &facts, &options), Lifetime::Explicit(0));
        }
        let older = Facts { age: facts.age.saturating_add(more), ..facts };
        prop_assert!(lived(status, &older, &options) <= ms);
        let slower = Facts { requested_at: facts.requested_at.saturating_sub(more.into()), ..facts };
        prop_assert!(lived(status, &slower, &options) <= ms);
        // Where the lifetime is a number of seconds, it begins at the Date.
        if let (Some(date), Some(_)) = (facts.date, facts.max_age) {
            let earlier = Facts { date: Some(date.saturating_sub(more.into())), ..facts };
            prop_assert!(lived(status, &earlier, &options) <= ms);
        }
        // What was said for caches that users share is not said for others.
        let private = Options { shared: false, ..options };
        let unsaid = Facts { s_maxage: None, flags: facts.flags - Flags::S_MAXAGE_INVALID, ..facts };
        prop_assert_eq!(lifetime(status, &facts, &private), lifetime(status, &unsaid, &private));
    }

    #[test]
    fn what_is_stale_stays_stale_as_time_goes_on(
        facts in facts(), answer in headers(), times in times(), one in time(), other in time(),
    ) {
        let stored = stored(&facts, &answer, times);
        let since = stored.stored_at.max(facts.received_at);
        let (earlier, later) = (one.min(other), one.max(other));
        if earlier >= since && stored.is_fresh(later) {
            prop_assert!(stored.is_fresh(earlier));
        }
        prop_assert!(facts.age_ms(earlier) <= facts.age_ms(later));
        prop_assert!(facts.age_ms(earlier) >= facts.age_ms(facts.received_at), "it grows younger");
        prop_assert!(facts.age_seconds(later) <= MAX_SECONDS);
    }

    #[test]
    fn a_part_lies_within_the_answer_and_only_who_asks_gets_one(
        request in headers(), answer in headers(), facts in facts(), len in prop_oneof![0..20u64, any::<u64>()],
        bounds in proptest::option::of((0..25u64, 0..25u64)), code in status(),
    ) {
        let mut request = request;
        if let Some((first, last)) = bounds {
            let text = format!("bytes={first}-{last}");
            request.insert("range", HeaderValue::from_str(&text).unwrap());
        }
        let entry = Stored { status: code, ..stored(&facts, &answer, [None; 3]) };
        let part = range(&request, &entry, len);
        if !request.contains_key("range") || code != StatusCode::OK {
            prop_assert_eq!(part, RangeAnswer::Whole);
        }
        match part {
            RangeAnswer::Part { first, last } => {
                prop_assert!(first <= last && last < len);
                if let Some((from, to)) = bounds {
                    prop_assert_eq!((first, last), (from, to.min(len - 1)));
                }
            }
            RangeAnswer::Unsatisfiable => {
                if let Some((from, to)) = bounds {
                    prop_assert!(from >= len && from <= to);
                }
            }
            RangeAnswer::Whole => {}
        }
        // Who names another version of it gets all.
        request.insert("if-range", HeaderValue::from_static("\"another\""));
        prop_assert_eq!(range(&request, &entry, len), RangeAnswer::Whole);
    }

    #[test]
    fn what_goes_on_concerns_no_single_connection_and_all_else_stays(
        one in headers(), named in proptest::option::of(proptest::sample::select(&["x-a", "X-A , close", ",x-a"][..])),
    ) {
        let mut one = one;
        if let Some(line) = named {
            one.append("connection", HeaderValue::from_static(line));
            one.append("x-a", HeaderValue::from_static("1"));
        }
        let mut headers = one.clone();
        drop_hop_by_hop(&mut headers);
        let mut again = headers.clone();
        drop_hop_by_hop(&mut again);
        prop_assert_eq!(&again, &headers);
        prop_assert!(!headers.contains_key("connection"));
        prop_assert!(named.is_none() || !headers.contains_key("x-a"));
        for name in one.keys().filter(|name| *name != "connection") {
            let lines: Vec<_> = headers.get_all(name).iter().collect();
            prop_assert!(lines.is_empty() || lines == one.get_all(name).iter().collect::<Vec<_>>());
            // It goes only where Connection names it.
            if lines.is_empty() {
                let named = one.get_all("connection").iter().any(|line| {
                    let line = line.as_bytes().to_ascii_lowercase();
                    line.windows(name.as_str().len()).any(|part| part == name.as_str().as_bytes())
                });
                prop_assert!(named, "{name}");
            }
        }
        let mut without = one.clone();
        drop_cookies(&mut without);
        prop_assert!(!without.contains_key("set-cookie"));
        prop_assert_eq!(without.len() + one.get_all("set-cookie").iter().count(), one.len());
    }

    #[test]
    fn a_merged_head_says_what_the_304_says_of_all_but_the_body(one in headers(), fresh in headers()) {
        let merged = merge_304(&one, &fresh);
        if let Some(length) = merged.get("content-length") {
            prop_assert_eq!(Some(length), one.get("content-length"), "the body is another");
        }
        let cleaned = storable(&fresh);
        for name in merged.keys() {
            let lines = |of: &HeaderMap| of.get_all(name).iter().cloned().collect::<Vec<_>>();
            let now = lines(&merged);
            prop_assert!(now == lines(&one) || now == lines(&cleaned), "{name} is of neither");
            if name == "etag" && one.contains_key(name) {
                prop_assert_eq!(&now, &lines(&one), "the tag of the body is another");
            }
            let keeps = ["content-length", "etag"].contains(&name.as_str());
            if cleaned.contains_key(name) && !keeps {
                prop_assert_eq!(now, lines(&cleaned), "{} is not renewed", name);
            }
        }
        prop_assert!(!merged.contains_key("age") || cleaned.contains_key("age"));
    }

    #[test]
    fn an_answer_to_head_renews_what_it_agrees_with_alone(
        stored in headers(), fresh in headers(), lengths in proptest::option::of((8..10u16, 8..10u16)), code in status(),
    ) {
        let (mut stored, mut fresh) = (stored, fresh);
        if let Some((one, other)) = lengths {
            stored.insert("content-length", one.into());
            fresh.insert("content-length", other.into());
        }
        let update = head_update(&stored, code, &fresh);
        prop_assert_eq!(update == HeadUpdate::Nothing, code != StatusCode::OK);
        if update == HeadUpdate::Freshens {
            prop_assert!(freshens(&stored, &fresh));
            for name in ["content-length", "last-modified"] {
                let both = stored.get(name).zip(fresh.get(name));
                prop_assert!(both.is_none_or(|(one, other)| one == other));
            }
        }
    }

    #[test]
    fn groups_are_few_and_short_and_none_where_one_is_no_text(
        lengths in vec(0..300usize, 0..40), spoilt in any::<bool>(), other in headers(),
    ) {
        let names: Vec<_> = lengths.iter().map(|length| "g, ".repeat(*length / 3)).collect();
        let mut members: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        if spoilt {
            members.push("token".to_owned());
        }
        let mut headers = HeaderMap::new();
        for member in &members {
            for name in ["cache-groups", "cache-group-invalidation"] {
                headers.append(name, HeaderValue::from_str(member).unwrap());
            }
        }
        let expected: Vec<_> = names.iter().filter(|name| name.len() <= 256).take(32).cloned().collect();
        let expected = if spoilt { Vec::new() } else { expected };
        prop_assert_eq!(&groups(&headers), &expected);
        prop_assert_eq!(invalidated_groups(&headers), expected);
        prop_assert!(groups(&other).len() <= 32 && invalidated_groups(&other).len() <= 32);
    }

    #[test]
    fn a_target_that_is_not_there_or_not_read_changes_nothing(
        answer in headers(), code in status(), now in time(), options in options(),
    ) {
        let plain = Facts::parse(code, &answer, now, now);
        prop_assert_eq!(Facts::parse_targeted(code, &answer, now, now, &[]), plain);
        let targeted = Facts::parse_targeted(code, &answer, now, now, &CDN);
        if !answer.contains_key("cdn-cache-control") {
            prop_assert_eq!(targeted, plain);
        }
        for invalid in ["", "max-age=60;;", "max-age=-1", "=", "\u{ff}"] {
            let mut spoilt = answer.clone();
            spoilt.insert("cdn-cache-control", HeaderValue::from_str(invalid).unwrap_or(HeaderValue::from_bytes(invalid.as_bytes()).unwrap()));
            prop_assert_eq!(Facts::parse_targeted(code, &spoilt, now, now, &CDN), plain, "{}", invalid);
        }
        // What the target forbids is forbidden, whatever the others say.
        for forbids in ["no-store, max-age=60", "private, public"] {
            let mut strict = answer.clone();
            strict.insert("cdn-cache-control", HeaderValue::from_static(forbids));
            let facts = Facts::parse_targeted(code, &strict, now, now, &CDN);
            let request = StoreRequest { method: &Method::GET, headers: &HeaderMap::new(), credential: false };
            let options = Options { shared: true, force: false, ..options };
            prop_assert!(may_store(&request, code, &facts, &options).is_err(), "{forbids}");
        }
    }

    #[test]
    fn conditions_are_what_is_stored_and_the_clients_own_are_gone(
        answer in headers(), request in headers(), facts in facts(), code in status(), now in time(),
    ) {
        let entry = Stored { status: code, ..stored(&facts, &answer, [None; 3]) };
        let sent: Vec<_> = conditions(&entry).collect();
        prop_assert_eq!(!sent.is_empty(), entry.has_validator());
        for (name, value) in &sent {
            let from = if name == "if-none-match" { "etag" } else { "last-modified" };
            prop_assert_eq!(Some(value), answer.get(from));
        }
        let mut cleaned = request.clone();
        drop_own_conditions(&mut cleaned);
        prop_assert!(!own_conditions_present(&cleaned));
        prop_assert!(!not_modified(&cleaned, &entry), "nobody asked");
        if not_modified(&request, &entry) {
            prop_assert!(code.is_success());
        }
        // Who has it exactly is told so.
        if let Some(etag) = answer.get("etag").filter(|etag| etag.as_bytes() == b"\"a\"") {
            cleaned.insert("if-none-match", etag.clone());
            prop_assert_eq!(not_modified(&cleaned, &entry), code.is_success());
        }
        prop_assert!(retry_after(&answer, now).is_none_or(|wait| wait >= 0));
    }

    #[test]
    fn only_a_success_of_an_unsafe_method_invalidates(
        method in proptest::sample::select(&["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "PURGE"][..]),
        code in status(), answer in headers(),
    ) {
        let method: Method = method.parse().unwrap();
        let invalid = invalidates(&method, code);
        prop_assert_eq!(invalid, !method.is_safe() && (200..400).contains(&code.as_u16()));
        let urls = ["location", "content-location"].iter().filter_map(|name| answer.get(*name));
        let urls = urls.filter(|url| url.to_str().is_ok()).count();
        prop_assert_eq!(also_invalidated(&answer).count(), urls);
        for other in also_invalidated(&answer) {
            let named = ["location", "content-location"].iter().any(|name| {
                answer.get(*name).is_some_and(|value| value == other)
            });
            prop_assert!(named, "{other}");
        }
    }

    #[test]
    fn nothing_stands_in_that_forbids_to_be_stale(
        facts in facts(), answer in headers(), times in times(), now in time(),
        window in time(), options in options(), error in proptest::option::of(400..600u16),
    ) {
        let stored = stored(&facts, &answer, times);
        let limits = Limits { stale_if_error_ms: window, ..Limits::default() };
        let error = error.map_or(ErrorKind::Unreachable, ErrorKind::Status);
        let stands_in = on_error(&stored, now, &limits, &options, error).is_some();
        let mut forbids = Flags::MUST_REVALIDATE | Flags::NO_CACHE | Flags::CACHE_CONTROL_INVALID;
        forbids.set(Flags::PROXY_REVALIDATE, options.shared);
        let forbidden = facts.flags.intersects(forbids) || options.shared && facts.s_maxage.is_some();
        prop_assert!(!stands_in || stored.is_fresh(now) || !forbidden);
        prop_assert!(!stands_in || stored.keep_until.is_none_or(|until| now < until));
        prop_assert_eq!(on_error(&stored, now, &limits, &options, ErrorKind::Status(399)), None);
    }
}
