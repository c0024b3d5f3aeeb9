//! The cache that is attacked.

use bytes::Bytes;
use restow::{Binary, Cache, Millis, Mode, Repository, RouteEndpoint, TestClock};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) type Items = Repository<RouteEndpoint<String, Binary>>;

const T0: Millis = Millis(1_800_000_000_000);
const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Longer than all purges move the clocks of those who work.
const DAY: Duration = Duration::from_secs(86_400);
/// How long the entries of the second repository live.
const BRIEF: Duration = Duration::from_secs(1);

/// A cache on a file, with entries that stay and entries that are swept.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) cache: Cache,
    pub(crate) clock: TestClock,
    pub(crate) items: Items,
    pub(crate) brief: Items,
}

impl Place {
    /// Opens it for work.
    pub(crate) async fn open(path: &Path) -> restow::Result<Self> {
        Self::at(path, "", T0).await
    }

    /// Opens it to see what is left: later than anybody worked, since an answer from the future is not fresh.
    pub(crate) async fn open_later(path: &Path) -> restow::Result<Self> {
        Self::open_later_with(path, "").await
    }

    /// The same with what stands behind the path in the URL.
    pub(crate) async fn open_later_with(path: &Path, query: &str) -> restow::Result<Self> {
        Self::at(path, query, T0.plus(DAY)).await
    }

    async fn at(path: &Path, query: &str, now: Millis) -> restow::Result<Self> {
        let clock = TestClock::at(now);
        let cache = Cache::builder()
            .url(format!("sqlite://{}{query}", path.display()))
            .mode(Mode::Live)
            .clock(clock.clone())
            .build()
            .await?;
        let items = RouteEndpoint::get("items", "https://example.com/items/{id}")?;
        let brief = RouteEndpoint::get("brief", "https://example.com/brief/{id}")?;
        Ok(Self {
            items: cache.create_repository(items.expire_after(YEARS)).await?,
            brief: cache
                .create_repository(brief.expire_after(BRIEF).keep(Duration::ZERO))
                .await?,
            cache,
            clock,
        })
    }

    /// Saves entries that are over at once, and sweeps them away.
    pub(crate) async fn purge(&self, name: &str) -> restow::Result<()> {
        let dead: Vec<_> = (0..40)
            .map(|i| (format!("{name}-{i}"), Bytes::from_static(b"soon over")))
            .collect();
        self.brief.save_many(&dead).await?;
        self.clock.advance(BRIEF * 2);
        self.brief.sweep().await?;
        Ok(())
    }
}

/// Asks SQLite itself whether the file is whole.
pub(crate) fn check(path: &Path) -> rusqlite::Result<bool> {
    let file = rusqlite::Connection::open(path)?;
    let said: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    Ok(said == "ok")
}

/// Moves what is in the log into the file, as any other program may.
pub(crate) fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    let file = rusqlite::Connection::open(path)?;
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// The log of a file.
pub(crate) fn log(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
