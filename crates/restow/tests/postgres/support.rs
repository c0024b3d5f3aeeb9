//! What the tests share.

use restow::{
    Result,
    store::{PostgresOptions, PostgresStore, Store},
};
use std::sync::Arc;

/// Opens the store at a URL.
pub async fn open(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(
        PostgresStore::open(PostgresOptions::parse(url)?).await?,
    ))
}
