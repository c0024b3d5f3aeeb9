//! The same answers with `compression = "zstd"`: the file, and what reading them costs beside the plain ones.

use super::{
    client_hit::ask,
    file_size::{megabytes, sent},
    get::get,
};
use crate::{
    Outcome, Size,
    api::{self, Items},
    fill,
    measure::{Contender, Figure, each, race},
    origin::Origin,
    report::{Report, Row, Target},
};
use restow::{Cache, Repository, store::Compression};
use std::{path::Path, time::Instant};

const FILE: &str = "compression=zstd: file size, heads and bodies";
const GET: &str = "compression=zstd: get";
const HIT: &str = "compression=zstd: client hit";
const PLAIN: &str = "without compression";
const ZSTD: &str = "zstd";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants_any(&[FILE, GET, HIT]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (plain, zstd) = (dir.path().join("plain.db"), dir.path().join("zstd.db"));
    for (path, compression) in [(&plain, Compression::None), (&zstd, Compression::Zstd)] {
        let (cache, _) = open(path, compression).await?;
        fill::answers(&cache, 0..size.entries).await?;
        // What is done in the background with what was saved is done when it is closed.
        cache.close().await?;
    }
    let row = Row::new(FILE, Figure::once(ZSTD, megabytes(&zstd)?), "MB");
    report.add(row.beside(sent(size.entries)).target(Target::AtMost(0.25)));
    if !report.wants_any(&[GET, HIT]) {
        return Ok(());
    }

    let (plain, zstd) = (
        open(&plain, Compression::None).await?,
        open(&zstd, Compression::Zstd).await?,
    );
    let (n, entries) = (size.operations, size.entries);
    let origin = Origin::default();
    let gets = [(PLAIN, &plain), (ZSTD, &zstd)].map(|(name, (_, items))| {
        Contender::new(name, move || async move {
            let begun = Instant::now();
            get(items, 0, n, entries).await?;
            Ok(each(begun.elapsed(), n))
        })
    });
    let hits = [(PLAIN, &plain), (ZSTD, &zstd)].map(|(name, (cache, _))| {
        let client = origin.behind(cache.middleware());
        Contender::new(name, move || ask(client.clone(), 0, 1, n, entries))
    });
    for (work, contenders) in [(GET, gets), (HIT, hits)] {
        if report.wants(work) {
            let times = race(size, contenders.into()).await?;
            let row = Row::new(work, times.get(ZSTD)?, "us").beside(times.get(PLAIN)?);
            report.add(row.target(Target::AtMost(1.3)));
        }
    }
    if origin.asked() > 0 {
        return Err("a hit was none".into());
    }
    Ok(())
}

async fn open(path: &Path, compression: Compression) -> Outcome<(Cache, Repository<Items>)> {
    let cache = fill::cache(&fill::sqlite(path)).await?;
    let endpoint = api::items()?.compression(compression);
    let items = cache.create_repository(endpoint).await?;
    Ok((cache, items))
}
