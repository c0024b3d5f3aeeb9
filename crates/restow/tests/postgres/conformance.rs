//! The promises of a store, as every backend has to keep them.

use crate::support::open;
use restow::{
    BoxFuture, Result,
    conformance::{self, Subject, Verdict},
    store::{Store, TierOptions, TieredStore},
};
use restow_testkit::Postgres;
use std::sync::Arc;

/// Stores in schemas of one server.
struct Schemas;

impl Subject for Schemas {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        Box::pin(async { open(&Postgres::shared().fresh()).await })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move { open(&closed.to_string()).await.map(Some) })
    }
}

/// The same behind a memory tier, which listens to what others change.
struct Tiers;

impl Tiers {
    fn around(store: Arc<dyn Store>) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(TieredStore::new(
            store,
            TierOptions::new(1 << 20),
        )?))
    }
}

impl Subject for Tiers {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        Box::pin(async { Self::around(Schemas.fresh().await?) })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move { Schemas.reopen(closed).await?.map(Self::around).transpose() })
    }
}

fn assert_kept(report: &conformance::Report) {
    report.assert();
    for finding in report.findings() {
        if let Verdict::NotPromised(_) = finding.verdict {
            println!("{}: {:?}", finding.promise.name(), finding.verdict);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_in_a_database_keeps_every_promise() {
    assert_kept(&conformance::run(&Schemas).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_behind_a_memory_tier_keeps_every_promise() {
    assert_kept(&conformance::run(&Tiers).await);
}
