//! Benches of restow: each work beside a reference, in turn, in one run. `bench/README.md` says how to read them.

mod api;
mod client;
mod measure;
mod report;
mod router;
mod store;

use clap::Parser;
use report::Report;
use std::{error::Error, path::PathBuf};

/// Measures restow beside a reference.
#[derive(Debug, Parser)]
struct Args {
    /// Runs the works whose name holds this word.
    #[arg(long, default_value = "")]
    only: String,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Few entries and rounds: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// How many entries the stores hold.
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
    /// Writes the table into this file too.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Size {
    entries: usize,
    rounds: usize,
    /// Operations in one round of one contender.
    operations: usize,
}

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    // Where TLS is built into the workspace's reqwest, a client cannot be made before a provider is chosen.
    _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    let size = if args.quick {
        Size {
            entries: args.entries.min(500),
            rounds: 2,
            operations: 200,
        }
    } else {
        Size {
            entries: args.entries,
            rounds: 15,
            operations: 20_000,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut report = Report::new(&args.only, args.json);
    runtime.block_on(async {
        client::run(size, &mut report).await?;
        store::run(size, &mut report).await?;
        router::run(size, &mut report)
    })?;
    report.close();
    if let Some(path) = args.write {
        std::fs::write(path, report.page())?;
    }
    Ok(())
}
