//! How long an answer is fresh (RFC 9111 4.2), and how old it is.

use super::{Both, Case, Private, Shared, case, rows};

pub(super) fn cases() -> Vec<Case> {
    [
        max_age(),
        s_maxage(),
        expires(),
        ages(),
        heuristic(),
        no_cache(),
        clock(),
    ]
    .concat()
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

fn expires() -> Vec<Case> {
    rows(
        "9111 5.3",
        Both,
        &[
            (
                "an_expires_in_the_future_is_fresh",
                "freshness-expires-future",
                &["expires: {date+3600}", "date: {date+0}"],
                3,
                true,
            ),
            (
                "an_expires_in_the_past_is_stale",
                "freshness-expires-past",
                &["expires: {date-3600}", "date: {date+0}"],
                1,
                false,
            ),
            (
                "an_expires_of_now_is_stale",
                "freshness-expires-present",
                &["expires: {date+0}", "date: {date+0}"],
                0,
                false,
            ),
            (
                "an_expires_ends_in_time",
                "",
                &["expires: {date+60}", "date: {date+0}"],
                60,
                false,
            ),
            (
                "an_expires_counts_from_the_date_of_the_answer",
                "freshness-expires-old-date",
                &["expires: {date-1800}", "date: {date-3600}"],
                1,
                false,
            ),
            (
                "an_expires_without_date_counts_from_its_arrival",
                "",
                &["expires: {date+60}"],
                59,
                true,
            ),
            (
                "an_expires_that_is_no_date_is_stale",
                "freshness-expires-invalid",
                &["expires: 0", "date: {date+0}"],
                1,
                false,
            ),
            (
                "an_expires_of_minus_one_is_stale",
                "",
                &["expires: -1"],
                1,
                false,
            ),
            (
                "an_expires_beside_age_ends_earlier",
                "freshness-expires-age-slow-date",
                &["expires: {date+10}", "date: {date+0}", "age: 25"],
                1,
                false,
            ),
            (
                "age_does_not_count_twice_beside_an_old_date",
                "",
                &["expires: {date+60}", "date: {date-60}", "age: 60"],
                59,
                true,
            ),
            (
                "a_date_of_tomorrow_does_not_lengthen_expires",
                "",
                &["expires: {date+60}", "date: {date+86400}"],
                1,
                false,
            ),
            (
                "an_expires_far_in_the_future_is_fresh",
                "freshness-expires-far-future",
                &["expires: Sun, 21 Nov 2286 04:46:39 GMT"],
                3,
                true,
            ),
            (
                "an_expires_past_32_bits_is_fresh",
                "freshness-expires-32bit",
                &["expires: Tue, 19 Jan 2038 14:14:08 GMT"],
                3,
                true,
            ),
            (
                "an_expires_in_the_form_of_rfc_850_is_read",
                "freshness-expires-rfc850",
                &["expires: Thursday, 18-Aug-50 02:01:18 GMT"],
                3,
                true,
            ),
            (
                "an_expires_in_the_form_of_asctime_is_read",
                "freshness-expires-ansi-c",
                &["expires: Thu Aug 18 02:01:18 2050"],
                3,
                true,
            ),
            (
                "an_expires_in_another_time_zone_is_stale",
                "freshness-expires-invalid-aest",
                &["expires: Thu, 18 Aug 2050 02:01:18 AEST"],
                1,
                false,
            ),
            (
                "an_expires_with_a_year_of_two_digits_is_stale",
                "freshness-expires-invalid-2-digit-year",
                &["expires: Thu, 18 Aug 50 02:01:18 GMT"],
                1,
                false,
            ),
            (
                "an_expires_with_points_in_its_time_is_stale",
                "freshness-expires-invalid-time-periods",
                &["expires: Thu, 18 Aug 2050 02.01.18 GMT"],
                1,
                false,
            ),
            (
                "two_different_expires_are_stale",
                "freshness-expires-invalid-multiple-lines",
                &["expires: {date+60}", "expires: {date+90}"],
                1,
                false,
            ),
            (
                "the_same_expires_twice_is_one",
                "",
                &["expires: {date+60}", "expires: {date+60}"],
                59,
                true,
            ),
        ],
    )
}

fn ages() -> Vec<Case> {
    let mut cases = rows(
        "9111 5.1",
        Both,
        &[
            (
                "a_large_age_is_stale",
                "age-parse-large",
                &["cache-control: max-age=3600", "age: 2147483648"],
                1,
                false,
            ),
            (
                "an_age_below_2_to_the_31_is_stale",
                "age-parse-large-minus-one",
                &["cache-control: max-age=3600", "age: 2147483647"],
                1,
                false,
            ),
            (
                "an_age_above_2_to_the_31_is_stale",
                "age-parse-larger",
                &["cache-control: max-age=3600", "age: 2147483649"],
                1,
                false,
            ),
            (
                "an_age_of_2_to_the_63_is_stale",
                "",
                &["cache-control: max-age=3600", "age: 9223372036854775808"],
                1,
                false,
            ),
            (
                "an_age_of_2_to_the_64_less_1_is_stale",
                "",
                &["cache-control: max-age=3600", "age: 18446744073709551615"],
                1,
                false,
            ),
            (
                "an_age_of_10_to_the_30_is_stale",
                "",
                &[
                    "cache-control: max-age=3600",
                    "age: 1000000000000000000000000000000",
                ],
                1,
                false,
            ),
            (
                "the_largest_age_uses_up_the_largest_max_age",
                "",
                &[
                    "cache-control: max-age=2147483648",
                    "age: 18446744073709551615",
                ],
                1,
                false,
            ),
            (
                "an_age_that_is_no_number_is_ignored",
                "age-parse-nonnumeric",
                &["cache-control: max-age=3600", "age: abc"],
                3,
                true,
            ),
            (
                "a_negative_age_is_ignored",
                "age-parse-negative",
                &["cache-control: max-age=3600", "age: -7200"],
                3,
                true,
            ),
            (
                "an_age_with_a_fraction_is_ignored",
                "age-parse-float",
                &["cache-control: max-age=3600", "age: 7200.0"],
                3,
                true,
            ),
            (
                "the_first_of_two_ages_on_a_line_counts",
                "age-parse-suffix",
                &["cache-control: max-age=3600", "age: 7200, 0"],
                1,
                false,
            ),
            (
                "the_first_of_two_age_lines_counts",
                "age-parse-suffix-twoline",
                &["cache-control: max-age=3600", "age: 7200", "age: 0"],
                1,
                false,
            ),
            (
                "a_second_age_on_a_line_does_not_count",
                "age-parse-dup-0",
                &["cache-control: max-age=3600", "age: 0, 7200"],
                1,
                true,
            ),
            (
                "an_age_with_a_parameter_is_ignored",
                "age-parse-parameter",
                &["cache-control: max-age=3600", "age: 7200;foo=bar"],
                3,
                true,
            ),
        ],
    );
    for (name, suite, says, shown) in [
        (
            "an_answer_from_the_store_tells_its_age",
            "other-age-gen",
            vec!["cache-control: max-age=60"],
            "age: 10",
        ),
        (
            "an_answer_from_the_store_adds_to_the_age_it_came_with",
            "other-age-update-max-age",
            vec!["cache-control: max-age=60", "age: 30"],
            "age: 40",
        ),
        (
            "an_answer_by_expires_adds_to_the_age_it_came_with",
            "other-age-update-expires",
            vec!["expires: {date+60}", "age: 30"],
            "age: 40",
        ),
        (
            "an_age_counts_from_an_old_date",
            "",
            vec!["cache-control: max-age=60", "date: {date-20}"],
            "age: 30",
        ),
        (
            "an_age_takes_the_larger_of_date_and_age",
            "",
            vec!["cache-control: max-age=60", "date: {date-20}", "age: 5"],
            "age: 30",
        ),
        (
            "a_date_of_tomorrow_makes_no_age",
            "",
            vec!["cache-control: max-age=60", "date: {date+86400}"],
            "age: 10",
        ),
    ] {
        cases.push(
            case(name, "9111 4.2.3", Both)
                .suite(suite)
                .get(0)
                .says(&says)
                .fetched()
                .get(10)
                .stored()
                .has(&[shown]),
        );
    }
    cases.push(
        case("the_date_of_an_answer_is_never_altered", "9111 5.1", Both)
            .suite("other-date-update")
            .get(0)
            .says(&["cache-control: max-age=60", "date: {date-5}"])
            .fetched()
            .get(10)
            .stored()
            .has(&["date: {date-15}"]),
    );
    cases.push(
        case(
            "the_expires_of_an_answer_is_never_altered",
            "9111 5.1",
            Both,
        )
        .suite("other-date-update-expires-update")
        .get(0)
        .says(&["expires: {date+60}", "date: {date+0}"])
        .fetched()
        .get(10)
        .stored()
        .has(&["expires: {date+50}", "date: {date-10}"]),
    );
    cases
}

fn heuristic() -> Vec<Case> {
    let mut cases = rows(
        "9111 4.2.2",
        Both,
        &[
            (
                "a_tenth_of_the_time_since_it_changed_is_guessed",
                "heuristic-delta-5",
                &["last-modified: {date-600}"],
                59,
                true,
            ),
            (
                "a_guess_ends_at_a_tenth",
                "",
                &["last-modified: {date-600}"],
                60,
                false,
            ),
            (
                "a_guess_is_at_most_a_day",
                "",
                &["last-modified: {date-8640000}"],
                86_399,
                true,
            ),
            (
                "a_guess_of_more_than_a_day_is_cut",
                "",
                &["last-modified: {date-86400000}"],
                86_400,
                false,
            ),
            (
                "a_change_in_the_future_is_no_guess",
                "",
                &["last-modified: {date+600}"],
                1,
                false,
            ),
            (
                "a_change_just_now_is_no_guess",
                "",
                &["last-modified: {date+0}"],
                1,
                false,
            ),
            (
                "a_change_at_no_date_is_no_guess",
                "",
                &["last-modified: yesterday"],
                1,
                false,
            ),
            (
                "an_expires_in_the_past_goes_before_a_guess",
                "",
                &["last-modified: {date-6000}", "expires: {date-1}"],
                1,
                false,
            ),
            (
                "a_max_age_of_nothing_goes_before_a_guess",
                "",
                &["last-modified: {date-6000}", "cache-control: max-age=0"],
                1,
                false,
            ),
            ("an_etag_alone_is_no_guess", "", &["etag: \"a\""], 1, false),
            (
                "a_download_is_guessed_like_anything_else",
                "other-heuristic-content-disposition-attachment",
                &[
                    "last-modified: {date-6000}",
                    "content-disposition: attachment",
                ],
                3,
                true,
            ),
            (
                "a_download_with_a_lifetime_is_fresh",
                "other-fresh-content-disposition-attachment",
                &[
                    "cache-control: max-age=60",
                    "content-disposition: attachment",
                ],
                3,
                true,
            ),
            (
                "age_is_taken_off_a_guess",
                "",
                &["last-modified: {date-600}", "age: 60"],
                1,
                false,
            ),
        ],
    );
    for status in [200, 203, 300, 301, 308, 404, 405, 410, 414, 501] {
        let allowed = case(
            format!("status_{status}_by_its_last_change"),
            "9111 4.2.2",
            Both,
        )
        .suite(&format!("heuristic-{status}-cached"))
        .get(0)
        .answers(status, &["last-modified: {date-6000}"])
        .fetched()
        .get(3);
        cases.push(allowed.stored());
    }
    for status in [
        201, 202, 302, 303, 307, 400, 401, 403, 406, 409, 418, 429, 500, 502, 503, 504, 599,
    ] {
        cases.push(
            case(
                format!("status_{status}_is_never_guessed"),
                "9111 4.2.2",
                Both,
            )
            .suite(&format!("heuristic-{status}-not_cached"))
            .get(0)
            .answers(status, &["last-modified: {date-6000}"])
            .fetched()
            .get(3)
            .fetched(),
        );
    }
    cases.dedup_by(|one, other| one.name == other.name);
    cases
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
        back("a_clock_that_goes_back_two_seconds_is_borne", -2).stored(),
        back("a_clock_that_jumps_a_day_ahead_ends_the_lifetime", 86_400).fetched(),
        back("a_clock_that_comes_back_does_not_lengthen_a_lifetime", 30)
            .stored()
            .get(-2)
            .stored()
            .get(60)
            .fetched(),
    ]
}
