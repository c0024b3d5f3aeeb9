//! A cache, through its public interface, on every store of this build.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

#[macro_use]
#[path = "../common/forward.rs"]
mod forward;
mod backfill;
mod budget;
mod build;
mod bypass;
mod end;
mod open;
mod removed;
mod requests;
mod slow;
mod stored;
mod support;
mod untidy;
