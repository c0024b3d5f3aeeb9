//! What was removed a moment ago: an answer that was asked for before must not be stored after.

use crate::Selection;
use std::{
    collections::{HashMap, VecDeque},
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
    last: Mutex<HashMap<Arc<str>, Last>>,
}

/// The last removals from a repository.
#[derive(Debug, Default)]
struct Last {
    /// Each selection once, the newest last, and how many there were with it.
    known: VecDeque<(u64, Selection)>,
    /// How many there were with the last that was forgotten.
    forgotten: u64,
}

/// Beyond this many they are forgotten: what is longer under way in this repository is not stored.
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
        last.entry(repository).or_default().push(count, which);
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
        last.get(repository)
            .is_some_and(|last| last.since(count, covers))
    }
}

impl Last {
    fn push(&mut self, count: u64, which: Selection) {
        // The same again and again takes no place of others: mostly it is one of the newest.
        if let Some(before) = self.known.iter().rposition(|(_, w)| *w == which) {
            self.known.remove(before);
        } else if self.known.len() >= MOST
            && let Some((count, _)) = self.known.pop_front()
        {
            self.forgotten = count;
        }
        self.known.push_back((count, which));
    }

    fn since(&self, count: u64, covers: impl Fn(&Selection) -> bool) -> bool {
        let newer = self.known.iter().rev().take_while(|(c, _)| *c > count);
        self.forgotten > count || newer.into_iter().any(|(_, which)| covers(which))
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
    fn what_began_before_those_that_are_remembered_counts_as_removed_from_its_repository() {
        let removals = Removals::default();
        let most = u16::try_from(MOST).unwrap();
        for status in 0..most {
            note(&removals, "a", status);
        }
        let never = |_: &Selection| false;
        assert!(!removals.since(0, "a", never));
        note(&removals, "a", most);
        assert!(removals.since(0, "a", never), "the first is forgotten");
        assert!(!removals.since(1, "a", never) && !removals.since(0, "b", never));
        let last = removals.last.lock().unwrap();
        assert_eq!(last.get("a").unwrap().known.len(), MOST);
    }

    #[test]
    fn the_same_again_and_again_takes_one_place() {
        let removals = Removals::default();
        note(&removals, "a", 200);
        for _ in 0..2 * MOST {
            note(&removals, "a", 404);
        }
        let is = |status| move |which: &Selection| which.status == Some(status);
        assert!(removals.since(0, "a", is(200)) && removals.since(0, "a", is(404)));
        assert!(!removals.since(1, "a", is(200)) && removals.since(1, "a", is(404)));
        assert!(!removals.since(removals.count(), "a", |_| true));
    }
}
