//! The SQLite store: what is in the file, and what it promises.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]
#![cfg(feature = "sqlite")]

#[macro_use]
#[path = "common/forward.rs"]
mod forward;
#[path = "sqlite/support.rs"]
mod support;

#[path = "sqlite/ages.rs"]
mod ages;
#[path = "common/names.rs"]
mod common;
#[path = "sqlite/compression.rs"]
mod compression;
#[cfg(feature = "conformance")]
#[path = "sqlite/conformance.rs"]
mod conformance;
#[path = "sqlite/contract.rs"]
mod contract;
#[path = "sqlite/damage.rs"]
mod damage;
#[path = "sqlite/doctor.rs"]
mod doctor;
#[path = "sqlite/files.rs"]
mod files;
#[path = "sqlite/golden.rs"]
mod golden;
#[path = "sqlite/layout.rs"]
mod layout;
#[path = "sqlite/log.rs"]
mod log;
#[path = "sqlite/names.rs"]
mod names;
#[path = "sqlite/processes.rs"]
mod processes;
#[path = "sqlite/quarantine.rs"]
mod quarantine;
#[path = "sqlite/query.rs"]
mod query;
#[path = "sqlite/salvage.rs"]
mod salvage;
#[path = "sqlite/schema.rs"]
mod schema;
#[path = "sqlite/trim.rs"]
mod trim;
