//! Entries by their places, bounded by bytes. What was used least recently goes out when there are too many.

use super::held::{Held, Place};
use crate::store::{
    parts::{PARTS, Parts, number},
    recent::Recent,
};
use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

#[derive(Debug)]
pub(super) struct Bounded {
    parts: Parts<Recent<Place, Held>>,
    /// The most bytes of all parts together, and how many they are.
    most: u64,
    bytes: AtomicU64,
}

impl Bounded {
    pub(super) fn new(most: u64) -> Self {
        Self {
            parts: Parts::new(Recent::new),
            most,
            bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn hash(&self, place: impl Hash) -> u64 {
        self.parts.hash(place)
    }

    /// Returns what has this hash and this place.
    pub(super) fn get(&self, hash: u64, is: impl FnMut(&Place) -> bool) -> Option<Held> {
        let part = self.parts.read(number(hash));
        // Only what was read is told from what was not: no clock is asked.
        part.get(hash, is, 0).cloned()
    }

    /// Puts something in, for which room is made first: it is not what goes out itself.
    pub(super) fn put(&self, place: Place, held: Held) {
        let number = number(self.hash(&place));
        self.bytes.fetch_add(held.weight(&place), Relaxed);
        self.make_room(number);
        let mut part = self.parts.write(number);
        if let Some(before) = part.remove(&place) {
            self.bytes.fetch_sub(before.weight(&place), Relaxed);
        }
        part.put(place, held, 0);
    }

    /// Takes out of all parts, from this one on, what was not read since somebody looked; then, where that is too little, whatever is first.
    fn make_room(&self, from: usize) {
        let parts = || (from..from + PARTS).map(|number| number % PARTS);
        for number in parts() {
            if self.has_room() {
                return;
            }
            self.parts.write(number).take_unread(|place, held| {
                self.bytes.fetch_sub(held.weight(&place), Relaxed);
                !self.has_room()
            });
        }
        for number in parts() {
            while !self.has_room()
                && let Some((place, held)) = self.parts.write(number).take_first()
            {
                self.bytes.fetch_sub(held.weight(&place), Relaxed);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.bytes() <= self.most
    }

    pub(super) fn remove(&self, place: &Place) {
        let mut part = self.parts.write(number(self.hash(place)));
        if let Some(held) = part.remove(place) {
            self.bytes.fetch_sub(held.weight(place), Relaxed);
        }
    }

    /// Keeps what `which` says yes to.
    pub(super) fn retain(&self, which: impl Fn(&Place) -> bool) {
        for mut part in self.parts.write_each() {
            part.retain(|place, held| {
                let stays = which(place);
                if !stays {
                    self.bytes.fetch_sub(held.weight(place), Relaxed);
                }
                stays
            });
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        self.parts.read_each().map(|part| part.len()).sum()
    }
}
