//! What many read and few change, in parts of which each has a lock of its own. Who reads never waits for who reads: not even the word of a
//! lock is one that two cores write. Who changes something keeps one part to himself.

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use hashlink::DefaultHashBuilder;
use std::{
    hash::{BuildHasher, Hash},
    sync::PoisonError,
};

/// How many parts there are.
pub(super) const PARTS: usize = 16;

/// A part that others may read too.
pub(super) type Reading<'a, T> = ShardedLockReadGuard<'a, T>;

/// A part that nobody else sees.
pub(super) type Writing<'a, T> = ShardedLockWriteGuard<'a, T>;

/// The parts, and what tells in which one something is.
#[derive(Debug)]
pub(super) struct Parts<T> {
    parts: [ShardedLock<T>; PARTS],
    hasher: DefaultHashBuilder,
}

impl<T> Parts<T> {
    /// Makes every part, which is told what hashes are made by.
    pub(super) fn new(make: impl Fn(DefaultHashBuilder) -> T) -> Self {
        let hasher = DefaultHashBuilder::default();
        let part = |_| ShardedLock::new(make(hasher.clone()));
        Self {
            parts: std::array::from_fn(part),
            hasher,
        }
    }

    pub(super) fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn read(&self, number: usize) -> Reading<'_, T> {
        let part = self.part(number).read();
        part.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, number: usize) -> Writing<'_, T> {
        let part = self.part(number).write();
        part.unwrap_or_else(PoisonError::into_inner)
    }

    /// Each part for reading, one after the other.
    pub(super) fn read_each(&self) -> impl Iterator<Item = Reading<'_, T>> {
        (0..PARTS).map(|number| self.read(number))
    }

    /// Each part for writing, one after the other.
    pub(super) fn write_each(&self) -> impl Iterator<Item = Writing<'_, T>> {
        (0..PARTS).map(|number| self.write(number))
    }

    fn part(&self, number: usize) -> &ShardedLock<T> {
        let [first, ..] = &self.parts;
        self.parts.get(number).unwrap_or(first)
    }
}

/// The number of the part that what has this hash is in. Maps look at other bits of it.
pub(super) fn number(hash: u64) -> usize {
    usize::try_from((hash >> 32) % PARTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_each(parts: &Parts<()>, mut can: impl FnMut(&ShardedLock<()>) -> bool) -> usize {
        parts.parts.iter().filter(|part| can(part)).count()
    }

    #[test]
    fn who_reads_waits_for_nobody_who_reads() {
        let parts = Parts::new(drop);
        let held: Vec<_> = parts.read_each().chain(parts.read_each()).collect();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| try_each(&parts, |part| part.try_read().is_ok()));
            assert_eq!(other.join().unwrap(), PARTS);
        });
        assert_eq!(try_each(&parts, |part| part.try_write().is_ok()), 0);
        drop(held);
        assert_eq!(try_each(&parts, |part| part.try_write().is_ok()), PARTS);
    }

    #[test]
    fn who_writes_keeps_one_part_to_himself() {
        let parts = Parts::new(drop);
        let held = parts.write(3);
        assert_eq!(try_each(&parts, |part| part.try_read().is_ok()), PARTS - 1);
        drop(held);
        let mut counts = [0; PARTS];
        for key in 0..1_600 {
            counts[number(parts.hash(key))] += 1;
        }
        assert!(counts.iter().all(|n| (40..250).contains(n)), "{counts:?}");
    }
}
