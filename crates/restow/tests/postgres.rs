//! The PostgreSQL store, against servers of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]
#![cfg(target_os = "linux")]

#[path = "postgres/support.rs"]
mod support;

#[cfg(feature = "reqwest")]
#[path = "common/asks.rs"]
mod asks;
#[path = "postgres/budget.rs"]
mod budget;
#[path = "common/names.rs"]
mod common;
#[path = "postgres/conformance.rs"]
mod conformance;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/liar.rs"]
mod liar;
#[path = "postgres/lies.rs"]
mod lies;
#[path = "postgres/locks.rs"]
mod locks;
#[path = "postgres/names.rs"]
mod names;
#[path = "common/panics.rs"]
mod panics;
#[path = "postgres/plans.rs"]
mod plans;
#[path = "postgres/pooler.rs"]
mod pooler;
#[path = "postgres/replicas.rs"]
mod replicas;
#[path = "postgres/samples.rs"]
mod samples;
#[path = "postgres/scans.rs"]
mod scans;
#[path = "postgres/schema.rs"]
mod schema;
#[path = "postgres/sharing.rs"]
mod sharing;
#[path = "postgres/tls.rs"]
mod tls;
