//! What came of an attack.

use std::{fmt::Write, time::Duration};

/// What was done to one promise, and how it stood.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its name in the programme: `R1`.
    pub promise: &'static str,
    /// What was done, with the counts behind it.
    pub done: String,
    /// Acknowledged changes that are not there.
    pub lost: u64,
    /// Wrong bodies, half saves, files that are not whole.
    pub corrupt: u64,
    /// Calls that failed because somebody else had the file.
    pub lock_errors: u64,
    /// What was refused with an error of its kind, where the promise is just that.
    pub refused: u64,
    /// The slowest save.
    pub slowest: Option<Duration>,
    /// What else is not as promised, and where a loss was seen.
    pub broken: Vec<String>,
}

impl Report {
    /// Begins the report of a promise.
    pub(crate) fn of(promise: &'static str) -> Self {
        Self {
            promise,
            ..Self::default()
        }
    }

    /// Adds what came of another attack on the same promise, but for what was done.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.lost += other.lost;
        self.corrupt += other.corrupt;
        self.lock_errors += other.lock_errors;
        self.refused += other.refused;
        self.slowest = self.slowest.max(other.slowest);
        self.broken.extend(other.broken);
    }

    /// Tells whether the promise was kept.
    pub fn kept(&self) -> bool {
        self.lost + self.corrupt + self.lock_errors == 0 && self.broken.is_empty()
    }
}

/// Writes reports as a table, with their sum where there are several, and below it what is broken.
pub fn table(reports: &[Report]) -> String {
    let mut out = format!(
        "{:<8} {:>6} {:>8} {:>12} {:>8} {:>10}  {:<8} done\n",
        "promise", "lost", "corrupt", "lock errors", "refused", "slowest", "verdict"
    );
    let sum = Report {
        done: format!("{} attacks", reports.len()),
        ..reports.iter().fold(Report::of("all"), |mut sum, report| {
            sum.absorb(report.clone());
            sum
        })
    };
    for report in reports.iter().chain((reports.len() > 1).then_some(&sum)) {
        let slowest = report
            .slowest
            .map_or("-".to_owned(), |t| format!("{} ms", t.as_millis()));
        let verdict = if report.kept() { "kept" } else { "BROKEN" };
        // Into a string nothing can fail.
        let _ = writeln!(
            out,
            "{:<8} {:>6} {:>8} {:>12} {:>8} {slowest:>10}  {verdict:<8} {}",
            report.promise,
            report.lost,
            report.corrupt,
            report.lock_errors,
            report.refused,
            report.done
        );
    }
    for report in reports {
        for broken in &report.broken {
            let _ = writeln!(out, "{}: {broken}", report.promise);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_damage_breaks_the_promise_and_the_table_says_so() {
        let whole = Report {
            promise: "R1",
            ..Report::default()
        };
        assert!(whole.kept() && !table(std::slice::from_ref(&whole)).contains("BROKEN"));
        let refused = Report {
            refused: 1,
            ..whole.clone()
        };
        assert!(refused.kept());
        for broken in [
            Report {
                lost: 1,
                ..whole.clone()
            },
            Report {
                corrupt: 1,
                ..whole.clone()
            },
            Report {
                lock_errors: 1,
                ..whole.clone()
            },
            Report {
                broken: vec!["why".to_owned()],
                ..whole.clone()
            },
        ] {
            assert!(!broken.kept() && table(std::slice::from_ref(&broken)).contains("BROKEN"));
            let said = table(&[whole.clone(), broken]);
            let verdicts = said.lines().map(|line| line.contains("BROKEN"));
            assert_eq!(
                verdicts.take(4).collect::<Vec<_>>(),
                [false, false, true, true]
            );
        }
    }
}
