//! What a request may demand (RFC 9111 5.2.1, 5.4).

use super::{Both, Case, Private, Shared, case};

pub(super) fn cases() -> Vec<Case> {
    [plain(), max_stale(), only_if_cached(), immutable()].concat()
}

/// Stored for a minute; asked for with these lines after some seconds.
fn asks(name: &str, rfc: &'static str, suite: &str, after: i64, request: &[&str]) -> Case {
    case(name, rfc, Both)
        .suite(suite)
        .get(0)
        .says(&["cache-control: max-age=60"])
        .fetched()
        .get(after)
        .with(request)
}

fn plain() -> Vec<Case> {
    vec![
        asks(
            "a_request_with_max_age_0_asks_the_origin",
            "9111 5.2.1.1",
            "ccreq-ma0",
            1,
            &["cache-control: max-age=0"],
        )
        .fetched(),
        asks(
            "a_request_with_a_smaller_max_age_asks_the_origin",
            "9111 5.2.1.1",
            "ccreq-ma1",
            5,
            &["cache-control: max-age=1"],
        )
        .fetched(),
        asks(
            "a_request_with_a_larger_max_age_takes_what_is_stored",
            "9111 5.2.1.1",
            "",
            5,
            &["cache-control: max-age=10"],
        )
        .stored(),
        asks(
            "a_request_with_an_unreadable_max_age_asks_the_origin",
            "9111 5.2.1.1",
            "",
            5,
            &["cache-control: max-age=x"],
        )
        .fetched(),
        asks(
            "a_larger_max_age_of_a_request_does_not_lengthen_a_lifetime",
            "9111 5.2.1.1",
            "",
            61,
            &["cache-control: max-age=600"],
        )
        .fetched(),
        asks(
            "a_request_with_max_age_in_capitals_asks_the_origin",
            "9111 5.2.1.1",
            "",
            5,
            &["cache-control: MAX-AGE=1"],
        )
        .fetched(),
        case(
            "a_request_with_max_age_counts_the_age_on_arrival",
            "9111 5.2.1.1",
            Both,
        )
        .suite("ccreq-magreaterage")
        .get(0)
        .says(&["cache-control: max-age=3600", "age: 1800"])
        .fetched()
        .get(1)
        .with(&["cache-control: max-age=600"])
        .fetched(),
        asks(
            "a_request_with_a_min_fresh_that_is_left_takes_what_is_stored",
            "9111 5.2.1.3",
            "",
            5,
            &["cache-control: min-fresh=55"],
        )
        .stored(),
        asks(
            "a_request_with_a_larger_min_fresh_asks_the_origin",
            "9111 5.2.1.3",
            "ccreq-min-fresh",
            5,
            &["cache-control: min-fresh=56"],
        )
        .fetched(),
        asks(
            "a_request_with_an_unreadable_min_fresh_asks_the_origin",
            "9111 5.2.1.3",
            "",
            5,
            &["cache-control: min-fresh=x"],
        )
        .fetched(),
        asks(
            "a_request_with_the_largest_min_fresh_asks_the_origin",
            "9111 5.2.1.3",
            "",
            5,
            &["cache-control: min-fresh=18446744073709551615"],
        )
        .fetched(),
        case(
            "a_request_with_min_fresh_counts_the_age_on_arrival",
            "9111 5.2.1.3",
            Both,
        )
        .suite("ccreq-min-fresh-age")
        .get(0)
        .says(&["cache-control: max-age=1000", "age: 1000"])
        .fetched()
        .get(1)
        .with(&["cache-control: min-fresh=1"])
        .fetched(),
        asks(
            "a_request_with_no_cache_asks_the_origin",
            "9111 5.2.1.4",
            "ccreq-no-cache",
            1,
            &["cache-control: no-cache"],
        )
        .fetched(),
        asks(
            "a_request_with_no_cache_in_capitals_asks_the_origin",
            "9111 5.2.1.4",
            "",
            1,
            &["cache-control: NO-CACHE"],
        )
        .fetched(),
        asks(
            "no_cache_on_a_second_line_of_a_request_asks_the_origin",
            "9111 5.2.1.4",
            "",
            1,
            &["cache-control: max-age=600", "cache-control: no-cache"],
        )
        .fetched(),
        case(
            "a_request_with_no_cache_validates_by_etag",
            "9111 5.2.1.4",
            Both,
        )
        .suite("ccreq-no-cache-etag")
        .get(0)
        .says(&["cache-control: max-age=60", "etag: \"a\""])
        .fetched()
        .get(1)
        .with(&["cache-control: no-cache"])
        .confirms(&["etag: \"a\""])
        .validated()
        .asked_with(&["if-none-match: \"a\""]),
        case(
            "a_request_with_no_cache_validates_by_its_last_change",
            "9111 5.2.1.4",
            Both,
        )
        .suite("ccreq-no-cache-lm")
        .get(0)
        .says(&["cache-control: max-age=60", "last-modified: {date-100}"])
        .fetched()
        .get(1)
        .with(&["cache-control: no-cache"])
        .confirms(&[])
        .validated()
        .asked_with(&["if-modified-since: {date-101}"]),
        asks(
            "pragma_no_cache_asks_the_origin",
            "9111 5.4",
            "pragma-request-no-cache",
            1,
            &["pragma: no-cache"],
        )
        .fetched(),
        asks(
            "another_pragma_says_nothing",
            "9111 5.4",
            "pragma-request-extension",
            1,
            &["pragma: foo"],
        )
        .stored(),
        asks(
            "pragma_is_ignored_beside_cache_control",
            "9111 5.4",
            "",
            1,
            &["pragma: no-cache", "cache-control: max-age=600"],
        )
        .stored(),
        asks(
            "a_request_with_no_store_asks_the_origin",
            "9111 5.2.1.5",
            "",
            1,
            &["cache-control: no-store"],
        )
        .fetched(),
        case(
            "the_answer_to_a_request_with_no_store_is_not_stored",
            "9111 5.2.1.5",
            Both,
        )
        .suite("ccreq-no-store")
        .get(0)
        .with(&["cache-control: no-store"])
        .says(&["cache-control: max-age=60"])
        .fetched()
        .get(1)
        .fetched(),
        asks(
            "no_transform_of_a_request_says_nothing",
            "9111 5.2.1.6",
            "",
            1,
            &["cache-control: no-transform"],
        )
        .stored(),
        asks(
            "an_unknown_directive_of_a_request_says_nothing",
            "9111 5.2.3",
            "",
            1,
            &["cache-control: foobar"],
        )
        .stored(),
    ]
}

fn max_stale() -> Vec<Case> {
    let stale = |name: &str, caches, says: &str, request: &str| {
        case(name, "9111 5.2.1.2", caches)
            .get(0)
            .says(&[says])
            .fetched()
            .get(15)
            .with(&[request])
    };
    // It comes 30 seconds old, and is asked for 15 seconds later.
    let aged = |name: &str, says: &str, request: &str| {
        case(name, "9111 5.2.1.2", Both)
            .get(0)
            .says(&[says, "age: 30"])
            .fetched()
            .get(15)
            .with(&[request])
    };
    vec![
        stale(
            "a_request_with_any_max_stale_takes_what_is_stale",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale",
        )
        .stored(),
        stale(
            "a_request_with_enough_max_stale_takes_what_is_stale",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale=5",
        )
        .suite("ccreq-max-stale")
        .stored(),
        stale(
            "a_request_with_too_little_max_stale_asks_the_origin",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale=4",
        )
        .fetched(),
        stale(
            "a_request_with_an_unreadable_max_stale_asks_the_origin",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale=x",
        )
        .fetched(),
        stale(
            "max_stale_does_not_lift_no_cache",
            Both,
            "cache-control: no-cache, max-age=10",
            "cache-control: max-stale",
        )
        .fetched(),
        stale(
            "max_stale_does_not_lift_no_store",
            Both,
            "cache-control: no-store, max-age=10",
            "cache-control: max-stale",
        )
        .fetched(),
        stale(
            "max_stale_does_not_lift_must_revalidate",
            Both,
            "cache-control: must-revalidate, max-age=10",
            "cache-control: max-stale",
        )
        .fetched(),
        stale(
            "max_stale_does_not_lift_proxy_revalidate_in_a_shared_cache",
            Shared,
            "cache-control: proxy-revalidate, max-age=10",
            "cache-control: max-stale",
        )
        .fetched(),
        stale(
            "max_stale_goes_before_proxy_revalidate_in_a_private_cache",
            Private,
            "cache-control: proxy-revalidate, max-age=10",
            "cache-control: max-stale",
        )
        .stored(),
        stale(
            "max_stale_does_not_lift_s_maxage_in_a_shared_cache",
            Shared,
            "cache-control: s-maxage=10",
            "cache-control: max-stale",
        )
        .fetched(),
        stale(
            "max_stale_goes_before_s_maxage_in_a_private_cache",
            Private,
            "cache-control: s-maxage=5, max-age=10",
            "cache-control: max-stale",
        )
        .stored(),
        stale(
            "max_stale_beside_no_cache_asks_the_origin",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale, no-cache",
        )
        .fetched(),
        stale(
            "max_stale_beside_a_small_max_age_asks_the_origin",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale, max-age=5",
        )
        .fetched(),
        stale(
            "what_max_stale_brings_tells_its_age",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale=60",
        )
        .stored()
        .has(&["age: 15"]),
        stale(
            "max_stale_of_nothing_takes_nothing_stale",
            Both,
            "cache-control: max-age=10",
            "cache-control: max-stale=0",
        )
        .fetched(),
        aged(
            "max_stale_counts_how_stale_an_answer_came",
            "cache-control: max-age=10",
            "cache-control: max-stale=34",
        )
        .fetched(),
        aged(
            "max_stale_reaches_an_answer_that_came_stale",
            "cache-control: max-age=10",
            "cache-control: max-stale=35",
        )
        .stored(),
        aged(
            "max_stale_counts_the_whole_age_where_no_lifetime_is_known",
            "etag: \"a\"",
            "cache-control: max-stale=44",
        )
        .fetched(),
        aged(
            "max_stale_reaches_an_answer_whose_lifetime_is_not_known",
            "etag: \"a\"",
            "cache-control: max-stale=45",
        )
        .stored(),
    ]
}

fn only_if_cached() -> Vec<Case> {
    let oic = |name: &str| case(name, "9111 5.2.1.7", Both);
    vec![
        oic("only_if_cached_with_nothing_stored_is_refused")
            .suite("ccreq-oic")
            .get(0)
            .with(&["cache-control: only-if-cached"])
            .refused(),
        oic("only_if_cached_takes_what_is_stored")
            .get(0)
            .says(&["cache-control: max-age=60"])
            .fetched()
            .get(1)
            .with(&["cache-control: only-if-cached"])
            .stored(),
        oic("only_if_cached_refuses_what_is_stale")
            .get(0)
            .says(&["cache-control: max-age=1"])
            .fetched()
            .get(5)
            .with(&["cache-control: only-if-cached"])
            .refused(),
        oic("only_if_cached_with_max_stale_takes_what_is_stale")
            .get(0)
            .says(&["cache-control: max-age=1"])
            .fetched()
            .get(5)
            .with(&["cache-control: only-if-cached, max-stale"])
            .stored(),
        oic("only_if_cached_refuses_another_variant")
            .get(0)
            .with(&["x-lang: de"])
            .says(&["cache-control: max-age=60", "vary: x-lang"])
            .fetched()
            .get(1)
            .with(&["x-lang: en", "cache-control: only-if-cached"])
            .refused(),
        oic("only_if_cached_refuses_what_has_to_be_validated")
            .get(0)
            .says(&["cache-control: no-cache", "etag: \"a\""])
            .fetched()
            .get(1)
            .with(&["cache-control: only-if-cached"])
            .refused(),
        oic("only_if_cached_in_capitals_is_refused")
            .get(0)
            .with(&["cache-control: Only-If-Cached"])
            .refused(),
    ]
}

fn immutable() -> Vec<Case> {
    vec![
        case("immutable_is_used_while_it_is_fresh", "8246 2", Private)
            .suite("cc-resp-immutable-fresh")
            .get(0)
            .says(&["cache-control: immutable, max-age=60"])
            .fetched()
            .get(59)
            .stored(),
        case("immutable_is_validated_when_it_is_stale", "8246 2", Both)
            .suite("cc-resp-immutable-stale")
            .get(0)
            .says(&["cache-control: immutable, max-age=10", "etag: \"a\""])
            .fetched()
            .get(11)
            .confirms(&["etag: \"a\""])
            .validated(),
        case("immutable_alone_makes_nothing_fresh", "8246 2", Both)
            .get(0)
            .says(&["cache-control: immutable"])
            .fetched()
            .get(1)
            .fetched(),
    ]
}
