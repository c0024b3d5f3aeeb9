//! One body by its key, beside rusqlite on the same file.

use crate::{
    Outcome, Size,
    api::{self, Items},
    by_hand::Reader,
    fill,
    measure::{Contender, each, race, scatter, together},
    report::{Report, Row, Target},
};
use restow::Repository;
use std::time::{Duration, Instant};

const ALONE: &str = "get, one at a time";
const MANY: &str = "get, 64 tasks";
const SQLITE: &str = "sqlite";
const MEMORY: &str = "memory";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants_any(&[ALONE, MANY]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let sqlite = &fill::values(&fill::sqlite(&path), size.entries).await?;
    let memory = &fill::values("memory:", size.entries).await?;
    let (n, entries) = (size.operations, size.entries);
    if report.wants(ALONE) {
        let hand = Reader::open(&path)?;
        let ours = |name, items: &Repository<Items>| {
            let items = items.clone();
            Contender::new(name, move || one_by_one(items.clone(), n, entries))
        };
        let contenders = vec![
            ours(SQLITE, sqlite),
            ours(MEMORY, memory),
            Contender::blocking("rusqlite by hand", || hand.get(0..n, entries)),
        ];
        let times = race(size, contenders).await?;
        let hand = times.get("rusqlite by hand")?;
        let row = Row::new(ALONE, times.get(SQLITE)?, "us").beside(hand.clone());
        report.add(row.target(Target::AtLeast(0.85)));
        let work = format!("{ALONE}: memory store");
        report.add(Row::new(work, times.get(MEMORY)?, "us").beside(hand));
    }
    if report.wants(MANY) {
        let name = "rusqlite by hand, two threads";
        let mut hands = [Reader::open(&path)?, Reader::open(&path)?];
        let ours = |name, items: &Repository<Items>| {
            let items = items.clone();
            Contender::new(name, move || {
                let items = items.clone();
                together(64, n, move |from, n| {
                    let items = items.clone();
                    async move { get(&items, from, n, entries).await }
                })
            })
        };
        let contenders = vec![
            ours(SQLITE, sqlite),
            ours(MEMORY, memory),
            Contender::blocking(name, move || threads(&mut hands, n, entries)),
        ];
        let times = race(size, contenders).await?;
        let row = Row::new(MANY, times.get(SQLITE)?, "us").beside(times.get(name)?);
        report.add(row.target(Target::AtLeast(0.9)));
        let work = format!("{MANY}: memory store");
        report.add(Row::new(work, times.get(MEMORY)?, "us").beside(times.get(name)?));
    }
    Ok(())
}

async fn one_by_one(items: Repository<Items>, n: usize, entries: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    get(&items, 0, n, entries).await?;
    Ok(each(begun.elapsed(), n))
}

/// Reads `n` bodies, one after the other.
pub(super) async fn get(
    items: &Repository<Items>,
    from: usize,
    n: usize,
    entries: usize,
) -> Outcome {
    for i in from..from + n {
        let got = items.get(&api::key(scatter(i, entries))).await?;
        std::hint::black_box(got.ok_or("an entry is missing")?);
    }
    Ok(())
}

fn threads(hands: &mut [Reader; 2], n: usize, entries: usize) -> Outcome<Duration> {
    let half = n / 2;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..)
            .zip(hands)
            .map(|(i, hand)| scope.spawn(move || hand.get(i * half..(i + 1) * half, entries)))
            .collect();
        for thread in all {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Outcome::Ok(())
    })?;
    Ok(each(begun.elapsed(), half * 2))
}
