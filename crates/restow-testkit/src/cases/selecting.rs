//! What a request selects and what confirms it: `Vary`, validation, 304.

use super::{Both, Case, case};

pub(super) fn cases() -> Vec<Case> {
    [vary(), validation(), updates()].concat()
}

/// Stored for the request `one`, asked for with the request `other`.
fn varies(name: &str, suite: &str, vary: &str, one: &[&str], other: &[&str]) -> Case {
    case(name, "9111 4.1", Both)
        .suite(suite)
        .get(0)
        .with(one)
        .says(&["cache-control: max-age=60", vary])
        .fetched()
        .get(1)
        .with(other)
}

fn vary() -> Vec<Case> {
    let by_foo = "vary: foo";
    vec![
        varies(
            "the_same_value_selects_what_is_stored",
            "vary-match",
            by_foo,
            &["foo: 1"],
            &["foo: 1"],
        )
        .stored(),
        varies(
            "another_value_selects_nothing",
            "vary-no-match",
            by_foo,
            &["foo: 1"],
            &["foo: 2"],
        )
        .fetched(),
        varies(
            "a_value_that_is_missing_selects_nothing",
            "vary-omit-stored",
            by_foo,
            &["foo: 1"],
            &[],
        )
        .fetched(),
        varies(
            "a_value_where_there_was_none_selects_nothing",
            "vary-omit",
            by_foo,
            &[],
            &["foo: 1"],
        )
        .fetched(),
        varies(
            "none_both_times_selects_what_is_stored",
            "",
            by_foo,
            &[],
            &[],
        )
        .stored(),
        varies("an_empty_value_is_not_none", "", by_foo, &["foo:"], &[]).fetched(),
        varies("a_star_selects_nothing", "vary-star", "vary: *", &[], &[]).fetched(),
        varies(
            "a_star_among_names_selects_nothing",
            "vary-syntax-foo-star",
            "vary: foo, *",
            &[],
            &[],
        )
        .fetched(),
        varies(
            "names_in_any_case_select",
            "vary-cache-key",
            "vary: FOO",
            &["foo: 1"],
            &["foo: 2"],
        )
        .fetched(),
        varies(
            "two_names_select_by_both",
            "vary-2-match",
            "vary: foo, bar",
            &["foo: 1", "bar: a"],
            &["foo: 1", "bar: a"],
        )
        .stored(),
        varies(
            "two_names_of_which_one_differs_select_nothing",
            "vary-2-no-match",
            "vary: foo, bar",
            &["foo: 1", "bar: a"],
            &["foo: 1", "bar: b"],
        )
        .fetched(),
        varies(
            "a_field_that_vary_does_not_name_selects_nothing_else",
            "vary-headers",
            by_foo,
            &["foo: 1", "baz: 1"],
            &["foo: 1", "baz: 2"],
        )
        .stored(),
        varies(
            "two_lines_equal_a_list_in_one",
            "vary-normalise-combine",
            by_foo,
            &["foo: 1, 2"],
            &["foo: 1", "foo: 2"],
        )
        .stored(),
        varies(
            "whitespace_in_a_list_does_not_count",
            "vary-normalise-space",
            by_foo,
            &["foo: 1,2"],
            &["foo:  1, 2 "],
        )
        .stored(),
        varies(
            "languages_are_the_same_in_any_case",
            "vary-normalise-lang-case",
            "vary: accept-language",
            &["accept-language: en, de"],
            &["accept-language: eN, De"],
        )
        .stored(),
        varies(
            "a_vary_that_cannot_be_read_selects_nothing",
            "",
            "vary: foo bar",
            &[],
            &[],
        )
        .fetched(),
        varies(
            "a_vary_with_foreign_bytes_selects_nothing",
            "",
            "vary: foo, \u{ff}",
            &[],
            &[],
        )
        .fetched(),
        varies(
            "a_value_with_foreign_bytes_selects_like_any_other",
            "",
            by_foo,
            &["foo: \u{fe}"],
            &["foo: \u{fe}"],
        )
        .stored(),
        varies(
            "foreign_bytes_that_differ_select_nothing",
            "",
            by_foo,
            &["foo: \u{fe}"],
            &["foo: \u{ff}"],
        )
        .fetched(),
        varies(
            "several_variants_are_held_at_once",
            "vary-3-match",
            by_foo,
            &["foo: 1"],
            &["foo: 2"],
        )
        .says(&["cache-control: max-age=60", by_foo])
        .fetched()
        .get(2)
        .with(&["foo: 2"])
        .stored(),
    ]
}

fn validation() -> Vec<Case> {
    let with = |name: &str, suite: &str, says: &[&str]| {
        case(name, "9111 4.3.1", Both)
            .suite(suite)
            .get(0)
            .says(says)
            .fetched()
            .get(10)
    };
    vec![
        with(
            "a_stale_answer_is_validated_by_its_tag",
            "conditional-etag-strong-generate",
            &["cache-control: max-age=1", "etag: \"a\""],
        )
        .confirms(&["etag: \"a\""])
        .validated()
        .asked_with(&["if-none-match: \"a\""]),
        with(
            "a_weak_tag_is_sent_as_it_came",
            "conditional-etag-weak-generate-weak",
            &["cache-control: max-age=1", "etag: W/\"a\""],
        )
        .confirms(&["etag: W/\"a\""])
        .validated()
        .asked_with(&["if-none-match: W/\"a\""]),
        with(
            "a_tag_without_quotes_is_sent_as_it_came",
            "conditional-etag-forward-unquoted",
            &["cache-control: max-age=1", "etag: a"],
        )
        .confirms(&["etag: a"])
        .validated()
        .asked_with(&["if-none-match: a"]),
        with(
            "a_stale_answer_is_validated_by_its_date",
            "",
            &[
                "cache-control: max-age=1",
                "last-modified: Sat, 01 Aug 2026 00:00:00 GMT",
            ],
        )
        .confirms(&[])
        .validated()
        .asked_with(&["if-modified-since: Sat, 01 Aug 2026 00:00:00 GMT"]),
        with(
            "both_validators_are_sent",
            "",
            &[
                "cache-control: max-age=1",
                "etag: \"a\"",
                "last-modified: Sat, 01 Aug 2026 00:00:00 GMT",
            ],
        )
        .confirms(&[])
        .validated()
        .asked_with(&[
            "if-none-match: \"a\"",
            "if-modified-since: Sat, 01 Aug 2026 00:00:00 GMT",
        ]),
        with(
            "without_a_validator_the_origin_is_asked_without_condition",
            "",
            &["cache-control: max-age=1"],
        )
        .fetched()
        .asked_without(&["if-none-match", "if-modified-since"]),
        with(
            "no_cache_beside_a_lifetime_is_validated_each_time",
            "cc-resp-no-cache-revalidate",
            &["cache-control: no-cache, max-age=60", "etag: \"a\""],
        )
        .confirms(&["etag: \"a\"", "cache-control: no-cache, max-age=60"])
        .validated(),
        with(
            "a_new_answer_takes_the_place_of_the_stale_one",
            "",
            &["cache-control: max-age=1", "etag: \"a\""],
        )
        .says(&["cache-control: max-age=60", "etag: \"b\""])
        .fetched()
        .get(11)
        .stored(),
        with(
            "the_clients_own_condition_is_not_mixed_with_ours",
            "",
            &["cache-control: max-age=1", "etag: \"a\""],
        )
        .with(&["if-none-match: \"z\""])
        .confirms(&["etag: \"a\""])
        .validated()
        .asked_with(&["if-none-match: \"a\""]),
    ]
}

fn updates() -> Vec<Case> {
    let confirmed = |name: &str, suite: &str, stored: &[&str], fresh: &[&str]| {
        let says: Vec<&str> = [&["cache-control: max-age=1", "etag: \"a\""], stored].concat();
        case(name, "9111 3.2", Both)
            .suite(suite)
            .get(0)
            .says(&says)
            .fetched()
            .get(10)
            .confirms(fresh)
            .validated()
    };
    vec![
        confirmed(
            "a_304_adds_a_field",
            "304-etag-update-response-Test-Header",
            &[],
            &["x-new: 1"],
        )
        .has(&["x-new: 1"]),
        confirmed("a_304_replaces_a_field", "", &["x-old: 1"], &["x-old: 2"]).has(&["x-old: 2"]),
        confirmed(
            "a_304_replaces_all_lines_of_a_field",
            "",
            &["x-old: 1", "x-old: 2"],
            &["x-old: 3"],
        )
        .has(&["x-old: 3"]),
        confirmed(
            "a_304_takes_away_the_age_of_the_answer_it_renews",
            "",
            &["age: 30"],
            &["cache-control: max-age=60"],
        )
        .get(25)
        .stored()
        .has(&["age: 15"]),
        case("repeated_lines_come_back_in_their_order", "9111 3.1", Both)
            .get(0)
            .says(&[
                "cache-control: max-age=60",
                "link: <2>",
                "x-old: 1",
                "link: <1>",
            ])
            .fetched()
            .get(1)
            .stored()
            .has(&["link: <2>", "link: <1>", "x-old: 1"]),
        confirmed(
            "repeated_lines_that_a_304_does_not_name_stay",
            "",
            &["link: <2>", "link: <1>"],
            &["cache-control: max-age=60"],
        )
        .has(&["link: <2>", "link: <1>"])
        .get(20)
        .stored()
        .has(&["link: <2>", "link: <1>"]),
        confirmed(
            "repeated_lines_of_a_304_take_the_place_of_others",
            "",
            &["link: <2>", "link: <1>", "x-old: 1"],
            &["cache-control: max-age=60", "link: <4>", "link: <3>"],
        )
        .has(&["link: <4>", "link: <3>", "x-old: 1"])
        .get(20)
        .stored()
        .has(&["link: <4>", "link: <3>", "x-old: 1"]),
        confirmed(
            "a_field_that_a_304_does_not_name_stays",
            "",
            &["x-old: 1"],
            &[],
        )
        .has(&["x-old: 1"]),
        confirmed(
            "a_304_does_not_change_the_encoding",
            "304-etag-update-response-Content-Encoding",
            &["x-a: 1"],
            &["content-encoding: gzip"],
        )
        .lacks(&["content-encoding"]),
        confirmed(
            "a_304_changes_the_type",
            "",
            &["content-type: text/plain"],
            &["content-type: text/html"],
        )
        .has(&["content-type: text/html"]),
        confirmed(
            "a_304_that_says_for_how_long_makes_it_fresh",
            "",
            &[],
            &["cache-control: max-age=60"],
        )
        .get(20)
        .stored(),
        confirmed(
            "a_304_without_validator_confirms_what_was_asked_about",
            "",
            &[],
            &["cache-control: max-age=60"],
        )
        .get(20)
        .stored(),
        case("a_304_with_another_tag_renews_nothing", "9111 4.3.4", Both)
            .get(0)
            .says(&["cache-control: max-age=1", "etag: \"a\""])
            .fetched()
            .get(10)
            .confirms(&["cache-control: max-age=60", "etag: \"b\""])
            .fetched()
            .asked_again()
            .get(11)
            .fetched(),
        case(
            "a_304_with_another_tag_confirms_nothing",
            "9111 4.3.4",
            Both,
        )
        .get(0)
        .says(&["cache-control: max-age=1", "etag: \"a\"", "x-mark: 1"])
        .fetched()
        .get(10)
        .says(&["cache-control: max-age=60", "etag: \"b\"", "x-mark: 2"])
        .fetched()
        .has(&["x-mark: 2"]),
    ]
}
