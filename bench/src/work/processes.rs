//! How often the API is asked for what four processes over one store want at once, and none has.

use crate::{
    Outcome, Size, fill,
    measure::Figure,
    report::{Report, Row, Target},
};
use futures_util::future::try_join_all;
use restow::{RouteEndpoint, Text, endpoint::Coalesce};
use restow_testkit::{Gate, Origin, Postgres, Reply, redis::Redis};
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

const PROCESSES: usize = 4;
/// Who waits in each of them.
const WAITERS: usize = 2_500;
/// So many times; the most requests of any of them count.
const ROUNDS: usize = 5;
/// What all of them want.
const ANSWER: &str = "the answer";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if report.wants_any(&[&work("redis"), "networked"]) {
        let server = Redis::start();
        measure("redis", &server.url(), size, report).await?;
    }
    if report.wants_any(&[&work("postgres"), "networked"]) {
        let server = Postgres::start();
        measure("postgres", &server.fresh(), size, report).await?;
    }
    Ok(())
}

fn work(store: &str) -> String {
    format!("networked: {store}: {PROCESSES} processes, one key missing, {WAITERS} waiters each")
}

async fn measure(store: &str, url: &str, size: Size, report: &mut Report) -> Outcome {
    let mut most = 0;
    for round in 0..ROUNDS.min(size.rounds) {
        most = most.max(once(url, round).await?);
    }
    let row = Row::new(work(store), Figure::once("", most as f64), "requests");
    report.add(row.target(Target::Within(1.0)));
    Ok(())
}

/// Starts the processes, and lets the API answer when each has asked; returns how many requests came.
async fn once(url: &str, round: usize) -> Outcome<usize> {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |_| Reply::ok(ANSWER).behind(&gate)).await
    };
    let api = origin.url("");
    let mut all = try_join_all((0..PROCESSES).map(|_| Process::start(url, &api, round))).await?;
    for process in &mut all {
        process.go().await?;
    }
    gate.reached(1).await;
    gate.open();
    for process in all {
        process.ends().await?;
    }
    Ok(origin.asked())
}

/// A child, and what it says.
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    async fn start(url: &str, api: &str, round: usize) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["wait", url, api, &round.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no way to tell it anything")?;
        let stdout = child.stdout.take().ok_or("no way to hear it")?;
        let mut process = Self {
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        };
        process.says("ready").await?;
        Ok(process)
    }

    async fn says(&mut self, what: &str) -> Outcome {
        match self.lines.next_line().await? {
            Some(line) if line == what => Ok(()),
            other => Err(format!("a process said {other:?} in place of {what:?}").into()),
        }
    }

    /// Lets it ask, and returns when it has.
    async fn go(&mut self) -> Outcome {
        self.stdin.write_all(b"go\n").await?;
        self.says("asked").await
    }

    async fn ends(mut self) -> Outcome {
        match self.child.wait().await? {
            end if end.success() => Ok(()),
            end => Err(format!("a process ended with {end}").into()),
        }
    }
}

/// What a child does: asks for the same from many tasks, when it is told to.
pub(crate) async fn wait(url: &str, api: &str, round: usize) -> Outcome {
    let cache = fill::cache(url).await?;
    let pages = RouteEndpoint::<String, Text>::get("pages", &format!("{api}/pages/{{id}}"))?;
    cache
        .create_repository(pages.coalesce(Coalesce::Shared))
        .await?;
    let client = cache.client(reqwest::Client::builder().no_proxy().build()?);
    println!("ready");
    let mut told = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut told)
        .await?;
    let ask = || {
        let (client, url) = (client.clone(), format!("{api}/pages/{round}"));
        tokio::spawn(async move { Outcome::Ok(client.get(url).send().await?.text().await?) })
    };
    let waiting: Vec<_> = (0..WAITERS).map(|_| ask()).collect();
    println!("asked");
    for one in waiting {
        if one.await?? != ANSWER {
            return Err("somebody got another answer".into());
        }
    }
    cache.close().await?;
    Ok(())
}
