//! The memory store keeps every promise of a store.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use restow::{
    Result,
    conformance::{self, Verdict},
    store::{MemoryStore, Store},
};
use std::sync::Arc;

async fn memory() -> Result<Arc<dyn Store>> {
    Ok(Arc::new(MemoryStore::default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_every_promise() {
    let report = conformance::run(&memory).await;
    report.assert();
    let kept = report
        .findings()
        .iter()
        .filter(|f| f.verdict == Verdict::Kept);
    assert!(kept.count() > 150, "{report}");
}
