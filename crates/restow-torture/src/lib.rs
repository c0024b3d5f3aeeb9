//! Attacks on what restow promises of its SQLite store: a file for each promise, and what came of it as a [`Report`].
//!
//! - [`crash`] (R1): writers are killed at random instants.
//! - [`power`] (R2): the power fails, and what was not on the disk yet is not there.
//! - [`damage`] (R3): the file is damaged, or not one of ours.
//! - [`processes`] (R4): several processes on one file.
//! - [`snapshot`] (R5): readers that do not let go.
//! - [`full`] (R6): the disk is full.
//! - [`suite`] (R9, R12): clocks that jump, and calls that are dropped, which are tests of the library.
//! - [`model`] (R14): random operations, compared with a map.
//! - [`fuzz`] (R15): any bytes, to all that reads bytes.
//!
//! Every stored body says which key and version it belongs to ([`content`]), so that a wrong answer is seen whoever gives it.

pub mod content;
pub mod crash;
pub mod damage;
pub mod full;
pub mod fuzz;
mod log;
pub mod model;
mod origin;
mod place;
pub mod power;
pub mod processes;
mod report;
pub mod snapshot;
pub mod suite;
pub mod worker;

pub use report::{Report, table};

use std::{path::PathBuf, time::Duration};

/// What a promise is attacked with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that children are started from: this crate's own.
    pub program: PathBuf,
    /// Where the random numbers begin. Instants of kills are random by nature, so a seed repeats the choices, not the interleaving.
    pub seed: u64,
}

/// How much of an attack is made.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Some of it, so that a change need not wait for it.
    Sample,
    /// All of it, and then what chance picks until about this long after the start.
    Whole(Duration),
}
