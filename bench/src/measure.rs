//! Contenders take turns, so that what the machine does meanwhile hits all of them; the median of the rounds counts.

use crate::{Outcome, Size};
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

/// One round of a contender: does its work, and returns how long one operation took.
type Round<'a> = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Outcome<Duration>> + 'a>> + 'a>;

/// Who takes part.
pub(crate) struct Contender<'a> {
    name: String,
    round: Round<'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new<F>(name: impl Into<String>, mut round: impl FnMut() -> F + 'a) -> Self
    where
        F: Future<Output = Outcome<Duration>> + 'a,
    {
        Self {
            name: name.into(),
            round: Box::new(move || Box::pin(round())),
        }
    }

    /// One whose round keeps its thread.
    pub(crate) fn blocking(
        name: impl Into<String>,
        mut round: impl FnMut() -> Outcome<Duration> + 'a,
    ) -> Self {
        Self::new(name, move || std::future::ready(round()))
    }
}

/// What came of it: a number of one operation, the median of the rounds, and the least and the most.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) median: f64,
    pub(crate) range: (f64, f64),
}

impl Figure {
    /// A number that was taken once.
    pub(crate) fn once(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            median: value,
            range: (value, value),
        }
    }

    /// Of the figures of all rounds.
    pub(crate) fn of(name: String, mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |i: usize| rounds.get(i).copied().unwrap_or(f64::NAN);
        Self {
            name,
            median: at(rounds.len() / 2),
            range: (at(0), at(rounds.len().saturating_sub(1))),
        }
    }

    /// The same in another unit.
    pub(crate) fn times(self, by: f64) -> Self {
        Self {
            name: self.name,
            median: self.median * by,
            range: (self.range.0 * by, self.range.1 * by),
        }
    }

    /// Whether the rounds differ so much that a reader has to know.
    pub(crate) fn is_spread(&self) -> bool {
        self.range.1 - self.range.0 > self.median * 0.2
    }
}

/// What came of a race.
#[derive(Debug)]
pub(crate) struct Results(Vec<Figure>);

impl Results {
    /// The contender of this name, in microseconds.
    pub(crate) fn get(&self, name: &str) -> Outcome<Figure> {
        let found = self.0.iter().find(|f| f.name == name);
        Ok(found
            .ok_or_else(|| format!("{name:?} took no part"))?
            .clone())
    }

    /// The fastest of those whose name begins so.
    pub(crate) fn best(&self, prefix: &str) -> Outcome<Figure> {
        let all = self.0.iter().filter(|f| f.name.starts_with(prefix));
        let best = all.min_by(|a, b| a.median.total_cmp(&b.median));
        Ok(best
            .ok_or_else(|| format!("nobody's name begins with {prefix:?}"))?
            .clone())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }
}

/// Lets the contenders take turns: one round to warm up, then those that count. Figures are in microseconds.
pub(crate) async fn race(size: Size, mut contenders: Vec<Contender<'_>>) -> Outcome<Results> {
    let mut times = vec![Vec::with_capacity(size.rounds); contenders.len()];
    for round in 0..=size.rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let time = (contender.round)()
                .await
                .map_err(|why| format!("{}: {why}", contender.name))?;
            if round > 0 {
                times.push(time.as_secs_f64() * 1e6);
            }
        }
    }
    let all = contenders.into_iter().zip(times);
    Ok(Results(
        all.map(|(c, times)| Figure::of(c.name, times)).collect(),
    ))
}

/// Runs `tasks` tasks at once, `n` operations in all; the time of one operation is the whole time by all of them.
/// Each task is told where its operations begin, and how many they are.
pub(crate) async fn together<F: Future<Output = Outcome> + Send + 'static>(
    tasks: usize,
    n: usize,
    task: impl Fn(usize, usize) -> F,
) -> Outcome<Duration> {
    let n = (n / tasks).max(1);
    let begun = Instant::now();
    let all: Vec<_> = (0..tasks).map(|t| tokio::spawn(task(t * n, n))).collect();
    for end in all {
        end.await??;
    }
    Ok(each(begun.elapsed(), tasks * n))
}

/// The time of one of `n` operations that took `whole`.
pub(crate) fn each(whole: Duration, n: usize) -> Duration {
    // Through a float: a whole number of nanoseconds would round what takes a few.
    Duration::from_secs_f64(whole.as_secs_f64() / n.max(1) as f64)
}

/// A number that jumps about, the same in every run: places in a table are visited in no order.
pub(crate) fn scatter(i: usize, of: usize) -> usize {
    i.wrapping_mul(2_654_435_761) % of.max(1)
}

/// The time in microseconds that so many of a hundred took at most.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let nth = times.len() * percent / 100;
    times
        .get(nth)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}
