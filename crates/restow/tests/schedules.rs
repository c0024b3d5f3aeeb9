//! R13: the flights under ten thousand schedules. Whoever runs next is chosen anew at each lock and each wait; one who waits for what
//! never comes stops the test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

mod sync {
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}

#[path = "../src/coalesce/flights.rs"]
#[allow(dead_code, reason = "what is not of flights is not tried here")]
mod flights;

use flights::{Flight, Flights, Leader, Seat};
use futures_util::poll;
use shuttle::{
    future::{block_on, spawn, yield_now},
    rand::{Rng, thread_rng},
};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

const SCHEDULES: usize = 10_000;
const KEYS: usize = 2;
const REQUESTS: usize = 5;

/// What becomes of the fetch that a request makes if it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stored,
    Alone,
    Failed,
    /// The request is dropped while it fetches.
    Lost,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Fetched(Fate),
    /// It was given what another brought, or found it.
    Given(usize),
    /// Another's fetch failed, or was for that one alone.
    Told(Fate),
    /// It was dropped while it waited.
    Left,
}

/// An API and a store, for requests that do as those of an exchange.
#[derive(Debug)]
struct World {
    flights: Arc<Flights<usize, usize>>,
    /// How many lead, by key.
    leading: [AtomicUsize; KEYS],
    fetches: AtomicUsize,
    /// What is stored, by key: the number of the fetch that brought it.
    stored: Mutex<BTreeMap<usize, usize>>,
}

impl World {
    fn stored(&self, key: usize) -> Option<usize> {
        self.stored.lock().unwrap().get(&key).copied()
    }

    async fn request(&self, key: usize, fate: Fate, patient: bool) -> Came {
        loop {
            if let Some(value) = self.stored(key) {
                return Came::Given(value);
            }
            match self.flights.join(&key) {
                Seat::Leader(leader) => {
                    // One who stored it may have landed in between.
                    if let Some(value) = self.stored(key) {
                        drop(leader);
                        return Came::Given(value);
                    }
                    return Came::Fetched(self.fetch(key, fate, leader).await);
                }
                Seat::Passenger(passenger) => {
                    let mut waits = pin!(passenger.wait());
                    let end = match poll!(waits.as_mut()) {
                        Poll::Ready(end) => end,
                        Poll::Pending if patient => waits.await,
                        Poll::Pending => {
                            yield_now().await;
                            return Came::Left;
                        }
                    };
                    match end {
                        Flight::Landed(value) => return Came::Given(value),
                        Flight::Alone => return Came::Told(Fate::Alone),
                        Flight::Failed(_) => return Came::Told(Fate::Failed),
                        Flight::Flying => {}
                    }
                }
            }
        }
    }

    async fn fetch(&self, key: usize, fate: Fate, leader: Leader<usize, usize>) -> Fate {
        let before = self.leading[key].fetch_add(1, SeqCst);
        assert_eq!(before, 0, "two lead for one key");
        for _ in 0..thread_rng().gen_range(0..3) {
            yield_now().await;
        }
        let nth = self.fetches.fetch_add(1, SeqCst);
        if fate == Fate::Stored {
            self.stored.lock().unwrap().insert(key, nth);
        }
        self.leading[key].fetch_sub(1, SeqCst);
        match fate {
            Fate::Stored => leader.land(Flight::Landed(nth)),
            Fate::Alone => leader.land(Flight::Alone),
            Fate::Failed => leader.land(Flight::Failed("it is down".into())),
            Fate::Lost => drop(leader),
        }
        fate
    }
}

/// Some requests at once, with fates that chance decides, and what has to be true when they have ended.
fn requests() {
    let world = Arc::new(World {
        flights: Arc::new(Flights::new()),
        leading: Default::default(),
        fetches: AtomicUsize::new(0),
        stored: Mutex::default(),
    });
    let request = |_| {
        let mut random = thread_rng();
        let fates = [Fate::Stored, Fate::Alone, Fate::Failed, Fate::Lost];
        let (key, fate) = (random.gen_range(0..KEYS), fates[random.gen_range(0..4)]);
        let patient = random.gen_range(0..4) > 0;
        let world = world.clone();
        (
            key,
            spawn(async move { world.request(key, fate, patient).await }),
        )
    };
    let requests: Vec<_> = (0..REQUESTS).map(request).collect();
    block_on(async {
        let mut came = Vec::new();
        for (key, request) in requests {
            came.push((key, request.await.unwrap()));
        }
        for key in 0..KEYS {
            let of_key: Vec<Came> = came.iter().filter(|c| c.0 == key).map(|c| c.1).collect();
            are_possible(&of_key, world.stored(key));
            // Nothing is left of the flights: whoever comes next leads.
            match world.flights.join(&key) {
                Seat::Leader(leader) => leader.land(Flight::Alone),
                Seat::Passenger(_) => panic!("a flight was left behind"),
            }
        }
    });
}

fn are_possible(came: &[Came], stored: Option<usize>) {
    let fetched = |fate| came.iter().filter(|c| **c == Came::Fetched(fate)).count();
    assert!(fetched(Fate::Stored) <= 1, "fetched twice: {came:?}");
    for one in came {
        match *one {
            Came::Given(value) => assert_eq!(Some(value), stored, "{came:?}"),
            Came::Told(fate) => assert!(fetched(fate) > 0, "nobody came to that: {came:?}"),
            Came::Fetched(_) | Came::Left => {}
        }
    }
}

#[test]
fn under_every_random_schedule_one_leads_and_nobody_waits_in_vain() {
    shuttle::check_random(requests, SCHEDULES);
}

/// The same where the order of who comes first is changed at a few places only, which finds what needs one unlucky moment.
#[test]
fn under_every_schedule_with_few_changes_one_leads_and_nobody_waits_in_vain() {
    shuttle::check_pct(requests, SCHEDULES, 3);
}
