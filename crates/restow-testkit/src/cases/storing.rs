//! What may be stored at all (RFC 9111 3, 5.2.2).

use super::{Both, Case, Private, Shared, case, not_reused, reused, rows};

pub(super) fn cases() -> Vec<Case> {
    [
        no_store(),
        private(),
        must_understand(),
        foreign_bytes(),
        statuses(),
        methods(),
        keys(),
        cookies(),
    ]
    .concat()
}

fn no_store() -> Vec<Case> {
    let rows = rows(
        "9111 5.2.2.5",
        Both,
        &[
            (
                "no_store_is_not_stored",
                "cc-resp-no-store",
                &["cache-control: no-store"],
                1,
                false,
            ),
            (
                "no_store_in_capitals_is_not_stored",
                "cc-resp-no-store-case-insensitive",
                &["cache-control: No-StOrE"],
                1,
                false,
            ),
            (
                "no_store_in_capitals_beside_freshness_is_not_stored",
                "",
                &["cache-control: No-Store, max-age=60"],
                1,
                false,
            ),
            (
                "no_store_beside_expires_is_not_stored",
                "cc-resp-no-store-fresh",
                &["cache-control: no-store", "expires: {date+3600}"],
                1,
                false,
            ),
            (
                "no_store_on_a_second_line_is_not_stored",
                "",
                &["cache-control: max-age=60", "cache-control: no-store"],
                1,
                false,
            ),
            (
                "no_store_in_a_field_that_connection_names_is_not_stored",
                "",
                &[
                    "connection: cache-control",
                    "cache-control: no-store",
                    "expires: {date+3600}",
                ],
                1,
                false,
            ),
            (
                "no_store_with_a_value_is_not_stored",
                "",
                &["cache-control: no-store=1, max-age=60"],
                1,
                false,
            ),
            (
                "no_store_beside_public_is_not_stored",
                "",
                &["cache-control: public, no-store, max-age=60"],
                1,
                false,
            ),
            (
                "no_store_inside_a_quoted_extension_says_nothing",
                "",
                &["cache-control: x=\"no-store\", max-age=60"],
                1,
                true,
            ),
            (
                "an_unknown_directive_that_begins_like_no_store_says_nothing",
                "",
                &["cache-control: no-stored, max-age=60"],
                1,
                true,
            ),
        ],
    );
    let mut cases = rows;
    cases.push(
        case("no_store_leaves_nothing_to_validate", "9111 5.2.2.5", Both)
            .get(0)
            .says(&["cache-control: no-store", "etag: \"a\""])
            .fetched()
            .get(1)
            .fetched()
            .asked_without(&["if-none-match"]),
    );
    cases.push(
        case(
            "no_store_leaves_nothing_for_an_outage",
            "9111 5.2.2.5",
            Both,
        )
        .get(0)
        .says(&["cache-control: no-store, max-age=60"])
        .fetched()
        .get(1)
        .unreachable()
        .bad_gateway(),
    );
    cases.push(
        case(
            "a_later_no_store_does_not_bring_back_what_is_stale",
            "9111 5.2.2.5",
            Both,
        )
        .suite("cc-resp-no-store-old-max-age")
        .get(0)
        .says(&["cache-control: max-age=1"])
        .fetched()
        .get(10)
        .says(&["cache-control: no-store"])
        .fetched()
        .get(11)
        .fetched(),
    );
    cases
}

fn private() -> Vec<Case> {
    [
        rows(
            "9111 5.2.2.7",
            Shared,
            &[
                (
                    "private_is_not_stored_by_a_shared_cache",
                    "cc-resp-private-shared",
                    &["cache-control: private, max-age=60"],
                    1,
                    false,
                ),
                (
                    "private_in_capitals_is_not_stored_by_a_shared_cache",
                    "",
                    &["cache-control: PRIVATE, max-age=60"],
                    1,
                    false,
                ),
                (
                    "private_beside_s_maxage_is_not_stored_by_a_shared_cache",
                    "freshness-max-age-s-maxage-private",
                    &["cache-control: private, s-maxage=60"],
                    1,
                    false,
                ),
                (
                    "private_beside_public_is_not_stored_by_a_shared_cache",
                    "",
                    &["cache-control: public, private, max-age=60"],
                    1,
                    false,
                ),
                (
                    "private_on_another_line_is_not_stored_by_a_shared_cache",
                    "",
                    &["cache-control: max-age=60", "cache-control: private"],
                    1,
                    false,
                ),
                (
                    "private_beside_expires_is_not_stored_by_a_shared_cache",
                    "",
                    &["cache-control: private", "expires: {date+600}"],
                    1,
                    false,
                ),
                (
                    "private_with_a_token_is_wholly_private",
                    "",
                    &["cache-control: private=x, max-age=60"],
                    1,
                    false,
                ),
                (
                    "private_with_an_empty_list_is_wholly_private",
                    "",
                    &["cache-control: private=\"\", max-age=60"],
                    1,
                    false,
                ),
            ],
        ),
        rows(
            "9111 5.2.2.7",
            Private,
            &[
                (
                    "private_is_stored_by_a_private_cache",
                    "cc-resp-private-private",
                    &["cache-control: private, max-age=60"],
                    59,
                    true,
                ),
                (
                    "private_in_capitals_is_stored_by_a_private_cache",
                    "",
                    &["cache-control: Private, max-age=60"],
                    59,
                    true,
                ),
                (
                    "private_with_expires_is_stored_by_a_private_cache",
                    "",
                    &["cache-control: private", "expires: {date+60}"],
                    59,
                    true,
                ),
            ],
        ),
        vec![
            case(
                "private_for_a_field_leaves_that_field_out",
                "9111 5.2.2.7",
                Shared,
            )
            .get(0)
            .says(&[
                "cache-control: private=\"x-me\", max-age=60",
                "x-me: 1",
                "x-all: 1",
            ])
            .fetched()
            .get(1)
            .stored()
            .has(&["x-all: 1"])
            .lacks(&["x-me"]),
            reused(
                "public_with_a_lifetime_is_stored",
                "9111 5.2.2.9",
                Both,
                &["cache-control: public, max-age=60"],
                59,
            ),
            not_reused(
                "public_alone_makes_nothing_fresh",
                "9111 5.2.2.9",
                Both,
                &["cache-control: public"],
                1,
            ),
            reused(
                "no_transform_does_not_forbid_storing",
                "9111 5.2.2.6",
                Both,
                &["cache-control: no-transform, max-age=60"],
                1,
            ),
        ],
    ]
    .concat()
}

fn must_understand() -> Vec<Case> {
    let mut cases = rows(
        "9111 5.2.2.3",
        Both,
        &[
            (
                "must_understand_lifts_no_store_of_a_known_status",
                "status-200-must-understand",
                &["cache-control: max-age=60, must-understand, no-store"],
                1,
                true,
            ),
            (
                "must_understand_alone_is_stored_with_a_known_status",
                "",
                &["cache-control: must-understand, max-age=60"],
                1,
                true,
            ),
        ],
    );
    for (status, known) in [
        (404, true),
        (410, true),
        (503, true),
        (299, false),
        (499, false),
        (599, false),
    ] {
        let name = format!("must_understand_with_status_{status}");
        let first = case(name, "9111 5.2.2.3", Both)
            .suite(if status == 599 {
                "status-599-must-understand"
            } else {
                ""
            })
            .get(0)
            .answers(status, &["cache-control: max-age=60, must-understand"])
            .fetched()
            .get(1);
        cases.push(if known {
            first.stored()
        } else {
            first.fetched()
        });
    }
    cases
}

/// Bytes beyond ASCII, which belong into quoted strings alone.
fn foreign_bytes() -> Vec<Case> {
    let rfc = "9111 4.2.1";
    let says = &["cache-control: max-age=60, \u{ff}", "etag: \"a\""][..];
    let held = |name: &str, caches| case(name, rfc, caches).get(0).says(says).fetched().get(1);
    vec![
        held(
            "foreign_bytes_in_cache_control_let_nothing_be_stored_for_several",
            Shared,
        )
        .fetched()
        .asked_without(&["if-none-match"]),
        held(
            "foreign_bytes_in_cache_control_mean_no_cache_for_one_user",
            Private,
        )
        .confirms(&[])
        .validated(),
        not_reused(
            "no_store_behind_foreign_bytes_is_not_stored",
            rfc,
            Both,
            &["cache-control: \u{ff}\u{fe}, no-store, max-age=60"],
            1,
        ),
        reused(
            "foreign_bytes_in_a_quoted_extension_hide_nothing",
            rfc,
            Both,
            &["cache-control: x=\"\u{ff}\", max-age=60"],
            59,
        ),
    ]
}

/// An answer whose status allows nothing is stored where it says for how long, and never because it asks to be validated.
fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for status in [201, 302, 403, 429, 500, 599] {
        let asked = |name: &str, says: &str| {
            case(format!("status_{status}_{name}"), "9111 3", Both)
                .get(0)
                .answers(status, &[says, "etag: \"a\""])
                .fetched()
                .get(1)
        };
        cases.push(
            asked(
                "with_no_cache_alone_is_not_stored",
                "cache-control: no-cache",
            )
            .fetched()
            .asked_without(&["if-none-match"]),
        );
        cases.push(
            asked(
                "with_what_cannot_be_read_is_not_stored",
                "cache-control: max-age=60;",
            )
            .fetched()
            .asked_without(&["if-none-match"]),
        );
        cases.push(
            asked(
                "with_no_cache_and_a_lifetime_is_validated",
                "cache-control: no-cache, max-age=60",
            )
            .confirms(&[])
            .validated(),
        );
        cases.push(asked("with_a_lifetime_is_stored", "cache-control: max-age=60").stored());
    }
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"] {
        cases.push(
            case(
                format!("an_answer_to_{}_is_not_given_to_get", method.to_lowercase()),
                "9111 3",
                Both,
            )
            .suite(if method == "POST" { "method-POST" } else { "" })
            .ask(method, 0, "/a")
            .says(&["cache-control: max-age=60"])
            .fetched()
            .get(1)
            .fetched(),
        );
    }
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS"] {
        cases.push(
            case(
                format!("{}_is_never_answered_from_the_store", method.to_lowercase()),
                "9111 4",
                Both,
            )
            .get(0)
            .says(&["cache-control: max-age=60"])
            .fetched()
            .ask(method, 1, "/a")
            .fetched(),
        );
    }
    cases
}

fn keys() -> Vec<Case> {
    let each = |name: &str, other: &str, same: bool| {
        let second = case(name, "9111 4", Both)
            .suite(match (same, other) {
                (true, _) => "query-args-same",
                (_, "/a?x=2") => "query-args-different",
                _ => "",
            })
            .ask("GET", 0, "/a?x=1")
            .says(&["cache-control: max-age=60"])
            .fetched()
            .ask("GET", 1, other);
        if same {
            second.stored()
        } else {
            second.fetched()
        }
    };
    vec![
        each("the_same_query_is_the_same_target", "/a?x=1", true),
        each(
            "another_value_in_the_query_is_another_target",
            "/a?x=2",
            false,
        ),
        each(
            "another_name_in_the_query_is_another_target",
            "/a?y=1",
            false,
        ),
        each("no_query_is_another_target", "/a", false),
        each("a_longer_query_is_another_target", "/a?x=1&y=2", false),
        each("another_path_is_another_target", "/b?x=1", false),
        each("a_path_in_capitals_is_another_target", "/A?x=1", false),
        each("a_longer_path_is_another_target", "/a/b?x=1", false),
    ]
}

fn cookies() -> Vec<Case> {
    vec![
        case(
            "set_cookie_is_not_replayed_by_a_shared_cache",
            "9111 7.3",
            Shared,
        )
        .get(0)
        .says(&["cache-control: max-age=60", "set-cookie: a=b", "x-kept: 1"])
        .fetched()
        .has(&["set-cookie: a=b"])
        .get(1)
        .stored()
        .has(&["x-kept: 1"])
        .lacks(&["set-cookie"]),
        case(
            "set_cookie_is_replayed_to_the_one_user_of_a_private_cache",
            "9111 7.3",
            Private,
        )
        .suite("other-set-cookie")
        .get(0)
        .says(&[
            "cache-control: max-age=60",
            "set-cookie: a=b",
            "set-cookie: c=d",
        ])
        .fetched()
        .get(1)
        .stored()
        .has(&["set-cookie: a=b", "set-cookie: c=d"]),
        case(
            "a_304_does_not_bring_a_cookie_into_a_shared_cache",
            "9111 7.3",
            Shared,
        )
        .get(0)
        .says(&["cache-control: max-age=10", "etag: \"a\""])
        .fetched()
        .get(20)
        .confirms(&[
            "cache-control: max-age=10",
            "etag: \"a\"",
            "set-cookie: a=b",
            "set-cookie: c=d",
        ])
        .validated()
        // It was set for whoever asked.
        .has(&["set-cookie: a=b", "set-cookie: c=d"])
        .get(21)
        .stored()
        .lacks(&["set-cookie"])
        .get(40)
        .with(&["if-none-match: \"a\""])
        .confirms(&["etag: \"a\"", "set-cookie: e=f"])
        .validated()
        .gives(304, "")
        .has(&["set-cookie: e=f"]),
        case(
            "a_cookie_of_a_304_is_given_once_by_a_private_cache",
            "9111 7.3",
            Private,
        )
        .get(0)
        .says(&["cache-control: max-age=10", "etag: \"a\""])
        .fetched()
        .get(20)
        .confirms(&[
            "cache-control: max-age=10",
            "etag: \"a\"",
            "set-cookie: a=b",
        ])
        .validated()
        .has(&["set-cookie: a=b"]),
        case(
            "a_cookie_of_the_request_does_not_hide_what_everyone_may_have",
            "9111 4",
            Both,
        )
        .suite("other-cookie")
        .get(0)
        .with(&["cookie: a=b"])
        .says(&["cache-control: public, max-age=60"])
        .fetched()
        .get(1)
        .with(&["cookie: a=b"])
        .stored(),
    ]
}
