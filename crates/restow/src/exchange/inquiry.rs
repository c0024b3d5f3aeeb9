//! One request that has a key, from looking it up to an answer or a ticket.

use super::{
    asked::{Asked, origin},
    begin::{Background, Begin},
    lease::{self, HeldLease, Wish},
    outcome::{Answered, Bypassed, Missed, Outcome, OutcomeKind, Staleness},
    part::Part,
    partition::{self, Limited, Owner},
    save,
    stored::{stands_in, stored, stored_for, took},
    ticket::{Ticket, solo},
};
use crate::{
    Millis, Mode, Result,
    coalesce::{Flight, Leader, Outage, Passenger, Seat},
    context::{Context, FlightKey, Mount},
    endpoint::{Coalesce, Coding, RequestHead},
    entry::{Address, Entry, Found, Variant},
    store::Parts,
};
use http::{
    HeaderMap, Method,
    header::{IF_MATCH, IF_UNMODIFIED_SINCE, RANGE},
};
use restow_policy::{Limits, OnRequest, Options, Request, rule};
use std::sync::{Arc, atomic::Ordering};
use tokio::time::Instant;

/// One request that has a key.
pub(super) struct Inquiry<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) mount: Arc<Mount>,
    /// What the API is asked for in place of what the client accepts.
    pub(super) coding: Option<Coding>,
    /// Whether the address is made with the store's own secret.
    pub(super) keyed: bool,
    pub(super) address: Address,
    pub(super) owner: Owner,
    pub(super) mode: Mode,
    pub(super) head: RequestHead<'a>,
    pub(super) background: Background,
}

/// The seat of who fetches for those who wait.
type Leading = Leader<FlightKey, Arc<Entry>>;

/// What a leader may do where processes wait for each other.
enum Leased {
    /// Fetch for all processes.
    Held(HeldLease),
    /// Fetch for this process.
    Alone,
    /// Look at this: something was stored.
    Changed(Found),
}

/// What the policy says, with the entries it speaks of.
enum Decision {
    Answer {
        entry: Arc<Entry>,
        outcome: Outcome,
        refresh: bool,
    },
    Ask {
        validates: Option<Arc<Entry>>,
        held: Option<Arc<Entry>>,
        outcome: Outcome,
    },
    Refuse(Outcome),
}

impl Inquiry<'_> {
    /// Finds out what it comes to.
    pub(super) async fn run(self) -> Begin {
        let (mut tries, mut alone) = (0, false);
        let mut seen = None;
        loop {
            let now = self.ctx.now();
            let (found, store_down) = match seen.take() {
                Some(found) => (found, false),
                None => self.look_up(now).await,
            };
            let (validates, held, outcome) = match self.decide(&found, now, store_down) {
                Decision::Answer {
                    entry,
                    outcome,
                    refresh,
                } => return self.answer(entry, outcome, refresh, &found),
                Decision::Refuse(outcome) => return Begin::Refuse(self.answered(outcome)),
                Decision::Ask {
                    validates,
                    held,
                    outcome,
                } => (validates, held, outcome),
            };
            let outcome = self.explain(outcome, now).await;
            if has_precondition(self.head.headers) {
                return Begin::Fetch(self.precondition(outcome));
            }
            if *self.head.method == Method::HEAD || self.head.headers.contains_key(RANGE) {
                return self.apart(held, outcome, now, &found);
            }
            let flight = self.flight(&found);
            // A request that was sent round often enough goes alone.
            if alone || tries > 8 || self.ctx.flights.is_solo(&solo(&flight), now.0) {
                return Begin::Fetch(self.ticket(None, validates, held, outcome));
            }
            tries += 1;
            match self.ctx.flights.join(&flight) {
                Seat::Leader(leader) => {
                    // The flight before may have landed between the look-up and the seat. A store that is down is not waited for twice.
                    let shared = self.mount.rules().coalesce == Coalesce::Shared;
                    let lease = match store_down {
                        true => Leased::Alone,
                        // Boxed: few requests come here, and all would hold its room.
                        false if shared => Box::pin(self.lease(&found)).await,
                        false => {
                            let changed = self.changed(&found).await;
                            changed.map_or(Leased::Alone, Leased::Changed)
                        }
                    };
                    let lease = match lease {
                        Leased::Changed(changed) => {
                            drop(leader);
                            seen = Some(changed);
                            continue;
                        }
                        Leased::Alone => None,
                        Leased::Held(lease) => Some(lease),
                    };
                    let mut ticket = self.ticket(Some(leader), validates, held, outcome);
                    ticket.lease = lease;
                    return Begin::Fetch(ticket);
                }
                Seat::Passenger(passenger) => {
                    // One asks whether the API is back. The others need not wait for that.
                    if let Some((entry, outcome)) = self.spares(held.as_ref(), outcome, now) {
                        return self.answer(entry, outcome, false, &found);
                    }
                    match self.wait(passenger).await {
                        Flight::Landed(entry) if self.selects(&entry) => {
                            return self.coalesced(entry);
                        }
                        // Another variant, or the leader was lost: look again.
                        Flight::Landed(_) | Flight::Flying => {}
                        Flight::Failed(why) => return Begin::Failed(why),
                        Flight::Alone if store_down => {
                            return Begin::Fetch(self.ticket(None, validates, held, outcome));
                        }
                        // What it brought may be stored, to be validated.
                        Flight::Alone => alone = true,
                    }
                }
            }
        }
    }

    /// Finds out what it would come to: nothing is asked, and nobody waited for.
    pub(super) async fn foresee(self) -> Begin {
        let now = self.ctx.now();
        let (found, store_down) = self.look_up(now).await;
        match self.decide(&found, now, store_down) {
            Decision::Answer { entry, outcome, .. } => self.answer(entry, outcome, false, &found),
            Decision::Refuse(outcome) => Begin::Refuse(self.answered(outcome)),
            Decision::Ask {
                validates,
                held,
                outcome,
            } => {
                let outcome = self.explain(outcome, now).await;
                Begin::Fetch(self.ticket(None, validates, held, outcome))
            }
        }
    }

    /// Reads what is retained; a store that fails is a miss.
    async fn look_up(&self, now: Millis) -> (Found, bool) {
        if !self.keyed {
            return (Found::default(), true);
        }
        let read = self.mount.table.read(&self.address, Parts::Whole, now);
        self.readable(read.await)
    }

    fn readable(&self, read: Result<Found>) -> (Found, bool) {
        match read {
            Ok(found) => (found, false),
            Err(error) => {
                self.mount.complain(
                    &error,
                    "the store could not be read; the request goes to the API",
                );
                (Found::default(), true)
            }
        }
    }

    /// What is stored by now, where something of it was not found before.
    async fn changed(&self, found: &Found) -> Option<Found> {
        if !self.keyed {
            return None;
        }
        // Not from a replica, nor from memory: what another process wrote a moment ago may not be there yet.
        let (table, now) = (&self.mount.table, self.ctx.now());
        let read = table.read_latest(&self.address, Parts::Whole, now);
        let (again, _) = self.readable(read.await);
        let is_new = |e: &Entry| {
            !found
                .iter()
                .any(|f| f.id == e.id && f.generation == e.generation)
        };
        let has_new = again.iter().any(|e| is_new(e));
        has_new.then_some(again)
    }

    /// Waits until this process may fetch, or another one has.
    async fn lease(&self, found: &Found) -> Leased {
        let begun = Instant::now();
        let (mut pause, most) = self.ctx.defaults.look_again;
        let mut theirs: Option<Millis> = None;
        loop {
            let wish = lease::ask(self.ctx, &self.mount, &self.address).await;
            // In this order: what was stored before the lease was given back is seen.
            if let Some(changed) = self.changed(found).await {
                return Leased::Changed(changed);
            }
            match wish {
                Wish::Alone => return Leased::Alone,
                // Who held it gave it back and stored nothing: its answer was for itself alone, and so will the next one be.
                Wish::Held(_) if theirs.is_some_and(|until| self.ctx.now() < until) => {
                    return Leased::Alone;
                }
                Wish::Held(lease) => {
                    if theirs.is_some() {
                        tracing::debug!(target: "restow", repository = self.mount.name(), "the lease of another process has ended; this one fetches");
                    }
                    return Leased::Held(lease);
                }
                Wish::Busy(_) if begun.elapsed() >= self.ctx.defaults.wait_at_most => {
                    return Leased::Alone;
                }
                Wish::Busy(until) => {
                    theirs = Some(until);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(most);
                }
            }
        }
    }

    fn decide(&self, found: &Found, now: Millis, store_down: bool) -> Decision {
        let limits = Limits {
            mode: self.mode.policy(),
            ..self.mount.limits
        };
        let options = Options {
            background: self.background == Background::Possible,
            ..self.mount.options(self.owner.shared)
        };
        let request = Request {
            method: self.head.method,
            headers: self.head.headers,
            credential: self.owner.known,
        };
        let shared = self.owner.shared;
        let entries = found.iter().map(|e| stored_for(e, &self.mount, shared));
        let decision =
            restow_policy::on_request(&request, entries, now.0, &limits, &options, &mut |vary| {
                self.select(vary).map(|v| v.0)
            });
        let nth = |i: usize| found.iter().nth(i).cloned();
        let held = || {
            found
                .iter()
                .filter(|e| self.selects(e))
                .max_by_key(|e| e.meta.stored_at)
                .cloned()
        };
        let miss = |rule: restow_policy::Rule| {
            let why = match rule {
                _ if store_down => Missed::StoreDown,
                rule::ABSENT => Missed::Absent,
                rule::OTHER_VARIANT => Missed::OtherVariant,
                _ if found.is_empty() => Missed::Absent,
                _ => Missed::Expired,
            };
            Outcome::new(OutcomeKind::Miss(why), Some(rule))
        };
        if let OnRequest::Revalidate(_, rule::EXPIRED) | OnRequest::Fetch(rule::EXPIRED) = decision
            && let Some(outage) = self.outage(now)
            && (!outage.is_due || self.rests())
            && let Some((entry, outcome)) = held().and_then(|e| self.stand_in(e, outage, now))
        {
            return Decision::Answer {
                entry,
                outcome,
                refresh: false,
            };
        }
        match decision {
            OnRequest::Serve(i, rule) => match nth(i) {
                Some(entry) => {
                    let kind = match rule {
                        rule::OFFLINE => OutcomeKind::Stale(Staleness::Offline),
                        rule::MAX_STALE => OutcomeKind::Stale(Staleness::Window),
                        _ => OutcomeKind::Hit,
                    };
                    Decision::Answer {
                        entry,
                        outcome: Outcome::new(kind, Some(rule)),
                        refresh: false,
                    }
                }
                None => Decision::Ask {
                    validates: None,
                    held: None,
                    outcome: miss(rule::ABSENT),
                },
            },
            OnRequest::ServeStaleAndRefresh(i, rule) => match nth(i) {
                Some(entry) => Decision::Answer {
                    entry,
                    outcome: Outcome::new(OutcomeKind::Stale(Staleness::Window), Some(rule)),
                    refresh: self.outage(now).is_none_or(|outage| outage.is_due),
                },
                None => Decision::Ask {
                    validates: None,
                    held: None,
                    outcome: miss(rule::ABSENT),
                },
            },
            OnRequest::Revalidate(i, rule) => Decision::Ask {
                validates: nth(i),
                held: held(),
                outcome: miss(rule),
            },
            OnRequest::Refuse(rule) => {
                Decision::Refuse(Outcome::new(OutcomeKind::Refused, Some(rule)))
            }
            OnRequest::Fetch(rule) => Decision::Ask {
                validates: None,
                held: held(),
                outcome: miss(rule),
            },
            _ => Decision::Ask {
                validates: None,
                held: None,
                outcome: miss(rule::ABSENT),
            },
        }
    }

    /// What stands in for an API that failed for this key a moment ago.
    fn stand_in(
        &self,
        entry: Arc<Entry>,
        outage: Outage,
        now: Millis,
    ) -> Option<(Arc<Entry>, Outcome)> {
        let who = (self.owner.known, self.owner.shared);
        let rule = stands_in(&entry, &self.mount, who, now, outage.how)?;
        let outcome = Outcome::new(OutcomeKind::Stale(Staleness::Error), Some(rule));
        Some((entry, outcome))
    }

    /// What those are answered with who need not ask whether an API is back.
    fn spares(
        &self,
        held: Option<&Arc<Entry>>,
        outcome: Outcome,
        now: Millis,
    ) -> Option<(Arc<Entry>, Outcome)> {
        let outage = (outcome.rule == Some(rule::EXPIRED)).then(|| self.outage(now))??;
        self.stand_in(held?.clone(), outage, now)
    }

    /// A head or a part alone is never stored, and who asks for one does not pay for the whole: nobody waits for it, nor does it wait for others.
    fn apart(
        &self,
        held: Option<Arc<Entry>>,
        outcome: Outcome,
        now: Millis,
        found: &Found,
    ) -> Begin {
        let spares = self.spares(held.as_ref(), outcome, now);
        let outcome = match *self.head.method {
            Method::HEAD => outcome,
            _ => Outcome::new(OutcomeKind::Bypass(Bypassed::Range), outcome.rule),
        };
        let mut ticket = self.ticket(None, None, held, outcome);
        ticket.passes = true;
        if let Some((entry, outcome)) = spares {
            match self.ctx.flights.join(&self.flight(found)) {
                // It asks whether the API is back.
                Seat::Leader(leader) => ticket.leader = Some(leader),
                Seat::Passenger(_) => return self.answer(entry, outcome, false, found),
            }
        }
        Begin::Fetch(ticket)
    }

    /// Only the origin can judge a precondition: its answer is the caller's alone, and nothing stands in for it (RFC 9110 section 13.1).
    fn precondition(&self, outcome: Outcome) -> Box<Ticket> {
        let mut ticket = self.ticket(None, None, None, outcome);
        ticket.passes = true;
        ticket
    }

    /// Tells whether the API asked to be left alone (`Retry-After`).
    fn rests(&self) -> bool {
        let host = self.head.target.host.to_ascii_lowercase();
        self.ctx.rests(&host, &self.limited().whose)
    }

    fn limited(&self) -> Limited {
        partition::limited(self.ctx, &self.mount, &self.head, &self.owner)
    }

    fn outage(&self, now: Millis) -> Option<Outage> {
        let place = (self.mount.name(), &self.address);
        let failing = &self.ctx.failing;
        let own = || failing.get(&(place, &self.limited().whose), now.0);
        failing.get(&place, now.0).or_else(own)
    }

    fn answer(&self, entry: Arc<Entry>, outcome: Outcome, refresh: bool, found: &Found) -> Begin {
        let ticket = refresh.then(|| match self.ctx.flights.join(&self.flight(found)) {
            Seat::Leader(leader) => Some(self.refresh(leader, &entry, outcome)),
            Seat::Passenger(_) => None,
        });
        let part = Part::of(&entry, self.head.method, self.head.headers, &self.mount);
        let answered = self.answered(outcome).took(took(&entry));
        tracing::trace!(target: "restow", repository = self.mount.name(), %outcome);
        Begin::Answer {
            entry,
            part,
            answered,
            refresh: ticket.flatten(),
        }
    }

    /// The right to fetch an entry anew behind an answer: whole, whatever of it was asked for.
    fn refresh(&self, leader: Leading, entry: &Arc<Entry>, outcome: Outcome) -> Box<Ticket> {
        let can_validate = self.head.method.is_safe() && stored(entry, &self.mount).has_validator();
        let validates = can_validate.then(|| entry.clone());
        let outcome = Outcome::new(OutcomeKind::Miss(Missed::Expired), outcome.rule);
        let mut ticket = self.ticket(Some(leader), validates, Some(entry.clone()), outcome);
        if ticket.asked.method == Method::HEAD {
            ticket.asked.method = Method::GET;
        }
        ticket
    }

    fn coalesced(&self, entry: Arc<Entry>) -> Begin {
        let answered = self
            .answered(Outcome::new(OutcomeKind::Coalesced, None))
            .took(took(&entry));
        let part = Part::of(&entry, self.head.method, self.head.headers, &self.mount);
        Begin::Answer {
            entry,
            part,
            answered,
            refresh: None,
        }
    }

    /// A miss that has an entry under another user says so, and how to share it.
    async fn explain(&self, outcome: Outcome, now: Millis) -> Outcome {
        if outcome.kind != OutcomeKind::Miss(Missed::Absent)
            || !self
                .mount
                .elsewhere(&self.address.key, &self.address.partition, now)
                .await
        {
            return outcome;
        }
        if !self.mount.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "restow",
                repository = self.mount.name(),
                "a miss has an entry under the same key for another credential; where tokens rotate, name a principal, \
                 and where everyone gets the same answers, let the endpoint share them"
            );
        }
        Outcome {
            kind: OutcomeKind::Miss(Missed::OtherPartition),
            ..outcome
        }
    }

    async fn wait(&self, passenger: Passenger<Arc<Entry>>) -> Flight<Arc<Entry>> {
        // A leader that never ends must not hold everyone: past the deadline each flies alone.
        tokio::time::timeout(self.ctx.defaults.wait_at_most, passenger.wait())
            .await
            .unwrap_or(Flight::Alone)
    }

    fn select(&self, vary: &str) -> Option<Variant> {
        let by = (self.owner.shared, self.coding);
        save::variant(self.ctx, &self.mount, vary, self.head.headers, by)
    }

    fn selects(&self, entry: &Entry) -> bool {
        self.select(entry.meta.head.vary()) == Some(entry.id.variant)
    }

    /// The flight for this request: of its variant, where the names in `Vary` are known.
    fn flight(&self, found: &Found) -> FlightKey {
        let newest = found.iter().max_by_key(|e| e.meta.stored_at);
        let variant = newest.and_then(|e| self.select(e.meta.head.vary()));
        FlightKey {
            repository: self.mount.endpoint.declaration().name.shared(),
            declared: self.mount.declared,
            address: self.address.clone(),
            who: self.owner.who.clone(),
            variant,
        }
    }

    fn answered(&self, outcome: Outcome) -> Answered {
        Answered::new(
            outcome,
            self.mount.endpoint.declaration().name.shared(),
            self.address.key.clone(),
            self.address.partition.clone(),
        )
        .asked_for(self.coding)
    }

    /// What saving an answer needs to know of the request.
    fn asked(&self) -> Asked {
        Asked {
            method: self.head.method.clone(),
            headers: self.head.headers.clone(),
            origin: origin(&self.head.target),
            host: self.head.target.host.to_ascii_lowercase().into(),
            mode: self.mode,
            known: self.owner.known,
            shared: self.owner.shared,
            common: self.owner.common,
            limited: self.limited(),
            coding: self.coding,
            keyed: self.keyed,
            at: self.ctx.now(),
            removals: self.ctx.removals.count(),
        }
    }

    fn ticket(
        &self,
        leader: Option<Leading>,
        validates: Option<Arc<Entry>>,
        held: Option<Arc<Entry>>,
        outcome: Outcome,
    ) -> Box<Ticket> {
        Box::new(Ticket {
            ctx: self.ctx.clone(),
            mount: self.mount.clone(),
            address: self.address.clone(),
            asked: self.asked(),
            validates,
            held,
            outcome,
            passes: false,
            leader,
            lease: None,
        })
    }
}

/// Tells whether a request is to be carried out only where the answer is still the one that its sender knows.
fn has_precondition(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE)
}
