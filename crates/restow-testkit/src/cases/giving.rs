//! How much of what is stored a client gets: its own conditions and ranges, HEAD.

use super::{Both, Case, case};

pub(super) fn cases() -> Vec<Case> {
    [conditions(), preconditions(), ranges(), head()].concat()
}

fn conditions() -> Vec<Case> {
    let held = |name: &str, suite: &str, request: &[&str]| {
        case(name, "9111 4.3.2", Both)
            .suite(suite)
            .get(0)
            .says(&[
                "cache-control: max-age=60",
                "etag: \"a\"",
                "last-modified: {date-600}",
            ])
            .fetched()
            .get(1)
            .with(request)
    };
    let same = |name: &str, suite: &str, request: &[&str]| {
        let mut case = held(name, suite, request).stored();
        if let Some(step) = case.steps.last_mut() {
            step.status = 304;
            step.body = String::new();
        }
        case
    };
    vec![
        same(
            "a_client_that_has_it_gets_304",
            "conditional-etag-strong-respond",
            &["if-none-match: \"a\""],
        ),
        same(
            "tags_are_compared_weakly",
            "conditional-etag-weak-respond",
            &["if-none-match: W/\"a\""],
        ),
        same(
            "one_of_several_tags_is_enough",
            "conditional-etag-strong-respond-multiple-first",
            &["if-none-match: \"a\", \"b\""],
        ),
        same(
            "the_last_of_several_tags_is_enough",
            "conditional-etag-strong-respond-multiple-last",
            &["if-none-match: \"b\", \"a\""],
        ),
        same("a_star_is_any_answer", "", &["if-none-match: *"]),
        same(
            "a_date_that_is_not_before_the_change_gets_304",
            "conditional-lm-fresh",
            &["if-modified-since: {date+0}"],
        ),
        held("another_tag_gets_the_answer", "", &["if-none-match: \"b\""]).stored(),
        held(
            "a_tag_goes_before_a_date",
            "conditional-etag-precedence",
            &["if-none-match: \"b\"", "if-modified-since: {date+0}"],
        )
        .stored(),
        held(
            "an_earlier_date_gets_the_answer",
            "conditional-lm-fresh-earlier",
            &["if-modified-since: {date-3600}"],
        )
        .stored(),
        held(
            "a_date_that_cannot_be_read_is_ignored",
            "",
            &["if-modified-since: yesterday"],
        )
        .stored(),
    ]
}

/// Conditions that only the origin can judge: it sees them, its answer is for who asked, and nothing stands in for it.
fn preconditions() -> Vec<Case> {
    let held = |name: String, says: &str, method: &'static str, at, condition: &str| {
        case(name, "9110 13.1", Both)
            .get(0)
            .says(&[says, "etag: \"a\"", "last-modified: {date-600}"])
            .fetched()
            .ask(method, at, "/a")
            .with(&[condition, "if-none-match: \"b\""])
            .asked_with(&[condition, "if-none-match: \"b\""])
    };
    let (plain, for_errors) = (
        "cache-control: max-age=60",
        "cache-control: max-age=60, stale-if-error=60",
    );
    let mut all = Vec::new();
    for (name, condition) in [
        ("if_match", "if-match: \"z\""),
        ("if_unmodified_since", "if-unmodified-since: {date-3600}"),
    ] {
        let judged = |of: &str, method, answer| {
            let name = format!("{name}{of}_is_judged_by_the_origin");
            held(name, plain, method, 1, condition)
                .answers(answer, &["cache-control: max-age=60", "etag: \"b\""])
                .fetched()
                .get(2)
                .stored()
                .gives(200, "body 0")
        };
        all.push(judged("", "GET", 412));
        all.push(judged("_that_holds", "GET", 200));
        all.push(judged("_of_a_head", "HEAD", 412));
        let none = format!("nothing_stands_in_for_what_{name}_asks_for");
        let none = held(none, for_errors, "GET", 100, condition);
        all.push(none.answers(503, &[]).fetched());
        let none = format!("{name}_where_the_origin_closes_is_502");
        let none = held(none, plain, "GET", 100, condition);
        all.push(none.unreachable().bad_gateway());
    }
    all
}

fn ranges() -> Vec<Case> {
    let held = |name: &str, request: &[&str]| {
        case(name, "9110 14.2", Both)
            .get(0)
            .says(&[
                "cache-control: max-age=60",
                "etag: \"a\"",
                "date: {date+0}",
                "last-modified: {date-600}",
            ])
            .text("0123456789")
            .fetched()
            .get(1)
            .with(request)
            .stored()
    };
    let part = |name: &str, request: &[&str], content_range: &str, body: &str| {
        let mut case = held(name, request).has(&[content_range]);
        if let Some(step) = case.steps.last_mut() {
            step.status = 206;
            step.body = body.to_owned();
        }
        case
    };
    let mut beyond = held("a_range_beyond_the_end_is_416", &["range: bytes=10-"])
        .has(&["content-range: bytes */10"]);
    if let Some(step) = beyond.steps.last_mut() {
        step.status = 416;
        step.body = String::new();
    }
    vec![
        part(
            "a_part_is_cut_from_what_is_held",
            &["range: bytes=2-4"],
            "content-range: bytes 2-4/10",
            "234",
        )
        .suite("partial-use-headers"),
        part(
            "a_part_without_end_goes_to_the_end",
            &["range: bytes=7-"],
            "content-range: bytes 7-9/10",
            "789",
        ),
        part(
            "a_part_from_the_end_is_counted_from_there",
            &["range: bytes=-3"],
            "content-range: bytes 7-9/10",
            "789",
        ),
        part(
            "a_part_that_is_too_long_ends_at_the_end",
            &["range: bytes=8-100"],
            "content-range: bytes 8-9/10",
            "89",
        ),
        part(
            "if_range_with_the_tag_is_given_the_part",
            &["range: bytes=2-4", "if-range: \"a\""],
            "content-range: bytes 2-4/10",
            "234",
        ),
        part(
            "if_range_with_the_date_of_the_change_is_given_the_part",
            &["range: bytes=2-4", "if-range: {date-601}"],
            "content-range: bytes 2-4/10",
            "234",
        ),
        beyond,
        held(
            "if_range_with_another_date_is_given_all",
            &["range: bytes=2-4", "if-range: {date-600}"],
        )
        .lacks(&["content-range"]),
        held(
            "if_range_with_another_tag_is_given_all",
            &["range: bytes=2-4", "if-range: \"b\""],
        )
        .lacks(&["content-range"]),
        held(
            "if_range_with_a_weak_tag_is_given_all",
            &["range: bytes=2-4", "if-range: W/\"a\""],
        ),
        held("several_ranges_are_given_all", &["range: bytes=0-1, 4-5"]),
        held("another_unit_is_given_all", &["range: lines=1-2"]),
        held(
            "a_range_that_cannot_be_read_is_given_all",
            &["range: bytes=4-2"],
        ),
        case(
            "a_part_of_the_origins_is_never_taken_for_the_whole",
            "9111 3.3",
            Both,
        )
        .get(0)
        .with(&["range: bytes=0-1"])
        .answers(
            206,
            &["cache-control: max-age=60", "content-range: bytes 0-1/10"],
        )
        .text("01")
        .fetched()
        .get(1)
        .fetched(),
    ]
}

fn head() -> Vec<Case> {
    let stored = |name: &str, rfc| {
        case(name, rfc, Both)
            .get(0)
            .says(&["cache-control: max-age=5", "etag: \"a\""])
            .fetched()
    };
    let leaves = |name: &str, rfc, request: &[&str], says: &[&str]| {
        stored(name, rfc)
            .ask("HEAD", 1, "/a")
            .with(request)
            .says(says)
            .fetched()
            .get(2)
            .stored()
    };
    vec![
        leaves(
            "a_head_that_is_not_to_be_stored_leaves_what_is_stored",
            "9111 5.2.1.5",
            &["cache-control: no-store"],
            &["cache-control: max-age=5", "etag: \"a\""],
        ),
        leaves(
            "its_other_tag_leaves_what_is_stored_too",
            "9111 5.2.1.5",
            &["cache-control: no-store"],
            &["cache-control: max-age=5", "etag: \"b\""],
        ),
        leaves(
            "a_head_of_a_credential_leaves_what_others_are_given",
            "9111 3.5",
            &["authorization: a"],
            &["cache-control: max-age=5", "etag: \"a\""],
        )
        .shared(),
        leaves(
            "another_tag_for_a_credential_leaves_what_others_are_given",
            "9111 3.5",
            &["authorization: a"],
            &["cache-control: max-age=5", "etag: \"b\""],
        )
        .shared(),
        stored("head_is_answered_by_what_is_stored_for_get", "9111 4")
            .ask("HEAD", 1, "/a")
            .stored(),
        stored("head_with_the_same_tag_renews_what_is_stored", "9111 4.3.5")
            .ask("HEAD", 10, "/a")
            .says(&["cache-control: max-age=60", "etag: \"a\""])
            .fetched()
            .get(20)
            .stored(),
        stored("head_with_another_tag_makes_it_invalid", "9111 4.3.5")
            .ask("HEAD", 10, "/a")
            .says(&["cache-control: max-age=60", "etag: \"b\""])
            .fetched()
            .get(11)
            .fetched()
            .asked_without(&["if-none-match"]),
        case("an_answer_to_head_is_not_one_to_get", "9111 3", Both)
            .ask("HEAD", 0, "/a")
            .says(&["cache-control: max-age=60"])
            .fetched()
            .get(1)
            .fetched(),
    ]
}
