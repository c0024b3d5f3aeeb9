//! A thousand entries in one call, beside one transaction by hand in a file of the same layout.

use crate::{
    Outcome, Size,
    by_hand::Writer,
    fill::{self, BULK},
    measure::{Contender, each, race},
    report::{Report, Row, Target},
};
use std::{cell::Cell, time::Instant};

const WORK: &str = "save_many(1000), one entry";
const HAND: &str = "a batch by hand";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let items = &fill::values(&fill::sqlite(&path), size.entries).await?;
    let mut hand = Writer::like(&path, &dir.path().join("hand.db"), "NORMAL")?;
    hand.save_many(&fill::pairs(0..size.entries))?;
    let n = BULK.min(size.entries);
    let (ours, theirs) = (Cell::new(size.entries), Cell::new(size.entries));
    let contenders = vec![
        Contender::new("sqlite", || {
            let pairs = fill::pairs(take(&ours, n));
            async move {
                let begun = Instant::now();
                items.save_many(&pairs).await?;
                Ok(each(begun.elapsed(), n))
            }
        }),
        Contender::blocking(HAND, || hand.save_many(&fill::pairs(take(&theirs, n)))),
    ];
    let times = race(size, contenders).await?;
    let row = Row::new(WORK, times.get("sqlite")?, "us").beside(times.get(HAND)?);
    report.add(row.target(Target::AtLeast(0.85)));
    Ok(())
}

/// The next `n` places, where nothing was saved yet.
pub(super) fn take(next: &Cell<usize>, n: usize) -> std::ops::Range<usize> {
    let from = next.replace(next.get() + n);
    from..from + n
}
