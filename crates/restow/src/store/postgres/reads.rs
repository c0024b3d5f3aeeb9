//! Reads of single addresses by many tasks, which go together.

use super::{
    engine::{Engine, Way},
    questions,
    rows::{Notices, Rows},
};
use crate::{
    Millis, Result,
    entry::{Address, Found},
    store::{Parts, gather::Sends},
};
use std::sync::Arc;

/// Reads addresses for the same parts of their entries.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) engine: Arc<Engine>,
    pub(super) rows: Arc<Rows>,
    pub(super) parts: Parts,
}

impl Reads {
    async fn together(&self, asked: &[(Address, Millis)]) -> Result<(Vec<Found>, Notices)> {
        let at: Vec<_> = asked.iter().map(|(at, _)| at.clone()).collect();
        // What the earliest of them sees: whoever asks leaves out what is past by his time.
        let now = asked.iter().map(|(_, now)| *now).min().unwrap_or_default();
        questions::read_many(&self.engine, Way::Read, &self.rows, &at, self.parts, now).await
    }
}

impl Sends for Reads {
    type Question = (Address, Millis);
    type Answer = Result<(Found, Notices)>;
    /// The server has a process for each.
    const FLIGHTS: usize = 4;

    fn is_same((one, _): &Self::Question, (other, _): &Self::Question) -> bool {
        one == other
    }

    /// What the earlier of them sees, here too.
    fn join((_, one): &mut Self::Question, (_, other): Self::Question) {
        *one = other.min(*one);
    }

    fn again(answer: &Self::Answer) -> Self::Answer {
        match answer {
            // What is to be told of them is told once.
            Ok((found, _)) => Ok((found.clone(), Notices::default())),
            Err(error) => Err(error.again()),
        }
    }

    async fn send(&self, asked: Vec<Self::Question>) -> Vec<Self::Answer> {
        if let [(at, now)] = asked.as_slice() {
            let read = questions::read(&self.engine, Way::Read, &self.rows, at, self.parts, *now);
            return vec![read.await];
        }
        match self.together(&asked).await {
            Ok((found, notices)) => {
                // Told once, with the first of them.
                let mut notices = Some(notices);
                let one = |found| Ok((found, notices.take().unwrap_or_default()));
                found.into_iter().map(one).collect()
            }
            Err(error) => asked.iter().map(|_| Err(error.again())).collect(),
        }
    }
}
