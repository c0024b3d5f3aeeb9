//! How many requests fail while the server of the store stands still, and while it is killed and started again.

use super::servers::Server;
use crate::{
    Outcome, Size, api, fill,
    measure::{Figure, scatter},
    origin::Origin,
    report::{Report, Row, Target},
};
use reqwest_middleware::ClientWithMiddleware;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::task::block_in_place;

/// Who asks meanwhile, one request after the other.
const TASKS: usize = 64;
/// It stands still, and is killed, so many times.
const TIMES: usize = 3;
/// How long it is away, and how long it is there again.
const WHILE: Duration = Duration::from_secs(1);

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    for store in Server::wanted(report, work) {
        let failed = Box::pin(measure(Server::start(store), size)).await?;
        let row = Row::new(work(store), Figure::once("", failed as f64), "requests");
        report.add(row.target(Target::Within(0.0)));
    }
    Ok(())
}

fn work(store: &str) -> String {
    format!("networked: {store}: stopped and killed under load, requests that fail")
}

/// Asks from many tasks all the while; returns how many requests came to nothing or to another answer than the API's.
async fn measure(mut server: Server, size: Size) -> Outcome<u64> {
    let cache = fill::cache(&server.url()).await?;
    cache.create_repository(api::items()?).await?;
    let origin = Origin::default();
    let load = Load::start(&origin.behind(cache.middleware()), size.entries);
    for _ in 0..TIMES.min(size.rounds) {
        let acts: [fn(&mut Server); 4] = [
            |server| server.stop(),
            |server| server.go_on(),
            |server| server.kill(),
            |server| server.start_again(),
        ];
        for act in acts {
            block_in_place(|| act(&mut server));
            tokio::time::sleep(WHILE.min(size.quiet)).await;
        }
    }
    let failed = load.end().await?;
    if origin.asked() == 0 {
        return Err("nobody asked".into());
    }
    cache.close().await?;
    Ok(failed)
}

/// Tasks that ask until they are told to end.
struct Load {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    ends: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
}

impl Load {
    fn start(client: &ClientWithMiddleware, entries: usize) -> Self {
        let (ends, failed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let tasks = (0..TASKS).map(|task| {
            let (client, ends, failed) = (client.clone(), ends.clone(), failed.clone());
            tokio::spawn(async move {
                let mut i = task;
                while !ends.load(Relaxed) {
                    i += TASKS;
                    let place = scatter(i, entries);
                    if !matches!(ask(&client, place).await, Ok(body) if body == api::body(place)) {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self {
            tasks,
            ends,
            failed,
        }
    }

    async fn end(self) -> Outcome<u64> {
        self.ends.store(true, Relaxed);
        for task in self.tasks {
            task.await?;
        }
        Ok(self.failed.load(Relaxed))
    }
}

async fn ask(client: &ClientWithMiddleware, i: usize) -> Outcome<bytes::Bytes> {
    let answer = client.get(api::url(i)).send().await?;
    Ok(answer.error_for_status()?.bytes().await?)
}
