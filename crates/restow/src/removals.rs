//! What was removed a moment ago: an answer that was asked for before must not be stored after.

use crate::Selection;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The last removals of this process.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// How many there were.
    count: AtomicU64,
    /// The newest last.
    last: Mutex<VecDeque<Removal>>,
}

#[derive(Debug)]
struct Removal {
    /// How many there were with it.
    count: u64,
    repository: Arc<str>,
    which: Selection,
}

/// Beyond this many they are forgotten: what is longer under way is not stored.
const MOST: usize = 1_024;

impl Removals {
    /// Returns how many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Remembers a removal. Called before it is carried out, so that what it does not find is told of it.
    pub(crate) fn note(&self, repository: Arc<str>, which: Selection) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.count.load(Ordering::Acquire) + 1;
        if last.len() >= MOST {
            last.pop_front();
        }
        last.push_back(Removal {
            count,
            repository,
            which,
        });
        self.count.store(count, Ordering::Release);
    }

    /// Tells whether any that came after the first `count` covers something of a repository.
    pub(crate) fn since(
        &self,
        count: u64,
        repository: &str,
        covers: impl Fn(&Selection) -> bool,
    ) -> bool {
        if self.count() == count {
            return false;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_forgotten = last.front().is_some_and(|first| first.count > count + 1);
        let mut newer = last
            .iter()
            .rev()
            .take_while(|removal| removal.count > count);
        is_forgotten || newer.any(|r| *r.repository == *repository && covers(&r.which))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    fn note(removals: &Removals, repository: &str, status: u16) {
        let mut which = Selection::new(Scope::All);
        which.status = Some(status);
        removals.note(repository.into(), which);
    }

    #[test]
    fn a_removal_counts_for_what_began_before_it_and_is_covered() {
        let removals = Removals::default();
        note(&removals, "a", 200);
        let between = removals.count();
        note(&removals, "b", 200);
        note(&removals, "a", 404);
        let covers = |count, repository, status| {
            removals.since(count, repository, |which| which.status == Some(status))
        };
        assert!(covers(0, "a", 200) && covers(0, "a", 404) && covers(0, "b", 200));
        assert!(!covers(between, "a", 200) && covers(between, "a", 404));
        assert!(!covers(0, "c", 200) && !covers(0, "b", 404));
        assert!(!covers(removals.count(), "a", 404));
    }

    #[test]
    fn what_began_before_those_that_are_remembered_counts_as_removed() {
        let removals = Removals::default();
        for _ in 0..MOST {
            note(&removals, "a", 200);
        }
        assert!(!removals.since(0, "b", |_| true));
        note(&removals, "a", 200);
        assert_eq!(removals.last.lock().unwrap().len(), MOST);
        assert!(removals.since(0, "b", |_| true));
        assert!(!removals.since(1, "b", |_| true));
    }
}
