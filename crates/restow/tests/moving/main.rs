//! Entries on their way from store to store, and through files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what tests share is no test to clippy"
)]

mod copy;
mod kit;
mod lines;
mod read_in;
