//! The policy beside another one, the crate `http-cache-semantics`: over many made-up exchanges both are asked the same questions. Where
//! they differ, a difference that is known explains it, with the section that decides for us; a known difference that explains nothing
//! by itself is none, and has to go.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are not seen as tests by the lint"
)]

mod exchange;
mod known;
mod policies;

use exchange::Exchange;
use fastrand::Rng;
use http::Method;
use known::{
    KNOWN, Known,
    Question::{self, Fresh, Give, Store},
};
use policies::{other, ours, theirs};
use std::collections::BTreeMap;

/// So many exchanges, the same in every run.
const EXCHANGES: usize = 50_000;
const SEED: u64 = 9_111;

#[test]
fn every_difference_from_another_policy_is_known_and_every_known_one_is_there() {
    let mut random = Rng::with_seed(SEED);
    // How often each known difference was the only one to explain something, and how often both said yes or no.
    let mut alone: BTreeMap<&str, usize> = KNOWN.iter().map(|known| (known.name, 0)).collect();
    let mut agreed: BTreeMap<(Question, bool), usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for _ in 0..EXCHANGES {
        let exchange = Exchange::make(&mut random);
        let policy = other(&exchange);
        let (we, they) = (ours(&exchange), theirs(&exchange, &policy));
        let mut compare = |question, ours, theirs| {
            if ours == theirs {
                *agreed.entry((question, ours)).or_default() += 1;
                return;
            }
            let explain = |known: &&Known| {
                known.on.contains(&question)
                    && known.ours.is_none_or(|ours_is| ours_is == ours)
                    && (known.applies)(&exchange, &policy)
            };
            let mut found = KNOWN.iter().filter(explain);
            match (found.next(), found.next()) {
                (Some(one), None) => *alone.entry(one.name).or_default() += 1,
                (Some(_), Some(_)) => {}
                (None, _) => unexplained.push(format!("{question:?}: we say {ours}: {exchange:?}")),
            }
        };
        compare(Store, we.stores, they.stores);
        if we.stores && they.stores {
            compare(Fresh, we.fresh, they.fresh);
            if exchange.method == Method::GET {
                compare(Give, we.gives, they.gives);
            }
        }
    }
    let count = unexplained.len();
    unexplained.sort_by_key(String::len);
    unexplained.truncate(20);
    assert!(
        count == 0,
        "{count} are not explained:\n{}",
        unexplained.join("\n")
    );
    let idle = KNOWN
        .iter()
        .filter(|known| alone.get(known.name) == Some(&0));
    let idle: Vec<_> = idle
        .map(|known| format!("{} (RFC {})", known.name, known.rfc))
        .collect();
    assert!(idle.is_empty(), "explain nothing: {idle:#?}");
    for question in [Store, Fresh, Give] {
        for answer in [false, true] {
            let times = agreed.get(&(question, answer)).copied().unwrap_or(0);
            assert!(
                times > 1_000,
                "both said {answer} to {question:?} only {times} times"
            );
        }
    }
}
