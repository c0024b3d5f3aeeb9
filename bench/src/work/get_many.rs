//! A thousand bodies in one call, beside one statement by hand.

use crate::{
    Outcome, Size, api,
    by_hand::Reader,
    fill::{self, BULK},
    measure::{Contender, each, race, scatter},
    report::{Report, Row, Target},
};
use std::time::Instant;

const WORK: &str = "get_many(1000), one key";
const HAND: &str = "json_each by hand";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let items = &fill::values(&fill::sqlite(&path), size.entries).await?;
    let hand = Reader::open(&path)?;
    let (entries, n) = (size.entries, BULK.min(size.entries));
    // Keys of others in each call: a round is several.
    let calls = 5;
    let contenders = vec![
        Contender::new("sqlite", move || async move {
            let mut time = std::time::Duration::ZERO;
            for call in 0..calls {
                let keys: Vec<_> = (call * n..(call + 1) * n)
                    .map(|i| api::key(scatter(i, entries)))
                    .collect();
                let begun = Instant::now();
                let got = items.get_many(&keys).await?;
                time += begun.elapsed();
                if got.iter().any(Option::is_none) {
                    return Err("an entry is missing".into());
                }
            }
            Ok(each(time, n * calls))
        }),
        Contender::blocking(HAND, || {
            let all = (0..calls).map(|call| hand.get_many(call * n..(call + 1) * n, entries));
            Ok(all.sum::<Outcome<std::time::Duration>>()? / calls as u32)
        }),
    ];
    let times = race(size, contenders).await?;
    let row = Row::new(WORK, times.get("sqlite")?, "us").beside(times.get(HAND)?);
    report.add(row.target(Target::AtLeast(0.85)));
    Ok(())
}
