//! Lifetimes that are guessed (RFC 9111 4.2.2).

use super::{Both, Case, case, rows};

pub(super) fn cases() -> Vec<Case> {
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
