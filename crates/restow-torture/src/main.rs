//! Attacks what restow promises, and prints what came of it.

use anyhow::Result;
use clap::{Parser, Subcommand};
use futures_util::future::try_join_all;
use restow_torture::{
    Extent, Plan, Report, crash,
    damage::{self, Denied},
    full::{self, Fill},
    fuzz::{self, Until},
    model::{self, Backend},
    power, processes, snapshot, suite, table,
    worker::Work,
};
use std::{path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long all of it may take, about. In five each promise is attacked as it was made: in less, not as often.
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this promise.
    #[arg(long, value_parser = ["R1", "R2", "R3", "R4", "R5", "R6", "R9", "R12", "R14", "R15"])]
    only: Option<String>,
    /// Where the random numbers begin; by default anywhere.
    #[arg(long)]
    seed: Option<u64>,
    /// The library's tests of clocks that jump, which R9 is.
    #[arg(long)]
    clocks: Option<PathBuf>,
    /// The library's tests of calls that are dropped, which R12 is.
    #[arg(long)]
    dropped: Option<PathBuf>,
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
    let reports = reports(args, &plan).await?;
    print!("{}", table(&reports));
    Ok(ExitCode::from(u8::from(!reports.iter().all(|r| r.kept()))))
}

async fn reports(args: &Args, plan: &Plan) -> Result<Vec<Report>> {
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    // Of five minutes, so many seconds; and of a number, what fits into the time.
    let share = |seconds: u64| Duration::from_secs(seconds * args.minutes) / 5;
    let part = |number: u64| number * args.minutes / 5;
    let mut reports = Vec::new();
    if wanted("R2") {
        reports.push(power::run(plan, Extent::Whole(share(55))).await?);
    }
    if wanted("R4") {
        for number in [2, 4] {
            reports.push(processes::run(plan, number, share(60)).await?);
        }
    }
    if wanted("R6") {
        reports.push(full::run(plan, Extent::Whole(share(12))).await?);
    }
    // These wait more than they work.
    let mut beside = Vec::new();
    if wanted("R1") {
        let kills = usize::try_from(part(200))?;
        beside.push(apart(plan, move |plan, runtime| {
            runtime.block_on(crash::run(plan, kills))
        }));
    }
    if wanted("R3") {
        let extent = Extent::Whole(share(30));
        beside.push(apart(plan, move |plan, runtime| {
            runtime.block_on(damage::run(plan, extent))
        }));
    }
    if wanted("R5") {
        let hold = share(30);
        beside.push(apart(plan, move |plan, runtime| {
            runtime.block_on(snapshot::run(plan, hold))
        }));
    }
    for (promise, tests, time) in [
        ("R9", &args.clocks, share(8)),
        ("R12", &args.dropped, share(30)),
    ] {
        if let Some(tests) = tests.clone().filter(|_| wanted(promise)) {
            beside.push(apart(plan, move |plan, _| {
                suite::run(plan, promise, &tests, time)
            }));
        }
    }
    for report in try_join_all(beside).await? {
        reports.push(report?);
    }
    if wanted("R14") {
        let sequences = u32::try_from(part(2_000))?;
        let backends = Backend::ALL.map(|backend| model::run(plan, backend, sequences, 50));
        reports.extend(try_join_all(backends).await?);
    }
    if wanted("R15") {
        let each = share(10) / fuzz::TARGETS.len() as u32;
        reports.push(fuzz::run(plan, Until::Over(each))?);
    }
    reports.sort_by_key(|report| report.promise.trim_start_matches('R').parse::<u32>().ok());
    Ok(reports)
}

/// Makes an attack on a thread of its own, beside others.
fn apart(
    plan: &Plan,
    attack: impl FnOnce(&Plan, &Handle) -> Result<Report> + Send + 'static,
) -> JoinHandle<Result<Report>> {
    let (plan, runtime) = (plan.clone(), Handle::current());
    spawn_blocking(move || attack(&plan, &runtime))
}
