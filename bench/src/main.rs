//! Benches of restow: each work beside a reference, in turn, in one run. `bench/README.md` says how to read them.

mod api;
mod by_hand;
mod fill;
mod large;
mod measure;
mod origin;
mod peer;
mod proxy;
mod report;
mod rivals;
mod work;

use clap::{Parser, Subcommand};
use report::Report;
use std::{error::Error, path::PathBuf};

/// Measures restow beside a reference.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures every work beside its reference, and tells which targets hold.
    Compare(Compare),
    /// Streams a store and prints the most memory that took: a child of `compare`.
    #[command(hide = true)]
    Stream { url: String },
    /// Asks for one page from many tasks when it is told to: a child of `compare`.
    #[command(hide = true)]
    Wait {
        url: String,
        api: String,
        round: usize,
    },
    /// The tools of bench/proxy/run.
    #[command(subcommand, hide = true)]
    Proxy(proxy::Tool),
}

#[derive(Debug, clap::Args)]
struct Compare {
    /// Runs the works whose name holds this word.
    #[arg(long, default_value = "")]
    only: String,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Few entries and rounds: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Adds a store of 10^7 entries, 26 GB, to the works that grow.
    #[arg(long)]
    huge: bool,
    /// Writes the table into this file too: the whole one, or with `--only networked` the section of the stores on a network.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Entries in the store of most works.
    entries: usize,
    /// Entries in the stores of the works that grow.
    steps: &'static [usize],
    /// Entries in the large store.
    large: usize,
    rounds: usize,
    /// Operations in one round of one contender.
    operations: usize,
    /// How long callers are watched while nothing else happens.
    quiet: std::time::Duration,
}

impl Size {
    const FULL: Self = Self {
        entries: 10_000,
        steps: &[10_000, 100_000],
        large: 1_000_000,
        rounds: 15,
        operations: 20_000,
        quiet: std::time::Duration::from_secs(10),
    };
    const HUGE: Self = Self {
        steps: &[10_000, 100_000, 10_000_000],
        ..Self::FULL
    };
    const QUICK: Self = Self {
        entries: 500,
        steps: &[100, 500],
        large: 2_000,
        rounds: 2,
        operations: 256,
        quiet: std::time::Duration::from_millis(300),
    };

    /// The entries of all stores of the works that grow, the smallest first.
    fn grown(self) -> impl Iterator<Item = usize> {
        self.steps.iter().copied().chain([self.large])
    }
}

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    // Where TLS is built into the workspace's reqwest, a client cannot be made before a provider is chosen.
    _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match Args::parse().command {
        Command::Compare(compare) => runtime.block_on(compare.run()),
        Command::Proxy(tool) => runtime.block_on(tool.run()),
        Command::Wait { url, api, round } => {
            runtime.block_on(work::processes::wait(&url, &api, round))
        }
        Command::Stream { url } => runtime.block_on(work::memory::stream(&url)),
    }
}

impl Compare {
    async fn run(self) -> Outcome {
        let is_networked = self.only == work::NETWORKED;
        if self.write.is_some() && !self.only.is_empty() && !is_networked {
            return Err(
                "--write keeps the whole table; leave --only out, or name networked".into(),
            );
        }
        let size = match (self.quick, self.huge) {
            (true, _) => Size::QUICK,
            (false, true) => Size::HUGE,
            (false, false) => Size::FULL,
        };
        let mut report = Report::new(self.only, self.json, self.quick);
        work::all(size, &mut report).await;
        if let Some(path) = self.write {
            let beside = std::fs::read_to_string(&path).unwrap_or_default();
            let page = match is_networked {
                true => report.section_in(&beside, work::NETWORKED),
                false => report.page_before(&beside),
            };
            std::fs::write(path, page)?;
        }
        report.close()
    }
}
