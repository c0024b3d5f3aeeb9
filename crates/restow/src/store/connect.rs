//! From a URL to a store.

use super::{
    BreakerOptions, Capabilities, GuardedStore, MemoryOptions, MemoryStore, Store, TierOptions,
    TieredStore,
};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Opens the store at a URL.
///
/// | URL | store |
/// |---|---|
/// | `sqlite://relative.db`, `sqlite:///absolute.db`, a bare path | a SQLite file, made where there is none |
/// | `sqlite::memory:` | SQLite in memory, of this connection alone |
/// | `sqlite::temp:` | a SQLite file of its own, removed at the end |
/// | `memory:` | memory of this process, 256 MiB unless told otherwise: `memory:?max_bytes=1GiB` |
///
/// `damaged=quarantine` behind the URL of a SQLite file moves one that is too damaged to be opened out of the way: see
/// `SqliteOptions::quarantine`.
///
/// A store on a network is behind a circuit breaker: see [`GuardedStore`]. `timeout=50ms` behind its URL says how long a call may take, and
/// `breaker=off` leaves the breaker out; where one of them is behind the URL of another store, that has a breaker too.
///
/// `memory=64MiB` behind any of them but the last puts that much memory before the store: see [`TieredStore`].
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a scheme that this build does not have, with those it has; [`ErrorKind::Config`] for a parameter
/// that is wrong; [`ErrorKind::Store`], [`ErrorKind::Busy`] or [`ErrorKind::Format`] where the store cannot be opened.
///
/// # Cancel safety
/// Dropped, nothing is open.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// let store = restow::store::connect("memory:?max_bytes=64MiB").await?;
/// assert_eq!(store.kind(), "memory");
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    connect_with(url, None).await
}

/// Opens the store at a URL with a memory tier, where the URL or `memory` asks for one.
pub(crate) async fn connect_with(url: &str, memory: Option<u64>) -> Result<Arc<dyn Store>> {
    // A bare path is taken as it is.
    let (inner, named) = match scheme(url) {
        Some(_) => TierOptions::split(url)?,
        None => (url.to_owned(), None),
    };
    match (named, memory) {
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Config,
            "memory is set beside the URL, and the URL has memory= too; set one of them",
        )),
        (Some(options), None) => tiered(connect_plain(&inner).await?, options),
        (None, Some(bytes)) => tiered(connect_plain(&inner).await?, TierOptions::new(bytes)),
        (None, None) => connect_plain(url).await,
    }
}

/// Puts memory before a store that is not in memory by itself.
pub(crate) fn tiered(store: Arc<dyn Store>, options: TierOptions) -> Result<Arc<dyn Store>> {
    if store.kind() == "memory" {
        return Err(Error::new(
            ErrorKind::Config,
            "a memory: store is in memory already; leave out memory, and bound it with max_bytes",
        ));
    }
    Ok(Arc::new(TieredStore::new(store, options)?))
}

async fn connect_plain(url: &str) -> Result<Arc<dyn Store>> {
    let Some(scheme) = scheme(url) else {
        return open(url).await;
    };
    let (inner, asked) = BreakerOptions::split(url)?;
    match (scheme, asked) {
        // A store on a network: networked("postgres", place, capabilities, asked, move || ..).await
        (_, None) => open(url).await,
        (_, Some(options)) => Ok(Arc::new(GuardedStore::new(open(&inner).await?, options))),
    }
}

/// Opens a store on a network, behind a breaker. Where it is down, it is opened later.
#[allow(
    dead_code,
    reason = "used where a store on a network is among the features"
)]
async fn networked<F, Opening>(
    kind: &'static str,
    place: &str,
    capabilities: Capabilities,
    asked: Option<BreakerOptions>,
    open: F,
) -> Result<Arc<dyn Store>>
where
    F: Fn() -> Opening + Send + Sync + 'static,
    Opening: Future<Output = Result<Arc<dyn Store>>> + Send + 'static,
{
    let options = asked.unwrap_or_default();
    let store = GuardedStore::connect(kind, place, capabilities, options, open).await?;
    Ok(Arc::new(store))
}

async fn open(url: &str) -> Result<Arc<dyn Store>> {
    match scheme(url) {
        Some("memory") => Ok(Arc::new(MemoryStore::new(MemoryOptions::parse(url)?))),
        Some("sqlite") | None => sqlite(url).await,
        Some(other) => {
            let message = format!(
                "there is no store for {other:?} URLs in this build; there are {}",
                SCHEMES.join(", ")
            );
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

/// The schemes of this build.
const SCHEMES: &[&str] = &[
    #[cfg(feature = "sqlite")]
    "sqlite:",
    "memory:",
];

#[cfg(feature = "sqlite")]
async fn sqlite(url: &str) -> Result<Arc<dyn Store>> {
    let store = super::sqlite::SqliteStore::open(super::sqlite::SqliteOptions::parse(url)?).await?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(url: &str) -> Result<Arc<dyn Store>> {
    let message = format!(
        "{url:?} is a SQLite store, and this build is without the feature \"sqlite\"; there are {}",
        SCHEMES.join(", ")
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// The scheme of a URL; `None` for a path. One letter is the drive of a Windows path.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let named = scheme.len() > 1
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    named.then_some(scheme)
}
