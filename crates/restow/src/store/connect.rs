//! From a URL to a store.

use super::{
    BreakerOptions, GuardedStore, MemoryOptions, MemoryStore, Store, TierOptions, TieredStore,
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
/// | `postgres://user@host:port/database` | a PostgreSQL server, with the feature `postgres`: see `PostgresOptions::parse` |
/// | `redis://host:port/database`, `redis-cluster://`, `redis-sentinel://`, each also with `rediss` | a Redis or Valkey server, with the feature `redis`: see `RedisOptions::parse` |
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
        return sqlite(url).await;
    };
    let (inner, asked) = BreakerOptions::split(url)?;
    let store = match scheme {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => return postgres(&inner, asked).await,
        #[cfg(feature = "redis")]
        _ if scheme.starts_with("redis") => return redis(&inner, asked).await,
        "memory" => Arc::new(MemoryStore::new(MemoryOptions::parse(&inner)?)),
        "sqlite" => sqlite(&inner).await?,
        other => {
            let way_out = match usual(other) {
                Some(usual) => format!("write {usual}"),
                None => format!("there are {}", SCHEMES.join(", ")),
            };
            let message = format!("there is no store for {other:?} URLs in this build; {way_out}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    // On this machine nothing has to be waited for: a breaker is there where it is asked for.
    Ok(match asked {
        None => store,
        Some(options) => Arc::new(GuardedStore::new(store, options)),
    })
}

/// Opens a store on a network, behind a breaker. Where it is down, it is opened later.
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn networked<F, Opening>(
    kind: &'static str,
    place: &str,
    capabilities: super::Capabilities,
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

/// The schemes of this build.
const SCHEMES: &[&str] = &[
    #[cfg(feature = "sqlite")]
    "sqlite:",
    #[cfg(feature = "postgres")]
    "postgres:",
    #[cfg(feature = "redis")]
    "redis:",
    #[cfg(feature = "redis")]
    "redis-cluster:",
    #[cfg(feature = "redis")]
    "redis-sentinel:",
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

#[cfg(feature = "postgres")]
async fn postgres(url: &str, asked: Option<BreakerOptions>) -> Result<Arc<dyn Store>> {
    use super::postgres::{PostgresOptions, PostgresStore};
    let options = PostgresOptions::parse(url)?;
    let place = options.to_string();
    let capabilities = PostgresStore::CAPABILITIES;
    networked("postgres", &place, capabilities, asked, move || {
        let options = options.clone();
        async { Ok(Arc::new(PostgresStore::open(options).await?) as Arc<dyn Store>) }
    })
    .await
}

#[cfg(feature = "redis")]
async fn redis(url: &str, asked: Option<BreakerOptions>) -> Result<Arc<dyn Store>> {
    use super::redis::{RedisOptions, RedisStore};
    let options = RedisOptions::parse(url)?;
    let place = options.to_string();
    let capabilities = RedisStore::CAPABILITIES;
    networked("redis", &place, capabilities, asked, move || {
        let options = options.clone();
        async { Ok(Arc::new(RedisStore::open(options).await?) as Arc<dyn Store>) }
    })
    .await
}

/// What is written for a scheme in other letters, or by the name of the server.
fn usual(scheme: &str) -> Option<String> {
    let lower = scheme.to_ascii_lowercase();
    let usual = match lower.strip_prefix("valkey") {
        Some(rest) => format!("redis{rest}"),
        None => lower,
    };
    match usual.as_str() {
        // In this very word it is another reason that there is none.
        same if same == scheme => None,
        "sqlite" | "memory" => Some(format!("{usual}:")),
        "postgres" | "postgresql" => Some(format!("{usual}://")),
        other => other.starts_with("redis").then(|| format!("{usual}://")),
    }
}

/// The scheme of a URL; `None` for a path. One letter is the drive of a Windows path.
pub(super) fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let named = scheme.len() > 1
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    named.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scheme_in_other_words_is_refused_with_the_usual_one_and_without_a_password() {
        for (url, says) in [
            ("valkey://:s3cret@h", "write redis://"),
            ("valkeys://:s3cret@h/1", "write rediss://"),
            ("valkey-cluster://:s3cret@h", "write redis-cluster://"),
            ("Redis://:s3cret@h", "write redis://"),
            ("POSTGRES://u:s3cret@h/d", "write postgres://"),
            ("POSTGRES:/u:s3cret@h/d", "write postgres://"),
            ("Valkey:/:s3cret@h", "write redis://"),
            ("SQLite:a.db", "write sqlite:"),
            ("mysql://u:s3cret@h", "there are "),
        ] {
            let error = connect(url).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{url}: {error}");
        }
    }
}
