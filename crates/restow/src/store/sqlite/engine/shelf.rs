//! Connections that wait for the next read.

use rusqlite::Connection;
use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// The least and the most connections that are kept, whatever the number of processors is.
const LEAST: usize = 2;
const MOST: usize = 8;

/// Connections that wait, in as many places as threads can read at once. A thread comes back to the connection it used before: what that
/// holds of the file is in its processor's own cache, and no other thread asks for the same lock.
pub(super) struct Shelf {
    places: Box<[Place]>,
    /// How many connections there are, those in use too.
    made: AtomicUsize,
    closed: AtomicBool,
}

/// As far from the next as processors fetch memory at once, so that two threads do not pull at one line.
#[derive(Default)]
#[repr(align(128))]
struct Place(Mutex<Option<Connection>>);

thread_local! {
    /// Where this thread found a connection the last time, and how often it was here.
    static SEAT: (Cell<usize>, Cell<u32>) = const { (Cell::new(0), Cell::new(0)) };
}

/// Counts the visits of this thread.
pub(super) fn visits() -> u32 {
    SEAT.with(|(_, visits)| visits.replace(visits.get().wrapping_add(1)))
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self {
            places: (0..room()).map(|_| Place::default()).collect(),
            made: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Takes a connection, the one that this thread used last where it is there; waits for nobody.
    pub(super) fn take(&self) -> Option<Connection> {
        self.mine_first().find_map(|(at, place)| {
            let conn = match place.0.try_lock() {
                Ok(mut conn) => conn.take(),
                Err(TryLockError::Poisoned(conn)) => conn.into_inner().take(),
                Err(TryLockError::WouldBlock) => None,
            };
            // From now on this place is this thread's: where two began at one, they part.
            conn.inspect(|_| SEAT.with(|(seat, _)| seat.set(at)))
        })
    }

    /// Puts a connection where this thread will find it again.
    pub(super) fn put(&self, conn: Connection) {
        for (_, place) in self.mine_first() {
            let mut place = lock(place);
            // Whoever closes the shelf empties each place after it said so.
            if self.closed.load(SeqCst) {
                break;
            }
            if place.is_none() {
                *place = Some(conn);
                return;
            }
        }
        self.made.fetch_sub(1, SeqCst);
    }

    /// Has one more connection made, where there is room for it.
    pub(super) fn add<E>(
        &self,
        make: impl FnOnce() -> Result<Connection, E>,
    ) -> Option<Result<Connection, E>> {
        let one_more = |made| (made < self.places.len()).then_some(made + 1);
        self.made.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        let made = make();
        if made.is_err() {
            self.made.fetch_sub(1, SeqCst);
        }
        Some(made)
    }

    /// Closes the connections here; those in use close when they are put back.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        for place in &self.places {
            lock(place).take();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// The places with their numbers, this thread's first.
    fn mine_first(&self) -> impl Iterator<Item = (usize, &Place)> {
        let mine = SEAT.with(|(seat, _)| seat.get());
        let (before, after) = self
            .places
            .split_at_checked(mine)
            .unwrap_or((&[], &self.places));
        (mine..).zip(after).chain((0..).zip(before))
    }
}

/// How many connections are kept at most.
pub(super) fn room() -> usize {
    thread::available_parallelism().map_or(LEAST, |n| n.get().clamp(LEAST, MOST))
}

fn lock(place: &Place) -> MutexGuard<'_, Option<Connection>> {
    // Nothing panics while it is held; if it did, what it guards is whole.
    place.0.lock().unwrap_or_else(PoisonError::into_inner)
}
