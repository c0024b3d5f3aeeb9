//! What the suite found.

use super::Promise;
use std::fmt;

/// What was found about one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The store keeps it.
    Kept,
    /// The store does not keep it; this is how.
    Broken(String),
    /// The store does not make it; this is the capability it lacks.
    NotPromised(&'static str),
}

/// A promise and what was found about it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The promise.
    pub promise: Promise,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found about all promises. `Display` lists the broken ones, and counts the rest.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads finds nothing"]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Returns what was found about each promise, in order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the findings about promises that are broken.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|f| matches!(f.verdict, Verdict::Broken(_)))
    }

    /// Tells whether no promise is broken.
    pub fn is_clean(&self) -> bool {
        self.broken().next().is_none()
    }

    /// Fails the test that calls it where a promise is broken.
    ///
    /// # Panics
    /// With the report, where it is not [clean](Self::is_clean).
    #[track_caller]
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn assert(&self) {
        if !self.is_clean() {
            panic!("{self}");
        }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut kept, mut broken, mut not_promised) = (0, 0, 0);
        for Finding { promise, verdict } in &self.findings {
            match verdict {
                Verdict::Kept => kept += 1,
                Verdict::NotPromised(_) => not_promised += 1,
                Verdict::Broken(why) => {
                    broken += 1;
                    writeln!(f, "BROKEN {}: {}", promise.name(), promise.doc())?;
                    writeln!(f, "       {why}")?;
                }
            }
        }
        write!(
            f,
            "{kept} promises kept, {broken} broken, {not_promised} not made by this store"
        )
    }
}
