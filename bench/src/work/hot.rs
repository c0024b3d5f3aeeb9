//! One entry that two cores want at once, beside two that they want one each: what a hit in memory waits for others.

use crate::{
    Outcome, Size, api,
    fill::{self, BULK},
    measure::{Contender, each, race},
    report::{Report, Row},
};
use restow::Repository;
use std::time::{Duration, Instant};

const WORK: &str = "hit of two cores at once";
const SAME: &str = "the same entry";
const OWN: &str = "an entry each";
const ALONE: &str = "one core alone";
/// A hit takes less than a microsecond: so many times as many as elsewhere.
const TIMES: usize = 20;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let tier = format!(
        "{}?memory=64MiB",
        fill::sqlite(&dir.path().join("bench.db"))
    );
    for (store, url) in [("memory store", "memory:"), ("memory tier", tier.as_str())] {
        let items = &fill::values(url, BULK).await?;
        let n = size.operations * TIMES;
        let contender = |name, keys: &'static [usize]| {
            Contender::blocking(name, move || threads(items, keys, n))
        };
        let contenders = vec![
            contender(SAME, &[1, 1]),
            contender(OWN, &[1, 2]),
            contender(ALONE, &[1]),
        ];
        let times = race(size, contenders).await?;
        let work = format!("{WORK}: {store}");
        let row = Row::new(&work, times.get(SAME)?, "us").beside(times.get(OWN)?);
        report.add(row);
        let row = Row::new(format!("{work}, {OWN}"), times.get(OWN)?, "us");
        report.add(row.beside(times.get(ALONE)?));
    }
    Ok(())
}

/// A thread for each key, which asks for nothing else; the time of a hit on its core.
fn threads(items: &Repository<api::Items>, keys: &[usize], n: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = keys
            .iter()
            .map(|key| scope.spawn(move || asks(items, *key, n).map_err(|e| e.to_string())))
            .collect();
        for thread in all {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Outcome::Ok(())
    })?;
    Ok(each(begun.elapsed(), n))
}

fn asks(items: &Repository<api::Items>, key: usize, n: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let key = api::key(key);
    runtime.block_on(async {
        for _ in 0..n {
            let got = items.get(&key).await?;
            std::hint::black_box(got.ok_or("an entry is missing")?);
        }
        Ok(())
    })
}
