//! A whole repository, typed, beside a scan by hand.

use crate::{
    Outcome, Size,
    by_hand::Reader,
    fill,
    measure::{Contender, each, race},
    report::{Report, Row, Target},
};
use futures_util::TryStreamExt;
use restow::Scope;
use std::time::Instant;

const WORK: &str = "stream, one entry";
const HAND: &str = "a scan by hand";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let items = &fill::values(&fill::sqlite(&path), size.entries).await?;
    let hand = Reader::open(&path)?;
    let contenders = vec![
        Contender::new("sqlite", move || async move {
            let begun = Instant::now();
            let n = items
                .stream(Scope::Live)
                .try_fold(0, |n, (_, body)| async move {
                    Ok(n + usize::from(!body.is_empty()))
                })
                .await?;
            Ok(each(begun.elapsed(), n))
        }),
        Contender::blocking(HAND, || hand.scan()),
    ];
    let times = race(size, contenders).await?;
    let row = Row::new(WORK, times.get("sqlite")?, "us").beside(times.get(HAND)?);
    report.add(row.target(Target::AtLeast(0.7)));
    Ok(())
}
