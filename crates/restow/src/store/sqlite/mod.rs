//! Entries in a SQLite file: the default store. `docs/FORMAT.md` says what is in the file.

mod ages;
mod beside;
mod change;
mod changes;
mod coding;
mod counts;
mod doctor;
mod engine;
mod error;
pub(crate) mod foreign;
mod layout;
mod leases;
mod options;
mod query;
mod questions;
mod rows;
mod salvage;
mod schema;
mod select;
mod table;
mod trim;
mod upgrade;

pub use coding::{Rewritten, Trained};
pub use doctor::{Depth, Finding, Report};
pub use options::{Durability, SqliteOptions};
pub use query::{SqlRows, SqlValue};
pub use salvage::{Salvage, Salvaged};

use super::{
    Budget, Capabilities, Change, Health, Leases, MemoryPolicy, Store, Table, TableName, TableSpec,
    Trimmed, declared, ident,
};
use crate::{BoxFuture, BoxStream, Error, ErrorKind, Millis, Result};
use engine::{Engine, Pace};
use futures_util::{StreamExt, TryStreamExt, stream};
use leases::SqliteLeases;
use rows::Rows;
use std::{fmt, path::PathBuf, sync::Arc};
use table::SqliteTable;

/// A store in a SQLite file, in memory, or in a file that is removed with it.
///
/// Any number of processes may use one file at once; it has to be on a local disk. Entries that were saved survive a kill of the
/// process. One thread writes, and gathers what is written at about the same time into one transaction; it ends with the store and its tables.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use restow::store::{Store, sqlite::{SqliteOptions, SqliteStore}};
/// let store = SqliteStore::open(SqliteOptions::memory()).await?;
/// assert_eq!(store.to_string(), "sqlite::memory:");
/// store.close().await?;
/// # Ok::<(), restow::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    engine: Arc<Engine>,
}

impl SqliteStore {
    /// Opens a store, making file and folder where they are not there; only its owner may read a new file.
    ///
    /// # Errors
    /// [`Format`](crate::ErrorKind::Format) where the file is newer than this program or not one of ours,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) where it is damaged, unless [`quarantine`](SqliteOptions::quarantine) makes room for a new
    /// one, [`Store`](crate::ErrorKind::Store) where it cannot be opened or made.
    ///
    /// # Cancel safety
    /// Dropped, it leaves nothing but perhaps an empty file.
    pub async fn open(options: SqliteOptions) -> Result<Self> {
        Ok(Self {
            engine: Arc::new(Engine::open(options).await?),
        })
    }

    /// The format of the files that this version makes, and that it brings older ones to when it opens them.
    pub const FORMAT: i32 = layout::FORMAT;

    /// Returns the statements that make the tables of a file, and all that belongs to them.
    ///
    /// # Errors
    /// [`Name`](crate::ErrorKind::Name) where a name is not one that SQLite can tell from the others.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn ddl(tables: &[TableSpec]) -> Result<String> {
        // A file in memory has what any file has.
        let store = Self::open(SqliteOptions::memory()).await?;
        for spec in tables {
            store.open(spec).await?;
        }
        let statements = store.engine.read_later(Pace::Batch, schema::statements);
        let statements = statements.await?;
        store.close().await?;
        Ok(statements)
    }

    /// Returns the format of a file, and changes nothing.
    ///
    /// # Errors
    /// [`Format`](crate::ErrorKind::Format) where the file is newer than this program or not one of ours,
    /// [`Store`](crate::ErrorKind::Store) where it cannot be opened, [`Unsupported`](crate::ErrorKind::Unsupported) for memory.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn format(options: SqliteOptions) -> Result<i32> {
        doctor::look(options, schema::format).await
    }

    /// Looks at a whole file for what is wrong in it, and changes nothing; others may use it meanwhile.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use restow::store::{Store, sqlite::{Depth, SqliteOptions, SqliteStore}};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("music.db");
    /// let options = SqliteOptions::file(path);
    /// SqliteStore::open(options.clone()).await?.close().await?;
    /// let report = SqliteStore::check(options, Depth::Whole).await?;
    /// assert!(report.findings.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Format`](crate::ErrorKind::Format) where the file is newer than this program or not one of ours,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) where it is too damaged to be looked at, [`Store`](crate::ErrorKind::Store) where it
    /// cannot be opened, [`Unsupported`](crate::ErrorKind::Unsupported) for memory.
    ///
    /// # Cancel safety
    /// Dropped, the check goes on in its thread and tells nobody.
    pub async fn check(options: SqliteOptions, depth: Depth) -> Result<Report> {
        doctor::check(options, depth).await
    }

    /// Makes a new file of what can still be read of a damaged one, which is not touched. Only entries that verify are taken over.
    ///
    /// They keep their generation, times, labels, columns, tags and partition; the cache keeps its secret, and its repositories
    /// their declarations. No other program should have the damaged file open. A table is never held in memory as a whole.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use restow::store::{Store, sqlite::{SqliteOptions, SqliteStore}};
    /// # let folder = tempfile::tempdir()?;
    /// # let (damaged, saved) = (folder.path().join("music.db"), folder.path().join("saved.db"));
    /// # SqliteStore::open(SqliteOptions::file(&damaged)).await?.close().await?;
    /// let salvage = SqliteStore::salvage(&damaged, &saved).await?;
    /// assert!(salvage.secret && salvage.lost.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) where the new file is there already, [`Format`](crate::ErrorKind::Format) where
    /// the damaged one is newer than this program or not one of ours, [`Corrupt`](crate::ErrorKind::Corrupt) where not even its list
    /// of tables can be read, [`Store`](crate::ErrorKind::Store) where one of them cannot be opened or written.
    ///
    /// # Cancel safety
    /// Dropped, it goes on in its thread and tells nobody.
    pub async fn salvage(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Result<Salvage> {
        salvage::salvage(from.into(), to.into()).await
    }

    /// Runs a statement of SQL that only reads, over the whole file; others may use it meanwhile.
    ///
    /// Each repository's table, and its view `restow_<name>`, show header lines and bodies as they came, compressed or not. What is
    /// stored is in `main.<name>`, and `restow_plain(value, coding, size)` gives what came for it.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use restow::store::{Store, sqlite::{SqlValue, SqliteOptions, SqliteStore}};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("music.db");
    /// let options = SqliteOptions::file(path);
    /// SqliteStore::open(options.clone()).await?.close().await?;
    /// let mut rows = SqliteStore::query(options, "SELECT 'a' AS name, 1 + 1").await?;
    /// assert_eq!(rows.columns(), ["name", "1 + 1"]);
    /// assert_eq!(rows.next().await?, Some(vec![SqlValue::Text("a".to_owned()), SqlValue::Integer(2)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Selection`](crate::ErrorKind::Selection) where the statement is wrong, or more than one; [`ReadOnly`](crate::ErrorKind::ReadOnly)
    /// where it does not only read; [`Format`](crate::ErrorKind::Format), [`Corrupt`](crate::ErrorKind::Corrupt) and
    /// [`Store`](crate::ErrorKind::Store) as for [`check`](Self::check).
    ///
    /// # Cancel safety
    /// Dropped, the statement ends.
    pub async fn query(options: SqliteOptions, sql: &str) -> Result<SqlRows> {
        query::query(options, sql.to_owned()).await
    }

    /// Makes a dictionary for a repository of its own entries; new entries are compressed with it from then on.
    ///
    /// This happens by itself once a repository with [`Compression::Zstd`](super::Compression::Zstd) holds 500 entries. `None`
    /// where there are too few to learn from, or nothing that they have in common.
    ///
    /// # Errors
    /// [`NoSuchRepository`](crate::ErrorKind::NoSuchRepository), [`ReadOnly`](crate::ErrorKind::ReadOnly),
    /// [`Closed`](crate::ErrorKind::Closed), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancel safety
    /// Dropped, there is a new dictionary as a whole or none.
    pub async fn train(&self, table: &TableName, now: Millis) -> Result<Option<Trained>> {
        let rows = self.rows(table).await?;
        let trained = coding::train(&self.engine, &rows, now).await;
        trained.map_err(|e| e.in_repository(table.shared()))
    }

    /// Stores the entries that are there as new ones are: compressed with the newest dictionary, or as they came.
    ///
    /// Others read and write meanwhile. Each item tells how far it is; the stream has to be read to its end.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    ///
    /// # Cancel safety
    /// Dropped, the rest stays as it is, and just as readable.
    pub fn rewrite(&self, table: &TableName) -> BoxStream<'_, Result<Rewritten>> {
        let table = table.clone();
        let named = table.shared();
        let steps = async move {
            let rows = self.rows(&table).await?;
            Ok::<_, Error>(coding::rewrite(&self.engine, rows))
        };
        stream::once(steps)
            .try_flatten()
            .map_err(move |e| e.in_repository(named.clone()))
            .boxed()
    }

    /// The statements of a table, as it is stored.
    async fn rows(&self, table: &TableName) -> Result<Arc<Rows>> {
        if self.engine.source().is_read_only() {
            return Err(error::read_only(self.engine.source().place()));
        }
        let name = table.clone();
        let spec = self
            .engine
            .read_later(Pace::Batch, move |conn| schema::spec(conn, &name));
        let spec = spec.await?.ok_or_else(|| {
            let message = format!("there is none of this name in {self}");
            Error::new(ErrorKind::NoSuchRepository, message).in_repository(table.shared())
        })?;
        Ok(Arc::new(Rows::new(spec)))
    }
}

impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let lasting = self.engine.source().is_lasting();
        Capabilities {
            durable: lasting,
            shared: lasting,
            read_only: self.engine.source().is_read_only(),
            native_expiry: false,
        }
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            spec.check()?;
            // Most are as they were left, and nothing has to be written.
            let unchanged = || self.engine.read_now(|conn| change::unchanged(conn, spec));
            if !self.engine.source().is_read_only()
                && let Some(Ok(Some(spec))) = unchanged()
            {
                let table = SqliteTable::new(self.engine.clone(), Rows::new(spec));
                return Ok(Arc::new(table) as Arc<dyn Table>);
            }
            let wanted = spec.clone();
            let opened = if self.engine.source().is_read_only() {
                self.engine
                    .read_later(Pace::Batch, move |conn| {
                        let format = schema::format(conn)?;
                        Ok(Rows::of_format(
                            change::open_read_only(conn, &wanted)?,
                            format,
                        ))
                    })
                    .await
            } else {
                self.engine
                    .write(move |conn| Ok(Rows::new(change::open(conn, &wanted)?)))
                    .await
            };
            let rows = opened.map_err(|e| e.in_repository(spec.name.shared()))?;
            Ok(Arc::new(SqliteTable::new(self.engine.clone(), rows)) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(self.engine.read_later(Pace::Batch, schema::specs))
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        let table = table.clone();
        Box::pin(self.engine.write(move |conn| schema::remove(conn, &table)))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        let place = self.to_string();
        Box::pin(
            self.engine
                .read_later(Pace::Batch, move |conn| schema::secret(conn, &place)),
        )
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        let (place, secret) = (self.to_string(), *secret);
        Box::pin(
            self.engine
                .write(move |conn| schema::adopt_secret(conn, &place, secret)),
        )
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        let may = !self.engine.source().is_read_only();
        may.then(|| Arc::new(SqliteLeases(self.engine.clone())) as Arc<dyn Leases>)
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        None
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(trim::trim(&self.engine, most, limit))
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.engine.commit())
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.engine.close())
    }
}

impl fmt::Display for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.engine.source().place())
    }
}
