//! A connection that belongs to one task for a while.

use super::{
    super::{error::Attempt, values::Values},
    connector::Connector,
    link::Query,
};
use deadpool_postgres::{Object, Transaction};
use std::sync::Arc;
use tokio_postgres::Row;

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

    /// The connection itself, for statements that are short.
    pub(in super::super) fn client(&self) -> Attempt<&tokio_postgres::Client> {
        Ok(self.object()?)
    }

    fn object(&self) -> Attempt<&Object> {
        Ok(self.object.as_ref().ok_or_else(super::closed)?)
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
