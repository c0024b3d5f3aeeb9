//! R14: a cache does what a map would do, whatever it is asked in whatever order.
//!
//! Random operations ([`Op`]) are done to a cache and to a `BTreeMap`; each answer is compared, and every few operations all that is stored,
//! field by field. A sequence that fails is made as short as it can be.

mod expected;
mod op;
mod play;
mod world;

pub use op::{Op, Who};

use crate::{Plan, Report};
use anyhow::Result;
use proptest::{
    collection::vec,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use std::{fmt, iter};
use tokio::runtime::Handle;

/// What is compared with the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The store in memory.
    Memory,
    /// A file.
    File,
    /// A file behind a memory tier.
    Tiered,
    /// A file that two caches have open, each of which does every other operation.
    Shared,
    /// A Redis server that two caches use, each of which does every other operation.
    Redis,
    /// The same with a cluster of three servers.
    RedisCluster,
    /// A PostgreSQL server of its own.
    Postgres,
    /// One that two caches have open, each of which does every other operation.
    PostgresShared,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::File,
        Self::Tiered,
        Self::Shared,
        Self::Redis,
        Self::RedisCluster,
        Self::Postgres,
        Self::PostgresShared,
    ];

    /// Tells whether two caches take turns.
    fn is_shared(self) -> bool {
        matches!(
            self,
            Self::Shared | Self::Redis | Self::RedisCluster | Self::PostgresShared
        )
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::File => "a file",
            Self::Tiered => "a file behind memory",
            Self::Shared => "a file of two caches",
            Self::Redis => "a Redis server of two caches",
            Self::RedisCluster => "a Redis cluster of two caches",
            Self::Postgres => "PostgreSQL",
            Self::PostgresShared => "PostgreSQL of two caches",
        })
    }
}

/// Does `sequences` of `length` operations each to a backend.
///
/// # Errors
/// Where the task is lost.
pub async fn run(plan: &Plan, backend: Backend, sequences: u32, length: usize) -> Result<Report> {
    let (runtime, seed) = (Handle::current(), plan.seed);
    let done = tokio::task::spawn_blocking(move || {
        let seed: Vec<u8> = iter::repeat_n(seed.to_le_bytes(), 4).flatten().collect();
        let config = Config {
            cases: sequences,
            failure_persistence: None,
            max_shrink_iters: 300,
            ..Config::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let play = |ops: &[Op]| runtime.block_on(play::play(backend, ops));
        let mut runner = TestRunner::new_with_rng(config, random);
        let played = runner.run(&vec(op::any(), length), |ops| {
            play(&ops).map_err(|why| TestCaseError::fail(format!("{why:#}")))
        });
        played.map_err(|failed| match failed {
            TestError::Fail(first, ops) => shortest(&first.to_string(), ops, play),
            TestError::Abort(why) => why.to_string(),
        })
    });
    let mut report = Report {
        done: format!("{backend}: {sequences} sequences of {length} operations"),
        ..Report::of("R14")
    };
    if let Err(why) = done.await? {
        report.corrupt = 1;
        report.broken.push(format!("{backend}: {why}"));
    }
    Ok(report)
}

/// Leaves out what a failure does not need, and tells it; where it does not fail again, as it did at `first`.
fn shortest(first: &str, mut ops: Vec<Op>, play: impl Fn(&[Op]) -> Result<()>) -> String {
    let mut why = format!("{first} (it does not fail again)");
    for nth in (0..ops.len()).rev() {
        let mut fewer = ops.clone();
        fewer.remove(nth);
        if play(&fewer).is_err() {
            ops = fewer;
        }
    }
    if let Err(error) = play(&ops) {
        why = format!("{error:#}");
    }
    format!("{why}, of {ops:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_does_not_come_again_is_told_all_the_same() {
        let told = shortest("two entries for one key", Vec::new(), |_| Ok(()));
        assert!(told.contains("two entries for one key"), "{told}");
        assert!(told.contains("does not fail again"), "{told}");
        let again = |_: &[Op]| Err(anyhow::anyhow!("none at all"));
        let told = shortest("two entries for one key", Vec::new(), again);
        assert!(told.starts_with("none at all"), "{told}");
    }
}
