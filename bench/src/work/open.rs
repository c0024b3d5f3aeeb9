//! What a program waits for that opens a large store, and what asks about all of it.

use crate::{
    Outcome, Size,
    api::{self, Items},
    by_hand::Reader,
    fill,
    large::{self, Large},
    measure::{Contender, race},
    report::{Report, Row, Target},
};
use restow::Scope;
use std::time::Instant;

const OPEN: &str = "open, a large store of 50 repositories";
const COUNT: &str = "count, a large store";
const STATS: &str = "stats, a large store";
/// The bound of each, in milliseconds.
const MOST: Target = Target::Within(20.0);

pub(crate) async fn run(size: Size, large: &mut Large, report: &mut Report) -> Outcome {
    if !report.wants_any(&[OPEN, COUNT, STATS]) {
        return Ok(());
    }
    let path = large.path().await?;
    let url = &fill::sqlite(&path);
    if report.wants(OPEN) {
        let declared = Contender::new("declared", move || async move {
            let begun = Instant::now();
            let cache = large::open(url).await?;
            let time = begun.elapsed();
            cache.close().await?;
            Ok(time)
        });
        let stored = Contender::new("as they are stored", move || async move {
            let begun = Instant::now();
            let cache = fill::cache(url).await?;
            cache.open_stored().await?;
            let time = begun.elapsed();
            cache.close().await?;
            Ok(time)
        });
        let times = race(size, vec![declared, stored]).await?;
        report.add(Row::new(OPEN, times.get("declared")?.times(1e-3), "ms").target(MOST));
        let stored = times.get("as they are stored")?.times(1e-3);
        report.add(Row::new(
            format!("{OPEN}, as they are stored"),
            stored,
            "ms",
        ));
    }
    if !report.wants_any(&[COUNT, STATS]) {
        return Ok(());
    }
    let cache = fill::cache(url).await?;
    let items = &cache.create_repository::<Items>(api::items()?).await?;
    let hand = Reader::open(&path)?;
    let contenders = vec![
        Contender::new(COUNT, move || async move {
            let begun = Instant::now();
            std::hint::black_box(items.count(Scope::Live).await?);
            Ok(begun.elapsed())
        }),
        Contender::new(STATS, move || async move {
            let begun = Instant::now();
            std::hint::black_box(items.stats().await?);
            Ok(begun.elapsed())
        }),
        Contender::blocking("count(*) by hand", || hand.count()),
    ];
    let times = race(size, contenders).await?;
    let hand = times.get("count(*) by hand")?.times(1e-3);
    let row = Row::new(COUNT, times.get(COUNT)?.times(1e-3), "ms");
    report.add(row.beside(hand).target(MOST));
    report.add(Row::new(STATS, times.get(STATS)?.times(1e-3), "ms").target(MOST));
    Ok(cache.close().await?)
}
