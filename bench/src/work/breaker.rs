//! What a request costs while its store stands still, nothing but what the API takes, and how soon the store is used again.

use super::servers::Server;
use crate::{
    Outcome, Size, api, fill,
    measure::{Figure, percentile, scatter},
    origin::Origin,
    report::{Report, Row, Target},
};
use reqwest_middleware::ClientWithMiddleware;
use restow::{Cache, exchange::Answered};
use std::time::{Duration, Instant};

/// A request may take so much longer than without a cache, in microseconds.
const EXTRA: f64 = 1_000.0;
/// A store that is back may take so long to be used again, in milliseconds.
const BACK: f64 = 2_000.0;
/// It stands still so many times.
const STOPS: usize = 5;
/// So many requests may find that the store is down, each by waiting for it.
const NOTICED: usize = 1_000;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    for store in Server::wanted(report, work) {
        let figures = Box::pin(measure(&Server::start(store), size)).await?;
        add(report, store, figures);
    }
    Ok(())
}

fn work(store: &str) -> String {
    format!("networked: {store}: stopped, more than without a cache, 99 of 100 requests")
}

fn add(report: &mut Report, store: &str, figures: Figures) {
    let row = Row::new(work(store), figures.extra, "us");
    report.add(row.target(Target::Within(EXTRA)));
    let row = Row::new(
        format!("networked: {store}: stopped, from when it goes on until a hit"),
        figures.back,
        "ms",
    );
    report.add(row.target(Target::Within(BACK)));
}

/// How much longer the slowest request takes than without a cache, but for a hundredth of each, while the store stands still; and how long
/// it is from when it goes on until a request is answered from it.
struct Figures {
    extra: Figure,
    back: Figure,
}

/// Asks through a cache whose server stands still, and without a cache, in turn.
async fn measure(server: &Server, size: Size) -> Outcome<Figures> {
    let cache = fill::cache(&server.url()).await?;
    cache.create_repository(api::items()?).await?;
    let origin = Origin::default();
    let ours = origin.behind(cache.middleware());
    let bare = origin.client();
    ask(&ours, 0).await?;
    server.stop();
    let opened = opens(&cache, &ours).await;
    let mut rounds = Vec::with_capacity(size.rounds);
    let n = (size.operations / 10).max(100);
    for round in 0..=size.rounds {
        let with = times(&ours, n).await?;
        let without = times(&bare, n).await?;
        if round > 0 {
            rounds.push(percentile(&with, 99) - percentile(&without, 99));
        }
    }
    let is_open = cache.health().is_some_and(|health| !health.is_up());
    // A server that stands still would keep the cache from being closed.
    server.go_on();
    opened?;
    if !is_open {
        return Err("the breaker closed while its server stood still".into());
    }
    let mut back = Vec::with_capacity(STOPS);
    for _ in 0..STOPS.min(size.rounds) {
        until_hit(&ours).await?;
        server.stop();
        let opened = opens(&cache, &ours).await;
        server.go_on();
        opened?;
        back.push(until_hit(&ours).await?.as_secs_f64() * 1e3);
    }
    cache.close().await?;
    Ok(Figures {
        extra: Figure::of(String::new(), rounds),
        back: Figure::of(String::new(), back),
    })
}

/// Asks until the store answers.
async fn until_hit(client: &ClientWithMiddleware) -> Outcome<Duration> {
    let begun = Instant::now();
    loop {
        let answer = client.get(api::url(0)).send().await?;
        let answered = answer.extensions().get::<Answered>();
        if answered.is_some_and(|a| a.outcome.is_from_store()) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("the store is never used again".into());
        }
    }
}

/// Asks until the breaker is open.
async fn opens(cache: &Cache, client: &ClientWithMiddleware) -> Outcome {
    for i in 0..NOTICED {
        ask(client, i).await?;
        if cache.health().is_some_and(|health| !health.is_up()) {
            return Ok(());
        }
    }
    Err("the breaker does not open".into())
}

/// How long each of `n` requests took, the shortest first.
async fn times(client: &ClientWithMiddleware, n: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(n);
    for i in 0..n {
        let begun = Instant::now();
        ask(client, scatter(i, n)).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

async fn ask(client: &ClientWithMiddleware, i: usize) -> Outcome {
    let answer = client.get(api::url(i)).send().await?;
    std::hint::black_box(answer.bytes().await?);
    Ok(())
}
