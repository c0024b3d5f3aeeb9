//! What the parts of one cache share.

mod mount;

pub(crate) use mount::Mount;

use crate::{
    Clock, Error, ErrorKind, Expiry, Millis, Mode, Result,
    coalesce::{Failing, Flights},
    endpoint::{Credentials, Rules},
    entry::{Address, Entry, Partition, Variant},
    removals::Removals,
    selection::{Scope, Selection},
    store::{Budget, Store, TableSpec},
    upkeep::Upkeep,
};
use http::{HeaderMap, HeaderName, StatusCode};
use restow_policy::{CLOCK_SKEW_MS, Facts};
use std::{
    collections::HashMap,
    fmt,
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
