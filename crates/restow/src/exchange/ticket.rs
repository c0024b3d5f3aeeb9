//! Tickets: the right and duty to make one request, and what becomes of its answer.

use super::{
    asked::Asked,
    gather::{Gathering, Reader},
    lease::{self, HeldLease, Wish},
    outcome::{Answered, Bypassed, Missed, Outcome, OutcomeKind, Saved, Staleness},
    part::Part,
    renew,
    save::{self, Arrived},
    stored::{can_be_used_again, cookies, may_give, stands_in, stored, took},
};
use crate::{
    Millis,
    coalesce::{Flight, Leader},
    context::{Context, FlightKey, Mount},
    endpoint::{Coalesce, Coding, Rejection},
    entry::{Address, Entry, Generation, Partition},
    store::Parts,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, RANGE},
};
use restow_policy::{ErrorKind as Failure, rule};
use std::sync::{Arc, OnceLock};

/// The right and duty to make one request to the API. Owned and `Send`: it can cross into a task.
///
/// Dropped, it hands the fetch to the next request that waits for it.
#[must_use = "a dropped ticket hands the fetch to the next waiter"]
#[derive(Debug)]
pub struct Ticket {
    pub(crate) ctx: Arc<Context>,
    pub(crate) mount: Arc<Mount>,
    pub(crate) address: Address,
    pub(crate) asked: Asked,
    /// The entry that a 304 would confirm.
    pub(crate) validates: Option<Arc<Entry>>,
    /// The entry that the request selects, however old.
    pub(crate) held: Option<Arc<Entry>>,
    pub(crate) outcome: Outcome,
    /// Whether the answer is for its caller alone, as it comes: one to a `HEAD`, of a part, or to a precondition.
    pub(crate) passes: bool,
    /// Those who wait; `None` where nobody can.
    pub(crate) leader: Option<Leader<FlightKey, Arc<Entry>>>,
    /// Those who wait in other processes.
    pub(crate) lease: Option<HeldLease>,
}

/// What to do once the API has answered with a head.
#[derive(Debug)]
pub enum Landing {
    /// Answer with this stored entry: the API confirmed it, or failed.
    Answer(Arc<Entry>, Part, Answered),
    /// Read the body into the collector, and give it to the caller.
    Collect(Box<Collector>, Answered),
    /// Give the body to the caller; it is not stored.
    Pass(Answered),
    /// The API confirmed something that is not what is stored: ask again, without a condition.
    Again(Box<Ticket>),
}

/// Takes in the body of an answer that is to be stored.
///
/// Dropped before [`finish`](Self::finish), nothing is stored, and the fetch is handed to a waiter.
#[must_use = "an answer is stored when the collector is finished"]
#[derive(Debug)]
pub struct Collector {
    ticket: Ticket,
    arrived: Arrived,
    expected: Option<u64>,
    body: Gathering,
    saved: Arc<OnceLock<Saved>>,
}

impl Ticket {
    /// Readies the headers of the request: takes out the caller's own conditions and puts in the cache's, and the endpoint's encoding
    /// where that is [settled](Self::upstream_encoding). What asks for a head or a part alone, or has a precondition that only the API can judge
    /// (`If-Match`, `If-Unmodified-Since`), keeps its conditions and its range.
    pub fn prepare(&self, headers: &mut HeaderMap) {
        if !self.passes {
            restow_policy::drop_own_conditions(headers);
        }
        if let Some(coding) = self.asked.coding {
            // What is stored is whole and plain, and so is what a part is of.
            let coding = match headers.contains_key(RANGE) {
                true => Coding::Identity,
                false => coding,
            };
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding.as_str()));
        }
        if let Some(entry) = &self.validates {
            for (name, value) in restow_policy::conditions(&stored(entry, &self.mount)) {
                headers.insert(name, value);
            }
        }
    }

    /// Returns the method that the request is made with. Of a refresh behind the answer to a `HEAD` it is `GET`, for its answer is stored.
    pub fn method(&self) -> &Method {
        &self.asked.method
    }

    /// Returns the encoding that the API is asked for, where that is not the client's own: the adapter then decodes what comes, whatever its
    /// encoding. Only of a [negotiating](crate::exchange::Exchange::negotiating) exchange.
    pub fn upstream_encoding(&self) -> Option<Coding> {
        self.asked.coding
    }

    /// Returns why the request is made.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the name of the repository that the answer belongs to.
    pub fn repository(&self) -> &str {
        self.mount.name()
    }

    /// Returns the key of the answer, and whose it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the entry that the request selects, however old, if one is held.
    pub fn held(&self) -> Option<&Arc<Entry>> {
        self.held.as_ref()
    }

    /// Tells whether the request carries a condition of the cache's, so that its answer may ask for a second try.
    pub fn is_conditional(&self) -> bool {
        self.validates.is_some()
    }

    /// Returns the cache's present moment.
    pub fn now(&self) -> Millis {
        self.ctx.now()
    }

    /// Tells whether the API asked to be left alone for now; background work heeds it.
    pub fn should_rest(&self) -> bool {
        self.ctx.rests(&self.asked.host, &self.asked.limited.whose)
    }

    /// Tells whether a refresh behind is to be made by this process: ask before it is begun. Where processes wait for each other
    /// ([`Coalesce::Shared`]), one of them refreshes an entry, and this is `false` where another one does or has done it.
    ///
    /// # Cancel safety
    /// Dropped, a lease may be held until it ends by itself.
    pub async fn may_refresh(&mut self) -> bool {
        if self.mount.rules().coalesce != Coalesce::Shared || !self.asked.keyed {
            return true;
        }
        match lease::ask(&self.ctx, &self.mount, &self.address).await {
            Wish::Alone => true,
            Wish::Busy(_) => false,
            Wish::Held(lease) => {
                // In this order: what was stored before the lease was given back is seen.
                let is_due = !self.is_refreshed().await;
                self.lease = is_due.then_some(lease);
                is_due
            }
        }
    }

    /// Tells whether the held entry is another one by now.
    async fn is_refreshed(&self) -> bool {
        let Some(held) = &self.held else {
            return false;
        };
        let table = &self.mount.table;
        let now = table.read_latest(&self.address, Parts::Meta, self.ctx.now());
        let now = now.await.unwrap_or_default();
        let same = now.iter().find(|e| e.id == held.id);
        same.is_some_and(|e| e.generation != held.generation)
    }

    /// The API answered with this head. `url` is where the answer came from after redirects, if the client knows.
    ///
    /// # Cancel safety
    /// Dropped, nothing is stored, or a renewal is; waiters go on.
    pub async fn head(
        self,
        status: StatusCode,
        headers: HeaderMap,
        url: Option<String>,
    ) -> Landing {
        let at = self.ctx.now();
        if let Some(wait) = restow_policy::retry_after(&headers, at.0) {
            let until = Millis(at.0.saturating_add(wait));
            let by = match is_for_one(status.as_u16()) {
                true => &self.asked.limited.whose,
                false => &Partition::PUBLIC,
            };
            self.ctx.rest(&self.asked.host, by, until);
        }
        if status == StatusCode::NOT_MODIFIED
            && let Some(entry) = self.validates.clone()
        {
            return self.confirmed(entry, &headers, at).await;
        }
        if self.mount.error_statuses.contains(&status)
            && let Some((entry, outcome)) = self.stale(Failure::Status(status.as_u16()))
        {
            return self.serve(entry, outcome);
        }
        if !self.mount.error_statuses.contains(&status) && self.tells_of_get() {
            self.forget_failures();
        }
        if self.passes {
            return Landing::Pass(self.passed(status, &headers, at).await);
        }
        let facts = self.ctx.facts(status, &headers, self.asked.at, at);
        let arrived = Arrived {
            status,
            headers,
            url,
            at,
            facts,
        };
        let expected = arrived
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse::<u64>().ok());
        let too_large = expected.is_some_and(|len| len > self.mount.rules().max_body);
        let refused =
            save::refused_by_head(&self.mount, &self.asked, &arrived, self.held.as_deref());
        match refused.or(too_large.then_some(Rejection::TooLarge)) {
            Some(rule) => Landing::Pass(self.pass(rule)),
            None => {
                let (answered, saved) = self.answered(self.outcome).saving();
                let body = Gathering::new(expected.and_then(|len| usize::try_from(len).ok()));
                Landing::Collect(
                    Box::new(Collector {
                        ticket: self,
                        arrived,
                        expected,
                        body,
                        saved,
                    }),
                    answered,
                )
            }
        }
    }

    /// The request failed: the stale entry to answer with, if one may be served, else the reason back.
    pub fn fail(self, why: Arc<str>) -> Option<(Arc<Entry>, Part, Answered)> {
        match self.stale(Failure::Unreachable) {
            Some((entry, outcome)) => match self.serve(entry, outcome) {
                Landing::Answer(entry, part, answered) => Some((entry, part, answered)),
                _ => None,
            },
            None => {
                self.land(Flight::Failed(why));
                None
            }
        }
    }

    fn stale(&self, failure: Failure) -> Option<(Arc<Entry>, Outcome)> {
        let entry = self.held.clone()?;
        let who = (self.asked.known, self.asked.shared);
        let rule = stands_in(&entry, &self.mount, who, self.ctx.now(), failure)?;
        self.remember(failure);
        Some((
            entry,
            Outcome::new(OutcomeKind::Stale(Staleness::Error), Some(rule)),
        ))
    }

    /// Of a request that demanded an answer of its own (`no-cache`, say) nothing is remembered: one user's demands make nobody else's answers stale.
    /// Nor do one user's limits: they are remembered of that user.
    fn remember(&self, failure: Failure) {
        let is_due_for_all = matches!(
            self.outcome.rule,
            Some(
                rule::EXPIRED
                    | rule::STALE_WHILE_REVALIDATE
                    | rule::STALE_IF_ERROR
                    | rule::STALE_IF_UNREACHABLE
            )
        );
        if is_due_for_all && (failure == Failure::Unreachable || self.tells_of_get()) {
            let (failing, now) = (&self.ctx.failing, self.ctx.now());
            match failure {
                Failure::Status(status)
                    if is_for_one(status) && self.asked.limited.is_one_of_many =>
                {
                    failing.failed(&self.own_place(), failure, now.0);
                }
                _ => failing.failed(&self.place(), failure, now.0),
            }
        }
    }

    /// The API has answered: its failures are forgotten.
    fn forget_failures(&self) {
        self.ctx.failing.answered(&self.place());
        self.ctx.failing.answered(&self.own_place());
    }

    /// Some APIs answer a GET and fail a HEAD: the status of one says nothing of the other.
    fn tells_of_get(&self) -> bool {
        self.asked.method != Method::HEAD
    }

    /// What a failure is remembered by.
    fn place(&self) -> (&str, &Address) {
        (self.mount.name(), &self.address)
    }

    /// What a failure is remembered by that concerns this user alone.
    fn own_place(&self) -> ((&str, &Address), &Partition) {
        (self.place(), &self.asked.limited.whose)
    }

    /// Answers with an entry, and those who wait too.
    fn serve(self, entry: Arc<Entry>, outcome: Outcome) -> Landing {
        let answer = self.answer(entry.clone(), outcome);
        self.land(Flight::Landed(entry));
        answer
    }

    fn answer(&self, entry: Arc<Entry>, outcome: Outcome) -> Landing {
        let answered = self.answered(outcome).took(took(&entry));
        let part = Part::of(&entry, &self.asked.method, &self.asked.headers, &self.mount);
        Landing::Answer(entry, part, answered)
    }

    /// Nobody but the caller gets this answer, and for a while nobody waits for another's.
    fn pass(self, rule: Rejection) -> Answered {
        let outcome = if rule == Rejection::TooLarge {
            Outcome::new(OutcomeKind::Bypass(Bypassed::TooLarge), None)
        } else {
            self.outcome
        };
        let (answered, saved) = self.answered(outcome).saving();
        _ = saved.set(Saved::Rejected(rule));
        self.alone();
        answered
    }

    /// The answer is its caller's alone. One to a HEAD also says whether what is stored still holds.
    async fn passed(self, status: StatusCode, headers: &HeaderMap, now: Millis) -> Answered {
        let rule = match self.outcome.rule {
            Some(rule::PRECONDITION) => rule::PRECONDITION,
            _ if self.asked.method == Method::HEAD => rule::HEAD_HAS_NO_BODY,
            _ => return self.answered(self.outcome),
        };
        if let Some(entry) = self.held.as_deref()
            && self.asked.mode.stores()
            && self.asked.speaks_for(entry)
        {
            let (ctx, mount) = (&self.ctx, &self.mount);
            renew::by_head(ctx, mount, entry, (status, headers), &self.asked, now).await;
        }
        let (answered, saved) = self.answered(self.outcome).saving();
        _ = saved.set(Saved::Rejected(Rejection::Policy(rule)));
        answered
    }

    fn answered(&self, outcome: Outcome) -> Answered {
        Answered::new(
            outcome,
            self.mount.endpoint.declaration().name.shared(),
            self.address.key.clone(),
            self.address.partition.clone(),
        )
        .asked_for(self.asked.coding)
    }

    /// RFC 9111 section 4.3.4: the answer's fields renew the entry.
    async fn confirmed(mut self, entry: Arc<Entry>, headers: &HeaderMap, now: Millis) -> Landing {
        self.forget_failures();
        let before = entry.meta.head.headers();
        if !restow_policy::freshens(&before, headers) {
            self.validates = None;
            return Landing::Again(Box::new(self));
        }
        let renewal = renew::merge(&self.ctx, &self.mount, &entry, headers, &self.asked);
        // Somebody stored a newer one meanwhile: that is the better answer.
        let newer = if self.asked.mode.stores()
            && renew::write(&self.mount, &entry, &renewal, now).await == Some(0)
        {
            self.newer(&entry, now).await
        } else {
            None
        };
        let renewed = Arc::new(newer.unwrap_or(renewal.entry));
        let cookies = cookies(&renewed, headers);
        let outcome = Outcome::new(OutcomeKind::Validated, self.outcome.rule);
        let answer = match self.answer(renewed.clone(), outcome) {
            Landing::Answer(entry, part, answered) => {
                Landing::Answer(entry, part, answered.setting(cookies))
            }
            other => other,
        };
        if renewal.may_stay {
            self.share(renewed, now);
        } else {
            self.alone();
        }
        answer
    }

    async fn newer(&self, than: &Entry, now: Millis) -> Option<Entry> {
        let found = self
            .mount
            .table
            .read(&self.address, Parts::Whole, now)
            .await
            .ok()?;
        found
            .iter()
            .filter(|e| e.id == than.id && e.generation != Generation::UNKNOWN)
            .find(|e| e.is_fresh(now) && may_give(e, self.asked.known, self.asked.shared))
            .map(|e| (**e).clone())
    }

    fn is_store_down(&self) -> bool {
        self.outcome.kind == OutcomeKind::Miss(Missed::StoreDown)
    }

    /// Tries to store an entry while nobody waits for it: the store did not answer this request once.
    fn store_behind(&self, entry: &Arc<Entry>, now: Millis) -> Saved {
        if self.asked.keyed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (ctx, mount, entry) = (self.ctx.clone(), self.mount.clone(), entry.clone());
            let since = self.asked.removals;
            runtime.spawn(async move {
                save::write_unless_removed((&ctx, &mount), &entry, None, since, now).await
            });
        }
        Saved::StoreDown
    }

    /// Those who wait are given this answer of the API where a cache may use it again unasked; else each of them asks (RFC 9111 section 4).
    fn share(self, entry: Arc<Entry>, now: Millis) {
        let asked = &self.asked;
        if can_be_used_again(&entry, &self.mount, &asked.method, asked.shared, now) {
            self.land(Flight::Landed(entry));
        } else {
            self.alone();
        }
    }

    fn alone(self) {
        if let Some(key) = self.leader.as_ref().and_then(Leader::key) {
            let now = self.ctx.now();
            self.ctx
                .flights
                .fly_solo(&solo(key), now.0, now.plus(self.ctx.defaults.solo_for).0);
        }
        self.land(Flight::Alone);
    }

    fn land(self, end: Flight<Arc<Entry>>) {
        if let Some(leader) = self.leader {
            leader.land(end);
        }
    }
}

impl Collector {
    /// Makes the reader of the body, which may be slower than it arrives.
    pub(crate) fn reader(&self) -> Reader {
        self.body.reader()
    }

    /// Takes in the next bytes; `false` once the body is longer than what is stored: give the rest to the caller and call [`too_large`](Self::too_large).
    #[must_use]
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        let fits = (self.body.len() + chunk.len()) as u64 <= self.ticket.mount.rules().max_body;
        if fits {
            self.body.push(chunk);
        }
        fits
    }

    /// Returns the longest body that is stored, in bytes.
    pub fn max_body(&self) -> u64 {
        self.ticket.mount.rules().max_body
    }

    /// The body is too large to be stored.
    pub fn too_large(self) {
        self.refuse(Rejection::TooLarge);
    }

    /// The adapter found a reason not to store the body, which goes to the caller alone.
    pub fn refuse(self, rule: Rejection) {
        _ = self.saved.set(Saved::Rejected(rule));
        self.ticket.alone();
    }

    /// The body broke off: nothing is stored, and those who wait are told why.
    pub fn fail(self, why: Arc<str>) {
        self.ticket.land(Flight::Failed(why));
    }

    /// The same where nothing of the answer has gone to the caller yet: the stale entry to answer with, if one may be served.
    pub fn stand_in(self, why: Arc<str>) -> Option<(Arc<Entry>, Part, Answered)> {
        self.ticket.fail(why)
    }

    /// The body is complete: stores the answer and tells those who wait. From then on every call of this process sees it.
    ///
    /// # Cancel safety
    /// Dropped, the answer is stored as a whole or not at all.
    pub async fn finish(mut self) -> Saved {
        let body = std::mem::take(&mut self.body).whole();
        self.finish_with(body).await
    }

    /// The same for an adapter that has the whole body, and [pushed](Self::push) nothing.
    ///
    /// # Cancel safety
    /// As [`finish`](Self::finish).
    pub async fn finish_with(self, body: Bytes) -> Saved {
        let Self {
            ticket,
            arrived,
            expected,
            saved,
            ..
        } = self;
        // A client that decodes bodies takes the length out with the encoding; what is left must be true.
        if expected.is_some_and(|len| len != body.len() as u64) {
            ticket.land(Flight::Failed("the answer is shorter than it says".into()));
            let end = Saved::Rejected(Rejection::Policy(rule::PARTIAL));
            _ = saved.set(end.clone());
            return end;
        }
        let end = match save::entry(
            &ticket.ctx,
            &ticket.mount,
            &ticket.asked,
            &ticket.address,
            &arrived,
            body,
        ) {
            Ok(entry) => {
                let entry = Arc::new(entry);
                // Before the flight ends: no gap in which a request sees neither the flight nor the entry.
                let end = match ticket.asked.mode.stores() {
                    true if ticket.is_store_down() => ticket.store_behind(&entry, arrived.at),
                    true => {
                        let fence = ticket.lease.as_ref().map(HeldLease::fence);
                        let (place, since) =
                            ((&*ticket.ctx, &*ticket.mount), ticket.asked.removals);
                        save::write_unless_removed(place, &entry, fence, since, arrived.at).await
                    }
                    false => Saved::Rejected(Rejection::Mode),
                };
                _ = saved.set(end.clone());
                ticket.share(entry, arrived.at);
                return end;
            }
            Err(rule) => Saved::Rejected(rule),
        };
        _ = saved.set(end.clone());
        ticket.alone();
        end
    }
}

/// The key under which waiting is remembered to be of no use: whatever the variant.
pub(crate) fn solo(key: &FlightKey) -> FlightKey {
    FlightKey {
        variant: None,
        ..key.clone()
    }
}

/// Tells whether this status refuses a request for the sake of its credential: another's might be answered.
fn is_for_one(status: u16) -> bool {
    matches!(status, 401 | 403 | 429)
}
