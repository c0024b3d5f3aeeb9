//! Contenders take turns, so that what the machine does meanwhile hits all of them; the median of the rounds counts.

use crate::{Outcome, Size};
use std::{future::Future, pin::Pin, time::Duration};

/// One round of a contender: does its work, and returns how long one operation took.
pub(crate) type Round<'a> =
    Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Outcome<Duration>> + 'a>> + 'a>;

/// Who takes part.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    round: Round<'a>,
}

/// What came of it: nanoseconds of one operation, the median of the rounds.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    pub(crate) name: String,
    pub(crate) nanos: f64,
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
}

/// Lets the contenders take turns: one round to warm up, then those that count.
pub(crate) async fn race(size: Size, mut contenders: Vec<Contender<'_>>) -> Outcome<Vec<Time>> {
    let mut times = vec![Vec::with_capacity(size.rounds); contenders.len()];
    for round in 0..=size.rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let time = (contender.round)().await?;
            if round > 0 {
                times.push(time.as_secs_f64() * 1e9);
            }
        }
    }
    Ok(contenders
        .into_iter()
        .zip(times)
        .map(|(c, times)| Time {
            name: c.name,
            nanos: median(times),
        })
        .collect())
}

/// The time of one of `n` operations that took `whole`.
pub(crate) fn each(whole: Duration, n: usize) -> Duration {
    whole / u32::try_from(n.max(1)).unwrap_or(u32::MAX)
}

/// A number that jumps about, the same in every run: places in a table are visited in no order.
pub(crate) fn scatter(i: usize, of: usize) -> usize {
    i.wrapping_mul(2_654_435_761) % of.max(1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
