//! What a store in a database makes, as statements.

use super::{TableSpec, connect::scheme};
use crate::{Error, ErrorKind, Result};

/// Returns the statements of SQL that make these tables, and all that belongs to them, in the kind of database that a URL names. Nothing is opened.
///
/// A store makes what it needs by itself; this is for whoever has to look at it first, or to make it by hand.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a store that is no database, [`ErrorKind::Config`] for a URL that cannot be read, [`ErrorKind::Name`] where a name is not one that it can hold.
///
/// # Cancel safety
/// Dropped, nothing happens.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::{Field, store::{TableSpec, ddl}};
/// let tracks = TableSpec::new("tracks", [Field::text("id")])?;
/// # #[cfg(feature = "sqlite")]
/// assert!(ddl("sqlite://music.db", &[tracks]).await?.contains("CREATE TABLE \"tracks\""));
/// # Ok(())
/// # }
/// ```
pub async fn ddl(url: &str, tables: &[TableSpec]) -> Result<String> {
    match scheme(url) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") | None => super::sqlite::SqliteStore::ddl(tables).await,
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => {
            use super::postgres::{PostgresOptions, PostgresStore};
            // Neither of them is a matter of the tables.
            let (url, _) = super::BreakerOptions::split(url)?;
            let (url, _) = super::TierOptions::split(&url)?;
            Ok(PostgresStore::ddl(&PostgresOptions::parse(&url)?, tables))
        }
        other => {
            let kind = other.unwrap_or("sqlite");
            let message = format!(
                "a store of {kind:?} makes no tables, or this build does not have it; name one in a database, such as sqlite://cache.db"
            );
            _ = tables;
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}
