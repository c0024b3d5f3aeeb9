//! What a request costs while its store stands still: nothing but what the API takes.

use crate::{
    Outcome, Size, api, fill,
    measure::{Figure, scatter},
    origin::Origin,
    report::{Report, Row, Target},
};
use reqwest_middleware::ClientWithMiddleware;
use restow::Cache;
use restow_testkit::{Postgres, redis::Redis};
use std::time::{Duration, Instant};

/// A request may take so much longer than without a cache, in microseconds.
const EXTRA: f64 = 1_000.0;
/// So many requests may find that the store is down, each by waiting for it.
const NOTICED: usize = 1_000;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if report.wants_any(&[&work("redis"), "networked"]) {
        let server = Redis::start();
        let act = |freezes: bool| match freezes {
            true => server.pause(),
            false => server.resume(),
        };
        let extra = Box::pin(measure(&server.url(), size, act)).await?;
        add(report, "redis", extra);
    }
    if report.wants_any(&[&work("postgres"), "networked"]) {
        let server = Postgres::start();
        let act = |freezes: bool| match freezes {
            true => server.freeze(),
            false => server.thaw(),
        };
        let extra = Box::pin(measure(&server.fresh(), size, act)).await?;
        add(report, "postgres", extra);
    }
    Ok(())
}

fn work(store: &str) -> String {
    format!("networked: {store}: stopped, more than without a cache, 99 of 100 requests")
}

fn add(report: &mut Report, store: &str, extra: Figure) {
    report.add(Row::new(work(store), extra, "us").target(Target::Within(EXTRA)));
}

/// Asks through a cache whose server stands still, and without a cache, in turn; returns how much longer the slowest took, but for a hundredth of each.
async fn measure(url: &str, size: Size, freeze: impl Fn(bool)) -> Outcome<Figure> {
    let cache = fill::cache(url).await?;
    cache.create_repository(api::items()?).await?;
    let origin = Origin::default();
    let ours = origin.behind(cache.middleware());
    let bare = origin.client();
    ask(&ours, 0).await?;
    freeze(true);
    let opened = opens(&cache, &ours).await;
    let mut rounds = Vec::with_capacity(size.rounds);
    let n = (size.operations / 10).max(100);
    for round in 0..=size.rounds {
        let with = times(&ours, n).await?;
        let without = times(&bare, n).await?;
        if round > 0 {
            rounds.push(at(&with, 99) - at(&without, 99));
        }
    }
    let is_open = cache.health().is_some_and(|health| !health.is_up());
    // A server that stands still would keep the cache from being closed.
    freeze(false);
    opened?;
    cache.close().await?;
    if !is_open {
        return Err("the breaker closed while its server stood still".into());
    }
    rounds.sort_by(f64::total_cmp);
    let of = |i: usize| rounds.get(i).copied().unwrap_or(f64::NAN);
    Ok(Figure {
        name: String::new(),
        median: of(rounds.len() / 2),
        range: (of(0), of(rounds.len().saturating_sub(1))),
    })
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

/// The time in microseconds that so many of a hundred took at most.
fn at(times: &[Duration], percent: usize) -> f64 {
    let nth = times.len() * percent / 100;
    times
        .get(nth)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}
