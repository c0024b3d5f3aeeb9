//! One connection, with the statements it has prepared.

use super::{super::values::Values, connector::Connector};
use futures_util::TryStreamExt;
use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Row, Statement,
    types::{ToSql, Type},
};

/// What is asked on a connection that was given up has so long before the server is told to end it, at first and at most.
const GRACE: Duration = Duration::from_millis(25);
const MOST_GRACE: Duration = Duration::from_millis(250);

/// A statement and the types of its parameters, which are the same wherever its text is.
#[derive(Clone, Debug)]
pub(in super::super) struct Query {
    pub(in super::super) sql: Arc<str>,
    pub(in super::super) types: Vec<Type>,
}

impl Query {
    pub(in super::super) fn new(sql: String, types: impl Into<Vec<Type>>) -> Self {
        Self {
            sql: sql.into(),
            types: types.into(),
        }
    }

    /// The values with their types.
    pub(in super::super) fn typed<'v>(
        &'v self,
        values: &'v Values,
    ) -> impl ExactSizeIterator<Item = (&'v (dyn ToSql + Sync), Type)> {
        plain(values).zip(self.types.iter().cloned())
    }
}

/// A connection that any number of tasks ask at once: their questions follow each other, and none waits for the answer of another.
pub(in super::super) struct Link {
    client: Client,
    /// By their text.
    statements: Mutex<HashMap<Arc<str>, Statement>>,
    /// It did not answer in time, and nobody should ask it any more.
    stuck: AtomicBool,
    /// What it is asked is being ended.
    ending: AtomicBool,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            statements: Mutex::default(),
            stuck: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.stuck.load(Relaxed)
    }

    /// Lets nobody ask it again.
    pub(super) fn give_up(&self) {
        self.stuck.store(true, Relaxed);
    }

    /// The same, and ends what it is asked on the server too, one after the other: a connection stays there until all of it is answered, and
    /// what waits for another's lock may never be.
    pub(super) fn end(self: &Arc<Self>, connector: &Connector) {
        self.give_up();
        // pgbouncer 1.18 ends itself when it is asked to cancel one of several.
        if !connector.prepares() || self.ending.swap(true, Relaxed) {
            return;
        }
        let (link, tls, patience) = (self.clone(), connector.tls(), connector.timeout());
        tokio::spawn(async move {
            let cancel = link.client.cancel_token();
            // It is answered after all the others.
            let (mut last, mut grace) = (pin!(link.client.batch_execute("")), GRACE);
            while timeout(grace, last.as_mut()).await.is_err() {
                _ = timeout(patience, cancel.cancel_query(tls.clone())).await;
                grace = (grace * 2).min(MOST_GRACE);
            }
            link.ending.store(false, Relaxed);
        });
    }

    /// Tells whether it was given up, so that what it was asked may have been ended for the sake of others.
    pub(super) fn is_given_up(&self) -> bool {
        self.stuck.load(Relaxed)
    }

    /// Forgets what it has prepared.
    pub(super) fn forget(&self) {
        self.statements().clear();
    }

    /// Runs a statement and gives its rows to `each` as they come.
    pub(super) async fn ask(
        &self,
        query: &Query,
        values: &Values,
        prepared: bool,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), tokio_postgres::Error> {
        let rows = if prepared {
            let statement = self.statement(query).await?;
            self.client.query_raw(&statement, plain(values)).await?
        } else {
            self.client
                .query_typed_raw(&query.sql, query.typed(values))
                .await?
        };
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            each(row);
        }
        Ok(())
    }

    /// Makes the server ready for a statement.
    pub(super) async fn prepare(
        &self,
        query: &Query,
        prepared: bool,
    ) -> Result<(), tokio_postgres::Error> {
        if prepared {
            self.statement(query).await?;
        }
        Ok(())
    }

    async fn statement(&self, query: &Query) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements().get(&query.sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(&query.sql, &query.types).await?;
        self.statements()
            .insert(query.sql.clone(), statement.clone());
        Ok(statement)
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Statement>> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

fn plain(values: &Values) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync))
}
