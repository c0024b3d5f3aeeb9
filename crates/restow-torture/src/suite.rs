//! R9 and R12: tests of the library that are attacks themselves, over and over: clocks that jump, and calls that are dropped at every await.
//!
//! They need what only its tests have, so they are built as its tests are, and run from here one by one, each time with other random numbers.

use crate::{Plan, Report};
use anyhow::{Context, Result, ensure};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How much of the output of a test that fails is shown, in lines.
const SHOWN: usize = 12;

/// Runs the tests in `program`, in a random order, until about `time` has passed.
///
/// # Errors
/// Where it is no such program.
pub fn run(plan: &Plan, promise: &'static str, program: &Path, time: Duration) -> Result<Report> {
    let began = Instant::now();
    let mut report = Report::of(promise);
    let mut tests = list(program)?;
    fastrand::Rng::with_seed(plan.seed).shuffle(&mut tests);
    let mut runs = 0;
    for test in tests.iter().cycle() {
        if began.elapsed() > time || !report.kept() {
            break;
        }
        runs += 1;
        let ran = call(program, &["--exact", test, "--nocapture"])?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
            let said = said.get(..SHOWN).unwrap_or(&said).join("\n");
            report.broken.push(format!("{test}: {said}"));
        }
    }
    report.done = format!(
        "{} of {} tests, {runs} runs",
        tests.len().min(runs),
        tests.len()
    );
    Ok(report)
}

fn list(program: &Path) -> Result<Vec<String>> {
    let listed = call(program, &["--list", "--format", "terse"])?;
    let listed = String::from_utf8(listed.stdout)?;
    let tests = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    let tests: Vec<_> = tests.map(str::to_owned).collect();
    ensure!(!tests.is_empty(), "{} has no tests", program.display());
    Ok(tests)
}

fn call(program: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output();
    output.with_context(|| format!("cannot start {}", program.display()))
}
