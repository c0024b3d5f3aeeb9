//! Repositories: the entries of one endpoint, as one user sees them.
//!
//! [`Repository`] has the calls; [`Locate`] is what they take as a key, [`Lookup`] what one of them tells, [`Select`] an operation by
//! conditions, and [`AnyRepository`] a repository without its types.

mod backfill;
mod http;
mod locate;
mod lookup;
mod message;
mod read;
mod select;
mod stream;
mod untyped;
mod view;
mod write;

pub use locate::{Finder, Locate};
pub use lookup::Lookup;
pub use message::{Message, MessageView};
pub use select::Select;
pub use untyped::{AnyRepository, Untyped};

pub(crate) use self::http::Offer;
pub(crate) use backfill::{open_mount, open_stored};
pub(crate) use view::Whose;

use crate::{
    Credentials, Endpoint, Error, ErrorKind, Millis, Mode, RawKey, RequestHead, Result,
    SystemClock,
    context::{Context, Defaults, Mount},
    entry::Partition,
    exchange::Exchange,
    store::{Stats, Store},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The entries of one endpoint, as one user sees them.
///
/// A handle sees one partition: that of its principal, or the public one. [`principal`](Self::principal) and
/// [`everyone`](Self::everyone) make handles that see another's, or all. A clone is a handle of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::{RouteEndpoint, Scope, Text};
/// let cache = restow::connect("memory:").await?;
/// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
/// pages.save("home", &"Welcome".to_string()).await?;
/// assert_eq!(pages.get("home").await?.as_deref(), Some("Welcome"));
/// assert_eq!(pages.count(Scope::Live).await?, 1);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ResponseRepository")]
pub struct Repository<E> {
    endpoint: Arc<E>,
    mount: Arc<Mount>,
    ctx: Arc<Context>,
    whose: Whose,
    closed: AtomicBool,
}

impl<E: Endpoint> Repository<E> {
    /// Opens a repository by itself, without a cache around it; its table is made where there is none.
    ///
    /// It has the default lifetimes where the endpoint says nothing. Its [`close`](Self::close) leaves the store open.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaMismatch`] where the table has other fields or columns, [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, the table is there as a whole or not at all.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{Repository, RouteEndpoint, Text, store};
    /// let store = store::connect("memory:").await?;
    /// let pages = Repository::open(&store, RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// assert_eq!(pages.name(), "pages");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "create")]
    pub async fn open(store: &Arc<dyn Store>, endpoint: E) -> Result<Self> {
        let name = store.to_string();
        let ctx = Context::open(
            &name,
            store.clone(),
            Arc::new(SystemClock),
            Mode::Live,
            Defaults::default(),
        )
        .await?;
        let endpoint = Arc::new(endpoint);
        let mount = open_mount(&ctx, endpoint.clone()).await?;
        Ok(Self::new(endpoint, mount, ctx, Whose::Unnamed))
    }
}

impl<E> Repository<E> {
    pub(crate) fn new(
        endpoint: Arc<E>,
        mount: Arc<Mount>,
        ctx: Arc<Context>,
        whose: Whose,
    ) -> Self {
        Self {
            endpoint,
            mount,
            ctx,
            whose,
            closed: AtomicBool::new(false),
        }
    }

    /// Returns its endpoint.
    #[doc(alias = "settings")]
    pub fn endpoint(&self) -> &Arc<E> {
        &self.endpoint
    }

    /// Returns the store it lives in.
    #[doc(alias = "connection")]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.ctx.store
    }

    /// Returns its name. Its log events have the target `restow` and this as their field `repository`.
    #[doc(alias = "logger")]
    pub fn name(&self) -> &str {
        self.mount.name()
    }

    /// Returns what names the user of a request here: the endpoint's own, else the cache's.
    pub fn credentials(&self) -> &Credentials {
        &self.mount.credentials
    }

    /// Returns the canonical key of a request here; `None` where it is not one of this repository's, or has no key.
    pub fn raw_key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        self.mount.raw_key(request)
    }

    /// Returns a handle that sees the entries of a principal, and stores for it.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where the name is empty, longer than 200 bytes, or holds a control character.
    pub fn principal(&self, name: &str) -> Result<Self> {
        Ok(self.seen_by(Whose::principal(name)?))
    }

    /// Returns a handle that sees the entries of everyone: it counts, clears, streams, selects, reads and deletes in all partitions.
    ///
    /// It does not [`save`](Self::save), for it does not know for whom.
    #[must_use]
    pub fn everyone(&self) -> Self {
        self.seen_by(Whose::Everyone)
    }

    /// Returns the moment at which what is saved now expires; [`Millis::MAX`] for never.
    #[doc(alias = "expire")]
    pub fn expires_at(&self) -> Millis {
        self.mount.expire_after.after(self.ctx.now())
    }

    /// Tells whether this handle, or the whole cache, was closed.
    #[doc(alias = "closed")]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.ctx.is_closed()
    }

    /// Waits until all accepted saves are as durable as the store makes them.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, the saves go on.
    pub async fn commit(&self) -> Result<()> {
        self.check_open()?;
        self.ctx.store.commit().await.map_err(|e| self.named(e))
    }

    /// Commits, and closes this handle: its later calls are [`ErrorKind::Closed`]. Other handles, the cache and the store stay open.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the commit fails; the handle is closed all the same.
    ///
    /// # Cancel safety
    /// Dropped, the handle is closed, and the saves go on.
    pub async fn close(&self) -> Result<()> {
        if self.is_closed() || self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.ctx.store.commit().await.map_err(|e| self.named(e))
    }

    /// Removes some of what is past its `keep` or over the repository's budget, of everyone, and returns how many entries it removed.
    ///
    /// A cache does so by itself from time to time.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, some of them may be removed.
    pub async fn sweep(&self) -> Result<u64> {
        self.check_writable()?;
        self.mount
            .table
            .sweep(SWEEP, self.ctx.now())
            .await
            .map_err(|e| self.named(e))
    }

    /// Returns numbers about the whole repository, of everyone.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn stats(&self) -> Result<Stats> {
        self.check_open()?;
        self.mount
            .table
            .stats(self.ctx.now())
            .await
            .map_err(|e| self.named(e))
    }

    /// Returns whose entries there are, and how many each has, of everyone, in no order. Those past their `keep` may count until they are removed.
    ///
    /// # Errors
    /// As [`stats`](Self::stats).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn partitions(&self) -> Result<Vec<(Partition, u64)>> {
        self.check_open()?;
        self.mount
            .table
            .partitions(self.ctx.now())
            .await
            .map_err(|e| self.named(e))
    }

    pub(crate) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.ctx
    }

    /// Returns an exchange for calls whose repository is known.
    pub(crate) fn exchange(&self) -> Exchange {
        Exchange::new(
            self.ctx.clone(),
            Arc::default(),
            self.whose.named().cloned(),
        )
    }

    fn seen_by(&self, whose: Whose) -> Self {
        Self {
            whose,
            ..self.clone()
        }
    }

    /// The partition of its keys.
    pub(crate) fn partition(&self) -> Partition {
        self.whose.of_a_key(self.mount.rules().share)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.named(Error::new(
                ErrorKind::Closed,
                "this handle was closed; take another from the cache",
            )));
        }
        self.ctx.check_open().map_err(|e| self.named(e))
    }

    fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if keeps_out(self.ctx.mode()) {
            let message = format!(
                "nothing is written in the mode {}; set_mode(Mode::Live) allows it",
                self.ctx.mode()
            );
            return Err(self.named(Error::new(ErrorKind::ReadOnly, message)));
        }
        Ok(())
    }

    fn named(&self, error: Error) -> Error {
        self.mount.endpoint.declaration().named(error)
    }
}

impl<E> Clone for Repository<E> {
    fn clone(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            mount: self.mount.clone(),
            ctx: self.ctx.clone(),
            whose: self.whose.clone(),
            closed: AtomicBool::new(self.closed.load(Ordering::Acquire)),
        }
    }
}

impl<E> fmt::Debug for Repository<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("name", &self.name())
            .field("whose", &self.whose)
            .field("store", &self.ctx.store.to_string())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The most entries that one sweep removes.
pub(crate) const SWEEP: u64 = 1_000;

/// Tells whether a mode keeps out what the program itself saves. Offline does not: a test fills the cache it reads.
pub(crate) fn keeps_out(mode: Mode) -> bool {
    matches!(mode, Mode::ReadOnly | Mode::Bypass)
}
