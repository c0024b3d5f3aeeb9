//! How long an answer is fresh by what it says (RFC 9111 4.2).

use super::{Both, Case, Private, Shared, case, rows};

pub(super) fn cases() -> Vec<Case> {
    [max_age(), s_maxage(), no_cache(), clock()].concat()
}

fn max_age() -> Vec<Case> {
    rows(
        "9111 4.2.1",
        Both,
        &[
            ("nothing_said_is_not_fresh", "freshness-none", &[], 1, false),
            (
                "max_age_makes_an_answer_fresh",
                "freshness-max-age",
                &["cache-control: max-age=3600"],
                3,
                true,
            ),
            (
                "an_answer_is_fresh_until_the_second_before_its_max_age",
                "",
                &["cache-control: max-age=60"],
                59,
                true,
            ),
            (
                "an_answer_is_stale_when_its_age_is_its_max_age",
                "",
                &["cache-control: max-age=60"],
                60,
                false,
            ),
            (
                "past_its_max_age_an_answer_is_stale",
                "freshness-max-age-stale",
                &["cache-control: max-age=2"],
                3,
                false,
            ),
            (
                "max_age_of_nothing_is_stale_at_once",
                "freshness-max-age-0",
                &["cache-control: max-age=0"],
                0,
                false,
            ),
            (
                "max_age_below_2_to_the_31_is_fresh",
                "freshness-max-age-max-minus-1",
                &["cache-control: max-age=2147483647"],
                3,
                true,
            ),
            (
                "max_age_of_2_to_the_31_is_fresh",
                "freshness-max-age-max",
                &["cache-control: max-age=2147483648"],
                3,
                true,
            ),
            (
                "max_age_above_2_to_the_31_is_fresh",
                "freshness-max-age-max-plus-1",
                &["cache-control: max-age=2147483649"],
                3,
                true,
            ),
            (
                "max_age_beyond_64_bits_is_fresh",
                "freshness-max-age-max-plus",
                &["cache-control: max-age=99999999999"],
                3,
                true,
            ),
            (
                "age_on_arrival_is_taken_off_max_age",
                "freshness-max-age-age",
                &["cache-control: max-age=3600", "age: 7200"],
                1,
                false,
            ),
            (
                "age_on_arrival_leaves_the_rest_of_max_age",
                "",
                &["cache-control: max-age=60", "age: 30"],
                29,
                true,
            ),
            (
                "the_rest_of_max_age_ends_in_time",
                "",
                &["cache-control: max-age=60", "age: 30"],
                30,
                false,
            ),
            (
                "an_old_date_is_taken_off_max_age",
                "freshness-max-age-date",
                &["cache-control: max-age=3600", "date: {date-7200}"],
                1,
                false,
            ),
            (
                "a_date_of_yesterday_makes_an_hour_stale",
                "",
                &["cache-control: max-age=3600", "date: {date-86400}"],
                1,
                false,
            ),
            (
                "a_date_of_tomorrow_does_not_lengthen_max_age",
                "",
                &["cache-control: max-age=60", "date: {date+86400}"],
                60,
                false,
            ),
            (
                "a_date_of_tomorrow_leaves_max_age_as_it_is",
                "",
                &["cache-control: max-age=60", "date: {date+86400}"],
                59,
                true,
            ),
            (
                "max_age_goes_before_an_expires_in_the_past",
                "freshness-max-age-expires",
                &["cache-control: max-age=3600", "expires: {date-7200}"],
                3,
                true,
            ),
            (
                "max_age_goes_before_an_invalid_expires",
                "freshness-max-age-expires-invalid",
                &["cache-control: max-age=3600", "expires: 0"],
                3,
                true,
            ),
            (
                "max_age_of_nothing_goes_before_a_future_expires",
                "freshness-max-age-0-expires",
                &["cache-control: max-age=0", "expires: {date+7200}"],
                1,
                false,
            ),
            (
                "an_unknown_directive_does_not_hide_max_age",
                "freshness-max-age-extension",
                &["cache-control: foobar, max-age=3600"],
                3,
                true,
            ),
            (
                "max_age_is_read_in_any_case",
                "freshness-max-age-case-insenstive",
                &["cache-control: MaX-aGe=3600"],
                3,
                true,
            ),
            (
                "a_negative_max_age_is_stale",
                "freshness-max-age-negative",
                &["cache-control: max-age=-3600"],
                1,
                false,
            ),
            (
                "max_age_without_a_value_is_stale",
                "",
                &["cache-control: max-age"],
                1,
                false,
            ),
            (
                "two_different_max_ages_on_one_line_are_stale",
                "freshness-max-age-two-fresh-stale-sameline",
                &["cache-control: max-age=1800, max-age=1"],
                3,
                false,
            ),
            (
                "two_different_max_ages_on_two_lines_are_stale",
                "freshness-max-age-two-fresh-stale-sepline",
                &["cache-control: max-age=1800", "cache-control: max-age=1"],
                3,
                false,
            ),
            (
                "a_short_max_age_before_a_long_one_is_stale",
                "freshness-max-age-two-stale-fresh-sameline",
                &["cache-control: max-age=1, max-age=1800"],
                3,
                false,
            ),
            (
                "a_short_max_age_on_a_line_before_a_long_one_is_stale",
                "freshness-max-age-two-stale-fresh-sepline",
                &["cache-control: max-age=1", "cache-control: max-age=1800"],
                3,
                false,
            ),
            (
                "the_same_max_age_twice_is_one",
                "",
                &["cache-control: max-age=60, max-age=60"],
                59,
                true,
            ),
            (
                "a_quoted_max_age_is_read",
                "freshness-max-age-quoted",
                &["cache-control: max-age=\"3600\""],
                3,
                true,
            ),
            (
                "max_age_with_leading_zeros_is_read",
                "freshness-max-age-leading-zero",
                &["cache-control: max-age=003600"],
                3,
                true,
            ),
            (
                "max_age_inside_a_quoted_extension_says_nothing",
                "freshness-max-age-ignore-quoted",
                &["cache-control: extension=\"max-age=3600\", max-age=1"],
                3,
                false,
            ),
            (
                "max_age_inside_a_later_quoted_extension_says_nothing",
                "freshness-max-age-ignore-quoted-rev",
                &["cache-control: max-age=1, extension=\"max-age=3600\""],
                3,
                false,
            ),
            (
                "max_age_with_spaces_around_its_sign_is_stale",
                "",
                &["cache-control: max-age = 60"],
                1,
                false,
            ),
            (
                "a_lifetime_after_a_name_without_a_comma_is_stale",
                "",
                &["cache-control: public max-age=60"],
                1,
                false,
            ),
            (
                "an_escaped_quote_does_not_end_an_extension",
                "",
                &["cache-control: x=\"a\\\", max-age=3600\""],
                3,
                false,
            ),
        ],
    )
}

fn s_maxage() -> Vec<Case> {
    [
        rows(
            "9111 5.2.2.10",
            Shared,
            &[
                (
                    "s_maxage_makes_an_answer_fresh_in_a_shared_cache",
                    "freshness-s-maxage-shared",
                    &["cache-control: s-maxage=3600"],
                    3,
                    true,
                ),
                (
                    "s_maxage_goes_before_a_shorter_max_age",
                    "freshness-max-age-s-maxage-shared-longer",
                    &["cache-control: max-age=3, s-maxage=3600"],
                    5,
                    true,
                ),
                (
                    "s_maxage_goes_before_a_shorter_max_age_after_it",
                    "freshness-max-age-s-maxage-shared-longer-reversed",
                    &["cache-control: s-maxage=3600, max-age=3"],
                    5,
                    true,
                ),
                (
                    "s_maxage_on_another_line_goes_before_max_age",
                    "freshness-max-age-s-maxage-shared-longer-multiple",
                    &["cache-control: max-age=3", "cache-control: s-maxage=3600"],
                    5,
                    true,
                ),
                (
                    "s_maxage_goes_before_a_longer_max_age",
                    "freshness-max-age-s-maxage-shared-shorter",
                    &["cache-control: max-age=3600, s-maxage=1"],
                    3,
                    false,
                ),
                (
                    "s_maxage_goes_before_expires",
                    "freshness-max-age-s-maxage-shared-shorter-expires",
                    &["cache-control: s-maxage=1", "expires: {date+3600}"],
                    3,
                    false,
                ),
                (
                    "s_maxage_of_nothing_is_stale_at_once",
                    "",
                    &["cache-control: s-maxage=0, max-age=60"],
                    0,
                    false,
                ),
                (
                    "two_different_s_maxages_are_stale",
                    "",
                    &["cache-control: s-maxage=60, s-maxage=90"],
                    1,
                    false,
                ),
                (
                    "an_unreadable_s_maxage_is_stale",
                    "",
                    &["cache-control: s-maxage=x, max-age=60"],
                    1,
                    false,
                ),
                (
                    "s_maxage_is_read_in_any_case",
                    "",
                    &["cache-control: S-MaxAge=60"],
                    59,
                    true,
                ),
            ],
        ),
        rows(
            "9111 5.2.2.10",
            Private,
            &[
                (
                    "a_private_cache_does_not_heed_s_maxage",
                    "",
                    &["cache-control: s-maxage=3600"],
                    3,
                    false,
                ),
                (
                    "a_private_cache_goes_by_the_longer_max_age",
                    "",
                    &["cache-control: max-age=60, s-maxage=1"],
                    59,
                    true,
                ),
                (
                    "a_private_cache_goes_by_the_shorter_max_age",
                    "",
                    &["cache-control: max-age=1, s-maxage=3600"],
                    3,
                    false,
                ),
                (
                    "a_private_cache_goes_by_expires_beside_s_maxage",
                    "",
                    &["cache-control: s-maxage=0", "expires: {date+60}"],
                    59,
                    true,
                ),
            ],
        ),
    ]
    .concat()
}

fn no_cache() -> Vec<Case> {
    let mut cases = rows(
        "9111 5.2.2.4",
        Both,
        &[
            (
                "no_cache_is_not_used_without_asking",
                "cc-resp-no-cache",
                &["cache-control: no-cache"],
                1,
                false,
            ),
            (
                "no_cache_in_capitals_is_not_used_without_asking",
                "cc-resp-no-cache-case-insensitive",
                &["cache-control: No-CaChE"],
                1,
                false,
            ),
            (
                "no_cache_beside_freshness_is_not_used_without_asking",
                "cc-resp-no-cache-revalidate-fresh",
                &["cache-control: No-Cache, max-age=3600"],
                1,
                false,
            ),
            (
                "no_cache_beside_expires_is_not_used_without_asking",
                "",
                &["cache-control: no-cache", "expires: {date+600}"],
                1,
                false,
            ),
            (
                "no_cache_with_a_token_means_the_whole",
                "",
                &["cache-control: no-cache=x, max-age=60"],
                1,
                false,
            ),
            (
                "pragma_in_an_answer_says_nothing",
                "pragma-response-no-cache",
                &["cache-control: max-age=60", "pragma: no-cache"],
                1,
                true,
            ),
        ],
    );
    cases.push(
        case("no_cache_is_validated_each_time", "9111 5.2.2.4", Both)
            .suite("cc-resp-no-cache-revalidate")
            .get(0)
            .says(&["cache-control: no-cache", "etag: \"a\""])
            .fetched()
            .get(1)
            .confirms(&["etag: \"a\"", "cache-control: no-cache"])
            .validated()
            .asked_with(&["if-none-match: \"a\""])
            .get(2)
            .confirms(&["etag: \"a\""])
            .validated(),
    );
    for (name, suite, says) in [
        (
            "no_cache_for_a_field_leaves_that_field_out",
            "headers-omit-headers-listed-in-Cache-Control-no-cache-single",
            "cache-control: no-cache=\"x-a\", max-age=60",
        ),
        (
            "no_cache_for_several_fields_leaves_them_out",
            "headers-omit-headers-listed-in-Cache-Control-no-cache",
            "cache-control: no-cache=\"x-a, X-B\", max-age=60",
        ),
    ] {
        cases.push(
            case(name, "9111 5.2.2.4", Both)
                .suite(suite)
                .get(0)
                .says(&[says, "x-a: 1", "x-c: 1"])
                .fetched()
                .get(1)
                .stored()
                .has(&["x-c: 1"])
                .lacks(&["x-a"]),
        );
    }
    cases
}

fn clock() -> Vec<Case> {
    let back = |name: &str, at: i64| {
        case(name, "9111 4.2.3", Both)
            .get(0)
            .says(&["cache-control: max-age=60"])
            .fetched()
            .get(at)
    };
    vec![
        back(
            "a_clock_that_goes_back_an_hour_makes_the_age_unknown",
            -3_600,
        )
        .fetched(),
        back(
            "a_clock_that_goes_back_a_day_makes_the_age_unknown",
            -86_400,
        )
        .fetched(),
        back("a_clock_that_goes_back_two_seconds_is_borne", -2)
            .stored()
            .has(&["age: 0"]),
        back("a_clock_that_jumps_a_day_ahead_ends_the_lifetime", 86_400).fetched(),
        back("a_clock_that_comes_back_does_not_lengthen_a_lifetime", 30)
            .stored()
            .get(-2)
            .stored()
            .get(60)
            .fetched(),
    ]
}
