//! A connection that belongs to one task for a while.

use super::{
    super::{error::Attempt, values::Values},
    connector::Connector,
    link::Query,
};
use deadpool_postgres::{Object, Transaction};
use futures_util::TryStreamExt as _;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio_postgres::{
    Row, RowStream,
    types::{ToSql, Type},
};

/// What is known of a table that was just made would let the server go over all of it, and it plans a statement once.
const PLANS: &str =
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off";

/// A connection out of the pool. Where it is dropped in the middle of a statement, that is ended, and the connection with it: nobody waits
/// behind what nobody wants any more.
#[derive(Debug)]
pub(in super::super) struct Lent {
    object: Option<Object>,
    connector: Arc<Connector>,
    under_way: UnderWay,
}

/// How many statements are not answered yet.
#[derive(Debug, Default)]
struct UnderWay(AtomicUsize);

impl UnderWay {
    /// Waits for the answer of a statement. Where that is given up, the statement stays under way.
    async fn count<T>(&self, asked: impl Future<Output = T>) -> T {
        self.begin();
        let answer = asked.await;
        self.end();
        answer
    }

    fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn end(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Lent {
    pub(super) fn new(object: Object, connector: Arc<Connector>) -> Self {
        Self {
            object: Some(object),
            connector,
            under_way: UnderWay::default(),
        }
    }

    /// Runs a statement and collects its rows.
    pub(in super::super) async fn ask(
        &mut self,
        query: &Query,
        values: &Values,
    ) -> Attempt<Vec<Row>> {
        let typed: Vec<_> = query.typed(values).collect();
        let asked = self.object()?.query_typed(&query.sql, &typed);
        Ok(self.under_way.count(asked).await?)
    }

    /// Begins a transaction. Dropped, it is rolled back.
    pub(in super::super) async fn transaction(&mut self) -> Attempt<Transaction<'_>> {
        let object = self.object.as_mut().ok_or_else(super::closed)?;
        Ok(object.transaction().await?)
    }

    /// Begins a transaction for statements that find rows by their keys. Dropped, it is rolled back.
    pub(in super::super) async fn keys(&mut self) -> Attempt<Keys<'_>> {
        let object = self.object.as_mut().ok_or_else(super::closed)?;
        let transaction = object.transaction().await?;
        let prepares = self.connector.prepares();
        if prepares {
            transaction.batch_execute(PLANS).await?;
        }
        Ok(Keys {
            transaction,
            prepares,
            under_way: &self.under_way,
        })
    }

    /// Begins to read all that a statement selects, page by page: declared by name, it needs no prepared statement, which a pooler would not
    /// know again.
    pub(in super::super) async fn scan(
        &mut self,
        query: &Query,
        values: &Values,
    ) -> Attempt<Scan<'_>> {
        let object = self.object.as_mut().ok_or_else(super::closed)?;
        let transaction = object.transaction().await?;
        let sql = format!("DECLARE restow_scan NO SCROLL CURSOR FOR {}", query.sql);
        let typed: Vec<_> = query.typed(values).collect();
        let declared = transaction.query_typed(&sql, &typed);
        self.under_way.count(declared).await?;
        Ok(Scan {
            transaction,
            under_way: &self.under_way,
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
    under_way: &'l UnderWay,
}

impl Keys<'_> {
    /// Runs a statement and collects its rows. Several are sent one behind the other.
    pub(in super::super) async fn ask(&self, query: &Query, values: &Values) -> Attempt<Vec<Row>> {
        self.under_way.count(self.answer(query, values)).await
    }

    async fn answer(&self, query: &Query, values: &Values) -> Attempt<Vec<Row>> {
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

/// All that a statement selects, as of one moment.
pub(in super::super) struct Scan<'l> {
    transaction: Transaction<'l>,
    under_way: &'l UnderWay,
}

impl Scan<'_> {
    /// Asks for the next rows.
    pub(in super::super) async fn page(&self, rows: u64) -> Attempt<Page<'_>> {
        let sql = format!("FETCH {rows} FROM restow_scan");
        let nothing: [(&(dyn ToSql + Sync), Type); 0] = [];
        self.under_way.begin();
        let rows = self.transaction.query_typed_raw(&sql, nothing).await?;
        Ok(Page {
            rows: Box::pin(rows),
            under_way: self.under_way,
        })
    }

    pub(in super::super) async fn commit(self) -> Attempt<()> {
        Ok(self.transaction.commit().await?)
    }
}

/// Some rows of a scan, which come as they are taken: the server waits with the rest.
pub(in super::super) struct Page<'l> {
    rows: Pin<Box<RowStream>>,
    under_way: &'l UnderWay,
}

impl Page<'_> {
    /// Returns the next row, up to the end, which is told once.
    pub(in super::super) async fn next(&mut self) -> Attempt<Option<Row>> {
        let row = self.rows.try_next().await?;
        if row.is_none() {
            self.under_way.end();
        }
        Ok(row)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let is_busy = *self.under_way.0.get_mut() > 0;
        let Some(object) = self.object.take().filter(|_| is_busy) else {
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
