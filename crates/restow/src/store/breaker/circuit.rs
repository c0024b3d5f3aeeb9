//! When a store is asked and when it is left alone: pure, told the time, without a lock.

use std::time::Duration;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// So many failures without a success between them open it.
    pub(super) failures: u32,
    /// How long it stays open at first; each probe that fails doubles it.
    pub(super) pause: Duration,
    /// The longest that it stays open.
    pub(super) most_pause: Duration,
    /// How long others wait for what a probe comes to: then another is made.
    pub(super) patience: Duration,
}

/// Over at least so many calls, half of them failures open it too.
const ENOUGH: u32 = 20;
/// The calls of this time and of as long before it count for that.
const WINDOW: Duration = Duration::from_secs(5);

/// A circuit: closed while calls go through, open while none does, and half open while one of them finds out.
#[derive(Debug)]
pub(super) struct Circuit {
    rules: Rules,
    state: State,
    /// Grows with every change of state: what a call of an older state came to says nothing of this one.
    turn: u64,
}

#[derive(Debug)]
enum State {
    Closed(Tally),
    Open {
        until: Duration,
        pause: Duration,
    },
    Probing {
        since: Duration,
        pause: Duration,
        /// The turn of the first probe since it was open.
        first: u64,
    },
}

/// What calls came to while the circuit was closed.
#[derive(Debug, Default)]
struct Tally {
    running: u32,
    began: Duration,
    current: Count,
    before: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u32,
    failures: u32,
}

/// Whether a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is.
    Pass(Turn),
    /// It is, and decides whether others are from then on.
    Probe(Turn),
    /// It is not.
    Refused,
}

/// The state in which a call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

/// What a call says of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It answered.
    Good,
    /// It failed, or did not answer in time.
    Bad,
    /// Nothing: the call was dropped, or never reached it.
    Void,
}

/// What changed with the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was closed, and is open.
    Opened,
    /// A probe failed.
    StaysOpen,
    /// A probe succeeded.
    Closed,
}

impl Circuit {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Closed(Tally::default()),
            turn: 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    /// Tells whether a call may be made now; one that may not `probe` is refused until another has.
    pub(super) fn admit(&mut self, now: Duration, probe: bool) -> Admission {
        match self.state {
            State::Closed(_) => Admission::Pass(Turn(self.turn)),
            State::Open { pause, .. } | State::Probing { pause, .. }
                if probe && self.would_admit(now) =>
            {
                // Of a probe before, only that it was good says something still.
                let first = match self.state {
                    State::Probing { first, .. } => first,
                    _ => self.turn + 1,
                };
                self.change(State::Probing {
                    since: now,
                    pause,
                    first,
                });
                Admission::Probe(Turn(self.turn))
            }
            State::Open { .. } | State::Probing { .. } => Admission::Refused,
        }
    }

    /// Tells whether a call would be made now, as a probe too.
    pub(super) fn would_admit(&self, now: Duration) -> bool {
        match self.state {
            State::Closed(_) => true,
            State::Open { until, .. } => now >= until,
            // It may be a call that goes over a whole table.
            State::Probing { since, .. } => now >= since.saturating_add(self.rules.patience),
        }
    }

    /// Takes in what a call came to.
    pub(super) fn end(&mut self, turn: Turn, end: End, now: Duration) -> Option<Change> {
        let is_good_at_last = end == End::Good
            && matches!(self.state, State::Probing { first, .. } if (first..self.turn).contains(&turn.0));
        if turn.0 != self.turn && !is_good_at_last {
            return None;
        }
        match (&mut self.state, end) {
            (State::Closed(tally), End::Good) => {
                tally.note(now, false);
                None
            }
            (State::Closed(tally), End::Bad) => {
                tally.note(now, true);
                if !tally.is_too_much(self.rules.failures) {
                    return None;
                }
                self.open(now);
                Some(Change::Opened)
            }
            (State::Probing { .. }, End::Good) => {
                self.change(State::Closed(Tally {
                    began: now,
                    ..Tally::default()
                }));
                Some(Change::Closed)
            }
            (State::Probing { pause, .. }, End::Bad) => {
                let pause = pause.saturating_mul(2).min(self.rules.most_pause);
                self.change(State::Open {
                    until: now.saturating_add(pause),
                    pause,
                });
                Some(Change::StaysOpen)
            }
            // The next call is the probe.
            (State::Probing { pause, .. }, End::Void) => {
                let pause = *pause;
                self.change(State::Open { until: now, pause });
                None
            }
            (State::Closed(_), End::Void) | (State::Open { .. }, _) => None,
        }
    }

    /// Opens it for a reason that no call has told; `false` where it was not closed.
    pub(super) fn trip(&mut self, now: Duration) -> bool {
        let trips = self.is_closed();
        if trips {
            self.open(now);
        }
        trips
    }

    fn open(&mut self, now: Duration) {
        let pause = self.rules.pause;
        self.change(State::Open {
            until: now.saturating_add(pause),
            pause,
        });
    }

    fn change(&mut self, state: State) {
        self.turn += 1;
        self.state = state;
    }
}

impl Tally {
    fn note(&mut self, now: Duration, failed: bool) {
        let age = now.saturating_sub(self.began);
        if age >= WINDOW {
            self.before = match age < WINDOW * 2 {
                true => self.current,
                false => Count::default(),
            };
            self.current = Count::default();
            self.began = now;
        }
        self.current.calls = self.current.calls.saturating_add(1);
        if failed {
            self.running = self.running.saturating_add(1);
            self.current.failures = self.current.failures.saturating_add(1);
        } else {
            self.running = 0;
        }
    }

    fn is_too_much(&self, running: u32) -> bool {
        let calls = self.current.calls.saturating_add(self.before.calls);
        let failures = self.current.failures.saturating_add(self.before.failures);
        self.running >= running.max(1) || (calls >= ENOUGH && failures >= calls - failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        failures: 5,
        pause: Duration::from_millis(200),
        most_pause: Duration::from_secs(1),
        patience: PATIENCE,
    };
    const PATIENCE: Duration = Duration::from_millis(1_250);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn call(circuit: &mut Circuit, end: End, now: Duration) -> Option<Change> {
        match circuit.admit(now, true) {
            Admission::Pass(turn) | Admission::Probe(turn) => circuit.end(turn, end, now),
            Admission::Refused => None,
        }
    }

    fn open() -> Circuit {
        let mut circuit = Circuit::new(RULES);
        for n in 1..=5 {
            let change = call(&mut circuit, End::Bad, at(0));
            assert_eq!(change, (n == 5).then_some(Change::Opened));
        }
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them() {
        let mut circuit = Circuit::new(RULES);
        for _ in 0..4 {
            call(&mut circuit, End::Bad, at(0));
        }
        call(&mut circuit, End::Good, at(0));
        for _ in 0..4 {
            assert_eq!(call(&mut circuit, End::Bad, at(0)), None);
        }
        assert_eq!(call(&mut circuit, End::Bad, at(0)), Some(Change::Opened));
        assert_eq!(circuit.admit(at(199), true), Admission::Refused);
    }

    #[test]
    fn half_of_many_calls_failing_opens_it_and_old_ones_are_forgotten() {
        let mut circuit = Circuit::new(RULES);
        let mut alternate = |from: u64, times: u64| {
            (0..times).find_map(|n| {
                call(&mut circuit, End::Good, at(from + n));
                call(&mut circuit, End::Bad, at(from + n))
            })
        };
        assert_eq!(alternate(0, 9), None, "18 calls are too few");
        assert_eq!(alternate(20_000, 9), None, "the others are too old");
        assert_eq!(alternate(20_100, 1), Some(Change::Opened));
    }

    #[test]
    fn one_probe_at_a_time_and_each_failure_doubles_the_pause_up_to_the_most() {
        let mut circuit = open();
        let mut now = 0;
        for pause in [200, 400, 800, 1_000, 1_000] {
            assert_eq!(circuit.admit(at(now + pause - 1), true), Admission::Refused);
            now += pause;
            assert_eq!(circuit.admit(at(now), false), Admission::Refused);
            let Admission::Probe(turn) = circuit.admit(at(now), true) else {
                panic!("no probe after {pause}");
            };
            assert_eq!(circuit.admit(at(now), true), Admission::Refused);
            let end = circuit.end(turn, End::Bad, at(now));
            assert_eq!(end, Some(Change::StaysOpen));
        }
        now += 1_000;
        assert_eq!(call(&mut circuit, End::Good, at(now)), Some(Change::Closed));
        assert!(circuit.is_closed());
    }

    #[test]
    fn a_probe_that_is_dropped_leaves_the_next_call_to_be_one() {
        let mut circuit = open();
        assert_eq!(call(&mut circuit, End::Void, at(200)), None);
        assert!(matches!(circuit.admit(at(200), true), Admission::Probe(_)));
    }

    #[test]
    fn a_probe_that_takes_long_holds_the_next_one_up_for_a_while_only() {
        let mut circuit = open();
        let mut now = at(200);
        let Admission::Probe(first) = circuit.admit(now, true) else {
            panic!("no probe");
        };
        for _ in 0..3 {
            now += PATIENCE;
            let just_before = now - at(1);
            assert_eq!(circuit.admit(just_before, true), Admission::Refused);
            assert!(!circuit.would_admit(just_before));
            assert!(circuit.would_admit(now));
            assert_eq!(circuit.admit(now, false), Admission::Refused);
            assert!(matches!(circuit.admit(now, true), Admission::Probe(_)));
        }
        // The last of them decides, but one that was good at last is good.
        for end in [End::Bad, End::Void] {
            assert_eq!(circuit.end(first, end, now), None);
            assert!(circuit.is_probing());
        }
        assert_eq!(circuit.end(first, End::Good, now), Some(Change::Closed));
        let mut circuit = open();
        let Admission::Probe(early) = circuit.admit(at(200), true) else {
            panic!("no probe");
        };
        assert_eq!(
            circuit.end(early, End::Bad, at(201)),
            Some(Change::StaysOpen)
        );
        assert!(matches!(circuit.admit(at(900), true), Admission::Probe(_)));
        // That was another outage's, for all that is known.
        assert_eq!(circuit.end(early, End::Good, at(901)), None);
    }

    #[test]
    fn what_began_before_it_opened_says_nothing_after() {
        let mut circuit = Circuit::new(RULES);
        let Admission::Pass(early) = circuit.admit(at(0), true) else {
            panic!("it is closed");
        };
        assert!(circuit.trip(at(0)) && !circuit.trip(at(0)));
        assert_eq!(circuit.end(early, End::Good, at(1)), None);
        assert!(!circuit.is_closed());
        call(&mut circuit, End::Good, at(200));
        assert!(circuit.is_closed());
        for _ in 0..10 {
            assert_eq!(circuit.end(early, End::Bad, at(300)), None);
        }
        assert!(circuit.is_closed());
    }

    proptest! {
        /// Whatever comes: nothing passes an open circuit but one probe at a time, for as long as it is waited for, a healthy store closes it within the longest pause, and
        /// one that always fails gets no more than its probes.
        #[test]
        fn it_keeps_its_rules(steps in prop::collection::vec((0_u64..400, 0_u8..4, any::<bool>()), 1..300)) {
            let mut circuit = Circuit::new(RULES);
            let (mut now, mut pending) = (0, Vec::new());
            let mut probe: Option<(Turn, Duration)> = None;
            for (wait, action, probes) in steps {
                now += wait;
                match action {
                    0 => match circuit.admit(at(now), probes) {
                        Admission::Pass(turn) => {
                            prop_assert!(circuit.is_closed());
                            pending.push(turn);
                        }
                        Admission::Probe(turn) => {
                            let in_time = |(_, since)| at(now) < since + PATIENCE;
                            prop_assert!(probes && !probe.is_some_and(in_time) && !circuit.is_closed());
                            probe = Some((turn, at(now)));
                        }
                        Admission::Refused => prop_assert!(!circuit.is_closed()),
                    },
                    n => {
                        let end = [End::Good, End::Bad, End::Void][usize::from(n) - 1];
                        let was_closed = circuit.is_closed();
                        let turn = probe.take().map(|(turn, _)| turn).or_else(|| pending.pop());
                        let change = turn.and_then(|turn| circuit.end(turn, end, at(now)));
                        let expected = match change {
                            None => circuit.is_closed() == was_closed,
                            Some(Change::Opened) => was_closed && !circuit.is_closed(),
                            Some(Change::StaysOpen) => !was_closed && !circuit.is_closed(),
                            Some(Change::Closed) => !was_closed && circuit.is_closed(),
                        };
                        prop_assert!(expected, "{change:?}");
                    }
                }
            }
            if let Some((turn, _)) = probe {
                circuit.end(turn, End::Void, at(now));
            }
            call(&mut circuit, End::Good, at(now + 1_000));
            prop_assert!(circuit.is_closed());
            let calls = (0..10_000).filter(|ms| {
                let before = circuit.admit(at(now + 1_000 + ms), true);
                if let Admission::Pass(turn) | Admission::Probe(turn) = before {
                    circuit.end(turn, End::Bad, at(now + 1_000 + ms));
                }
                before != Admission::Refused
            });
            // Five that open it, and probes after 200, 400, 800, 1000, .. milliseconds.
            prop_assert!(calls.count() <= 5 + 13);
        }
    }
}
