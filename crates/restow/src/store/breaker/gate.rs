//! Where calls pass on their way to the store: bounded in time, counted, and kept away from a store that is down.

use super::{
    BreakerOptions,
    circuit::{Admission, Change, Circuit, End, Rules, Turn},
    health::{BreakerState, SideHealth},
};
use crate::{Error, ErrorKind, Result};
use std::{
    fmt,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::time::Instant;

/// From a question to its answer several tasks have a turn, one after the other: who sends it, the connection, and whoever hands it on.
const TURNS: usize = 8;

/// The two kinds of calls, each with a circuit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Reads,
    Changes,
}

/// The gate of one store.
pub(super) struct Gate {
    pub(super) options: BreakerOptions,
    place: Box<str>,
    started: Instant,
    reads: Half,
    changes: Half,
}

struct Half {
    circuit: Mutex<Circuit>,
    opens: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    refused: AtomicU64,
    last_failure: Mutex<Option<Arc<str>>>,
    /// When it last answered a call in time, in microseconds since the start.
    answered: AtomicU64,
}

/// Whether a call is made.
pub(super) enum Entry {
    Pass(Pass),
    /// It is, but nobody waits for it.
    Probe(Pass),
    Refused(Error),
}

/// A call that is under way. Dropped without an end, it says nothing of the store.
pub(super) struct Pass {
    gate: Arc<Gate>,
    side: Side,
    turn: Option<Turn>,
}

impl Gate {
    pub(super) fn new(place: &str, options: BreakerOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            place: place.into(),
            started: Instant::now(),
            reads: Half::new(&options),
            changes: Half::new(&options),
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Asks for a call to be made; where it may not be a probe, it is refused as long as the store is down.
    pub(super) fn enter(self: &Arc<Self>, side: Side, may_probe: bool) -> Entry {
        // What cannot be read need not be written.
        if side == Side::Changes && !lock(&self.reads.circuit).is_closed() {
            return Entry::Refused(self.refuse(side));
        }
        let now = self.started.elapsed();
        let pass = |turn| Pass {
            gate: self.clone(),
            side,
            turn: Some(turn),
        };
        let admission = lock(&self.half(side).circuit).admit(now, may_probe);
        match admission {
            Admission::Pass(turn) => Entry::Pass(pass(turn)),
            Admission::Probe(turn) => Entry::Probe(pass(turn)),
            Admission::Refused => Entry::Refused(self.refuse(side)),
        }
    }

    /// Tells whether a call would be made now.
    pub(super) fn is_passable(&self, side: Side) -> bool {
        lock(&self.half(side).circuit).would_admit(self.started.elapsed())
    }

    /// Asks for a call that is waited for, also where it is a probe and may be one.
    pub(super) fn pass(self: &Arc<Self>, side: Side, may_probe: bool) -> Result<Pass> {
        match self.enter(side, may_probe) {
            Entry::Pass(pass) | Entry::Probe(pass) => Ok(pass),
            Entry::Refused(error) => Err(error),
        }
    }

    /// Opens the circuit of reads at once, for an error that its call has ended with.
    pub(super) fn trip(&self, why: &Error) {
        // The others are counted already.
        if !why.kind().is_of_the_store() {
            self.reads.failed(&reason(why));
        }
        self.open_reads();
    }

    fn open_reads(&self) {
        if self.options.breaker && lock(&self.reads.circuit).trip(self.started.elapsed()) {
            self.tell(Side::Reads, Change::Opened);
        }
    }

    /// The error of a call that is not made.
    pub(super) fn refuse(&self, side: Side) -> Error {
        let half = self.half(side);
        half.refused.fetch_add(1, Relaxed);
        self.down(side)
    }

    /// Says that the store is down.
    pub(super) fn down(&self, side: Side) -> Error {
        let half = match side {
            Side::Changes if lock(&self.reads.circuit).is_closed() => &self.changes,
            _ => &self.reads,
        };
        let why = lock(&half.last_failure).clone();
        let why = why.as_deref().unwrap_or("it was not reached yet");
        let place = &self.place;
        let message =
            format!("{place} is down ({why}), and not asked for now; it is tried again by itself");
        Error::new(ErrorKind::Down, message)
    }

    pub(super) fn health(&self, side: Side) -> SideHealth {
        let half = self.half(side);
        let circuit = lock(&half.circuit);
        let state = match () {
            () if circuit.is_closed() => BreakerState::Closed,
            () if circuit.is_probing() => BreakerState::HalfOpen,
            () => BreakerState::Open,
        };
        drop(circuit);
        SideHealth {
            state,
            opens: half.opens.load(Relaxed),
            failures: half.failures.load(Relaxed),
            timeouts: half.timeouts.load(Relaxed),
            refused: half.refused.load(Relaxed),
            last_failure: lock(&half.last_failure).as_deref().map(str::to_owned),
        }
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Reads => &self.reads,
            Side::Changes => &self.changes,
        }
    }

    fn tell(&self, side: Side, change: Change) {
        let half = self.half(side);
        let what = match side {
            Side::Reads => "read",
            Side::Changes => "changed",
        };
        let why = lock(&half.last_failure)
            .clone()
            .unwrap_or_else(|| "".into());
        let store = &*self.place;
        match change {
            Change::Opened => {
                half.opens.fetch_add(1, Relaxed);
                tracing::warn!(target: "restow", store, %why, "the store is down: until it is back it is not {what}, and requests go to the API");
            }
            Change::StaysOpen => {
                tracing::debug!(target: "restow", store, %why, "the store is still down");
            }
            Change::Closed => tracing::info!(target: "restow", store, "the store is {what} again"),
        }
    }
}

impl Half {
    fn new(options: &BreakerOptions) -> Self {
        let rules = Rules {
            failures: options.failures,
            pause: options.pause,
            most_pause: options.most_pause.max(options.pause),
            patience: options.patience(),
        };
        Self {
            circuit: Mutex::new(Circuit::new(rules)),
            opens: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_failure: Mutex::default(),
            answered: AtomicU64::new(0),
        }
    }

    fn answered(&self, at: Duration) {
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.answered.fetch_max(at, Relaxed);
    }

    /// When it last answered a call in time.
    fn last_answer(&self) -> Duration {
        Duration::from_micros(self.answered.load(Relaxed))
    }

    fn failed(&self, why: &str) {
        self.failures.fetch_add(1, Relaxed);
        *lock(&self.last_failure) = Some(why.into());
    }
}

impl Pass {
    /// Notes what the store answered, and hands it on.
    pub(super) fn end<T>(self, answer: Result<T>) -> Result<T> {
        match &answer {
            Ok(_) => self.close(End::Good),
            Err(error) if error.kind() == ErrorKind::Format && self.gate.options.breaker => {
                return Err(self.changed_format(error));
            }
            // A store that no longer lets this program in is of no use to it either.
            Err(error) if error.kind().is_of_the_store() || error.kind() == ErrorKind::Config => {
                self.fail(error);
            }
            Err(error) if never_arrived(error.kind()) => self.close(End::Void),
            Err(_) => self.close(End::Good),
        }
        answer
    }

    /// Waits for the answer for so long at most: since the call, or since the store last answered another one in time, for then it is there and
    /// has much to do; twice as long in all. Where this process is busy, it waits until it has looked at what arrived. Given up, the call may still happen.
    pub(super) async fn within<T>(
        self,
        bound: Duration,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (half, started) = (self.gate.half(self.side), self.gate.started);
        let begun = started.elapsed();
        let in_time = begun.saturating_add(bound);
        let at_last = in_time.saturating_add(bound);
        let mut answer = pin!(answer);
        let mut until = in_time;
        let answer = loop {
            let left = until.saturating_sub(started.elapsed());
            if let Ok(answer) = tokio::time::timeout(left, answer.as_mut()).await {
                break Some(answer);
            }
            let longer = half.last_answer().saturating_add(bound).min(at_last);
            if longer <= until {
                break at_its_turn(answer).await;
            }
            until = longer;
        };
        let now = started.elapsed();
        let Some(answer) = answer else {
            let waited = until.saturating_sub(begun).as_millis();
            let waited = u64::try_from(waited).unwrap_or(u64::MAX);
            return Err(self.timed_out(Duration::from_millis(waited)));
        };
        if answer.is_ok() && now <= in_time {
            half.answered(now);
        }
        self.end(answer)
    }

    /// Notes that the call was given up after so long.
    pub(super) fn timed_out(self, bound: Duration) -> Error {
        self.gate.half(self.side).timeouts.fetch_add(1, Relaxed);
        let message = format!(
            "{} did not answer within {bound:?}; a longer timeout= behind its URL lets it take its time",
            self.gate.place
        );
        let error = Error::new(ErrorKind::Store, message);
        self.fail(&error);
        error
    }

    /// Notes that the store answered, but too slowly for the others.
    pub(super) fn was_slow(self) {
        let why = format!("{} answers too slowly", self.gate.place);
        self.fail(&Error::new(ErrorKind::Store, why));
    }

    /// Notes that the store has another format for now, and says that it is down: to ask for something else would help nobody.
    fn changed_format(self, error: &Error) -> Error {
        let gate = self.gate.clone();
        match self.side {
            Side::Reads => self.fail(error),
            Side::Changes => {
                gate.reads.failed(&reason(error));
                self.close(End::Void);
            }
        }
        gate.open_reads();
        gate.down(Side::Reads)
    }

    fn fail(self, error: &Error) {
        self.gate.half(self.side).failed(&reason(error));
        self.close(End::Bad);
    }

    fn close(mut self, end: End) {
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        let Some(turn) = self.turn.take() else { return };
        if !self.gate.options.breaker {
            return;
        }
        let now = self.gate.started.elapsed();
        let half = self.gate.half(self.side);
        let change = lock(&half.circuit).end(turn, end, now);
        if let Some(change) = change {
            self.gate.tell(self.side, change);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.finish(End::Void);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("place", &self.place)
            .field("options", &self.options)
            .field("reads", &self.health(Side::Reads))
            .field("changes", &self.health(Side::Changes))
            .finish_non_exhaustive()
    }
}

/// Lets all other tasks have their turns: what they wait for may be here, and the store is not to blame that nobody looks at it. In a
/// process with nothing else to do that takes no time.
async fn at_its_turn<F: Future>(mut answer: Pin<&mut F>) -> Option<F::Output> {
    for _ in 0..TURNS {
        // The runtime looks at its sockets before it comes back here.
        tokio::task::yield_now().await;
        if let Poll::Ready(answer) = futures_util::poll!(answer.as_mut()) {
            return Some(answer);
        }
    }
    None
}

/// Tells whether a call ended before the store was asked.
fn never_arrived(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Key
            | ErrorKind::Name
            | ErrorKind::Selection
            | ErrorKind::Closed
            | ErrorKind::Unsupported
            | ErrorKind::TooLarge
    )
}

/// Tells whether a store that fails so at its opening may be opened later, without the program being changed.
pub(super) fn may_pass(kind: ErrorKind) -> bool {
    kind.is_of_the_store() || matches!(kind, ErrorKind::Format | ErrorKind::Corrupt)
}

fn reason(error: &Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{}: {source}", error.message()),
        None => error.message().to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock can leave it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
