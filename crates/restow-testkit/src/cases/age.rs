//! How old an answer is (RFC 9111 4.2.3, 5.1).

use super::{Both, Case, case, rows};

pub(super) fn cases() -> Vec<Case> {
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
