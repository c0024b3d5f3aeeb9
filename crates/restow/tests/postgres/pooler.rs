//! Behind pgbouncer, which gives each transaction another connection.

use crate::support::*;
use restow::{
    BoxFuture, ErrorKind, Result,
    conformance::{self, Subject},
    store::Store,
};
use restow_testkit::{PgBouncer, Postgres};
use std::sync::Arc;

/// Stores behind a pooler.
struct Pooled(PgBouncer);

impl Subject for Pooled {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        let url = format!(
            "{}&pgbouncer=true",
            self.0.through(&Postgres::shared().fresh())
        );
        Box::pin(async move { open(&url).await })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        let url = format!("{closed}&pgbouncer=true");
        Box::pin(async move { open(&url).await.map(Some) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_behind_a_pooler_keeps_every_promise() {
    let pooled = Pooled(PgBouncer::before(Postgres::shared()));
    conformance::run(&pooled).await.assert();
}

#[tokio::test]
async fn who_does_not_say_that_there_is_a_pooler_is_told_to() {
    let pooler = PgBouncer::before(Postgres::shared());
    let error = open(&pooler.through(&Postgres::shared().fresh()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("pgbouncer=true"), "{error}");
}
