//! Attacks what restow promises, and prints what came of it.

use anyhow::Result;
use clap::{Parser, Subcommand};
use restow_torture::{
    Extent, Plan, crash,
    damage::{self, Denied},
    full::{self, Fill},
    fuzz::{self, Until},
    model::{self, Backend},
    power, processes, snapshot, table,
    worker::Work,
};
use std::{process::ExitCode, time::Duration};

/// How long a reader holds on to a snapshot.
const HOLD: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long all of it may take, about; the fixed part of it takes two minutes and a half.
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this promise.
    #[arg(long, value_parser = ["R1", "R2", "R3", "R4", "R5", "R6", "R14", "R15"])]
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
    /// What children do that fill a disk.
    #[command(hide = true)]
    Fill(Fill),
    /// What children do that may do nothing.
    #[command(hide = true)]
    Denied(Denied),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.command {
        Some(Command::Work(work)) => work.run().await?,
        Some(Command::Fill(fill)) => fill.run().await?,
        Some(Command::Denied(denied)) => denied.run().await?,
        None => return attack(&args).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn attack(args: &Args) -> Result<ExitCode> {
    let plan = Plan {
        program: std::env::current_exe()?,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    println!("seed {}", plan.seed);
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    // Of five minutes, so many seconds.
    let share = |seconds: u64| Duration::from_secs(args.minutes * seconds / 5);
    let mut reports = Vec::new();
    if wanted("R1") {
        reports.push(crash::run(&plan, 200).await?);
    }
    if wanted("R2") {
        reports.push(power::run(&plan, Extent::Whole(share(60))).await?);
    }
    if wanted("R3") {
        reports.push(damage::run(&plan, Extent::Whole(share(30))).await?);
    }
    if wanted("R4") {
        for number in [2, 4] {
            reports.push(processes::run(&plan, number, share(60)).await?);
        }
    }
    if wanted("R5") {
        reports.push(snapshot::run(&plan, HOLD).await?);
    }
    if wanted("R6") {
        reports.push(full::run(&plan, Extent::Whole(share(20))).await?);
    }
    if wanted("R14") {
        for backend in Backend::ALL {
            reports.push(model::run(&plan, backend, 2_000, 50).await?);
        }
    }
    if wanted("R15") {
        let each = share(60) / fuzz::TARGETS.len() as u32;
        reports.push(fuzz::run(&plan, Until::Over(each))?);
    }
    print!("{}", table(&reports));
    Ok(ExitCode::from(u8::from(!reports.iter().all(|r| r.kept()))))
}
