//! The PostgreSQL store, against a server of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]
#![cfg(target_os = "linux")]

#[path = "postgres/support.rs"]
mod support;

#[path = "postgres/conformance.rs"]
mod conformance;
