//! When somebody has to look after budgets: an estimate from what this process writes, for which no store is asked.

use crate::store::Budget;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// What a cache and its repositories share about the budget of all of them.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) budget: Budget,
    pub(crate) room: Room,
    /// Told when a budget may be exceeded.
    pub(crate) crowded: Arc<Notify>,
}

impl Upkeep {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            room: Room::unknown(budget),
            crowded: Arc::default(),
        }
    }

    /// Notes what was written into a repository. What it replaced is not known, so that somebody may look too early, never too late.
    pub(crate) fn wrote(&self, repository: &Room, entries: u64, bytes: u64) {
        let crowded = [&self.room, repository].map(|room| room.take(entries, bytes));
        if crowded.contains(&true) {
            self.crowded.notify_one();
        }
    }
}

/// How much may be written before somebody looks.
#[derive(Debug)]
pub(crate) struct Room {
    entries: AtomicI64,
    bytes: AtomicI64,
}

/// What might have been written when somebody began to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    entries: i64,
    bytes: i64,
}

impl Room {
    /// Nothing is known: the first write makes somebody look, where there is a budget at all.
    pub(crate) fn unknown(budget: Budget) -> Self {
        let none = |most: Option<u64>| AtomicI64::new(if most.is_some() { 0 } else { i64::MAX });
        Self {
            entries: none(budget.entries),
            bytes: none(budget.bytes),
        }
    }

    /// Begins to look at what is held: what is written from here on may or may not be seen, and counts.
    pub(crate) fn look(&self) -> Look {
        Look {
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    /// Notes what was held when somebody looked.
    pub(crate) fn measured(&self, look: Look, budget: Budget, entries: u64, bytes: u64) {
        let less = |room: &AtomicI64, before: i64, left: i64| {
            let more = left.saturating_sub(before);
            _ = room.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_add(more)));
        };
        less(&self.entries, look.entries, left(budget.entries, entries));
        less(&self.bytes, look.bytes, left(budget.bytes, bytes));
    }

    /// Notes that it was full to the last entry.
    pub(crate) fn is_full(&self, look: Look, budget: Budget) {
        self.measured(look, budget, u64::MAX, u64::MAX);
    }

    /// Lets writes make nobody look until it is measured again.
    pub(crate) fn leave(&self) {
        self.entries.store(i64::MAX, Relaxed);
        self.bytes.store(i64::MAX, Relaxed);
    }

    /// Tells whether it is time to look.
    pub(crate) fn is_spent(&self) -> bool {
        self.entries.load(Relaxed) < 0 || self.bytes.load(Relaxed) < 0
    }

    fn take(&self, entries: u64, bytes: u64) -> bool {
        let less = |room: &AtomicI64, by: u64| {
            let by = i64::try_from(by).unwrap_or(i64::MAX);
            let before = room.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(by)));
            before.is_ok_and(|left| left < by)
        };
        // Both are counted, whatever the first says.
        less(&self.entries, entries) | less(&self.bytes, bytes)
    }
}

/// Half of what is left, as other processes may write too; all of it where that is little.
fn left(most: Option<u64>, held: u64) -> i64 {
    let Some(most) = most else { return i64::MAX };
    let left = most.saturating_sub(held);
    let half = if left / 2 > most / 100 {
        left / 2
    } else {
        left
    };
    i64::try_from(half).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(entries: u64) -> Budget {
        Budget {
            entries: Some(entries),
            bytes: None,
        }
    }

    #[test]
    fn without_a_budget_nobody_ever_looks() {
        let room = Room::unknown(Budget::default());
        assert!(!room.take(1 << 40, 1 << 50));
        assert!(!room.is_spent());
    }

    #[test]
    fn what_is_unknown_is_looked_at_with_the_first_write() {
        let room = Room::unknown(budget(10));
        assert!(!room.is_spent(), "nothing was written");
        assert!(room.take(1, 100));
        assert!(room.is_spent());
    }

    #[test]
    fn half_of_what_is_left_may_be_written_and_at_the_end_all_of_it() {
        let room = Room::unknown(budget(1_000));
        room.measured(room.look(), budget(1_000), 600, 0);
        assert!(!room.take(200, 0));
        assert!(room.take(1, 0));
        room.measured(room.look(), budget(1_000), 990, 0);
        assert!(!room.take(10, 0));
        assert!(room.take(1, 0), "the budget itself is never passed unseen");
        room.is_full(room.look(), budget(1_000));
        assert!(room.take(1, 0));
    }

    #[test]
    fn what_is_written_while_somebody_looks_counts() {
        for budget in [budget(1_000), Budget::default()] {
            let room = Room::unknown(budget);
            room.take(5, 0);
            let look = room.look();
            assert_eq!(room.take(20, 0), budget.is_bounded());
            room.measured(look, budget, 985, 0);
            assert_eq!(room.is_spent(), budget.is_bounded(), "15 are left");
            room.measured(room.look(), budget, 980, 0);
            assert!(!room.is_spent());
            assert!(!room.take(20, 0));
            assert_eq!(room.take(1, 0), budget.is_bounded());
        }
    }
}
