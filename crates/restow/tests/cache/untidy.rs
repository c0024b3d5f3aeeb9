//! A store that cannot be tidied up a few times: it is tried again, later and later, and the budget is kept after all.

use crate::support::pages;
use restow::{
    Answer, BoxFuture, Cache, Error, ErrorKind, Millis, Result, Scope,
    store::{Budget, MemoryStore, Store, Table, TableSpec, Trimmed},
};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Sweeps,
    Trims,
}

/// A store in memory that fails to remove anything, some times.
#[derive(Debug)]
struct Untidy {
    inner: MemoryStore,
    tries: Arc<Tries>,
}

#[derive(Debug)]
struct Tries {
    fails: Fails,
    left: Mutex<u32>,
    /// When it failed, and when it was well again for the first time.
    at: Mutex<Vec<Instant>>,
}

impl Tries {
    fn fail(&self, what: Fails) -> Result<()> {
        let (mut left, mut at) = (self.left.lock().unwrap(), self.at.lock().unwrap());
        if what != self.fails || at.is_empty() && *left == 0 {
            return Ok(());
        }
        at.push(Instant::now());
        *left = match *left {
            0 => return Ok(()),
            left => left - 1,
        };
        Err(Error::new(ErrorKind::Store, "as the test wants it"))
    }
}

#[derive(Debug)]
struct UntidyTable(Arc<dyn Table>, Arc<Tries>);

impl fmt::Display for Untidy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("untidy:")
    }
}

impl Store for Untidy {
    forward!(inner: capabilities tables remove secret adopt_secret leases changes commit health memory_policy close);

    fn kind(&self) -> &'static str {
        "untidy"
    }
    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let table = self.inner.open(spec).await?;
            Ok(Arc::new(UntidyTable(table, self.tries.clone())) as Arc<dyn Table>)
        })
    }
    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(async move {
            self.tries.fail(Fails::Trims)?;
            self.inner.trim(most, limit).await
        })
    }
}

impl Table for UntidyTable {
    forward!(0: spec read read_many write renew delete count clear scan pending_columns columns_filled stats partitions foreign_changes);

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        Answer::later(async move {
            self.1.fail(Fails::Sweeps)?;
            self.0.sweep(limit, now).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_removed_is_removed_a_second_later_or_two_or_four() {
    for fails in [Fails::Sweeps, Fails::Trims] {
        let tries = Arc::new(Tries {
            fails,
            left: Mutex::new(0),
            at: Mutex::default(),
        });
        let store = Untidy {
            inner: MemoryStore::default(),
            tries: tries.clone(),
        };
        let (mut builder, mut pages) = (Cache::builder().store(Arc::new(store)), pages());
        match fails {
            Fails::Trims => builder = builder.max_entries(2),
            Fails::Sweeps => {
                pages = pages.budget(Budget {
                    entries: Some(2),
                    bytes: None,
                });
            }
        }
        let cache = builder.build().await.unwrap();
        let pages = cache.create_repository(pages).await.unwrap();
        // The first round is over, and the next is far away.
        tokio::time::sleep(Duration::from_secs(10)).await;
        *tries.left.lock().unwrap() = 3;
        let some = ["1", "2", "3", "4"].map(|id| (id, "x".to_owned()));
        pages.save_many(&some).await.unwrap();
        let begun = Instant::now();
        while pages.count(Scope::All).await.unwrap() > 2 {
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(20), "{fails:?}: not removed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let tried = tries.at.lock().unwrap()[..4].to_vec();
        for (pair, pause) in tried.windows(2).zip([1, 2, 4]) {
            // It rests between any two looks, too.
            let (gap, pause) = (pair[1] - pair[0], Duration::from_secs(pause));
            let most = pause + Duration::from_millis(200);
            assert!((pause..most).contains(&gap), "{fails:?}: {gap:?}");
        }
        // After that nothing is to be tried again.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let number = tries.at.lock().unwrap().len();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(tries.at.lock().unwrap().len(), number, "{fails:?}");
        cache.close().await.unwrap();
    }
}
