//! What the tests are written with.

use restow::{
    BoxFuture, Result,
    conformance::Subject,
    store::{
        Store,
        redis::{RedisOptions, RedisStore},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Stores in one place, each under a prefix of its own.
pub(crate) struct Places {
    url: String,
    made: AtomicUsize,
}

impl Places {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            made: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        format!("{}?prefix=t{n}&buckets=16", self.url)
    }
}

pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::open(RedisOptions::parse(url)?).await?))
}

impl Subject for Places {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        Box::pin(async { open(&self.next()).await })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move { open(&closed.to_string()).await.map(Some) })
    }
}
