//! The format of what is stored.

use super::{BreakerOptions, TierOptions, connect::scheme};
use crate::{Error, ErrorKind, Result};

/// In which format a store is, and which one this program reads and writes. Made by [`format()`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Format {
    /// Where the store is, without a password.
    pub place: String,
    /// Its format; `None` where nothing is stored there.
    pub stored: Option<i64>,
    /// The format that this program writes.
    pub own: i64,
}

/// Returns the format of the store at a URL, and changes nothing: neither is a store of another format opened, nor is one made.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let error = restow::store::format("memory:").await.unwrap_err();
/// assert_eq!(error.kind(), restow::ErrorKind::Unsupported);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Unsupported`] for memory, and for a scheme that this build does not have; [`ErrorKind::Config`] where the URL is wrong;
/// [`ErrorKind::Store`] and its kin where the store cannot be asked; for a file [`ErrorKind::Format`] where it is newer than this program or not one of ours.
///
/// # Cancel safety
/// Dropped, nothing happens.
pub async fn format(url: &str) -> Result<Format> {
    let url = match scheme(url) {
        // A bare path is taken as it is.
        None => url.to_owned(),
        Some(_) => BreakerOptions::split(&TierOptions::split(url)?.0)?.0,
    };
    match scheme(&url) {
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => {
            use super::postgres::{PostgresOptions, PostgresStore};
            let options = PostgresOptions::parse(&url)?;
            Ok(Format {
                place: options.to_string(),
                own: PostgresStore::FORMAT.into(),
                stored: PostgresStore::format(options).await?.map(i64::from),
            })
        }
        #[cfg(feature = "redis")]
        Some(scheme) if scheme.starts_with("redis") => {
            use super::redis::{RedisOptions, RedisStore};
            let options = RedisOptions::parse(&url)?;
            Ok(Format {
                place: options.to_string(),
                own: RedisStore::FORMAT.into(),
                stored: RedisStore::format(options).await?.map(i64::from),
            })
        }
        #[cfg(feature = "sqlite")]
        None | Some("sqlite") => {
            use super::sqlite::{SqliteOptions, SqliteStore};
            let options = SqliteOptions::parse(&url)?;
            Ok(Format {
                place: url,
                own: SqliteStore::FORMAT.into(),
                stored: Some(SqliteStore::format(options).await?.into()),
            })
        }
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "what is stored there has no format; name a file, or a server that this build can use",
        )),
    }
}
