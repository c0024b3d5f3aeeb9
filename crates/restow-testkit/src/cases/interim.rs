//! Statuses below 200 (RFC 9110 15.2): they come before the answer, and are none.

use super::{Both, Case, case};

pub(super) fn cases() -> Vec<Case> {
    let early = &["link: </a.css>; rel=preload; as=style", "x-early: 1"][..];
    let fresh = &["cache-control: max-age=60"][..];
    let announced = |name: &str, suite: &str, status, before: &[&str], says: &[&str]| {
        case(name, "9110 15.2", Both)
            .suite(suite)
            .get(0)
            .announces(status, before)
            .says(says)
            .fetched()
            .lacks(&["x-early"])
    };
    vec![
        announced("what_follows_102_is_stored", "interim-102", 102, &[], fresh)
            .get(1)
            .stored(),
        announced(
            "what_follows_103_is_stored",
            "interim-103",
            103,
            early,
            fresh,
        )
        .get(1)
        .stored(),
        announced(
            "fields_of_an_interim_answer_are_not_stored",
            "interim-no-header-reuse",
            103,
            early,
            fresh,
        )
        .get(1)
        .stored()
        .lacks(&["x-early", "link"]),
        announced(
            "an_interim_answer_with_a_lifetime_is_not_stored",
            "interim-not-cached",
            103,
            &["cache-control: max-age=3600", "x-early: 1"],
            &[],
        )
        .get(1)
        .fetched(),
        announced(
            "no_store_in_an_interim_answer_says_nothing",
            "",
            103,
            &["cache-control: no-store", "x-early: 1"],
            fresh,
        )
        .get(1)
        .stored(),
        announced(
            "vary_in_an_interim_answer_says_nothing",
            "",
            103,
            &["vary: *", "x-early: 1"],
            fresh,
        )
        .get(1)
        .stored(),
        announced(
            "a_tag_in_an_interim_answer_is_no_validator",
            "",
            103,
            &["etag: \"early\"", "x-early: 1"],
            &["cache-control: max-age=1", "etag: \"a\""],
        )
        .get(10)
        .confirms(&[])
        .validated()
        .asked_with(&["if-none-match: \"a\""]),
        announced("several_interim_answers_are_none", "", 103, early, fresh)
            .announces(103, &["x-early: 2"])
            .announces(102, &[])
            .get(1)
            .stored()
            .lacks(&["x-early"]),
        case(
            "an_interim_answer_before_a_304_renews_nothing",
            "9110 15.2",
            Both,
        )
        .get(0)
        .says(&["cache-control: max-age=1", "etag: \"a\""])
        .fetched()
        .get(10)
        .announces(103, &["cache-control: max-age=3600", "x-early: 1"])
        .confirms(&["cache-control: max-age=1"])
        .validated()
        .lacks(&["x-early"])
        .get(20)
        .confirms(&[])
        .validated(),
    ]
}
