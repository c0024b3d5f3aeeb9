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

#[cfg(feature = "reqwest")]
#[path = "common/asks.rs"]
mod asks;
#[path = "redis/cluster.rs"]
mod cluster;
#[path = "redis/conformance.rs"]
mod conformance;
#[path = "redis/eviction.rs"]
mod eviction;
#[path = "redis/expiry.rs"]
mod expiry;
#[path = "redis/failures.rs"]
mod failures;
#[path = "redis/large.rs"]
mod large;
#[path = "redis/liar.rs"]
mod liar;
#[path = "redis/lies.rs"]
mod lies;
#[path = "common/panics.rs"]
mod panics;
#[path = "redis/samples.rs"]
mod samples;
#[path = "redis/schema.rs"]
mod schema;
#[path = "redis/sharing.rs"]
mod sharing;
#[path = "redis/support.rs"]
mod support;
#[path = "redis/tls.rs"]
mod tls;
#[path = "redis/upkeep.rs"]
mod upkeep;
