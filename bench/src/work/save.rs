//! One entry each, durable when the call returns, beside transactions by hand in a file of the same layout.

use super::save_many::take;
use crate::{
    Outcome, Size,
    api::Items,
    by_hand::Writer,
    fill,
    measure::{Contender, each, race},
    report::{Report, Row, Target},
};
use restow::Repository;
use std::{
    cell::{Cell, RefCell},
    ops::Range,
    time::{Duration, Instant},
};

const HAND: &str = "rusqlite by hand, a transaction each";
/// What each level promises of 64 tasks.
const LEVELS: [(&str, &str, f64); 2] = [("normal", "NORMAL", 2.0), ("full", "FULL", 5.0)];

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    for (level, synchronous, least) in LEVELS {
        let many = format!("save, 64 tasks, durability={level}");
        let alone = format!("save, one at a time, durability={level}");
        if !report.wants_any(&[&many, &alone]) {
            continue;
        }
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("bench.db");
        let url = format!("{}?durability={level}", fill::sqlite(&path));
        let items = &fill::values(&url, size.entries).await?;
        let mut hand = Writer::like(&path, &dir.path().join("hand.db"), synchronous)?;
        hand.save_many(&fill::pairs(0..size.entries))?;
        let hand = RefCell::new(hand);
        let n = (size.operations / 20).max(64) / 64 * 64;
        let (ours, theirs) = (Cell::new(size.entries), Cell::new(size.entries));
        let by_hand = || {
            Contender::blocking(HAND, || {
                let pairs = fill::pairs(take(&theirs, n));
                hand.try_borrow_mut()?.save(&pairs)
            })
        };
        if report.wants(&many) {
            let together = Contender::new("sqlite", || tasks(items, take(&ours, n)));
            let times = race(size, vec![together, by_hand()]).await?;
            let row = Row::new(many, times.get("sqlite")?, "us").beside(times.get(HAND)?);
            report.add(row.target(Target::AtLeast(least)));
        }
        if report.wants(&alone) {
            let one = Contender::new("sqlite", || one_by_one(items, take(&ours, n)));
            let times = race(size, vec![one, by_hand()]).await?;
            report.add(Row::new(alone, times.get("sqlite")?, "us").beside(times.get(HAND)?));
        }
    }
    Ok(())
}

/// The bodies are made before the clock runs, as for the transactions by hand.
async fn tasks(items: &Repository<Items>, which: Range<usize>) -> Outcome<Duration> {
    let n = which.len();
    let shares: Vec<_> = fill::pairs(which)
        .chunks(n / 64)
        .map(<[_]>::to_vec)
        .collect();
    let begun = Instant::now();
    let all: Vec<_> = shares
        .into_iter()
        .map(|pairs| {
            let items = items.clone();
            tokio::spawn(async move { save(&items, &pairs).await })
        })
        .collect();
    for end in all {
        end.await??;
    }
    Ok(each(begun.elapsed(), n))
}

async fn one_by_one(items: &Repository<Items>, which: Range<usize>) -> Outcome<Duration> {
    let pairs = fill::pairs(which);
    let begun = Instant::now();
    save(items, &pairs).await?;
    Ok(each(begun.elapsed(), pairs.len()))
}

async fn save(items: &Repository<Items>, pairs: &[(String, bytes::Bytes)]) -> Outcome {
    for (key, body) in pairs {
        items.save(key, body).await?;
    }
    Ok(())
}
