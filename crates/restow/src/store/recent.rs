//! A map in about the order of use, of which reading changes nothing but a number: who reads something only notes that on it, and it is moved
//! behind the others when somebody looks for what was used least recently.

use hashlink::{DefaultHashBuilder, LinkedHashMap};
use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Values by their keys, and when each was used: a number that its user gives, which grows.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    /// Least recently used first, but for what was read since it was put there.
    slots: LinkedHashMap<K, Slot<V>, DefaultHashBuilder>,
}

#[derive(Debug)]
struct Slot<V> {
    used: Used,
    value: V,
}

/// When something was used; the last bit tells whether it was only read then, and left in its place.
#[derive(Debug)]
struct Used(AtomicU64);

impl Used {
    const READ: u64 = 1;

    /// Of what is put behind all others.
    fn put(now: u64) -> Self {
        Self(AtomicU64::new(now & !Self::READ))
    }

    /// Notes a use of what stays where it is.
    fn read(&self, now: u64) {
        self.0.store(now | Self::READ, Relaxed);
    }

    fn at(&self) -> u64 {
        self.0.load(Relaxed) & !Self::READ
    }

    fn was_read(&self) -> bool {
        self.0.load(Relaxed) & Self::READ != 0
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Makes an empty map, whose user makes hashes by the same hasher.
    pub(super) fn new(hasher: DefaultHashBuilder) -> Self {
        Self {
            slots: LinkedHashMap::with_hasher(hasher),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns what has this hash and this key, and notes its use.
    pub(super) fn get(&self, hash: u64, is: impl FnMut(&K) -> bool, now: u64) -> Option<&V> {
        let (_, slot) = self.slots.raw_entry().from_hash(hash, is)?;
        slot.used.read(now);
        Some(&slot.value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, key: &K, now: u64) -> Option<&mut V> {
        let slot = self.slots.to_back(key)?;
        slot.used = Used::put(now);
        Some(&mut slot.value)
    }

    /// Puts something behind all others; returns what was there before.
    pub(super) fn put(&mut self, key: K, value: V, now: u64) -> Option<V> {
        let used = Used::put(now);
        let before = self.slots.insert(key, Slot { used, value });
        before.map(|slot| slot.value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.slots.remove(key).map(|slot| slot.value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.values().map(|slot| &slot.value)
    }

    /// Keeps what `which` says yes to.
    pub(super) fn retain(&mut self, mut which: impl FnMut(&K, &mut V) -> bool) {
        self.slots
            .retain_with_order(|key, slot| which(key, &mut slot.value));
    }

    /// Takes all out, with when each was used.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (K, V, u64)> {
        let slots = self.slots.drain();
        slots.map(|(key, slot)| (key, slot.value, slot.used.at()))
    }

    /// Tells whether the first is the one that was used least recently, and not only the one that was put there first.
    pub(super) fn is_settled(&self) -> bool {
        let first = self.slots.front();
        first.is_none_or(|(_, slot)| !slot.used.was_read())
    }

    /// Moves what was read behind the others, until the first is one that was not.
    pub(super) fn settle(&mut self) {
        while self.pass_over() {}
    }

    /// Moves the first behind the others if it was read; tells whether it was.
    fn pass_over(&mut self) -> bool {
        let Some(mut first) = self.slots.front_entry() else {
            return false;
        };
        let slot = first.get_mut();
        if !slot.used.was_read() {
            return false;
        }
        slot.used = Used::put(slot.used.at());
        first.to_back();
        true
    }

    /// Gives what was not read to `take`, the first first, for as long as that says yes. What was read is spared, but not once more.
    pub(super) fn take_unread(&mut self, mut take: impl FnMut(K, V) -> bool) {
        // Once round: what is spared is behind what was not looked at yet.
        for _ in 0..self.len() {
            if !self.pass_over()
                && let Some((key, value)) = self.take_first()
                && !take(key, value)
            {
                return;
            }
        }
    }

    /// Returns when the first was used.
    pub(super) fn first(&self) -> Option<u64> {
        self.slots.front().map(|(_, slot)| slot.used.at())
    }

    /// Takes the first out.
    pub(super) fn take_first(&mut self) -> Option<(K, V)> {
        let (key, slot) = self.slots.pop_front()?;
        Some((key, slot.value))
    }

    /// The first, to change it where it is.
    pub(super) fn first_mut(&mut self) -> Option<&mut V> {
        let first = self.slots.front_entry()?;
        Some(&mut first.into_mut().value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    struct Map(Recent<u32, u32>, DefaultHashBuilder);

    impl Map {
        fn of(keys: std::ops::Range<u32>) -> Self {
            let hasher = DefaultHashBuilder::default();
            let mut map = Self(Recent::new(hasher.clone()), hasher);
            for key in keys {
                map.0.put(key, key, u64::from(key) * 2);
            }
            map
        }

        fn read(&self, key: u32, now: u64) -> Option<u32> {
            let hash = self.1.hash_one(key);
            self.0.get(hash, |k| *k == key, now).copied()
        }

        fn order(mut self) -> Vec<u32> {
            let mut order = Vec::new();
            loop {
                self.0.settle();
                match self.0.take_first() {
                    Some((key, _)) => order.push(key),
                    None => return order,
                }
            }
        }
    }

    #[test]
    fn what_was_read_goes_after_what_was_not() {
        let map = Map::of(0..5);
        assert_eq!(map.read(0, 100), Some(0));
        assert_eq!(map.read(3, 102), Some(3));
        assert_eq!(map.read(7, 104), None);
        assert!(!map.0.is_settled());
        assert_eq!(map.order(), [1, 2, 4, 0, 3]);
    }

    #[test]
    fn what_is_put_again_or_changed_is_the_last() {
        let mut map = Map::of(0..4);
        assert_eq!(map.0.put(0, 10, 100), Some(0));
        *map.0.get_mut(&1, 102).unwrap() = 11;
        assert_eq!((map.0.is_settled(), map.0.first()), (true, Some(4)));
        assert_eq!((map.read(0, 103), map.read(1, 103)), (Some(10), Some(11)));
        assert_eq!(map.order(), [2, 3, 0, 1]);
    }

    #[test]
    fn it_ends_where_all_were_read() {
        let mut map = Map::of(0..3);
        for key in 0..3 {
            map.read(key, 101);
        }
        map.0.settle();
        assert_eq!((map.0.is_settled(), map.0.first()), (true, Some(100)));
        assert_eq!(map.order(), [0, 1, 2]);
    }

    #[test]
    fn what_was_read_is_spared_once() {
        let mut map = Map::of(0..4);
        let take = |map: &mut Map, most: usize| {
            let mut taken = Vec::new();
            map.0.take_unread(|key, _| {
                taken.push(key);
                taken.len() < most
            });
            taken
        };
        map.read(0, 100);
        map.read(2, 102);
        assert_eq!(take(&mut map, 1), [1]);
        assert_eq!(take(&mut map, 9), [3, 0]);
        map.read(2, 104);
        assert!(take(&mut map, 9).is_empty());
        assert_eq!(take(&mut map, 9), [2]);
    }

    #[test]
    fn it_finds_what_it_holds_after_it_grew_and_lost_some() {
        let mut map = Map::of(0..1_000);
        map.0.retain(|key, _| key % 2 == 1);
        assert_eq!((map.0.len(), map.0.remove(&1)), (500, Some(1)));
        let found = (0..1_000).filter(|key| map.read(*key, 9) == Some(*key));
        assert_eq!(found.count(), 499);
        assert_eq!(map.0.drain().count(), 499);
        assert_eq!((map.0.first(), map.read(3, 9)), (None, None));
    }
}
