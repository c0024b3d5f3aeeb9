//! The checklist of what a cache has to do, and the cases that ask for each line of it.

use super::{Caches, Case, all};

/// A line: its sections, whether it is for private and for shared caches, and how the ids of the public suite begin that ask for it.
type Line = (&'static [&'static str], bool, bool, &'static [&'static str]);

const LINES: [Line; 26] = [
    (&["9111 3"], true, true, &["cc-resp-no-store"]),
    (
        &["9111 5.2.2.7"],
        false,
        true,
        &[
            "cc-resp-private-shared",
            "freshness-max-age-case-insenstive",
        ],
    ),
    (
        &["9111 3.1"],
        true,
        true,
        &["headers-store-", "headers-omit-"],
    ),
    (&["9111 3.2", "9111 4.3.4"], true, true, &["304-"]),
    (&["9111 3.3"], true, true, &["partial-"]),
    (&["9111 3.5"], false, true, &["other-authorization"]),
    (
        &["9111 4", "9111 4.1"],
        true,
        true,
        &["query-args-", "vary-", "vary-syntax-"],
    ),
    (
        &["9111 4.2.1"],
        true,
        true,
        &["freshness-max-age", "freshness-expires-"],
    ),
    (&["9111 4.2.2"], true, true, &["heuristic-"]),
    (
        &["9111 4.2.3"],
        true,
        true,
        &["age-parse-", "other-age-", "freshness-max-age-date"],
    ),
    (
        &["9111 4.2.4", "9111 5.2.2.2"],
        true,
        true,
        &["stale-close", "stale-503"],
    ),
    (
        &["9111 4.3.1"],
        true,
        true,
        &["conditional-etag-", "conditional-lm-"],
    ),
    (
        &["9111 4.3.2"],
        false,
        true,
        &["conditional-etag-precedence"],
    ),
    (&["9111 4.3.3"], true, true, &["stale-503", "stale-sie-503"]),
    (&["9111 4.3.5"], true, true, &[]),
    (&["9111 4.4"], true, true, &["invalidate-"]),
    (
        &["9111 5.1"],
        true,
        true,
        &["other-age-gen", "other-age-update-", "other-date-update"],
    ),
    (
        &["9111 5.2.1.1", "9111 5.2.1.2", "9111 5.2.1.3"],
        true,
        true,
        &["ccreq-ma", "ccreq-max-stale", "ccreq-min-fresh"],
    ),
    (
        &["9111 5.2.1.4", "9111 5.2.1.5", "9111 5.2.1.7", "9111 5.4"],
        true,
        true,
        &["ccreq-no-cache", "ccreq-no-store", "ccreq-oic", "pragma-"],
    ),
    (
        &["9111 5.2.2.3"],
        true,
        true,
        &["status-200-must-understand"],
    ),
    (
        &["5861 3", "5861 4"],
        true,
        true,
        &["stale-while-revalidate", "stale-sie-"],
    ),
    (&["8246 2"], true, false, &["cc-resp-immutable-"]),
    (&["9213 2"], false, true, &["cdn-"]),
    (&["9211 2"], false, true, &[]),
    (&["9875 3"], true, true, &[]),
    (
        &["9110 15.2"],
        false,
        true,
        &[
            "interim-102",
            "interim-103",
            "interim-no-header-reuse",
            "interim-not-cached",
        ],
    ),
];

fn is_for(case: &Case, private: bool) -> bool {
    match case.caches {
        Caches::Both => true,
        Caches::Private => private,
        Caches::Shared => !private,
    }
}

#[test]
fn every_line_of_the_checklist_has_its_cases() {
    let cases = all();
    let mut missing = Vec::new();
    for (sections, private, shared, ids) in LINES {
        for section in sections {
            for kind in [private.then_some(true), shared.then_some(false)]
                .into_iter()
                .flatten()
            {
                let asked = |case: &Case| case.rfc == *section && is_for(case, kind);
                if !cases.iter().any(asked) {
                    missing.push(format!("{section} for a private cache: {kind}"));
                }
            }
        }
        for id in ids {
            let asked = |case: &Case| case.suite.as_deref().is_some_and(|s| s.starts_with(id));
            if !cases.iter().any(asked) {
                missing.push(format!("{sections:?}: {id}"));
            }
        }
    }
    assert!(missing.is_empty(), "there are no cases for {missing:#?}");
}
