//! A connection that belongs to one task for a while.

use super::{
    super::{error::Attempt, values::Values},
    connector::Connector,
    link::Query,
};
use deadpool_postgres::{Object, Transaction};
use std::sync::Arc;
use tokio_postgres::Row;

/// What is known of a table that was just made would let the server go over all of it, and it plans a statement once.
const PLANS: &str =
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off";

/// A connection out of the pool. Where it is dropped in the middle of a statement, that is ended, and the connection with it: nobody waits
/// behind what nobody wants any more.
#[derive(Debug)]
pub(in super::super) struct Lent {
    object: Option<Object>,
    connector: Arc<Connector>,
    busy: bool,
}

impl Lent {
    pub(super) fn new(object: Object, connector: Arc<Connector>) -> Self {
        Self {
            object: Some(object),
            connector,
            busy: false,
        }
    }

    /// Runs a statement and collects its rows.
    pub(in super::super) async fn ask(
        &mut self,
        query: &Query,
        values: &Values,
    ) -> Attempt<Vec<Row>> {
        let typed: Vec<_> = query.typed(values).collect();
        self.busy = true;
        let rows = self.object()?.query_typed(&query.sql, &typed).await;
        self.busy = false;
        Ok(rows?)
    }

    /// Begins a transaction. Dropped, it is rolled back.
    pub(in super::super) async fn transaction(&mut self) -> Attempt<Transaction<'_>> {
        let object = self.object.as_mut().ok_or_else(super::closed)?;
        Ok(object.transaction().await?)
    }

    /// Begins a transaction for statements that find rows by their keys. Dropped, it is rolled back.
    pub(in super::super) async fn keys(&mut self) -> Attempt<Keys<'_>> {
        let prepares = self.connector.prepares();
        let transaction = self.transaction().await?;
        if prepares {
            transaction.batch_execute(PLANS).await?;
        }
        Ok(Keys {
            transaction,
            prepares,
        })
    }

    /// The connection itself, for statements that are short.
    pub(in super::super) fn client(&self) -> Attempt<&tokio_postgres::Client> {
        Ok(self.object()?)
    }

    fn object(&self) -> Attempt<&Object> {
        Ok(self.object.as_ref().ok_or_else(super::closed)?)
    }
}

/// A transaction of statements that find rows by their keys.
pub(in super::super) struct Keys<'l> {
    transaction: Transaction<'l>,
    prepares: bool,
}

impl Keys<'_> {
    /// Runs a statement and collects its rows. Several are sent one behind the other.
    pub(in super::super) async fn ask(&self, query: &Query, values: &Values) -> Attempt<Vec<Row>> {
        if self.prepares {
            let prepare = self
                .transaction
                .prepare_typed_cached(&query.sql, &query.types);
            let statement = prepare.await?;
            let values: Vec<_> = query.typed(values).map(|(value, _)| value).collect();
            return Ok(self.transaction.query(&statement, &values).await?);
        }
        let typed: Vec<_> = query.typed(values).collect();
        Ok(self.transaction.query_typed(&query.sql, &typed).await?)
    }

    pub(in super::super) async fn commit(self) -> Attempt<()> {
        Ok(self.transaction.commit().await?)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(object) = self.object.take().filter(|_| self.busy) else {
            return;
        };
        let client = Object::take(object);
        if !self.connector.prepares() {
            // A pooler ends the statement with the connection, and pgbouncer 1.18 ends itself when it is asked to cancel one of several.
            return;
        }
        let cancel = client.cancel_token();
        let tls = self.connector.tls();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Where it does not succeed, the statement ends by itself.
                _ = cancel.cancel_query(tls).await;
            });
        }
    }
}
