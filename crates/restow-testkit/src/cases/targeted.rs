//! `Cache-Control` for one kind of cache (RFC 9213).

use super::{Case, Shared, case};

pub(super) fn cases() -> Vec<Case> {
    [lifetimes(), replacing(), several(), elsewhere()].concat()
}

const CDN: &[&str] = &["cdn-cache-control"];

/// A row: name, id in the suite or nothing, lines, seconds, and whether the answer is used again then.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], i64, bool);

fn rows(heeding: &[&'static str], rows: &[Row<'_>]) -> Vec<Case> {
    let each = rows.iter().map(|(name, suite, says, after, again)| {
        let asked = case(*name, "9213 2", Shared)
            .suite(suite)
            .heeding(heeding)
            .get(0)
            .says(says)
            .fetched()
            .get(*after);
        if *again {
            asked.stored()
        } else {
            asked.fetched()
        }
    });
    each.collect()
}

fn lifetimes() -> Vec<Case> {
    rows(
        CDN,
        &[
            (
                "a_targeted_max_age_makes_an_answer_fresh",
                "cdn-max-age",
                &["cdn-cache-control: max-age=3600"],
                3,
                true,
            ),
            (
                "a_targeted_max_age_ends_in_time",
                "",
                &["cdn-cache-control: max-age=60"],
                60,
                false,
            ),
            (
                "a_targeted_max_age_of_2_to_the_31_is_fresh",
                "cdn-max-age-max",
                &["cdn-cache-control: max-age=2147483648"],
                3,
                true,
            ),
            (
                "a_targeted_max_age_beyond_32_bits_is_fresh",
                "cdn-max-age-max-plus",
                &["cdn-cache-control: max-age=99999999999"],
                3,
                true,
            ),
            (
                "age_on_arrival_is_taken_off_a_targeted_max_age",
                "cdn-max-age-age",
                &[
                    "date: {date+0}",
                    "cdn-cache-control: max-age=3600",
                    "age: 7200",
                ],
                1,
                false,
            ),
            (
                "a_targeted_max_age_of_nothing_is_stale",
                "cdn-max-age-0",
                &["cdn-cache-control: max-age=0"],
                1,
                false,
            ),
            (
                "an_unknown_targeted_directive_does_not_hide_max_age",
                "cdn-max-age-extension",
                &["cdn-cache-control: foobar, max-age=3600"],
                3,
                true,
            ),
            (
                "a_targeted_s_maxage_goes_before_max_age",
                "",
                &["cdn-cache-control: s-maxage=60, max-age=1"],
                59,
                true,
            ),
        ],
    )
}

fn replacing() -> Vec<Case> {
    rows(
        CDN,
        &[
            (
                "a_targeted_lifetime_goes_before_an_expires_in_the_past",
                "cdn-max-age-expires",
                &[
                    "cdn-cache-control: max-age=3600",
                    "expires: {date-10000}",
                    "date: {date+0}",
                ],
                3,
                true,
            ),
            (
                "a_targeted_lifetime_goes_before_an_expires_that_is_no_date",
                "cdn-max-age-cc-max-age-invalid-expires",
                &[
                    "cdn-cache-control: max-age=3600",
                    "expires: 0",
                    "date: {date+0}",
                ],
                3,
                true,
            ),
            (
                "a_targeted_lifetime_of_nothing_goes_before_a_future_expires",
                "cdn-max-age-0-expires",
                &[
                    "cdn-cache-control: max-age=0",
                    "expires: {date+10000}",
                    "date: {date+0}",
                ],
                1,
                false,
            ),
            (
                "a_long_targeted_lifetime_goes_before_a_short_one",
                "cdn-max-age-short-cc-max-age",
                &[
                    "cache-control: max-age=1",
                    "cdn-cache-control: max-age=3600",
                ],
                3,
                true,
            ),
            (
                "a_short_targeted_lifetime_goes_before_a_long_one",
                "cdn-max-age-long-cc-max-age",
                &[
                    "cache-control: max-age=3600",
                    "cdn-cache-control: max-age=1",
                ],
                3,
                false,
            ),
            (
                "a_targeted_private_is_not_stored",
                "cdn-private",
                &[
                    "cdn-cache-control: private",
                    "cache-control: max-age=10000",
                    "expires: {date+10000}",
                ],
                0,
                false,
            ),
            (
                "a_targeted_no_cache_is_not_used_without_asking",
                "cdn-no-cache",
                &[
                    "cdn-cache-control: no-cache",
                    "cache-control: max-age=10000",
                    "expires: {date+10000}",
                ],
                0,
                false,
            ),
            (
                "a_targeted_no_store_is_not_stored",
                "cdn-no-store-cc-fresh",
                &[
                    "cache-control: max-age=10000",
                    "cdn-cache-control: no-store",
                    "expires: {date+10000}",
                ],
                1,
                false,
            ),
            (
                "a_targeted_lifetime_lifts_no_store_for_others",
                "cdn-fresh-cc-nostore",
                &[
                    "cache-control: no-store",
                    "cdn-cache-control: max-age=10000",
                ],
                1,
                true,
            ),
            (
                "a_targeted_lifetime_lifts_private_for_others",
                "",
                &[
                    "cache-control: private, max-age=60",
                    "cdn-cache-control: max-age=60",
                ],
                1,
                true,
            ),
            (
                "a_targeted_lifetime_goes_before_what_cannot_be_read",
                "",
                &[
                    "cache-control: max-age=60;",
                    "cdn-cache-control: max-age=60",
                ],
                59,
                true,
            ),
        ],
    )
}

fn several() -> Vec<Case> {
    let no_store = "cache-control: no-store";
    [
        rows(
            CDN,
            &[
                (
                    "a_targeted_field_with_an_unknown_type_is_as_if_not_there",
                    "cdn-cc-invalid-sh-type-unknown",
                    &["cdn-cache-control: max-age=10000, &&&&&", no_store],
                    1,
                    false,
                ),
                (
                    "a_targeted_lifetime_of_a_wrong_type_is_as_if_not_there",
                    "cdn-cc-invalid-sh-type-wrong",
                    &["cdn-cache-control: max-age=\"10000\"", no_store],
                    1,
                    false,
                ),
                (
                    "a_targeted_lifetime_with_a_space_before_its_value_is_as_if_not_there",
                    "cdn-max-age-space-after-equals",
                    &[
                        "cache-control: max-age=1",
                        "cdn-cache-control: max-age= 100",
                    ],
                    3,
                    false,
                ),
                (
                    "a_targeted_lifetime_with_a_space_after_its_name_is_as_if_not_there",
                    "cdn-max-age-space-before-equals",
                    &[
                        "cache-control: max-age=1",
                        "cdn-cache-control: max-age =100",
                    ],
                    3,
                    false,
                ),
                (
                    "a_targeted_lifetime_in_capitals_is_as_if_not_there",
                    "",
                    &["cdn-cache-control: MaX-aGe=3600"],
                    3,
                    false,
                ),
                (
                    "a_negative_targeted_lifetime_is_as_if_not_there",
                    "",
                    &["cache-control: max-age=60", "cdn-cache-control: max-age=-1"],
                    59,
                    true,
                ),
                (
                    "an_empty_targeted_field_is_as_if_not_there",
                    "",
                    &["cdn-cache-control:", no_store],
                    1,
                    false,
                ),
                (
                    "a_targeted_field_in_two_lines_is_one",
                    "",
                    &[
                        "cdn-cache-control: max-age=60",
                        "cdn-cache-control: no-store",
                    ],
                    1,
                    false,
                ),
            ],
        ),
        rows(
            &["own-cache-control", "cdn-cache-control"],
            &[
                (
                    "the_first_target_goes_before_the_second",
                    "",
                    &[
                        "cdn-cache-control: no-store",
                        "own-cache-control: max-age=60",
                    ],
                    59,
                    true,
                ),
                (
                    "the_first_target_forbids_what_the_second_allows",
                    "",
                    &[
                        "cdn-cache-control: max-age=60",
                        "own-cache-control: no-store",
                    ],
                    1,
                    false,
                ),
                (
                    "the_second_target_counts_where_the_first_cannot_be_read",
                    "",
                    &[
                        "own-cache-control: max-age=x y",
                        "cdn-cache-control: max-age=60",
                        no_store,
                    ],
                    59,
                    true,
                ),
            ],
        ),
        rows(
            &[],
            &[
                (
                    "a_field_for_other_caches_says_nothing",
                    "",
                    &["cdn-cache-control: no-store", "cache-control: max-age=60"],
                    59,
                    true,
                ),
                (
                    "a_field_for_other_caches_makes_nothing_fresh",
                    "",
                    &["cdn-cache-control: max-age=60"],
                    1,
                    false,
                ),
            ],
        ),
    ]
    .concat()
}

/// The field where something else is decided than how long an answer is fresh.
fn elsewhere() -> Vec<Case> {
    let held = |name: &str, suite: &str, says: &[&str]| {
        case(name, "9213 2", Shared)
            .suite(suite)
            .heeding(CDN)
            .get(0)
            .says(says)
            .fetched()
            .get(10)
    };
    let long = "cdn-cache-control: max-age=10000";
    let authorized = |name: &str, says: &[&str]| {
        case(name, "9213 2", Shared)
            .heeding(CDN)
            .get(0)
            .with(&["authorization: a"])
            .says(says)
            .fetched()
            .get(1)
            .with(&["authorization: b"])
    };
    vec![
        held(
            "a_targeted_field_goes_on_to_the_caches_behind",
            "cdn-remove-header",
            &["cache-control: max-age=1", long],
        )
        .stored()
        .has(&[long, "cache-control: max-age=1"]),
        held(
            "what_is_fresh_by_a_target_tells_its_age",
            "cdn-remove-age-exceed",
            &["cache-control: max-age=1", long],
        )
        .stored()
        .has(&["age: 10"]),
        held(
            "what_is_fresh_by_a_target_keeps_its_dates",
            "cdn-expires-update-exceed",
            &[
                "cache-control: max-age=1",
                long,
                "date: {date+0}",
                "expires: {date+1}",
            ],
        )
        .stored()
        .has(&["date: {date-10}", "expires: {date-9}"]),
        held(
            "a_targeted_must_revalidate_lets_nothing_stand_in",
            "",
            &["cdn-cache-control: max-age=1, must-revalidate"],
        )
        .unreachable()
        .bad_gateway(),
        held(
            "a_targeted_stale_if_error_lets_it_stand_in",
            "",
            &["cdn-cache-control: max-age=1, stale-if-error=60"],
        )
        .answers(503, &[])
        .validated(),
        held(
            "a_304_brings_another_targeted_lifetime",
            "",
            &["cdn-cache-control: max-age=1", "etag: \"a\""],
        )
        .confirms(&["cdn-cache-control: max-age=60"])
        .validated()
        .get(60)
        .stored(),
        authorized(
            "a_targeted_public_shares_an_authorized_answer",
            &["cdn-cache-control: public, max-age=60"],
        )
        .stored(),
        authorized(
            "public_for_others_shares_nothing_beside_a_target",
            &[
                "cdn-cache-control: max-age=60",
                "cache-control: public, max-age=60",
            ],
        )
        .fetched(),
    ]
}
