//! What the parts of one cache share, and an opened endpoint.

use crate::{
    Clock, Error, ErrorKind, Expiry, Millis, Mode, RawKey, Result,
    coalesce::{Failing, Flights},
    endpoint::{AnyEndpoint, Credentials, Freshness, RequestHead, Rules},
    entry::{Address, Entry, Partition, Variant},
    removals::Removals,
    route::{Matched, Route, Target},
    selection::{Scope, Selection},
    store::{Budget, Store, Table, TableSpec},
    upkeep::{Room, Upkeep},
};
use http::{HeaderMap, HeaderName, StatusCode};
use restow_policy::{CLOCK_SKEW_MS, Facts, Lifetime, Limits, Options};
use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

/// What endpoints inherit where they say nothing themselves.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) expire_after: Expiry,
    /// Whether the cache stands between several users and origins.
    pub(crate) shared: bool,
    /// The fields that go before `Cache-Control` (RFC 9213).
    pub(crate) targeted: Arc<[HeaderName]>,
    pub(crate) keep: Duration,
    /// What the program says goes before what answers say; without a word it is [`Rules::STALE_IF_ERROR`].
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) error_statuses: Arc<[StatusCode]>,
    pub(crate) credentials: Credentials,
    /// The most that all repositories hold together.
    pub(crate) budget: Budget,
    /// How long a request waits for another's fetch before it makes its own, and how long a fetch renews its lease.
    pub(crate) wait_at_most: Duration,
    /// How long it is at first, and at most, from one look for what another process fetches to the next.
    pub(crate) look_again: (Duration, Duration),
    /// How long an uncacheable answer keeps requests from waiting for each other.
    pub(crate) solo_for: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            expire_after: Expiry::default(),
            shared: false,
            targeted: Arc::new([]),
            keep: TableSpec::KEEP,
            stale_if_error: None,
            stale_while_revalidate: None,
            error_statuses: Arc::new(Rules::ERROR_STATUSES),
            credentials: Credentials::default(),
            budget: Budget::default(),
            wait_at_most: Duration::from_secs(30),
            look_again: (Duration::from_millis(2), Duration::from_millis(100)),
            solo_for: Duration::from_secs(5),
        }
    }
}

/// One fetch at a time per this. The variant is known where the names in `Vary` are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlightKey {
    pub(crate) repository: Arc<str>,
    /// How its endpoint is declared: of two caches over one store, nobody waits for what is fetched by other rules.
    pub(crate) declared: u64,
    pub(crate) address: Address,
    /// Who asks, where the address does not say it: in a shared cache nobody waits for what another user's credential brings.
    pub(crate) who: Partition,
    pub(crate) variant: Option<Variant>,
}

/// What the parts of one cache share.
pub(crate) struct Context {
    pub(crate) name: Arc<str>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secret: Arc<StoreSecret>,
    pub(crate) defaults: Defaults,
    pub(crate) flights: Arc<Flights<FlightKey, Arc<Entry>>>,
    /// What the API failed for a moment ago.
    pub(crate) failing: Arc<Failing>,
    /// What was removed while answers are under way.
    pub(crate) removals: Arc<Removals>,
    pub(crate) upkeep: Arc<Upkeep>,
    life: Arc<Life>,
}

/// Beyond this many, they are forgotten: each costs the API a request more.
const MOST_RESTING: usize = 4_096;

/// How long it is from one question for a store's secret to the next.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The key of a store's digests. Where the store was down at the start it is not known at first: what is computed with the stand-in finds nothing,
/// and is never stored.
pub(crate) struct StoreSecret {
    told: OnceLock<[u8; 32]>,
    stand_in: [u8; 32],
}

impl StoreSecret {
    fn known(secret: [u8; 32]) -> Self {
        Self {
            told: OnceLock::from(secret),
            stand_in: secret,
        }
    }

    fn unknown() -> Result<Self> {
        let mut stand_in = [0; 32];
        getrandom::fill(&mut stand_in).map_err(|e| {
            Error::new(ErrorKind::Store, "the system gave no random numbers").with_source(e)
        })?;
        Ok(Self {
            told: OnceLock::new(),
            stand_in,
        })
    }

    /// Tells whether digests made with it are those of the store.
    pub(crate) fn is_known(&self) -> bool {
        self.told.get().is_some()
    }

    pub(crate) fn get(&self) -> &[u8; 32] {
        self.told.get().unwrap_or(&self.stand_in)
    }

    fn learn(&self, secret: [u8; 32]) {
        _ = self.told.set(secret);
    }
}

/// Hosts that asked to be left alone, by whom, and when. What the public are asked is meant for all.
type Resting = HashMap<(Box<str>, Partition), Range<Millis>>;

/// What caches over one store share whatever their settings are.
#[derive(Debug)]
struct Life {
    mode: AtomicU8,
    closed: AtomicBool,
    resting: Mutex<Resting>,
}

impl Context {
    /// Asks the store for its secret, and shares the rest.
    pub(crate) async fn open(
        name: &str,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mode: Mode,
        defaults: Defaults,
    ) -> Result<Arc<Self>> {
        let secret = match store.secret().await {
            Err(error) if error.kind() == ErrorKind::Down => StoreSecret::unknown()?,
            secret => StoreSecret::known(secret?),
        };
        let context = Arc::new(Self {
            name: name.into(),
            store,
            clock,
            secret: Arc::new(secret),
            upkeep: Arc::new(Upkeep::new(defaults.budget)),
            defaults,
            flights: Arc::new(Flights::new()),
            failing: Arc::default(),
            removals: Arc::default(),
            life: Arc::new(Life {
                mode: AtomicU8::new(mode as u8),
                closed: AtomicBool::new(false),
                resting: Mutex::default(),
            }),
        });
        if !context.secret.is_known() {
            context.learn_secret();
        }
        Ok(context)
    }

    /// Asks a store that is down again and again for its secret, until it has told it.
    fn learn_secret(self: &Arc<Self>) {
        let (secret, store) = (Arc::downgrade(&self.secret), self.store.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK_AGAIN).await;
                let asked = store.secret().await;
                let Some(secret) = secret.upgrade() else {
                    return;
                };
                match asked {
                    Ok(told) => return secret.learn(told),
                    Err(error) if error.kind() == ErrorKind::Closed => return,
                    Err(error) => {
                        tracing::debug!(target: "restow", %error, "the store cannot be used yet");
                    }
                }
            }
        });
    }

    /// The same with other settings: one with this one in everything that is under way.
    pub(crate) fn beside(&self, name: Arc<str>, defaults: Defaults) -> Arc<Self> {
        Arc::new(Self {
            name,
            store: self.store.clone(),
            clock: self.clock.clone(),
            secret: self.secret.clone(),
            upkeep: Arc::new(Upkeep::new(defaults.budget)),
            defaults,
            flights: self.flights.clone(),
            failing: self.failing.clone(),
            removals: self.removals.clone(),
            life: self.life.clone(),
        })
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// What an answer's headers say of caching; the fields named go before `Cache-Control` (RFC 9213).
    pub(crate) fn facts(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        asked: Millis,
        came: Millis,
    ) -> Facts {
        Facts::parse_targeted(status, headers, asked.0, came.0, &self.defaults.targeted)
    }

    pub(crate) fn mode(&self) -> Mode {
        let mode = self.life.mode.load(Ordering::Relaxed);
        Mode::ALL
            .into_iter()
            .find(|m| *m as u8 == mode)
            .unwrap_or_default()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.life.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// # Errors
    /// [`ErrorKind::Closed`] once the cache was closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            Err(Error::new(
                ErrorKind::Closed,
                format!("the cache {:?} is closed", self.name),
            ))
        } else {
            Ok(())
        }
    }

    /// Fails while the store's secret is not known: whose entry a credential names cannot be told before.
    pub(crate) fn check_secret(&self) -> Result<()> {
        if self.secret.is_known() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Down,
            format!(
                "the store of the cache {:?} was down at the start, and whose entries are whose is not known yet; try again",
                self.name
            ),
        ))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.life.closed.load(Ordering::Acquire)
    }

    /// Marks it closed; `false` if it was already.
    pub(crate) fn set_closed(&self) -> bool {
        !self.life.closed.swap(true, Ordering::AcqRel)
    }

    /// Says that a selection is about to be removed: what is under way for it was asked for before, so it is not stored after, and nobody joins
    /// it any more. What takes the place of expired entries is not meant.
    pub(crate) fn removes(&self, mount: &Mount, which: &Selection) {
        if which.scope == Scope::Expired {
            return;
        }
        let declaration = mount.endpoint.declaration();
        self.removals.note(declaration.name.shared(), which.clone());
        self.flights.close(|flight| {
            *flight.repository == *mount.name()
                && which.may_cover(&flight.address, &declaration.fields)
        });
    }

    /// Tells whether such a thing as this entry was removed since there were so many removals.
    pub(crate) fn has_removed(
        &self,
        mount: &Mount,
        entry: &Entry,
        since: u64,
        now: Millis,
    ) -> bool {
        let covers = |which: &Selection| which.covers(entry, &mount.spec, now);
        self.removals.since(since, mount.name(), covers)
    }

    /// Remembers that a host asked to be left alone until `until`: by one alone, or by all, who are the public.
    pub(crate) fn rest(&self, host: &str, by: &Partition, until: Millis) {
        let now = self.now();
        let resting = self.life.resting.lock();
        let mut resting = resting.unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, rest| rest.contains(&now));
        if resting.len() >= MOST_RESTING {
            resting.clear();
        }
        // Where the clock is set back by more than it may differ, it would be left alone for who knows how long.
        let since = now.minus(Duration::from_millis(CLOCK_SKEW_MS.unsigned_abs()));
        resting.insert((host.into(), by.clone()), since..until);
    }

    /// Tells whether a host asked to be left alone, by all or by this one: background work then waits for another day.
    pub(crate) fn rests(&self, host: &str, one: &Partition) -> bool {
        let now = self.now();
        let resting = self.life.resting.lock();
        let resting = resting.unwrap_or_else(PoisonError::into_inner);
        [&Partition::PUBLIC, one].into_iter().any(|one| {
            let rest = resting.get(&(host.into(), one.clone()));
            rest.is_some_and(|rest| rest.contains(&now))
        })
    }

    /// Tells whether a host asked to be left alone, by whomever.
    pub(crate) fn rests_for_some(&self, host: &str) -> bool {
        let now = self.now();
        let resting = self.life.resting.lock();
        let resting = resting.unwrap_or_else(PoisonError::into_inner);
        let mut all = resting.iter();
        all.any(|((of, _), rest)| **of == *host && rest.contains(&now))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out.
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("store", &self.store.to_string())
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

/// An endpoint, its table, and its rules with the cache's defaults filled in.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) endpoint: Arc<dyn AnyEndpoint>,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) credentials: Credentials,
    /// The endpoint's routes, which leave out the parameters that are credentials here.
    routes: Vec<Route>,
    pub(crate) expire_after: Expiry,
    pub(crate) keep: Duration,
    pub(crate) limits: Limits,
    pub(crate) error_statuses: Arc<[StatusCode]>,
    /// How its table was opened.
    spec: TableSpec,
    /// A digest of the declaration.
    pub(crate) declared: u64,
    /// Whether somebody was told already that entries lie in another partition.
    pub(crate) warned: AtomicBool,
    /// Whether it was told that something of it is damaged.
    damaged: AtomicBool,
    /// Whether somebody was told already that the store has no leases.
    pub(crate) unleased: AtomicBool,
    /// Partitions that this process has stored into; a few are enough to explain a miss.
    seen: Mutex<Vec<Partition>>,
    /// What the repository's own budget still allows.
    pub(crate) room: Room,
    upkeep: Arc<Upkeep>,
}

const MOST_SEEN: usize = 8;

fn digest(declaration: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    declaration.hash(&mut hasher);
    hasher.finish()
}

impl Mount {
    /// Opens the endpoint's table.
    pub(crate) async fn open(ctx: &Context, endpoint: Arc<dyn AnyEndpoint>) -> Result<Arc<Self>> {
        let declaration = endpoint.declaration();
        declaration.check()?;
        let inherited = &ctx.defaults.credentials;
        let text = match declaration.rules.credentials {
            // Whoever opens the file without this cache's settings must not take a credential for a part of the key.
            None if *inherited != Credentials::default() => {
                let mut whole = declaration.clone();
                whole.rules.credentials = Some(inherited.clone());
                whole.to_json()
            }
            _ => declaration.to_json(),
        };
        let spec = declaration.spec(&text, ctx.defaults.keep)?;
        Self::open_as(ctx, endpoint, &spec).await
    }

    /// Opens the endpoint's table by a spec of its own: as the store has it.
    pub(crate) async fn open_as(
        ctx: &Context,
        endpoint: Arc<dyn AnyEndpoint>,
        spec: &TableSpec,
    ) -> Result<Arc<Self>> {
        let declaration = endpoint.declaration();
        let in_repository = |e: Error| declaration.named(e);
        let mut spec = spec.clone();
        spec.ranked |= ctx.defaults.budget.is_bounded();
        let table = ctx.store.open(&spec).await.map_err(in_repository)?;
        let rules = &declaration.rules;
        let credentials = rules
            .credentials
            .clone()
            .unwrap_or_else(|| ctx.defaults.credentials.clone());
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let if_error = rules.stale_if_error.or(ctx.defaults.stale_if_error);
        let while_revalidate = rules
            .stale_while_revalidate
            .or(ctx.defaults.stale_while_revalidate);
        let limits = Limits {
            stale_while_revalidate_ms: millis(while_revalidate.unwrap_or_default()),
            stale_if_error_ms: millis(if_error.unwrap_or(Rules::STALE_IF_ERROR)),
            insist_if_error: if_error.is_some(),
            insist_while_revalidate: while_revalidate.is_some(),
            mode: restow_policy::Mode::Live,
        };
        Ok(Arc::new(Self {
            routes: declaration.routes(credentials.parameters())?,
            credentials,
            expire_after: rules.expire_after.unwrap_or(ctx.defaults.expire_after),
            error_statuses: rules
                .error_statuses
                .clone()
                .unwrap_or_else(|| ctx.defaults.error_statuses.clone()),
            keep: spec.keep,
            limits,
            declared: digest(&spec.declaration),
            table,
            warned: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            unleased: AtomicBool::new(false),
            seen: Mutex::default(),
            room: Room::unknown(spec.budget),
            upkeep: ctx.upkeep.clone(),
            endpoint,
            spec,
        }))
    }

    pub(crate) fn name(&self) -> &str {
        self.endpoint.declaration().name.as_str()
    }

    /// Tells whether its keys come from routes, and not from code that sees the whole request.
    pub(crate) fn is_routed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Returns the key of a request, as the router gives it: the endpoint alone does not know the cache's credentials. One without routes is
    /// shown a request whose query holds no secret.
    pub(crate) fn raw_key(&self, head: &RequestHead<'_>) -> Option<RawKey> {
        let declaration = self.endpoint.declaration();
        if !self.is_routed() {
            let elided = head.target.query.and_then(|q| self.credentials.elide(q));
            let target = Target {
                query: elided.as_deref().or(head.target.query),
                ..head.target
            };
            return self.endpoint.raw_key(&RequestHead { target, ..*head });
        }
        let matched = |route: &Route| match route.key(&head.target) {
            Matched::Key(key) => Some(key),
            _ => None,
        };
        let key = self
            .routes
            .iter()
            .filter(|_| declaration.answers(head.method))
            .find_map(matched)?;
        declaration.complete(key, head)
    }

    /// Logs that the store failed a request. A store that is down, or whose table cannot be used, has been told of once; so is what is damaged.
    pub(crate) fn complain(&self, error: &Error, what: &'static str) {
        let repository = self.name();
        let is_known = match error.kind() {
            ErrorKind::Down | ErrorKind::SchemaMismatch => true,
            ErrorKind::Corrupt => self.damaged.swap(true, Ordering::Relaxed),
            _ => false,
        };
        match is_known {
            true => {
                tracing::debug!(target: "restow", repository, %error, "{what}");
            }
            false => tracing::warn!(target: "restow", repository, %error, "{what}"),
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.endpoint.declaration().rules
    }

    /// Tells whether the answers say themselves how long they are fresh.
    pub(crate) fn is_http(&self) -> bool {
        self.rules().freshness == Freshness::Http
    }

    /// Returns what endpoint and place of the cache allow. `shared` is of the request: whether the rules for shared caches apply to it.
    pub(crate) fn options(&self, shared: bool) -> Options {
        let rules = self.rules();
        Options {
            shared,
            http: self.is_http(),
            force: rules.force,
            share: rules.share,
            ..Options::default()
        }
    }

    /// Returns when an answer of this status expires that came at `at`.
    pub(crate) fn expires_at(
        &self,
        status: StatusCode,
        facts: &Facts,
        shared: bool,
        at: Millis,
    ) -> Millis {
        let rules = self.rules();
        if let Some(negative) = rules.negative(status) {
            return negative.after(at);
        }
        if !self.is_http() {
            return self.expire_after.after(at);
        }
        match restow_policy::lifetime(status, facts, &self.options(shared)) {
            Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => Millis(at.0.saturating_add(ms)),
            Lifetime::Unknown => match rules.expire_after {
                Some(fallback) if status.is_success() => fallback.after(at),
                _ => at,
            },
        }
    }

    /// Notes that entries were stored: where they lie, and that a budget may be exceeded now.
    pub(crate) fn stored<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) {
        let (mut count, mut bytes) = (0, 0);
        for entry in entries {
            self.saw(&entry.id.address.partition);
            count += 1;
            bytes += entry.size();
        }
        self.upkeep.wrote(&self.room, count, bytes);
    }

    /// Remembers that entries lie in this partition.
    fn saw(&self, partition: &Partition) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(partition) {
            if seen.len() >= MOST_SEEN {
                seen.remove(0);
            }
            seen.push(partition.clone());
        }
    }

    /// Tells whether another partition holds this key: best effort, for explaining a miss.
    pub(crate) async fn elsewhere(&self, key: &RawKey, but: &Partition, now: Millis) -> bool {
        let seen: Vec<Partition> = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|p| *p != but)
            .cloned()
            .collect();
        for partition in seen {
            let at = Address {
                key: key.clone(),
                partition,
            };
            if self
                .table
                .read(&at, crate::store::Parts::Meta, now)
                .await
                .is_ok_and(|f| !f.is_empty())
            {
                return true;
            }
        }
        false
    }
}
