//! How often the API is asked for what four processes over one store want at once, and none has.

use super::servers::Server;
use crate::{
    Outcome, Size, fill,
    measure::Figure,
    report::{Report, Row, Target},
};
use restow::{RouteEndpoint, Text, endpoint::Coalesce};
use restow_testkit::{
    Gate, Origin, Reply,
    process::{self, Process},
};
use std::process::Command;
use tokio::task::block_in_place;

const PROCESSES: usize = 4;
/// Who waits in each of them.
const WAITERS: usize = 2_500;
/// So many times; the most requests of any of them count.
const ROUNDS: usize = 5;
/// What all of them want.
const ANSWER: &str = "the answer";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    for store in Server::wanted(report, work) {
        let server = Server::start(store);
        let url = server.url();
        let mut most = 0;
        for round in 0..ROUNDS.min(size.rounds) {
            most = most.max(once(&url, round).await?);
        }
        let row = Row::new(work(store), Figure::once("", most as f64), "requests");
        report.add(row.target(Target::Within(1.0)));
    }
    Ok(())
}

fn work(store: &str) -> String {
    format!("networked: {store}: {PROCESSES} processes, one key missing, {WAITERS} waiters each")
}

/// Starts the processes, and lets the API answer when each has asked; returns how many requests came.
async fn once(url: &str, round: usize) -> Outcome<usize> {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |_| Reply::ok(ANSWER).behind(&gate)).await
    };
    let api = origin.url("");
    let this = std::env::current_exe()?;
    let start = || {
        let round = round.to_string();
        Process::start(Command::new(&this).args(["wait", url, &api, &round]))
    };
    let mut all: Vec<_> = block_in_place(|| (0..PROCESSES).map(|_| start()).collect());
    block_in_place(|| all.iter_mut().for_each(Process::go));
    gate.reached(1).await;
    gate.open();
    block_in_place(|| all.iter_mut().for_each(Process::ends));
    Ok(origin.asked())
}

/// What a child does: asks for the same from many tasks, when it is told to.
pub(crate) async fn wait(url: &str, api: &str, round: usize) -> Outcome {
    let cache = fill::cache(url).await?;
    let pages = RouteEndpoint::<String, Text>::get("pages", &format!("{api}/pages/{{id}}"))?;
    cache
        .create_repository(pages.coalesce(Coalesce::Shared))
        .await?;
    let client = cache.client(reqwest::Client::builder().no_proxy().build()?);
    process::wait_to_go();
    let ask = || {
        let (client, url) = (client.clone(), format!("{api}/pages/{round}"));
        tokio::spawn(async move { Outcome::Ok(client.get(url).send().await?.text().await?) })
    };
    let waiting: Vec<_> = (0..WAITERS).map(|_| ask()).collect();
    process::say("asked");
    for one in waiting {
        if one.await?? != ANSWER {
            return Err("somebody got another answer".into());
        }
    }
    cache.close().await?;
    Ok(())
}
