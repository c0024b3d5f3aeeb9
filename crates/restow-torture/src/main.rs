//! Attacks what restow promises, and prints what came of it.

use anyhow::Result;
use clap::{Parser, Subcommand};
use restow_torture::{
    Plan, crash,
    fuzz::{self, Until},
    model::{self, Backend},
    processes, table,
    worker::Work,
};
use std::{process::ExitCode, time::Duration};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long all of it may take, about.
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this promise.
    #[arg(long, value_parser = ["R1", "R4", "R14", "R15"])]
    only: Option<String>,
    /// Where the random numbers begin; by default anywhere.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What children do.
    #[command(hide = true)]
    Work(Work),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Command::Work(work)) = args.command {
        work.run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = Plan {
        program: std::env::current_exe()?,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    println!("seed {}", plan.seed);
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    let mut reports = Vec::new();
    if wanted("R1") {
        reports.push(crash::run(&plan, 200).await?);
    }
    if wanted("R4") {
        // A fifth of the time for each: a minute of five.
        let time = Duration::from_secs(args.minutes * 12);
        for number in [2, 4] {
            reports.push(processes::run(&plan, number, time).await?);
        }
    }
    if wanted("R14") {
        for backend in Backend::ALL {
            reports.push(model::run(&plan, backend, 2_000, 50).await?);
        }
    }
    if wanted("R15") {
        // A fifth of the time for all of them.
        let each = Duration::from_secs(args.minutes * 12) / fuzz::TARGETS.len() as u32;
        reports.push(fuzz::run(&plan, Until::Over(each))?);
    }
    print!("{}", table(&reports));
    Ok(ExitCode::from(u8::from(!reports.iter().all(|r| r.kept()))))
}
