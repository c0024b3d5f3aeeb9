//! The tools of `bench/proxy/run`: an origin, a herd of clients, and a client that waits for each answer.

mod herd;
mod latency;
mod origin;

use crate::Outcome;
use clap::Subcommand;
use std::net::SocketAddr;

/// The body of every answer: two kibibytes.
const BODY: usize = 2_048;

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// An API: every path is an answer of 2 KiB that may be kept for an hour; below /slow it takes 300 ms, below /private nobody else may have
    /// it. /count tells how many requests came, and begins anew.
    Origin { listen: SocketAddr },
    /// Asks for one URL so many times at once, by HTTP/2, and prints the milliseconds until the last answer has come.
    Herd { url: String, number: usize },
    /// Asks for so many paths one after the other, each in turn below all these URLs, and prints for each URL a line with the 50th and the 99th percentile in
    /// microseconds.
    Latency { number: usize, urls: Vec<String> },
}

impl Tool {
    pub(crate) async fn run(self) -> Outcome {
        match self {
            Self::Origin { listen } => origin::run(listen).await,
            Self::Herd { url, number } => herd::run(&url, number).await,
            Self::Latency { number, urls } => latency::run(&urls, number).await,
        }
    }
}
