//! Keys whose last fetch failed while something stale stood in: the API is asked for them again after a pause, by one request at a time.

use super::{flights::lock, sync::Mutex};
use restow_policy::ErrorKind as Failure;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    ops::Range,
};

/// The keys that the API failed for, by their digests. Times are in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    keys: Mutex<HashMap<u64, Failed>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Failed {
    how: Failure,
    /// While it is now, nobody asks: a clock that was set back ends it, too.
    pause: Range<i64>,
}

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// How the API failed.
    pub(crate) how: Failure,
    /// Whether the pause is over.
    pub(crate) is_due: bool,
}

/// The pause after the first failure. Each further one doubles it.
const FIRST_PAUSE: i64 = 1_000;
const LONGEST_PAUSE: i64 = 30_000;
/// Beyond this many, keys are forgotten: each costs the API a request more.
const MOST: usize = 65_536;

impl Failing {
    /// Remembers that a fetch failed at `now`.
    pub(crate) fn failed<K: Hash>(&self, key: &K, how: Failure, now: i64) {
        let key = self.hasher.hash_one(key);
        let mut keys = lock(&self.keys);
        let before = keys.get(&key).map(|f| f.pause.end - f.pause.start);
        let pause = before.map_or(FIRST_PAUSE, |before| (before * 2).min(LONGEST_PAUSE));
        if before.is_none() && keys.len() >= MOST {
            keys.retain(|_, failed| failed.pause.contains(&now));
            if keys.len() >= MOST {
                keys.clear();
            }
        }
        let pause = now..now.saturating_add(pause);
        keys.insert(key, Failed { how, pause });
    }

    /// Forgets a key that the API has answered.
    pub(crate) fn answered<K: Hash>(&self, key: &K) {
        let mut keys = lock(&self.keys);
        if !keys.is_empty() {
            keys.remove(&self.hasher.hash_one(key));
        }
    }

    /// Returns what is remembered of a key; `None` where its last fetch did not fail.
    pub(crate) fn get<K: Hash>(&self, key: &K, now: i64) -> Option<Outage> {
        let keys = lock(&self.keys);
        if keys.is_empty() {
            return None;
        }
        let failed = keys.get(&self.hasher.hash_one(key))?;
        Some(Outage {
            how: failed.how,
            is_due: !failed.pause.contains(&now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(failing: &Failing, now: i64) -> Option<bool> {
        failing.get(&"key", now).map(|o| o.is_due)
    }

    #[test]
    fn the_pause_doubles_up_to_half_a_minute() {
        let failing = Failing::default();
        let mut now = 7;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            failing.failed(&"key", Failure::Unreachable, now);
            assert_eq!(
                due(&failing, now + pause * 1_000 - 1),
                Some(false),
                "{pause}"
            );
            now += pause * 1_000;
            assert_eq!(due(&failing, now), Some(true), "{pause}");
        }
        failing.answered(&"other");
        assert_eq!(due(&failing, now), Some(true));
        failing.answered(&"key");
        assert_eq!(due(&failing, now), None);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_pause() {
        let failing = Failing::default();
        failing.failed(&"key", Failure::Status(503), 10_000);
        assert_eq!(due(&failing, 9_000), Some(true));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failing = Failing::default();
        for n in 0..=MOST {
            failing.failed(&n, Failure::Unreachable, 0);
        }
        assert!(lock(&failing.keys).len() <= MOST);
        assert!(failing.get(&MOST, 0).is_some());
    }
}
