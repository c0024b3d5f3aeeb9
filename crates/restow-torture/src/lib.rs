//! Attacks on what restow promises of its SQLite store: a file for each promise, and what came of it as a [`Report`].
//!
//! - [`crash`] (R1): writers are killed at random instants.
//! - [`processes`] (R4): several processes on one file.
//! - [`model`] (R14): random operations, compared with a map.
//! - [`fuzz`] (R15): any bytes, to all that reads bytes.
//!
//! Every stored body says which key and version it belongs to ([`content`]), so that a wrong answer is seen whoever gives it.

pub mod content;
pub mod crash;
pub mod fuzz;
pub mod model;
mod place;
pub mod processes;
mod report;
pub mod worker;

pub use report::{Report, table};

use std::path::PathBuf;

/// What a promise is attacked with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that children are started from: this crate's own.
    pub program: PathBuf,
    /// Where the random numbers begin. Instants of kills are random by nature, so a seed repeats the choices, not the interleaving.
    pub seed: u64,
}
