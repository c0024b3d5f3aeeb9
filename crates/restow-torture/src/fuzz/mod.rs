//! R15: whatever bytes come, what reads them neither panics nor reads what was not written.
//!
//! Each check takes any bytes and says which promise they break. Three drive the same checks: [`run`] with seeds and changed seeds,
//! the tests of this crate with those and every damage of some entries, and libFuzzer (`fuzz/` beside the crates) for as long as one likes.

mod answers;
mod config;
mod entries;
mod headers;
mod import;
mod input;
mod key;
mod mutate;
mod policy;
mod record;
mod template;
mod url;

pub use entries::{Damage, every_damage};

use crate::{Plan, Report};
use anyhow::{Context, Result};
use mutate::Mutator;
use std::{
    fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant},
};

/// Something that reads bytes it did not write, and what is promised of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its seeds' folder, and of its program in `fuzz/`.
    pub name: &'static str,
    /// Says which promise these bytes break.
    pub check: fn(&[u8]) -> Result<()>,
    /// Pieces that get past the first check of a parser.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    key::TARGET,
    record::TARGET,
    template::TARGET,
    policy::TARGET,
    answers::TARGET,
    config::TARGET,
    url::TARGET,
    import::TARGET,
];

/// Returns the target of this name.
///
/// # Errors
/// Where there is none.
pub fn target(name: &str) -> Result<Target> {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.with_context(|| format!("there is no target {name:?}"))
}

/// Gives bytes to the target of this name: what a fuzzer calls.
///
/// # Panics
/// Where a promise is broken, and where there is no such target.
pub fn insist(name: &str, data: &[u8]) {
    let kept = target(name).and_then(|target| (target.check)(data));
    assert!(kept.is_ok(), "{kept:?}");
}

/// For how long a target is attacked.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many inputs.
    Inputs(u64),
    /// So long.
    Over(Duration),
}

/// Attacks every target for `each`, beginning with its seeds, and damages the bytes of 50 entries in every way.
///
/// # Errors
/// Where the seeds cannot be read.
pub fn run(plan: &Plan, each: Until) -> Result<Report> {
    let mut report = Report::of("R15");
    let mut tried = Vec::new();
    for target in TARGETS {
        let inputs = attack(&target, plan.seed, each, &mut report)?;
        tried.push(format!("{inputs} {}", target.name));
    }
    let Damage { done, unseen } = every_damage(plan.seed)?;
    report.corrupt += unseen.len() as u64;
    report.broken.extend(unseen);
    report.done = format!("inputs: {}; {done} damages of 50 entries", tried.join(", "));
    Ok(report)
}

/// Gives a target its seeds, then changed ones; returns how many it got.
fn attack(target: &Target, seed: u64, each: Until, report: &mut Report) -> Result<u64> {
    let seeds = seeds(target.name)?;
    let mut mutator = Mutator::new(seed, target.words);
    let (began, mut inputs) = (Instant::now(), 0);
    loop {
        let at = usize::try_from(inputs)?;
        let input = match seeds.get(at) {
            Some(seed) => seed.clone(),
            None => mutator.change(&seeds),
        };
        let over = match each {
            Until::Inputs(most) => inputs >= most,
            Until::Over(time) => at > seeds.len() && began.elapsed() > time,
        };
        // Of a target that is broken a few inputs are enough to repair it.
        if over || report.broken.len() >= 20 {
            return Ok(inputs);
        }
        inputs += 1;
        let broken = match catch_unwind(|| (target.check)(&input)) {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => format!("{why:#}"),
            Err(_) => "it panicked".to_owned(),
        };
        report.corrupt += 1;
        report.broken.push(format!(
            "{} of {}: {broken}",
            target.name,
            input.escape_ascii()
        ));
    }
}

/// Returns the inputs that are worth beginning with, in the order of their names.
fn seeds(name: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let folder = folder.join(name);
    let listed = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths = listed
        .map(|file| Ok(file?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.iter().map(|path| Ok(fs::read(path)?)).collect()
}
