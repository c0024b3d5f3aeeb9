//! A file, a clock, and a cache over both.

use restow::{Cache, Mode, Repository, RouteEndpoint, TestClock, Text};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A moment in 2027.
pub(crate) const T0: restow::Millis = restow::Millis(1_800_000_000_000);

/// Where answers are text under one key.
pub(crate) type Pages = RouteEndpoint<String, Text>;

/// A folder with a cache file, and a clock that the test moves.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) clock: TestClock,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: TestClock::at(T0),
        }
    }

    pub(crate) async fn cache(&self) -> Cache {
        open(self.folder.path(), self.clock.clone()).await
    }

    /// Opens the file as a person with a SQLite shell would.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("cache.db")).unwrap()
    }

    /// Tells whether any file of the cache holds these bytes.
    pub(crate) fn holds(&self, bytes: &str) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().any(|file| {
            let all = std::fs::read(file.unwrap().path()).unwrap();
            all.windows(bytes.len()).any(|w| w == bytes.as_bytes())
        })
    }
}

/// Opens the cache in a folder.
pub(crate) async fn open(folder: &Path, clock: impl restow::Clock) -> Cache {
    let url = format!("sqlite://{}", folder.join("cache.db").display());
    let cache = Cache::builder().url(url).clock(clock).mode(Mode::Live);
    cache.expire_after(HOUR).build().await.unwrap()
}

/// Opens the pages of an origin.
pub(crate) async fn pages(cache: &Cache, origin: &str) -> Repository<Pages> {
    let template = format!("{origin}/pages/{{id}}");
    cache
        .create_repository(Pages::get("pages", &template).unwrap())
        .await
        .unwrap()
}
