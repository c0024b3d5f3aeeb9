//! What is examined.

use crate::{Result, answer::BoxFuture, store::Store};
use std::sync::Arc;

/// A kind of store, as the suite needs it: able to make fresh ones.
///
/// A closure that makes a store is a subject, of a store whose entries end with it.
pub trait Subject: Send + Sync {
    /// Makes an empty store that shares nothing with the others.
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>>;

    /// Opens again what a store held that `fresh` made and that is closed by now; `None` where its entries ended with it.
    ///
    /// Asked only of stores whose [`durable`](crate::store::Capabilities::durable) says that entries outlive the process.
    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>>;
}

impl<F, Made> Subject for F
where
    F: Fn() -> Made + Send + Sync,
    Made: Future<Output = Result<Arc<dyn Store>>> + Send + 'static,
{
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        Box::pin(self())
    }

    fn reopen<'a>(
        &'a self,
        _: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async { Ok(None) })
    }
}
