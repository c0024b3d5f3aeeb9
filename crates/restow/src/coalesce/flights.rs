//! The flights, and who sits in them. The lock is that of [`sync`](super::sync), and nothing else here waits.

use super::sync::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    ops::Range,
    sync::{Arc, PoisonError},
};
use tokio::sync::watch;

/// The flights that are under way, and the keys for which waiting was of no use a moment ago.
#[derive(Debug)]
pub(crate) struct Flights<K, T> {
    flying: Mutex<HashMap<K, Ends<T>>>,
    pub(super) solo: Mutex<HashMap<u64, Range<i64>>>,
    hasher: RandomState,
}

/// The end of a flight that its leader holds, and the flights while it can be joined.
type Ends<T> = Arc<watch::Sender<Flight<T>>>;

/// The state of a flight.
#[derive(Clone, Debug)]
pub(crate) enum Flight<T> {
    /// Under way.
    Flying,
    /// It brought something for all.
    Landed(T),
    /// What it brought is for its leader alone: everybody fly for yourselves.
    Alone,
    /// It failed.
    Failed(Arc<str>),
}

/// A seat on a flight.
#[derive(Debug)]
pub(crate) enum Seat<K: Eq + Hash + Clone, T: Clone> {
    Leader(Leader<K, T>),
    Passenger(Passenger<T>),
}

/// The duty to end a flight. Dropped without, it hands the lead to a waiter.
#[derive(Debug)]
pub(crate) struct Leader<K: Eq + Hash + Clone, T: Clone> {
    flights: Arc<Flights<K, T>>,
    key: Option<K>,
    ends: Ends<T>,
}

/// The right to wait for a flight.
#[derive(Debug)]
pub(crate) struct Passenger<T>(watch::Receiver<Flight<T>>);

/// Beyond this many, the keys remembered as solo are forgotten: they only save waiting.
pub(super) const MOST_SOLO: usize = 8_192;

impl<K: Eq + Hash + Clone, T: Clone> Flights<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            flying: Mutex::default(),
            solo: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a seat on the flight for `key`, which starts here if none is under way.
    pub(crate) fn join(self: &Arc<Self>, key: &K) -> Seat<K, T> {
        let mut flying = lock(&self.flying);
        if let Some(flight) = flying.get(key) {
            return Seat::Passenger(Passenger(flight.subscribe()));
        }
        let ends = Arc::new(watch::Sender::new(Flight::Flying));
        flying.insert(key.clone(), ends.clone());
        Seat::Leader(Leader {
            flights: self.clone(),
            key: Some(key.clone()),
            ends,
        })
    }

    /// Lets nobody join these flights any more: the next one starts anew. Who has a seat keeps it.
    pub(crate) fn close(&self, which: impl Fn(&K) -> bool) {
        lock(&self.flying).retain(|key, _| !which(key));
    }

    /// Remembers from `now` until `until` that waiting for this key is of no use.
    pub(crate) fn fly_solo(&self, key: &K, now: i64, until: i64) {
        let mut solo = lock(&self.solo);
        if solo.len() >= MOST_SOLO {
            solo.retain(|_, while_solo| while_solo.contains(&now));
            if solo.len() >= MOST_SOLO {
                solo.clear();
            }
        }
        solo.insert(self.hasher.hash_one(key), now..until);
    }

    /// Tells whether waiting for this key was of no use a moment ago.
    pub(crate) fn is_solo(&self, key: &K, now: i64) -> bool {
        let mut solo = lock(&self.solo);
        if solo.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(key);
        match solo.get(&hash) {
            Some(while_solo) if while_solo.contains(&now) => true,
            Some(_) => {
                solo.remove(&hash);
                false
            }
            None => false,
        }
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Leader<K, T> {
    /// Ends the flight.
    pub(crate) fn land(mut self, state: Flight<T>) {
        self.leave();
        self.ends.send_replace(state);
    }

    /// Takes the flight off the list, where it is not [closed](Flights::close) and another one in its place.
    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut flying = lock(&self.flights.flying);
        if flying
            .get(&key)
            .is_some_and(|ends| Arc::ptr_eq(ends, &self.ends))
        {
            flying.remove(&key);
        }
    }

    pub(crate) fn key(&self) -> Option<&K> {
        self.key.as_ref()
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Drop for Leader<K, T> {
    fn drop(&mut self) {
        // The sender falls after it: the waiters wake, and the first of them leads.
        self.leave();
    }
}

impl<T: Clone> Passenger<T> {
    /// Waits for the flight's end; [`Flight::Flying`] means that its leader was lost, and the lead is free.
    pub(crate) async fn wait(mut self) -> Flight<T> {
        match self.0.wait_for(|f| !matches!(f, Flight::Flying)).await {
            Ok(end) => end.clone(),
            Err(_) => Flight::Flying,
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock can leave a map half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
