//! HTTP caching as a table of cases: what is asked, what the origin would say, and what has to come back. Data alone, free of any
//! runner; each case names the section of the RFC that it follows, and the case of the public suite http-tests/cache-tests that asks
//! for the same, where there is one.

mod age;
mod check;
#[cfg(test)]
mod checklist;
mod expires;
mod failing;
mod freshness;
mod giving;
mod heuristic;
mod interim;
mod player;
mod request;
mod selecting;
mod status;
mod storing;
mod targeted;
mod template;

pub use check::{Seen, check};
pub use player::{Player, play_all};
pub use template::{START, line, lines};

/// Which caches a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caches {
    /// A cache of one user.
    Private,
    /// A cache of several users.
    Shared,
    /// Either.
    Both,
}

use Caches::{Both, Private, Shared};

impl Caches {
    /// Tells whether the case applies to a cache that is `shared`, or not.
    pub fn apply_to(self, shared: bool) -> bool {
        match self {
            Both => true,
            Shared => shared,
            Private => !shared,
        }
    }
}

/// A case: requests in turn, through one cache that is empty at first.
#[derive(Clone, Debug)]
pub struct Case {
    /// A sentence in snake case.
    pub name: String,
    /// Number and section of the RFC, such as `9111 5.2.2.5`.
    pub rfc: &'static str,
    /// The id in the public suite.
    pub suite: Option<String>,
    /// Which caches it is about.
    pub caches: Caches,
    /// The fields that go before `Cache-Control` in this cache (RFC 9213), the first of them first.
    pub targeted: Vec<&'static str>,
    /// The requests.
    pub steps: Vec<Step>,
}

/// A request, and what has to come back.
#[derive(Clone, Debug)]
pub struct Step {
    /// Seconds since [`START`]; a clock may go back.
    pub at: i64,
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The header lines of the request, as templates for [`lines`].
    pub request: Vec<String>,
    /// What the origin sends before its answer: statuses below 200, each with its lines as templates for [`lines`].
    pub interim: Vec<(u16, Vec<String>)>,
    /// What the origin answers if it is asked.
    pub origin: Answer,
    /// Where the answer has to come from.
    pub from: From,
    /// Whether the answer from the store is refreshed behind.
    pub refreshes: bool,
    /// Whether the origin is asked once more, without a condition: it confirmed what is not stored.
    pub asked_again: bool,
    /// Lines that the origin has to be asked with.
    pub asked_with: Vec<String>,
    /// Names of fields that the origin must not see.
    pub asked_without: Vec<&'static str>,
    /// The status that has to come back.
    pub status: u16,
    /// Lines that the answer must have: the whole list of those of one name.
    pub has: Vec<String>,
    /// Names of fields that the answer must not have.
    pub lacks: Vec<&'static str>,
    /// The body that has to come back.
    pub body: String,
}

/// What an origin does when it is asked.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It answers.
    Reply {
        /// The status.
        status: u16,
        /// The header lines, as templates for [`lines`].
        lines: Vec<String>,
        /// The body.
        body: String,
    },
    /// It closes the connection.
    Unreachable,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The origin, whose own answer it is.
    Origin,
    /// The store; nobody is waited for.
    Store,
    /// The store, after the origin was asked: it confirmed the answer, or failed.
    Validated,
    /// Nowhere: only a stored answer was wanted (504).
    Refused,
    /// Nowhere: the origin failed (502).
    BadGateway,
}

/// Every case.
pub fn all() -> Vec<Case> {
    [
        storing::cases(),
        freshness::cases(),
        expires::cases(),
        age::cases(),
        heuristic::cases(),
        request::cases(),
        selecting::cases(),
        giving::cases(),
        failing::cases(),
        targeted::cases(),
        status::cases(),
        interim::cases(),
    ]
    .concat()
}

/// Begins a case.
fn case(name: impl Into<String>, rfc: &'static str, caches: Caches) -> Case {
    Case {
        name: name.into(),
        rfc,
        suite: None,
        caches,
        targeted: Vec::new(),
        steps: Vec::new(),
    }
}

/// An answer with these lines is used again after so many seconds.
fn reused(name: &str, rfc: &'static str, caches: Caches, says: &[&str], after: i64) -> Case {
    case(name, rfc, caches)
        .get(0)
        .says(says)
        .fetched()
        .get(after)
        .stored()
}

/// An answer with these lines is not used again after so many seconds.
fn not_reused(name: &str, rfc: &'static str, caches: Caches, says: &[&str], after: i64) -> Case {
    case(name, rfc, caches)
        .get(0)
        .says(says)
        .fetched()
        .get(after)
        .fetched()
}

/// A row of a table of answers: name, id in the suite or nothing, lines, seconds, and whether the answer is used again then.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], i64, bool);

fn rows(rfc: &'static str, caches: Caches, rows: &[Row<'_>]) -> Vec<Case> {
    let each = rows.iter().map(|(name, suite, says, after, again)| {
        let make = if *again { reused } else { not_reused };
        make(name, rfc, caches, says, *after).suite(suite)
    });
    each.collect()
}

impl Case {
    /// The case of the public suite that asks for the same; none where it is empty.
    fn suite(mut self, id: &str) -> Self {
        self.suite = (!id.is_empty()).then(|| id.to_owned());
        self
    }

    fn get(self, at: i64) -> Self {
        self.ask("GET", at, "/a")
    }

    fn ask(mut self, method: &'static str, at: i64, path: &str) -> Self {
        let body = format!("body {}", self.steps.len());
        self.steps.push(Step {
            at,
            method,
            path: path.to_owned(),
            request: Vec::new(),
            interim: Vec::new(),
            origin: Answer::Reply {
                status: 200,
                lines: Vec::new(),
                body: body.clone(),
            },
            from: From::Origin,
            refreshes: false,
            asked_again: false,
            asked_with: Vec::new(),
            asked_without: Vec::new(),
            status: 200,
            has: Vec::new(),
            lacks: Vec::new(),
            body,
        });
        self
    }

    fn step(&mut self) -> &mut Step {
        self.steps.last_mut().expect("a case begins with a request")
    }

    /// Lines of the request.
    fn with(mut self, request: &[&str]) -> Self {
        self.step().request = owned(request);
        self
    }

    /// The origin would answer with these lines, and 200.
    fn says(self, lines: &[&str]) -> Self {
        self.answers(200, lines)
    }

    fn answers(mut self, code: u16, said: &[&str]) -> Self {
        let step = self.step();
        step.status = code;
        if let Answer::Reply { status, lines, .. } = &mut step.origin {
            *status = code;
            *lines = owned(said);
        }
        if matches!(code, 204 | 205 | 304) || step.method == "HEAD" {
            self.text("")
        } else {
            self
        }
    }

    /// The origin would answer with this body.
    fn text(mut self, text: &str) -> Self {
        let step = self.step();
        step.body = text.to_owned();
        if let Answer::Reply { body, .. } = &mut step.origin {
            *body = text.to_owned();
        }
        self
    }

    /// The origin would confirm what it is asked about, with these lines.
    fn confirms(self, lines: &[&str]) -> Self {
        self.answers(304, lines)
    }

    /// This comes back, whatever was given in between.
    fn gives(mut self, status: u16, body: &str) -> Self {
        let step = self.step();
        step.status = status;
        step.body = body.to_owned();
        self
    }

    /// Only for caches of several users.
    fn shared(mut self) -> Self {
        self.caches = Shared;
        self
    }

    /// What is stored is refreshed behind the answer.
    fn refreshed_behind(mut self) -> Self {
        self.step().refreshes = true;
        self
    }

    /// The origin is asked twice: the second time without a condition.
    fn asked_again(mut self) -> Self {
        self.step().asked_again = true;
        self
    }

    /// The origin sends this before its answer; once more, and it sends both.
    fn announces(mut self, status: u16, said: &[&str]) -> Self {
        self.step().interim.push((status, owned(said)));
        self
    }

    /// In a cache that heeds these fields before `Cache-Control`.
    fn heeding(mut self, fields: &[&'static str]) -> Self {
        self.targeted = fields.to_vec();
        self
    }

    fn unreachable(mut self) -> Self {
        self.step().origin = Answer::Unreachable;
        self
    }

    /// The origin's answer comes back.
    fn fetched(self) -> Self {
        self.comes(From::Origin)
    }

    /// What is stored comes back, and the origin is not asked.
    fn stored(self) -> Self {
        self.held().comes(From::Store)
    }

    /// What is stored comes back after the origin was asked.
    fn validated(self) -> Self {
        self.held().comes(From::Validated)
    }

    /// 504, and the origin is not asked.
    fn refused(mut self) -> Self {
        self.step().status = 504;
        self.comes(From::Refused)
    }

    /// 502.
    fn bad_gateway(mut self) -> Self {
        self.step().status = 502;
        self.comes(From::BadGateway)
    }

    fn comes(mut self, from: From) -> Self {
        self.step().from = from;
        self
    }

    /// Expects what the origin last gave for the same path in a step before.
    fn held(mut self) -> Self {
        let now = self.steps.len() - 1;
        let path = self.steps[now].path.clone();
        let before = self.steps[..now]
            .iter()
            .rev()
            .find(|step| step.path == path && step.method == "GET" && step.from == From::Origin);
        let (status, body) = before.map_or((200, String::new()), |s| (s.status, s.body.clone()));
        let head = self.step().method == "HEAD";
        let step = self.step();
        step.status = status;
        step.body = if head { String::new() } else { body };
        self
    }

    fn has(mut self, lines: &[&str]) -> Self {
        self.step().has = owned(lines);
        self
    }

    fn lacks(mut self, names: &[&'static str]) -> Self {
        self.step().lacks = names.to_vec();
        self
    }

    fn asked_with(mut self, lines: &[&str]) -> Self {
        self.step().asked_with = owned(lines);
        self
    }

    fn asked_without(mut self, names: &[&'static str]) -> Self {
        self.step().asked_without = names.to_vec();
        self
    }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_a_name_of_its_own_and_lines_that_can_be_read() {
        let cases = all();
        let mut names = HashSet::new();
        let twice: Vec<_> = cases
            .iter()
            .filter(|case| !names.insert(&case.name))
            .collect();
        assert!(twice.is_empty(), "{twice:#?}");
        assert!(cases.len() >= 300, "{}", cases.len());
        for step in cases.iter().flat_map(|case| &case.steps) {
            for templates in [&step.request, &step.asked_with, &step.has] {
                _ = lines(templates, step.at);
            }
            if let Answer::Reply { lines: said, .. } = &step.origin {
                _ = lines(said, step.at);
            }
            for (status, said) in &step.interim {
                assert!((100..200).contains(status), "{status} is no interim status");
                _ = lines(said, step.at);
            }
        }
    }

    /// What the public suite leaves out, and which cases ask for it here.
    const BEYOND_THE_SUITE: &[(&str, &[&str])] = &[
        (
            "capitals beside a lifetime",
            &[
                "no_store_in_capitals_beside_freshness_is_not_stored",
                "private_in_capitals_is_not_stored_by_a_shared_cache",
            ],
        ),
        (
            "max-stale against each directive that forbids it",
            &[
                "max_stale_does_not_lift_no_cache",
                "max_stale_does_not_lift_no_store",
                "max_stale_does_not_lift_must_revalidate",
                "max_stale_does_not_lift_proxy_revalidate_in_a_shared_cache",
                "max_stale_does_not_lift_s_maxage_in_a_shared_cache",
            ],
        ),
        (
            "bytes beyond ASCII in Cache-Control and Vary",
            &[
                "foreign_bytes_in_cache_control_let_nothing_be_stored_for_several",
                "foreign_bytes_in_cache_control_mean_no_cache_for_one_user",
                "no_store_behind_foreign_bytes_is_not_stored",
                "a_vary_with_foreign_bytes_selects_nothing",
            ],
        ),
        (
            "a quoted extension that hides a lifetime",
            &[
                "max_age_inside_a_quoted_extension_says_nothing",
                "an_escaped_quote_does_not_end_an_extension",
            ],
        ),
        (
            "repeated lines through the store, a 304 and the replay",
            &[
                "repeated_lines_come_back_in_their_order",
                "repeated_lines_that_a_304_does_not_name_stay",
                "repeated_lines_of_a_304_take_the_place_of_others",
            ],
        ),
        (
            "a 304 without a validator",
            &["a_304_without_validator_confirms_what_was_asked_about"],
        ),
        (
            "ages beyond all bounds",
            &[
                "a_large_age_is_stale",
                "an_age_of_2_to_the_63_is_stale",
                "an_age_of_2_to_the_64_less_1_is_stale",
                "an_age_of_10_to_the_30_is_stale",
            ],
        ),
        (
            "a Date that is a day off",
            &[
                "a_date_of_yesterday_makes_an_hour_stale",
                "a_date_of_tomorrow_does_not_lengthen_max_age",
                "a_date_of_tomorrow_leaves_max_age_as_it_is",
            ],
        ),
        (
            "safe methods invalidate nothing",
            &[
                "a_get_does_not_invalidate_what_its_answer_names",
                "a_head_does_not_invalidate_what_its_answer_names",
                "a_head_that_fails_leaves_what_is_stored",
                "an_options_leaves_what_is_stored",
            ],
        ),
        (
            "only-if-cached with something stored",
            &[
                "only_if_cached_takes_what_is_stored",
                "only_if_cached_refuses_what_is_stale",
            ],
        ),
        (
            "conditions that only the origin can judge, and a star",
            &[
                "if_match_is_judged_by_the_origin",
                "if_unmodified_since_is_judged_by_the_origin",
                "a_star_is_any_answer",
            ],
        ),
        (
            "If-Range, 416, several ranges",
            &[
                "if_range_with_the_tag_is_given_the_part",
                "if_range_with_another_tag_is_given_all",
                "if_range_with_the_date_of_the_change_is_given_the_part",
                "if_range_with_another_date_is_given_all",
                "a_range_beyond_the_end_is_416",
                "several_ranges_are_given_all",
            ],
        ),
        (
            "a clock that jumps",
            &[
                "a_clock_that_goes_back_an_hour_makes_the_age_unknown",
                "a_clock_that_goes_back_a_day_makes_the_age_unknown",
                "a_clock_that_comes_back_does_not_lengthen_a_lifetime",
            ],
        ),
    ];

    #[test]
    fn what_the_public_suite_leaves_out_is_asked_for_here() {
        let cases = all();
        for (what, names) in BEYOND_THE_SUITE {
            for name in *names {
                let found = cases.iter().any(|case| case.name == *name);
                assert!(found, "{what}: there is no case {name}");
            }
        }
    }

    #[test]
    fn every_rfc_has_its_cases() {
        let cases = all();
        for rfc in ["5861", "8246", "9110", "9111", "9211", "9213", "9875"] {
            let of = |case: &&Case| case.rfc.split(' ').next() == Some(rfc);
            let count = cases.iter().filter(of).count();
            assert!(count >= 3, "RFC {rfc} has {count} cases");
        }
    }
}
