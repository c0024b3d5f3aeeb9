//! `Cache-Status` (RFC 9211): what a proxy named `restow` says of its part in an answer.

use super::{Case, Shared, case};

pub(super) fn cases() -> Vec<Case> {
    [fetched(), held(), asked(), beside_others()].concat()
}

fn told(name: &str) -> Case {
    case(name, "9211 2", Shared)
}

/// Of an answer that is fetched.
fn fetched() -> Vec<Case> {
    let alone = |name: &str, status, request: &[&str], says: &[&str], tells: &str| {
        told(name)
            .get(0)
            .with(request)
            .answers(status, says)
            .fetched()
            .has(&[tells])
    };
    let fresh = "cache-control: max-age=60";
    vec![
        alone(
            "what_is_fetched_and_stored_says_so",
            200,
            &[],
            &[fresh],
            "cache-status: restow; fwd=uri-miss; fwd-status=200; stored",
        ),
        alone(
            "another_status_that_is_stored_is_told",
            404,
            &[],
            &[fresh],
            "cache-status: restow; fwd=uri-miss; fwd-status=404; stored",
        ),
        alone(
            "what_is_not_stored_names_the_rule",
            200,
            &[],
            &["cache-control: no-store"],
            "cache-status: restow; fwd=uri-miss; fwd-status=200; detail=no-store",
        ),
        alone(
            "what_is_private_names_the_rule",
            200,
            &[],
            &["cache-control: private, max-age=60"],
            "cache-status: restow; fwd=uri-miss; fwd-status=200; detail=private-in-shared",
        ),
        alone(
            "what_is_authorized_names_the_rule",
            200,
            &["authorization: a"],
            &[fresh],
            "cache-status: restow; fwd=uri-miss; fwd-status=200; detail=authorized",
        ),
        alone(
            "what_varies_on_everything_names_the_rule",
            200,
            &[],
            &[fresh, "vary: *"],
            "cache-status: restow; fwd=uri-miss; fwd-status=200; detail=vary-star",
        ),
        told("a_part_of_the_origins_says_so")
            .get(0)
            .with(&["range: bytes=0-1"])
            .answers(206, &[fresh, "content-range: bytes 0-1/10"])
            .text("01")
            .fetched()
            .has(&["cache-status: restow; fwd=partial; fwd-status=206; detail=absent"]),
        told("a_head_of_the_origins_says_so")
            .ask("HEAD", 0, "/a")
            .says(&[fresh])
            .fetched()
            .has(&["cache-status: restow; fwd=uri-miss; fwd-status=200; detail=head-has-no-body"]),
        told("a_method_that_is_never_stored_says_so")
            .ask("PUT", 0, "/a")
            .answers(204, &[])
            .fetched()
            .has(&["cache-status: restow; fwd=method; fwd-status=204; detail=method"]),
    ]
}

/// Of an answer out of the store.
fn held() -> Vec<Case> {
    let held = |name: &str, says: &[&str], after, request: &[&str]| {
        told(name)
            .get(0)
            .says(says)
            .fetched()
            .get(after)
            .with(request)
    };
    let fresh: &[&str] = &["cache-control: max-age=60", "etag: \"a\""];
    let not_modified = held(
        "a_hit_that_is_a_304_is_a_hit",
        fresh,
        10,
        &["if-none-match: \"a\""],
    )
    .stored()
    .gives(304, "")
    .has(&["cache-status: restow; hit; ttl=50"]);
    vec![
        held("a_hit_tells_how_long_it_is_fresh", fresh, 10, &[])
            .stored()
            .has(&["cache-status: restow; hit; ttl=50"]),
        held(
            "a_hit_counts_the_age_on_arrival",
            &["cache-control: max-age=60", "age: 20"],
            10,
            &[],
        )
        .stored()
        .has(&["cache-status: restow; hit; ttl=30"]),
        not_modified,
        held(
            "a_hit_by_only_if_cached_is_a_hit",
            fresh,
            10,
            &["cache-control: only-if-cached"],
        )
        .stored()
        .has(&["cache-status: restow; hit; ttl=50"]),
        told("a_hit_by_head_is_a_hit")
            .get(0)
            .says(fresh)
            .fetched()
            .ask("HEAD", 10, "/a")
            .stored()
            .has(&["cache-status: restow; hit; ttl=50"]),
        held(
            "what_max_stale_brings_tells_by_how_much_it_is_stale",
            &["cache-control: max-age=10"],
            15,
            &["cache-control: max-stale"],
        )
        .stored()
        .has(&["cache-status: restow; hit; ttl=-5; detail=max-stale"]),
        held(
            "what_is_refreshed_behind_tells_by_how_much_it_is_stale",
            &["cache-control: max-age=10, stale-while-revalidate=60"],
            15,
            &[],
        )
        .refreshed_behind()
        .stored()
        .has(&["cache-status: restow; hit; ttl=-5; detail=stale-while-revalidate"]),
        held(
            "what_stands_in_for_a_closed_origin_says_so",
            &["cache-control: max-age=10"],
            15,
            &[],
        )
        .unreachable()
        .validated()
        .has(&["cache-status: restow; hit; ttl=-5; detail=stale-if-unreachable"]),
        told("a_head_that_stands_in_for_a_closed_origin_says_so")
            .get(0)
            .says(&["cache-control: max-age=10"])
            .fetched()
            .ask("HEAD", 15, "/a")
            .unreachable()
            .validated()
            .has(&["cache-status: restow; hit; ttl=-5; detail=stale-if-unreachable"]),
        held(
            "a_part_that_stands_in_for_an_error_tells_which",
            &["cache-control: max-age=10, stale-if-error=60"],
            15,
            &["range: bytes=0-3"],
        )
        .answers(503, &[])
        .validated()
        .gives(206, "body")
        .has(&["cache-status: restow; fwd=stale; fwd-status=503; detail=stale-if-error"]),
        held(
            "what_stands_in_for_an_error_tells_which",
            &["cache-control: max-age=10, stale-if-error=60"],
            15,
            &[],
        )
        .answers(503, &[])
        .validated()
        .has(&["cache-status: restow; fwd=stale; fwd-status=503; detail=stale-if-error"]),
    ]
}

/// Why something stored did not do.
fn asked() -> Vec<Case> {
    let again = |name: &str, after, request: &[&str]| {
        told(name)
            .get(0)
            .says(&["cache-control: max-age=60", "etag: \"a\""])
            .fetched()
            .get(after)
            .with(request)
    };
    let by_request = "cache-status: restow; fwd=request; fwd-status=200; stored";
    let fresh: &[&str] = &["cache-control: max-age=60"];
    vec![
        again("what_is_confirmed_says_so", 61, &[])
            .confirms(&[])
            .validated()
            .has(&["cache-status: restow; fwd=stale; fwd-status=304; detail=expired"]),
        again("what_takes_the_place_of_a_stale_answer_says_so", 61, &[])
            .says(fresh)
            .fetched()
            .has(&["cache-status: restow; fwd=stale; fwd-status=200; stored"]),
        again(
            "a_request_that_wants_no_cache_says_so",
            1,
            &["cache-control: no-cache"],
        )
        .says(fresh)
        .fetched()
        .has(&[by_request]),
        again(
            "a_request_that_wants_it_newer_says_so",
            10,
            &["cache-control: max-age=5"],
        )
        .says(fresh)
        .fetched()
        .has(&[by_request]),
        again(
            "a_request_that_wants_it_fresh_for_longer_says_so",
            10,
            &["cache-control: min-fresh=55"],
        )
        .says(fresh)
        .fetched()
        .has(&[by_request]),
        told("another_variant_says_so")
            .get(0)
            .with(&["x-lang: de"])
            .says(&["cache-control: max-age=60", "vary: x-lang"])
            .fetched()
            .get(1)
            .with(&["x-lang: en"])
            .says(&["cache-control: max-age=60", "vary: x-lang"])
            .fetched()
            .has(&["cache-status: restow; fwd=vary-miss; fwd-status=200; stored"]),
    ]
}

/// Caches before this one said something too: the list grows at its end.
fn beside_others() -> Vec<Case> {
    let before = "cache-status: origin; hit; ttl=5";
    vec![
        told("what_a_cache_before_said_goes_first")
            .get(0)
            .says(&["cache-control: max-age=60", before])
            .fetched()
            .has(&[
                before,
                "cache-status: restow; fwd=uri-miss; fwd-status=200; stored",
            ])
            .get(10)
            .stored()
            .has(&[before, "cache-status: restow; hit; ttl=50"]),
    ]
}
