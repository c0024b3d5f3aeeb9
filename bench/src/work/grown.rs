//! What a store on a network costs as it grows: places of more and more small entries on one server, in turn.

use super::get::get;
use crate::{
    Outcome, Size,
    api::{self, Items},
    fill::{self, BULK},
    measure::{Contender, each, race, together},
    report::{Report, Row, Target},
};
use futures_util::TryStreamExt;
use restow::{Repository, Scope};
use std::time::Instant;

const TASKS: usize = 64;
/// A scan of the largest takes seconds: the median of so many rounds.
const SCANS: usize = 3;

/// Where `count` takes as long whatever there is, so long at most, in milliseconds.
const COUNT: f64 = 20.0;

/// What a store promises of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// It takes as long whatever there is.
    Flat,
    /// It may take as much longer as there is more.
    Linear,
}

/// Fills a place for each size, which `place` names by a URL, and measures `get`, `stream`, `stats` and `count` there.
pub(crate) async fn run(
    size: Size,
    store: &str,
    count: Count,
    place: impl Fn(usize) -> String,
    report: &mut Report,
) -> Outcome {
    let mut grown = Vec::new();
    for entries in size.grown() {
        let cache = fill::cache(&place(entries)).await?;
        let items = cache.create_repository(api::items()?).await?;
        for from in (0..entries).step_by(BULK) {
            let pairs: Vec<_> = (from..entries.min(from + BULK))
                .map(|i| (api::key(i), small(i)))
                .collect();
            items.save_many(&pairs).await?;
        }
        grown.push((entries, items));
    }
    let grown = &grown;
    let few = Size {
        rounds: size.rounds.min(SCANS),
        ..size
    };
    let gets = contenders(grown, |items, entries| {
        together(TASKS, size.operations, move |from, n| {
            let items = items.clone();
            async move { get(&items, from, n, entries).await }
        })
    });
    let times = race(size, gets).await?;
    tell(
        report,
        store,
        "get, 64 tasks",
        "us",
        Some(1.3),
        grown,
        |n| times.get(n),
    )?;
    let scans = contenders(grown, |items, entries| async move {
        let begun = Instant::now();
        let all = items.stream(Scope::All);
        let n = all.try_fold(0, |n, _| async move { Ok(n + 1) }).await?;
        if n != entries {
            return Err(format!("{n} of {entries} entries came").into());
        }
        Ok(each(begun.elapsed(), n))
    });
    let times = race(few, scans).await?;
    let work = "stream, one entry";
    tell(report, store, work, "us", Some(1.3), grown, |n| {
        times.get(n)
    })?;
    let stats = contenders(grown, |items, _| async move {
        let begun = Instant::now();
        std::hint::black_box(items.stats().await?);
        Ok(begun.elapsed())
    });
    let times = race(size, stats).await?;
    tell(report, store, "stats", "ms", Some(1.5), grown, |n| {
        Ok(times.get(n)?.times(1e-3))
    })?;
    let counts = contenders(grown, |items, entries| async move {
        let begun = Instant::now();
        let n = items.count(Scope::Live).await?;
        if n != entries as u64 {
            return Err(format!("{n} of {entries} entries were counted").into());
        }
        Ok(begun.elapsed())
    });
    let times = race(size, counts).await?;
    let most = (count == Count::Flat).then_some(1.5);
    tell(report, store, "count", "ms", most, grown, |n| {
        Ok(times.get(n)?.times(1e-3))
    })?;
    if count == Count::Flat {
        let largest = times.get(&name(size.large))?.times(1e-3);
        let work = format!("{store}: count of {}", name(size.large));
        report.add(Row::new(work, largest, "ms").target(Target::Within(COUNT)));
    }
    Ok(())
}

type Grown = [(usize, Repository<Items>)];

fn contenders<'a, F: Future<Output = Outcome<std::time::Duration>> + 'a>(
    grown: &'a Grown,
    round: impl Fn(Repository<Items>, usize) -> F + Copy + 'a,
) -> Vec<Contender<'a>> {
    let all = grown.iter().map(|(entries, items)| {
        Contender::new(name(*entries), move || round(items.clone(), *entries))
    });
    all.collect()
}

/// The others beside the smallest.
fn tell(
    report: &mut Report,
    store: &str,
    work: &str,
    unit: &'static str,
    most: Option<f64>,
    grown: &Grown,
    time: impl Fn(&str) -> Outcome<crate::measure::Figure>,
) -> Outcome {
    let (smallest, others) = grown.split_first().ok_or("no sizes")?;
    for (entries, _) in others {
        let work = format!("{store}: {work}: {}", name(*entries));
        let row = Row::new(work, time(&name(*entries))?, unit);
        let row = row.beside(time(&name(smallest.0))?);
        report.add(match most {
            Some(most) => row.target(Target::AtMost(most)),
            None => row,
        });
    }
    Ok(())
}

fn name(entries: usize) -> String {
    format!("{entries} entries")
}

/// A body of 200 bytes, different for each item.
pub(super) fn small(i: usize) -> bytes::Bytes {
    format!(r#"{{"id":"{}","note":"{}"}}"#, api::key(i), "x".repeat(170)).into()
}
