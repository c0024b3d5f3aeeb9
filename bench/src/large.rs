//! A store of many entries, made once in a run and only where a work wants it.

use crate::{Outcome, api, fill};
use restow::{Cache, Clock, Millis, Mode, RouteEndpoint, SystemClock};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// How many repositories it has; all but `items` are small.
const REPOSITORIES: usize = 50;
/// By how much the first half of `items` is older than the second.
const OLDER: Duration = Duration::from_secs(86_400);

/// The store, or the intention to make it.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) entries: usize,
    made: Option<TempDir>,
}

impl Large {
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            entries,
            made: None,
        }
    }

    /// The file; nobody has it open.
    pub(crate) async fn path(&mut self) -> Outcome<PathBuf> {
        let name = "large.db";
        if let Some(dir) = &self.made {
            return Ok(dir.path().join(name));
        }
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(name);
        make(&path, self.entries).await?;
        self.made = Some(dir);
        Ok(path)
    }
}

/// Opens every repository, as a program does that declares them.
pub(crate) async fn open(url: &str) -> Outcome<Cache> {
    let cache = fill::cache(url).await?;
    cache.create_repository(api::items()?).await?;
    for i in 1..REPOSITORIES {
        cache.create_repository(small(i)?).await?;
    }
    Ok(cache)
}

/// A cache in which the first half of the items has expired, and is kept.
pub(crate) async fn half_expired(url: &str) -> Outcome<Cache> {
    let later = Duration::from_secs(7 * 86_400) - OLDER / 2;
    let cache = Cache::builder()
        .url(url)
        .mode(Mode::Live)
        .clock(Shifted(later, Shift::Later));
    Ok(cache.build().await?)
}

async fn make(path: &Path, entries: usize) -> Outcome {
    let url = fill::sqlite(path);
    let earlier = Cache::builder()
        .url(&url)
        .mode(Mode::Live)
        .clock(Shifted(OLDER, Shift::Earlier))
        .build()
        .await?;
    earlier.create_repository(api::items()?).await?;
    fill::answers(&earlier, 0..entries / 2).await?;
    earlier.close().await?;
    let cache = open(&url).await?;
    fill::answers(&cache, entries / 2..entries).await?;
    for i in 1..REPOSITORIES {
        let some = cache.repository_as::<api::Items>(&name(i))?;
        some.save_many(&fill::pairs(0..10)).await?;
    }
    Ok(cache.close().await?)
}

fn small(i: usize) -> restow::Result<api::Items> {
    let template = format!("https://api.example.com/v1/{}/{{id}}", name(i));
    RouteEndpoint::get(&name(i), &template)
}

fn name(i: usize) -> String {
    format!("kind{i:02}")
}

/// The system's clock, put forward or back.
#[derive(Debug)]
struct Shifted(Duration, Shift);

#[derive(Debug)]
enum Shift {
    Earlier,
    Later,
}

impl Clock for Shifted {
    fn now(&self) -> Millis {
        let now = SystemClock.now();
        match self.1 {
            Shift::Earlier => now.minus(self.0),
            Shift::Later => now.plus(self.0),
        }
    }
}
