//! One line of the table. Every figure is a time or a size, so that less is better.

use crate::measure::Figure;
use std::fmt;

/// A work, what it took us, what it took the reference, and what was promised.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: String,
    ours: Figure,
    reference: Option<Figure>,
    target: Option<Target>,
    unit: &'static str,
    /// Whether the figures are good enough to say that the target holds.
    pub(super) judged: bool,
}

/// What was promised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Ours is at least so many times as fast as the reference.
    AtLeast(f64),
    /// Ours costs at most so many times as much as the reference.
    AtMost(f64),
    /// Ours is at most this, in the row's unit.
    Within(f64),
}

impl Row {
    pub(super) const HEAD: &'static str =
        "| work | ours | reference | ratio | target | holds |\n|---|---:|---:|---:|---:|---|";

    /// Starts a row of which only our own figure is known.
    pub(crate) fn new(work: impl Into<String>, ours: Figure, unit: &'static str) -> Self {
        Self {
            work: work.into(),
            ours,
            reference: None,
            target: None,
            unit,
            judged: true,
        }
    }

    /// Names the reference, in the same unit.
    pub(crate) fn beside(mut self, reference: Figure) -> Self {
        self.reference = Some(reference);
        self
    }

    /// Names what was promised.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// A speed for a target of a speed and where there is none, a cost for a target of a cost.
    fn ratio(&self) -> Option<f64> {
        let (ours, reference) = (self.ours.median, self.reference.as_ref()?.median);
        Some(match self.target {
            Some(Target::AtMost(_)) => ours / reference,
            _ => reference / ours,
        })
    }

    /// Whether what was promised is so.
    pub(super) fn holds(&self) -> Option<bool> {
        let target = self.target.filter(|_| self.judged)?;
        Some(match target {
            Target::AtLeast(least) => self.ratio()? >= least,
            Target::AtMost(most) => self.ratio()? <= most,
            Target::Within(most) => self.ours.median <= most,
        })
    }

    fn promise(&self) -> Option<String> {
        self.target.map(|target| match target {
            Target::AtLeast(least) => format!(">= {least}"),
            Target::AtMost(most) => format!("<= {most}"),
            Target::Within(most) => format!("<= {most} {}", self.unit),
        })
    }

    /// One object for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let range = |figure: &Figure| [figure.range.0, figure.range.1];
        serde_json::json!({
            "work": self.work,
            "ours": self.ours.median,
            "reference": self.reference.as_ref().map(|f| f.median),
            "ratio": self.ratio(),
            "target": self.promise(),
            "holds": self.holds(),
            "unit": self.unit,
            "contender": self.ours.name,
            "against": self.reference.as_ref().map(|f| &f.name),
            "ours_range": range(&self.ours),
            "reference_range": self.reference.as_ref().map(range),
        })
    }

    fn figure(&self, figure: &Figure, name: bool) -> String {
        let mut text = if name && !figure.name.is_empty() {
            format!("{}: ", figure.name)
        } else {
            String::new()
        };
        text += &format!("{} {}", number(figure.median), self.unit);
        if figure.is_spread() {
            text += &format!(" ({}..{})", number(figure.range.0), number(figure.range.1));
        }
        text
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = self.reference.as_ref().map(|r| self.figure(r, true));
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} |",
            self.work,
            self.figure(&self.ours, false),
            reference.unwrap_or_default(),
            self.ratio().map(|r| format!("{r:.2}")).unwrap_or_default(),
            self.promise().unwrap_or_default(),
            self.holds()
                .map(|holds| if holds { "yes" } else { "**no**" })
                .unwrap_or_default(),
        )
    }
}

fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}
