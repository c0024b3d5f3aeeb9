//! Caches: many repositories over one store, found by name or by request.

mod builder;
mod open;
mod requests;
mod sweep;

pub use builder::{CacheBuilder, connect};
pub(crate) use open::declared_in;

use crate::{
    Expiry, Mode, RequestHead, Result,
    context::Context,
    exchange::Exchange,
    registry::Registry,
    repository::{AnyRepository, Whose},
    store::{Health, Store},
};
use std::{fmt, sync::Arc};

/// Many repositories over one store, found by name or by request.
///
/// Clones are one cache. A handle made by [`principal`](Self::principal) is the same cache as that user sees it.
/// Dropped without [`close`](Self::close) it loses nothing that was [committed](Self::commit), and never blocks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::{Cache, Json, RouteEndpoint};
/// use std::time::Duration;
/// let cache = Cache::builder().url("memory:").principal("me").expire_after(Duration::from_secs(3_600)).build().await?;
/// let tracks = RouteEndpoint::<String, Json<serde_json::Value>>::get("tracks", "https://api.example.com/tracks/{id}")?;
/// let tracks = cache.create_repository(tracks).await?;
/// tracks.save("6fWo", &serde_json::json!({ "name": "Feeling Good" })).await?;
/// assert!(tracks.contains("6fWo").await?);
/// cache.close().await?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ResponseCache")]
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    whose: Whose,
}

/// What the handles of one cache share.
struct Shared {
    ctx: Arc<Context>,
    registry: Arc<Registry>,
    /// One opening at a time: of two that open one name, the second must not touch the first one's table.
    opening: tokio::sync::Mutex<()>,
}

impl Cache {
    /// Starts to build a cache.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    pub(crate) fn new(ctx: Arc<Context>, whose: Whose) -> Self {
        let registry = Arc::new(Registry::default());
        sweep::start(&ctx, &registry);
        Self {
            shared: Arc::new(Shared {
                ctx,
                registry,
                opening: tokio::sync::Mutex::default(),
            }),
            whose,
        }
    }

    fn context(&self) -> &Arc<Context> {
        &self.shared.ctx
    }

    /// Returns its name; the store's URL unless it was given one.
    #[doc(alias = "cache_name")]
    pub fn name(&self) -> &str {
        &self.shared.ctx.name
    }

    /// Returns the store it lives in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.ctx.store
    }

    /// Returns the kind of its store: `sqlite`, `memory`.
    #[doc(alias = "type")]
    pub fn kind(&self) -> &'static str {
        self.shared.ctx.store.kind()
    }

    /// Returns how its store does, where that is watched: one on a network is, by a [circuit breaker](crate::store::GuardedStore).
    pub fn health(&self) -> Option<Health> {
        self.shared.ctx.store.health()
    }

    /// Returns how long an answer is fresh where its endpoint does not say.
    #[doc(alias = "expire")]
    pub fn expire_after(&self) -> Expiry {
        self.shared.ctx.defaults.expire_after
    }

    /// Returns how network and store may be used.
    pub fn mode(&self) -> Mode {
        self.shared.ctx.mode()
    }

    /// Sets how network and store may be used, for every handle and client of this cache.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.ctx.set_mode(mode);
    }

    /// Returns the same cache as a principal sees it; its repositories and clients are that principal's.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) where the name is empty, longer than 200 bytes, or holds a control character.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// # use restow::{RouteEndpoint, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// let alice = cache.principal("alice")?.typed::<String, Text>("pages")?;
    /// let bob = cache.principal("bob")?.typed::<String, Text>("pages")?;
    /// alice.save("home", &"Welcome, Alice".to_string()).await?;
    /// assert_eq!(bob.get("home").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn principal(&self, name: &str) -> Result<Self> {
        Ok(Self {
            whose: Whose::principal(name)?,
            ..self.clone()
        })
    }

    /// Returns the same cache as a handle that sees everyone's entries.
    #[must_use]
    pub fn everyone(&self) -> Self {
        Self {
            whose: Whose::Everyone,
            ..self.clone()
        }
    }

    /// Returns the open repository of this name, without its types.
    #[doc(alias = "__getitem__")]
    pub fn repository(&self, name: &str) -> Option<AnyRepository> {
        let mounts = self.shared.registry.mounts();
        mounts.get(name).map(|mount| self.over(mount))
    }

    /// Tells whether a repository of this name is open.
    pub fn contains_repository(&self, name: &str) -> bool {
        self.shared.registry.mounts().get(name).is_some()
    }

    /// Returns the open repositories, ordered by name.
    #[doc(alias = "__iter__")]
    pub fn iter(&self) -> impl Iterator<Item = AnyRepository> + use<> {
        let mounts = self.shared.registry.mounts();
        let all: Vec<_> = mounts.iter().map(|mount| self.over(mount)).collect();
        all.into_iter()
    }

    /// Returns how many repositories are open.
    #[doc(alias = "__len__")]
    pub fn len(&self) -> usize {
        self.shared.registry.mounts().len()
    }

    /// Tells whether no repository is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `choose` find the repository of a request, by name, in place of the routes. Replaces what was set before.
    ///
    /// What it names must be open, and must have a key for the request.
    #[doc(alias = "repository_getter")]
    pub fn router(
        &self,
        choose: impl Fn(&RequestHead<'_>) -> Option<String> + Send + Sync + 'static,
    ) {
        self.shared.registry.choose(Some(Arc::new(choose)));
    }

    /// Lets the routes find the repository of a request again.
    pub fn router_by_routes(&self) {
        self.shared.registry.choose(None);
    }

    /// Returns what decides how requests are answered: the middle of every client, made for adapters to HTTP clients.
    pub fn exchange(&self) -> Exchange {
        let view = self.whose.named().cloned();
        Exchange::new(self.shared.ctx.clone(), self.shared.registry.clone(), view)
    }

    /// Waits until all accepted saves are as durable as the store makes them.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), [`Store`](crate::ErrorKind::Store) where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, the saves go on.
    pub async fn commit(&self) -> Result<()> {
        self.shared.ctx.check_open()?;
        self.shared.ctx.store.commit().await
    }

    /// Commits and closes the store. Later calls of the cache, its repositories and its handles are [`ErrorKind::Closed`](crate::ErrorKind::Closed);
    /// its clients go on without a cache. A second call does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) where the store fails; the cache is closed all the same.
    ///
    /// # Cancel safety
    /// Dropped, the cache is closed; call it again to wait for the store.
    pub async fn close(&self) -> Result<()> {
        self.shared.ctx.set_closed();
        self.shared.ctx.store.close().await
    }

    /// Tells whether it was closed.
    #[doc(alias = "closed")]
    pub fn is_closed(&self) -> bool {
        self.shared.ctx.is_closed()
    }

    fn over(&self, mount: &Arc<crate::context::Mount>) -> AnyRepository {
        AnyRepository::over(mount, &self.shared.ctx, self.whose.clone())
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.name())
            .field("store", &self.store().to_string())
            .field("whose", &self.whose)
            .field("mode", &self.mode())
            .field("repositories", &self.shared.registry)
            .finish()
    }
}
