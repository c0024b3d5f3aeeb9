//! The program restow: fetches the answers of REST APIs, keeps them in one file, and shows, queries and prunes what is kept.

// The futures of commands lie in one another, deeper than the compiler follows by default.
#![recursion_limit = "256"]

mod args;
mod asker;
mod cli;
mod command;
mod entries;
mod exit;
mod http;
mod output;
mod progress;
mod ranges;
mod rate;
mod redact;
mod sample;
mod select;
mod session;
mod tally;
mod target;
mod upstreams;

use clap::Parser as _;
use exit::{Exit, Failure};
use output::{Format, Out};
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The proxy allocates a dozen times for every answer out of memory; this one takes less than half the time of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log(&cli.global);
    // Without it no https: fails only where one was installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: cli::Cli) -> Result<(), Failure> {
    let runtime = runtime(cli.command.workers()).map_err(|e| {
        Failure::new(Exit::Store, "the program cannot start its threads").because(e)
    })?;
    let mut out = Out::new(if cli.global.json {
        Format::Json
    } else {
        Format::Text
    });
    let done = runtime.block_on(cli.command.run(&cli.global, &mut out));
    // What was found out before a failure is still worth reading.
    let flushed = out.flush();
    done.and(flushed)
}

/// One worker needs no scheduler between threads: it is the thread that is there.
fn runtime(workers: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    let mut runtime = match workers {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(workers) = workers.filter(|n| *n > 1) {
        runtime.worker_threads(workers);
    }
    runtime.enable_all().build()
}

/// Sends what the library tells to stderr.
fn log(global: &cli::Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, 2) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(false);
    // Others' crates stay silent: below their warnings they may tell of headers.
    let targets = Targets::new()
        .with_default(LevelFilter::ERROR.min(level))
        .with_target("restow", level);
    _ = tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init();
}
