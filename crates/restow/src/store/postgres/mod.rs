//! Entries in a PostgreSQL database: one store for the programs of many machines.

mod change;
mod changes;
mod engine;
mod error;
mod layout;
mod leases;
mod notices;
mod options;
mod questions;
mod reads;
mod rows;
mod schema;
mod select;
mod statements;
mod table;
mod trim;
mod values;

pub use options::{Durability, PostgresOptions};

use super::{
    Budget, Capabilities, Change, Health, Leases, MemoryPolicy, Store, Table, TableName, TableSpec,
    Trimmed,
};
use crate::{BoxFuture, BoxStream, Result};
use engine::{Engine, Of};
use error::Fault;
use layout::{Area, Layout};
use leases::PostgresLeases;
use rows::Rows;
use std::{fmt, sync::Arc};
use table::PostgresTable;

/// A store in a PostgreSQL database (13 or newer), which any number of programs on any number of machines may use at once.
///
/// Each repository is a table, in a schema of the store's own. Every change is one statement or one transaction: all of it happens or
/// nothing, also where its future is dropped, and it is as durable as [`Durability`] says when it returns. Connections are made when they are
/// needed and made again where they were lost. What others change is told by `NOTIFY`.
///
/// The calls of a store need a Tokio runtime, with timers and I/O.
///
/// ```no_run
/// # async fn run() -> restow::Result<()> {
/// use restow::store::{Store, postgres::{PostgresOptions, PostgresStore}};
/// let options = PostgresOptions::parse("postgres://me@db.example.com/api?password_env=DB_PASSWORD")?;
/// let store = PostgresStore::open(options).await?;
/// assert_eq!(store.kind(), "postgres");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresStore {
    engine: Arc<Engine>,
    leases: Arc<PostgresLeases>,
    /// Whether the server tells this store of changes: not through a pooler.
    listens: bool,
}

impl PostgresStore {
    /// What such a store can do, wherever it is.
    pub const CAPABILITIES: Capabilities = Capabilities {
        durable: true,
        shared: true,
        read_only: false,
        native_expiry: false,
    };

    /// The format of the tables that this version reads and writes. `restow migrate` changes that of a store.
    pub const FORMAT: i32 = layout::FORMAT;

    /// Opens a store, making the schema and its own tables where they are not there. Many programs may do so at once.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) where the server cannot be reached, [`Busy`](crate::ErrorKind::Busy) where it does not answer
    /// in time or has no connection left, [`Config`](crate::ErrorKind::Config) where it does not let this user in or there is no such
    /// database, [`ReadOnly`](crate::ErrorKind::ReadOnly) where this role may not make tables,
    /// [`Format`](crate::ErrorKind::Format) where the tables are of another format.
    ///
    /// # Cancel safety
    /// Dropped, it leaves nothing but perhaps empty tables.
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        let listens = options.statements == options::Statements::Prepared;
        let engine = Arc::new(Engine::new(options)?);
        // Those of a request, which may take less time than a connection to a server that is far away.
        tokio::try_join!(schema::initialise(&engine), engine.connect())?;
        engine.watch_format();
        Ok(Self {
            leases: Arc::new(PostgresLeases::new(engine.clone())),
            engine,
            listens,
        })
    }

    /// Returns the format of a store, and changes nothing; `None` where there is no store. One that is no number is format 0.
    ///
    /// # Errors
    /// As [`open`](Self::open) where the server cannot be asked.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn format(options: PostgresOptions) -> Result<Option<i32>> {
        let engine = Arc::new(Engine::new(options)?);
        let at = |fault: Fault| fault.at(engine.place());
        let lent = engine.lend_unseen().await?;
        let format = schema::format(&engine.area, lent.client().map_err(at)?).await;
        drop(lent);
        engine.close().await?;
        format.map_err(at)
    }

    /// Returns the statements that make the schema, the store's own tables and those of repositories, with the rows that a store finds them by,
    /// for who makes them by hand: one transaction. The secret is made by the server, and is not in them.
    ///
    /// Whoever uses them then needs `USAGE` on the schema and its sequence, and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on its tables.
    pub fn ddl(options: &PostgresOptions, tables: &[TableSpec]) -> String {
        let area = Area::new(&options.schema, &options.prefix);
        // Backslashes are themselves in what follows.
        let mut sql = format!(
            "BEGIN;\nSET LOCAL standard_conforming_strings = on;\nCREATE SCHEMA IF NOT EXISTS {};\n{}{}",
            area.schema,
            schema::create_own(&area),
            schema::fill_own(&area),
        );
        for spec in tables {
            let layout = Layout::of(&area, spec);
            sql += &layout.create_table();
            sql += "\n";
            sql += &layout.create_rest();
            sql += &schema::declare(&area, spec);
        }
        sql + "COMMIT;\n"
    }
}

impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            self.engine.check_open()?;
            spec.check()?;
            let named = |e: crate::Error| e.in_repository(spec.name.shared());
            let wanted = spec.clone();
            let opened = self
                .engine
                .arrange(Some(&spec.name), move |engine| async move {
                    change::open(&engine, &wanted).await
                });
            let rows = Rows::new(&self.engine.area, opened.await.map_err(named)?).map_err(named)?;
            self.engine.prepare(rows.reads(), rows.changes()).await;
            Ok(Arc::new(PostgresTable::new(self.engine.clone(), rows)) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(async move {
            let at = |fault: Fault| fault.at(self.engine.place());
            let lent = self.engine.lend().await?;
            schema::specs(&self.engine.area, lent.client().map_err(at)?)
                .await
                .map_err(at)
        })
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        let name = table.clone();
        Box::pin(self.engine.arrange(Some(table), move |engine| async move {
            change::remove(&engine, &name).await
        }))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        Box::pin(schema::secret(&self.engine))
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        let secret = *secret;
        Box::pin(self.engine.arrange(None, move |engine| async move {
            schema::adopt_secret(&engine, &secret).await
        }))
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(self.leases.clone())
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        self.listens.then(|| notices::listen(&self.engine))
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(self.engine.change(Of::Itself, move |engine| async move {
            trim::trim(&engine, most, limit).await
        }))
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.engine.check_open()?;
            self.engine.settle().await;
            self.engine.uses.flush(&self.engine).await
        })
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

impl fmt::Display for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.engine.place())
    }
}
