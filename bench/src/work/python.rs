//! The same calls of aiorequestful, the library whose interface ours was modelled on.

use super::save_many::take;
use crate::{
    Outcome, Size, api,
    fill::{self, BULK},
    measure::{Contender, each, race, scatter},
    origin::Origin,
    peer::Peer,
    report::{Report, Row, Target},
};
use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

/// What the rows are called, and the peer's name of the work.
const WORKS: [(&str, &str); 4] = [
    ("aiorequestful: get", "get"),
    ("aiorequestful: client hit", "hit"),
    ("aiorequestful: save + commit", "save"),
    ("aiorequestful: bulk get, one key", "bulk"),
];
const PEER: &str = "aiorequestful";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !WORKS.iter().any(|(row, _)| report.wants(row)) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let peer = match Peer::start(dir.path(), size.entries) {
        Ok(peer) => RefCell::new(peer),
        // Python is no condition for the rest.
        Err(why) => {
            report.note(format!("aiorequestful was not measured: {why}"));
            return Ok(());
        }
    };
    let cache = fill::cache(&fill::sqlite(&dir.path().join("bench.db"))).await?;
    let items = &cache.create_repository(api::items()?).await?;
    fill::answers(&cache, 0..size.entries).await?;
    let origin = Origin::default();
    let client = &origin.behind(cache.middleware());
    let (cache, entries, next) = (&cache, size.entries, &Cell::new(size.entries));
    for (row, work) in WORKS {
        if !report.wants(row) {
            continue;
        }
        let n = match work {
            "bulk" => BULK.min(entries) * 2,
            // Slow on a slow disk.
            "save" => size.operations / 200,
            _ => size.operations / 20,
        };
        let keys = move || (0..n).map(move |i| api::key(scatter(i, entries)));
        let ours = Contender::new("sqlite", move || async move {
            let pairs = if work == "save" {
                fill::pairs(take(next, n))
            } else {
                Vec::new()
            };
            let keys: Vec<_> = keys().collect();
            let begun = Instant::now();
            match work {
                "get" => {
                    for key in &keys {
                        items.get(key).await?.ok_or("an entry is missing")?;
                    }
                }
                "hit" => {
                    for i in 0..n {
                        let url = api::url(scatter(i, entries));
                        client.get(url).send().await?.text().await?;
                    }
                }
                "save" => {
                    for (key, body) in &pairs {
                        items.save(key, body).await?;
                        cache.commit().await?;
                    }
                }
                _ => {
                    for chunk in keys.chunks(BULK) {
                        std::hint::black_box(items.get_many(chunk).await?);
                    }
                }
            }
            Ok(each(begun.elapsed(), n))
        });
        let theirs = Contender::blocking(PEER, || peer.try_borrow_mut()?.round(work, n));
        let times = race(size, vec![ours, theirs]).await?;
        let row = Row::new(row, times.get("sqlite")?, "us").beside(times.get(PEER)?);
        report.add(row.target(Target::AtLeast(20.0)));
    }
    if origin.asked() > 0 {
        return Err("a hit was none".into());
    }
    Ok(())
}
