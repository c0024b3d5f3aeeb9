//! The SQLite store: what is in the file, and what it promises.
#![cfg(feature = "sqlite")]

#[path = "sqlite/support.rs"]
mod support;

#[path = "sqlite/contract.rs"]
mod contract;
