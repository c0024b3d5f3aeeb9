//! What happens where an origin fails, a request changes something, and users differ.

use super::{Both, Case, Shared, case};

pub(super) fn cases() -> Vec<Case> {
    [
        stale(),
        apart(),
        behind(),
        invalidation(),
        authorization(),
        not_for_a_credential(),
        cookies(),
    ]
    .concat()
}

fn stale() -> Vec<Case> {
    let held =
        |name: &str, rfc, says: &str| case(name, rfc, Both).get(0).says(&[says]).fetched().get(10);
    vec![
        held(
            "an_origin_that_closes_lets_the_stale_answer_stand_in",
            "9111 4.2.4",
            "cache-control: max-age=1",
        )
        .suite("stale-close")
        .unreachable()
        .validated()
        .has(&["age: 10"]),
        held(
            "must_revalidate_lets_nothing_stand_in",
            "9111 5.2.2.2",
            "cache-control: max-age=1, must-revalidate",
        )
        .suite("stale-close-must-revalidate")
        .unreachable()
        .bad_gateway(),
        held(
            "no_cache_lets_nothing_stand_in",
            "9111 5.2.2.4",
            "cache-control: no-cache, max-age=1",
        )
        .suite("stale-close-no-cache")
        .unreachable()
        .bad_gateway(),
        held(
            "proxy_revalidate_lets_nothing_stand_in_for_several",
            "9111 5.2.2.8",
            "cache-control: max-age=1, proxy-revalidate",
        )
        .suite("stale-close-proxy-revalidate")
        .shared()
        .unreachable()
        .bad_gateway(),
        held(
            "s_maxage_lets_nothing_stand_in_for_several",
            "9111 5.2.2.10",
            "cache-control: s-maxage=1",
        )
        .suite("stale-close-s-maxage=2")
        .shared()
        .unreachable()
        .bad_gateway(),
        held(
            "an_error_is_passed_on",
            "9111 4.3.3",
            "cache-control: max-age=1",
        )
        .suite("stale-503")
        .answers(503, &[])
        .fetched(),
        held(
            "stale_if_error_lets_it_stand_in_for_an_error",
            "5861 4",
            "cache-control: max-age=1, stale-if-error=60",
        )
        .suite("stale-sie-503")
        .answers(503, &[])
        .validated(),
        held(
            "past_its_stale_if_error_the_error_is_passed_on",
            "5861 4",
            "cache-control: max-age=1, stale-if-error=5",
        )
        .answers(503, &[])
        .fetched(),
        held(
            "must_revalidate_goes_before_stale_if_error",
            "5861 4",
            "cache-control: max-age=1, must-revalidate, stale-if-error=60",
        )
        .answers(503, &[])
        .fetched(),
        held(
            "within_its_window_a_stale_answer_is_refreshed_behind",
            "5861 3",
            "cache-control: max-age=1, stale-while-revalidate=60",
        )
        .suite("stale-while-revalidate")
        .refreshed_behind()
        .stored(),
        held(
            "past_its_window_the_origin_is_waited_for",
            "5861 3",
            "cache-control: max-age=1, stale-while-revalidate=5",
        )
        .suite("stale-while-revalidate-window")
        .fetched(),
        held(
            "an_error_never_takes_the_place_of_a_good_answer",
            "9111 4.3.3",
            "cache-control: max-age=1",
        )
        .answers(503, &["cache-control: max-age=60"])
        .fetched()
        .get(11)
        .unreachable()
        .validated()
        .gives(200, "body 0"),
        case(
            "an_origin_that_closes_with_nothing_held_is_502",
            "9110 15.6.3",
            Both,
        )
        .get(0)
        .unreachable()
        .bad_gateway(),
    ]
}

/// What stands in for a GET stands in for its head, and for a part of it.
fn apart() -> Vec<Case> {
    let held = |name: &str, rfc, says: &str| {
        let says = &[says, "etag: \"a\""];
        case(name, rfc, Both).get(0).says(says).fetched()
    };
    let head = |name: &str, rfc, says| held(name, rfc, says).ask("HEAD", 10, "/a");
    let part = |name: &str, rfc, says: &str| {
        let part = held(name, rfc, says).get(10);
        part.with(&["range: bytes=0-3"])
    };
    let plain = "cache-control: max-age=1";
    let for_errors = "cache-control: max-age=1, stale-if-error=60";
    vec![
        head(
            "its_head_stands_in_for_a_closed_origin",
            "9111 4.2.4",
            plain,
        )
        .unreachable()
        .validated()
        .has(&["age: 10", "etag: \"a\""]),
        part(
            "a_part_of_it_stands_in_for_a_closed_origin",
            "9111 4.2.4",
            plain,
        )
        .unreachable()
        .validated()
        .gives(206, "body")
        .has(&["age: 10", "content-range: bytes 0-3/6"])
        .asked_with(&["range: bytes=0-3"]),
        head("its_head_stands_in_for_an_error", "5861 4", for_errors)
            .answers(503, &[])
            .validated()
            .has(&["age: 10"]),
        part("a_part_of_it_stands_in_for_an_error", "5861 4", for_errors)
            .answers(503, &[])
            .validated()
            .gives(206, "body")
            .has(&["age: 10", "content-range: bytes 0-3/6"]),
        part(
            "a_part_beyond_what_stands_in_is_416",
            "9110 15.5.17",
            for_errors,
        )
        .with(&["range: bytes=6-"])
        .answers(503, &[])
        .validated()
        .gives(416, "")
        .has(&["content-range: bytes */6"]),
        head("a_head_that_has_what_stands_in_is_304", "9111 4.3.2", plain)
            .with(&["if-none-match: \"a\""])
            .unreachable()
            .validated()
            .gives(304, ""),
        head("an_error_is_passed_on_to_a_head", "9111 4.3.3", plain)
            .answers(503, &[])
            .fetched(),
        part(
            "an_error_is_passed_on_to_who_asks_for_a_part",
            "9111 4.3.3",
            plain,
        )
        .answers(503, &[])
        .fetched(),
        head(
            "must_revalidate_lets_no_head_stand_in",
            "9111 5.2.2.2",
            "cache-control: max-age=1, must-revalidate",
        )
        .unreachable()
        .bad_gateway(),
        part(
            "must_revalidate_lets_no_part_stand_in",
            "9111 5.2.2.2",
            "cache-control: max-age=1, must-revalidate, stale-if-error=60",
        )
        .answers(503, &[])
        .fetched(),
        head(
            "no_cache_lets_no_head_stand_in",
            "9111 5.2.2.4",
            "cache-control: no-cache, max-age=1",
        )
        .unreachable()
        .bad_gateway(),
        part(
            "no_cache_lets_no_part_stand_in",
            "9111 5.2.2.4",
            "cache-control: no-cache, max-age=1",
        )
        .unreachable()
        .bad_gateway(),
        head(
            "past_its_stale_if_error_no_head_stands_in",
            "5861 4",
            "cache-control: max-age=1, stale-if-error=5",
        )
        .answers(503, &[])
        .fetched(),
        case(
            "nothing_stands_in_for_the_head_of_nothing",
            "9110 15.6.3",
            Both,
        )
        .ask("HEAD", 0, "/a")
        .unreachable()
        .bad_gateway(),
    ]
}

/// What is refreshed behind an answer is whole, whatever of it was asked for.
fn behind() -> Vec<Case> {
    let held = |name: &str| {
        case(name, "5861 3", Both)
            .get(0)
            .says(&[
                "cache-control: max-age=1, stale-while-revalidate=60",
                "etag: \"a\"",
            ])
            .fetched()
    };
    vec![
        held("what_is_confirmed_behind_a_head_is_renewed")
            .ask("HEAD", 10, "/a")
            .confirms(&["cache-control: max-age=60", "etag: \"a\""])
            .refreshed_behind()
            .stored()
            .asked_with(&["if-none-match: \"a\""])
            .get(11)
            .stored(),
        held("what_is_fetched_behind_a_head_is_stored")
            .ask("HEAD", 10, "/a")
            .says(&["cache-control: max-age=60", "etag: \"b\""])
            .text("new")
            .refreshed_behind()
            .stored()
            .get(11)
            .stored()
            .gives(200, "new"),
        held("what_is_fetched_behind_a_part_is_stored_whole")
            .get(10)
            .with(&["range: bytes=0-3"])
            .says(&["cache-control: max-age=60", "etag: \"b\""])
            .text("new")
            .refreshed_behind()
            .stored()
            .gives(206, "body")
            .asked_without(&["range"])
            .get(11)
            .stored()
            .gives(200, "new"),
    ]
}

fn invalidation() -> Vec<Case> {
    let mut all = Vec::new();
    let held = |name: String, suite: &str| {
        case(name, "9111 4.4", Both)
            .suite(suite)
            .get(0)
            .says(&["cache-control: max-age=60"])
            .fetched()
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        let name = method.to_lowercase().replace('-', "_");
        let suite = format!("invalidate-{method}");
        all.push(
            held(format!("a_success_of_{name}_makes_it_invalid"), &suite)
                .ask(method, 1, "/a")
                .fetched()
                .get(2)
                .fetched(),
        );
        all.push(
            held(
                format!("a_failure_of_{name}_leaves_it"),
                &format!("{suite}-failed"),
            )
            .ask(method, 1, "/a")
            .answers(500, &[])
            .fetched()
            .get(2)
            .stored(),
        );
    }
    for field in ["location", "content-location"] {
        let name = field.replace('-', "_");
        all.push(
            held(format!("what_{name}_names_is_made_invalid"), "")
                .ask("POST", 1, "/b")
                .answers(201, &[&format!("{field}: /a")])
                .fetched()
                .get(2)
                .fetched(),
        );
        all.push(
            held(format!("what_{name}_names_of_another_origin_stays"), "")
                .ask("POST", 1, "/b")
                .answers(201, &[&format!("{field}: http://elsewhere.example/a")])
                .fetched()
                .get(2)
                .stored(),
        );
    }
    for (method, name) in [
        ("GET", "a_get_does_not_invalidate_what_its_answer_names"),
        ("HEAD", "a_head_does_not_invalidate_what_its_answer_names"),
    ] {
        all.push(
            held(name.to_owned(), "")
                .ask(method, 1, "/b")
                .answers(201, &["location: /a", "content-location: /a"])
                .fetched()
                .get(2)
                .stored(),
        );
    }
    all.push(
        held("a_head_that_fails_leaves_what_is_stored".to_owned(), "")
            .ask("HEAD", 1, "/a")
            .with(&["cache-control: no-cache"])
            .answers(404, &[])
            .fetched()
            .get(2)
            .stored(),
    );
    all.push(
        held("an_options_leaves_what_is_stored".to_owned(), "")
            .ask("OPTIONS", 1, "/a")
            .answers(204, &[])
            .fetched()
            .get(2)
            .stored(),
    );
    let group = |name: &str, of: &str, says: &str| {
        case(name, "9875 3", Both)
            .get(0)
            .says(&["cache-control: max-age=60", of])
            .fetched()
            .ask("POST", 1, "/b")
            .answers(200, &[says])
            .fetched()
            .get(2)
    };
    all.push(
        group(
            "a_group_is_made_invalid_as_a_whole",
            "cache-groups: \"g\", \"h\"",
            "cache-group-invalidation: \"h\"",
        )
        .fetched(),
    );
    all.push(
        group(
            "another_group_stays",
            "cache-groups: \"g\"",
            "cache-group-invalidation: \"h\"",
        )
        .stored(),
    );
    all.push(
        group(
            "a_group_that_cannot_be_read_invalidates_nothing",
            "cache-groups: \"g\"",
            "cache-group-invalidation: g",
        )
        .stored(),
    );
    all.push(
        case("a_get_invalidates_no_group", "9875 3", Both)
            .get(0)
            .says(&["cache-control: max-age=60", "cache-groups: \"g\""])
            .fetched()
            .ask("GET", 1, "/b")
            .says(&["cache-group-invalidation: \"g\""])
            .fetched()
            .get(2)
            .stored(),
    );
    all
}

fn authorization() -> Vec<Case> {
    let asked = |name: &str, suite: &str, says: &str, first: &[&str], second: &[&str]| {
        case(name, "9111 3.5", Shared)
            .suite(suite)
            .get(0)
            .with(first)
            .says(&[says])
            .fetched()
            .get(1)
            .with(second)
    };
    let (alice, bob) = (&["authorization: a"][..], &["authorization: b"][..]);
    let mut all = vec![
        asked(
            "an_authorized_answer_is_not_shared",
            "other-authorization",
            "cache-control: max-age=60",
            alice,
            alice,
        )
        .fetched(),
        asked(
            "nor_given_to_whoever_shows_nothing",
            "",
            "cache-control: max-age=60",
            alice,
            &[],
        )
        .fetched(),
        asked(
            "what_nobody_asked_for_is_not_given_to_a_credential",
            "",
            "cache-control: max-age=60",
            &[],
            alice,
        )
        .fetched(),
    ];
    for (name, says) in [
        ("public", "cache-control: public, max-age=60"),
        ("s_maxage", "cache-control: s-maxage=60"),
        (
            "must_revalidate",
            "cache-control: must-revalidate, max-age=60",
        ),
    ] {
        all.push(
            asked(
                &format!("{name}_shares_an_authorized_answer"),
                "",
                says,
                alice,
                bob,
            )
            .stored(),
        );
    }
    for (name, says) in [
        (
            "a_lifetime_twice",
            "cache-control: s-maxage=60, s-maxage=61",
        ),
        ("what_cannot_be_read", "cache-control: public, max-age=60;"),
        (
            "private_beside_public",
            "cache-control: private, public, max-age=60",
        ),
        (
            "public_in_quotes",
            "cache-control: ext=\"public\", max-age=60",
        ),
    ] {
        all.push(asked(&format!("{name}_shares_nothing"), "", says, alice, bob).fetched());
    }
    all
}

/// What a user with a credential is not given stands in for nothing that the user asks for, fresh or not.
fn not_for_a_credential() -> Vec<Case> {
    const ALICE: &str = "authorization: a";
    const FOR_ERRORS: &str = "max-age=60, stale-if-error=600";
    let held = |name: String, says: &str, method: &'static str, at| {
        let says = format!("cache-control: {says}");
        let held = case(name, "9111 3.5", Shared)
            .get(0)
            .says(&[&says])
            .fetched();
        held.ask(method, at, "/a")
    };
    let mut all = Vec::new();
    for (age, at) in [("fresh", 1), ("stale", 100)] {
        for (what, method, request) in [
            ("it", "GET", &[ALICE][..]),
            ("its_head", "HEAD", &[ALICE]),
            ("a_part_of_it", "GET", &[ALICE, "range: bytes=0-3"]),
        ] {
            let name = |failure| format!("{what}_{age}_{failure}_for_a_credential");
            for status in [429, 503] {
                let name = name(format!("is_nothing_after_{status}"));
                let held = held(name, FOR_ERRORS, method, at).with(request);
                all.push(held.answers(status, &[]).fetched());
            }
            let name = name("is_nothing_where_the_origin_closes".to_owned());
            let held = held(name, FOR_ERRORS, method, at).with(request);
            all.push(held.unreachable().bad_gateway());
        }
    }
    let public = format!("public, {FOR_ERRORS}");
    let name = "what_everyone_may_have_stands_in_for_a_credential".to_owned();
    all.push(
        held(name, &public, "GET", 100)
            .with(&[ALICE])
            .answers(503, &[])
            .validated(),
    );
    // Nor does an error, or an answer to the credential, take the place of what others are given.
    let name = "an_error_to_a_credential_leaves_what_others_are_given".to_owned();
    all.push(
        held(name, FOR_ERRORS, "GET", 1)
            .with(&[ALICE])
            .answers(503, &["cache-control: public, max-age=60"])
            .fetched()
            .get(2)
            .stored()
            .gives(200, "body 0"),
    );
    all
}

fn cookies() -> Vec<Case> {
    vec![
        case(
            "a_cookie_that_is_set_is_not_set_again_for_others",
            "9111 7.3",
            Shared,
        )
        .suite("headers-store-Set-Cookie")
        .get(0)
        .says(&["cache-control: max-age=60", "set-cookie: a=b"])
        .fetched()
        .has(&["set-cookie: a=b"])
        .get(1)
        .stored()
        .lacks(&["set-cookie"]),
        case(
            "a_cookie_in_a_304_is_not_set_for_others",
            "9111 7.3",
            Shared,
        )
        .get(0)
        .says(&["cache-control: max-age=1", "etag: \"a\""])
        .fetched()
        .get(10)
        .confirms(&[
            "etag: \"a\"",
            "cache-control: max-age=60",
            "set-cookie: a=b",
        ])
        .validated()
        .get(11)
        .stored()
        .lacks(&["set-cookie"]),
        case(
            "a_304_that_forbids_to_be_stored_is_heeded",
            "9111 5.2.2.5",
            Both,
        )
        .get(0)
        .says(&["cache-control: max-age=1", "etag: \"a\""])
        .fetched()
        .get(10)
        .confirms(&["etag: \"a\"", "cache-control: no-store"])
        .validated()
        .get(11)
        .fetched()
        .asked_without(&["if-none-match"]),
    ]
}
