//! What other callers notice of a purge of half a large store, and what becomes of its space.

use super::file_size::megabytes;
use crate::{
    Outcome, Size,
    api::{self, Items},
    fill,
    large::{self, Large},
    measure::{Figure, scatter},
    report::{Report, Row, Target},
};
use restow::{Cache, Repository, Scope};
use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const READS: &str = "purge of half a large store: p99 of reads meanwhile";
const SAVES: &str = "purge of half a large store: p99 of saves meanwhile";
const LONGEST: &str = "purge of half a large store: longest call meanwhile";
const TIME: &str = "purge of half a large store: one entry";
const SPACE: &str = "purge of half a large store: file afterwards";
const TASKS: usize = 64;
/// How long space is waited for that is given back in the background.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(size: Size, large: &mut Large, report: &mut Report) -> Outcome {
    if !report.wants_any(&[READS, SAVES, LONGEST, TIME, SPACE]) {
        return Ok(());
    }
    let path = large.path().await?;
    let before = megabytes(&path)?;
    let cache = large::half_expired(&fill::sqlite(&path)).await?;
    let items = cache.create_repository(api::items()?).await?;
    let live = large.entries / 2..large.entries;
    let expired = items.count(Scope::Expired).await?;
    if expired != live.start as u64 {
        return Err(format!("{expired} entries are expired, not half").into());
    }

    // The first calls of all are no measure of the quiet ones.
    watch(&cache, &items, live.clone(), async {
        tokio::time::sleep(size.quiet / 10).await;
        Ok(())
    })
    .await?;
    let quiet = watch(&cache, &items, live.clone(), async {
        tokio::time::sleep(size.quiet).await;
        Ok(())
    })
    .await?;
    let mut took = Duration::ZERO;
    let busy = watch(&cache, &items, live, async {
        let begun = Instant::now();
        let removed = items.clear(Scope::Expired).await?;
        took = begun.elapsed();
        if removed != expired {
            return Err(format!("{removed} of {expired} entries were removed").into());
        }
        Ok(())
    })
    .await?;

    for (work, quiet, busy) in [
        (READS, &quiet.reads, &busy.reads),
        (SAVES, &quiet.saves, &busy.saves),
    ] {
        let quiet = Figure::once("quiet", percentile(quiet, 99.0));
        let row = Row::new(work, Figure::once("", percentile(busy, 99.0)), "us");
        report.add(row.beside(quiet).target(Target::AtMost(3.0)));
    }
    let longest =
        |calls: &Calls| percentile(&calls.reads, 100.0).max(percentile(&calls.saves, 100.0));
    let row = Row::new(LONGEST, Figure::once("", longest(&busy)), "us");
    report.add(row.beside(Figure::once("quiet", longest(&quiet))));
    let each = took.as_secs_f64() * 1e6 / expired.max(1) as f64;
    report.add(Row::new(TIME, Figure::once("", each), "us"));
    if report.wants(SPACE) {
        settle(&path).await;
        cache.close().await?;
        let after = Figure::once("", megabytes(&path)?);
        let row = Row::new(SPACE, after, "MB").beside(Figure::once("before", before));
        // Half is free: at least half of that is given back.
        report.add(row.target(Target::AtMost(0.75)));
    }
    Ok(())
}

/// What calls took, in microseconds, in ascending order.
#[derive(Debug, Default)]
struct Calls {
    reads: Vec<f64>,
    saves: Vec<f64>,
}

/// Lets tasks read live entries, and save every fifth one again, until `during` ends.
async fn watch(
    cache: &Cache,
    items: &Repository<Items>,
    live: Range<usize>,
    during: impl Future<Output = Outcome>,
) -> Outcome<Calls> {
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            tokio::spawn(calls(
                cache.clone(),
                items.clone(),
                live.clone(),
                task,
                over.clone(),
            ))
        })
        .collect();
    let ended = during.await;
    over.store(true, Relaxed);
    let mut all = Calls::default();
    for task in tasks {
        let calls = task.await??;
        all.reads.extend(calls.reads);
        all.saves.extend(calls.saves);
    }
    ended?;
    all.reads.sort_by(f64::total_cmp);
    all.saves.sort_by(f64::total_cmp);
    Ok(all)
}

async fn calls(
    cache: Cache,
    items: Repository<Items>,
    live: Range<usize>,
    task: usize,
    over: Arc<AtomicBool>,
) -> Outcome<Calls> {
    let mut calls = Calls::default();
    let mut n = task * 1_000_003;
    while !over.load(Relaxed) {
        n += 1;
        let i = live.start + scatter(n, live.len());
        if n.is_multiple_of(5) {
            let (request, response) = (fill::request(i)?, api::response(i));
            let begun = Instant::now();
            cache.save(&request, &response).await?;
            calls.saves.push(begun.elapsed().as_secs_f64() * 1e6);
        } else {
            let key = api::key(i);
            let begun = Instant::now();
            let got = items.get(&key).await?;
            calls.reads.push(begun.elapsed().as_secs_f64() * 1e6);
            got.ok_or("a live entry is missing")?;
        }
    }
    Ok(calls)
}

/// Waits until the file has not become smaller for a while.
async fn settle(path: &Path) {
    let begun = Instant::now();
    let size = || megabytes(path).unwrap_or(0.0);
    let (mut last, mut at) = (size(), Instant::now());
    while begun.elapsed() < PATIENCE && at.elapsed() < PATIENCE / 10 {
        tokio::time::sleep(PATIENCE / 600).await;
        if size() < last {
            (last, at) = (size(), Instant::now());
        }
    }
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * percent / 100.0).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
