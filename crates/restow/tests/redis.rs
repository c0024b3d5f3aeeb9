//! The store in Redis: one server, a cluster, and one behind Sentinels.
#![cfg(all(feature = "redis", feature = "conformance", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may fail"
)]

#[path = "redis/conformance.rs"]
mod conformance;
#[path = "redis/support.rs"]
mod support;
