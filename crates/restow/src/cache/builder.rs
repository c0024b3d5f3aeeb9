//! Building a cache.

use super::Cache;
use crate::{
    Clock, Credentials, Error, ErrorKind, Expiry, Mode, Result, SystemClock,
    context::{Context, Defaults},
    repository::Whose,
    store::{self, Store, TierOptions},
};
use http::{HeaderName, StatusCode};
use std::{sync::Arc, time::Duration};

const MODE: &str = Mode::ENV;

/// Opens a cache at a store's URL, with the default settings.
///
/// See [`store::connect`] for the URLs.
///
/// # Errors
/// As [`CacheBuilder::build`].
///
/// # Cancel safety
/// Dropped, nothing is open.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// let cache = restow::connect("memory:").await?;
/// assert_eq!(cache.kind(), "memory");
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Cache> {
    Cache::builder().url(url).build().await
}

/// Builds a [`Cache`]; what an endpoint says itself wins over what is set here.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::{Cache, Millis, Mode, TestClock};
/// // For tests: no network, no file, and a clock that stands still.
/// let clock = TestClock::at(Millis(0));
/// let cache = Cache::builder().url("memory:").clock(clock.clone()).mode(Mode::Offline).build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until build() is awaited"]
pub struct CacheBuilder {
    url: Option<String>,
    store: Option<Arc<dyn Store>>,
    name: Option<String>,
    principal: Option<String>,
    clock: Option<Arc<dyn Clock>>,
    mode: Option<Mode>,
    memory: Option<u64>,
    defaults: Defaults,
}

impl CacheBuilder {
    /// Sets the URL of the store; see [`store::connect`].
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the store, in place of a URL. The cache closes it.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Puts this many bytes of memory before the store, so that what was read lately is answered without asking it; `memory=64MiB` in its URL does the same.
    ///
    /// What another process changes in the store is seen after a second at most: see [`TieredStore`](crate::store::TieredStore).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// # #[cfg(feature = "sqlite")] {
    /// let cache = restow::Cache::builder().url("sqlite::temp:").memory(64 << 20).build().await?;
    /// assert_eq!(cache.kind(), "sqlite");
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Names the cache, for people; the default is the store's URL.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Names the user whose cache it is, so that a token which changes does not empty it.
    pub fn principal(mut self, name: impl Into<String>) -> Self {
        self.principal = Some(name.into());
        self
    }

    /// Sets how long an answer is fresh; default 7 days.
    #[doc(alias = "expire")]
    pub fn expire_after(mut self, expiry: impl Into<Expiry>) -> Self {
        self.defaults.expire_after = expiry.into();
        self
    }

    /// Makes it a cache that stands between several users and origins, as a proxy does: where the answers decide (`freshness = "http"`),
    /// the rules of RFC 9111 for shared caches apply to those of users that no principal names.
    pub fn shared(mut self, shared: bool) -> Self {
        self.defaults.shared = shared;
        self
    }

    /// Lets these fields of answers go before `Cache-Control` and `Expires` (RFC 9213), the first that is there and valid: such as
    /// `cdn-cache-control` in a shared cache. Default none.
    pub fn targeted(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.defaults.targeted = fields.into_iter().collect();
        self
    }

    /// Sets how long an expired answer is retained; default 30 days.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.defaults.keep = keep;
        self
    }

    /// Sets how long after its expiry an answer may stand in for a failing API; default 7 days.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.defaults.stale_if_error = Some(window);
        self
    }

    /// Sets how long after its expiry an answer is served at once and refreshed behind; default none.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.defaults.stale_while_revalidate = Some(window);
        self
    }

    /// Sets the statuses that count as a failure of the API; default 429, 500, 502, 503, 504.
    pub fn error_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.defaults.error_statuses = statuses.into_iter().collect();
        self
    }

    /// Sets what names the user of a request.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.defaults.credentials = credentials;
        self
    }

    /// Sets the most bytes of header lines, URLs and bodies that all repositories hold together; default no bound.
    ///
    /// Beyond it goes what was used least recently, in whichever repository it is. In a tokio runtime that happens in the
    /// background, soon after a save that may have been too much. An endpoint may have a [budget](crate::RouteEndpoint::budget) of its own beside it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// let cache = restow::Cache::builder().url("memory:").max_bytes(40 << 30).max_entries(1_000_000).build().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.defaults.budget.bytes = Some(bytes);
        self
    }

    /// Sets the most entries that all repositories hold together; default no bound. See [`max_bytes`](Self::max_bytes).
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.defaults.budget.entries = Some(entries);
        self
    }

    /// Sets the clock; a [`TestClock`](crate::TestClock) in tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets how network and store may be used; default the variable `RESTOW_MODE`, else live.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Opens the cache. In a tokio runtime it removes by itself what is past its `keep`, soon after it was opened and then every few minutes,
    /// in small steps that take a tenth of the time at most; and what a budget does not allow, as soon as it is exceeded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where neither or both of URL and store are set, the URL is wrong, or `RESTOW_MODE` names no mode;
    /// [`ErrorKind::Unsupported`] for the URL of a store that this build does not have; [`ErrorKind::Name`] for a
    /// principal that cannot be one; [`ErrorKind::Store`], [`ErrorKind::Busy`] or [`ErrorKind::Format`] where the store cannot be opened.
    ///
    /// # Cancel safety
    /// Dropped, nothing is open.
    #[doc(alias = "connect")]
    pub async fn build(self) -> Result<Cache> {
        let whose = whose(self.principal.as_deref())?;
        let mode = self.mode.map_or_else(mode_of_environment, Ok)?;
        let store = match (self.url, self.store) {
            (Some(url), None) => store::connect_with(&url, self.memory).await?,
            (None, Some(store)) => match self.memory {
                Some(bytes) => store::with_tier(store, TierOptions::new(bytes))?,
                None => store,
            },
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "the cache has no store; set url(\"sqlite://cache.db\") or store(..)",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "the cache has a URL and a store; set one of them",
                ));
            }
        };
        let name = self.name.unwrap_or_else(|| store.to_string());
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        Ok(Cache::new(
            Context::open(&name, store, clock, mode, self.defaults).await?,
            whose,
        ))
    }

    /// Makes a cache with these settings over the store of one that is open: a program whose settings change while it runs builds the next
    /// cache beside the present one, opens the repositories in it, and lets requests go to it from then on.
    ///
    /// What is under way is one: of two requests for the same the second waits for the first one's fetch, where the endpoint is declared
    /// alike in both caches. So are the mode, and the pauses that APIs asked for; and a close of one closes both. URL, store, memory,
    /// clock and mode of the builder do not count. No repository is open in it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{Cache, RouteEndpoint, Text};
    /// use std::time::Duration;
    /// type Pages = RouteEndpoint<String, Text>;
    /// let cache = restow::connect("memory:").await?;
    /// let pages = cache.create_repository(Pages::get("pages", "https://example.com/pages/{id}")?).await?;
    /// pages.save("home", &"Welcome".to_string()).await?;
    /// let next = Cache::builder().expire_after(Duration::from_secs(60)).build_over(&cache)?;
    /// let pages = next.create_repository(Pages::get("pages", "https://example.com/pages/{id}")?).await?;
    /// assert!(pages.contains("home").await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Name`] for a principal that cannot be one.
    pub fn build_over(self, cache: &Cache) -> Result<Cache> {
        let ctx = cache.context();
        ctx.check_open()?;
        let whose = whose(self.principal.as_deref())?;
        let name = self.name.map_or_else(|| ctx.name.clone(), Into::into);
        Ok(Cache::new(ctx.beside(name, self.defaults), whose))
    }
}

fn whose(principal: Option<&str>) -> Result<Whose> {
    principal.map_or(Ok(Whose::Unnamed), Whose::principal)
}

fn mode_of_environment() -> Result<Mode> {
    match std::env::var_os(MODE) {
        Some(text) if !text.is_empty() => text.to_string_lossy().parse().map_err(|e: Error| {
            Error::new(
                ErrorKind::Config,
                format!("the variable {MODE}: {}", e.message()),
            )
        }),
        _ => Ok(Mode::default()),
    }
}
