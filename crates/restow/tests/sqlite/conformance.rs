//! The promises of a store, as every backend has to keep them.

use restow::{
    BoxFuture, Result,
    conformance::{self, Subject, Verdict},
    store::{
        Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Stores in files of one folder.
struct Files {
    folder: tempfile::TempDir,
    made: AtomicUsize,
}

async fn open(options: SqliteOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(options).await?))
}

impl Subject for Files {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        Box::pin(open(SqliteOptions::file(
            self.folder.path().join(format!("{n}.db")),
        )))
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move {
            let options = SqliteOptions::parse(&closed.to_string())?;
            open(options).await.map(Some)
        })
    }
}

fn assert_kept(report: &conformance::Report) {
    report.assert();
    let left_out = report
        .findings()
        .iter()
        .filter(|f| matches!(f.verdict, Verdict::NotPromised(_)));
    for finding in left_out {
        println!("{}: {:?}", finding.promise.name(), finding.verdict);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_in_a_file_keeps_every_promise() {
    let files = Files {
        folder: tempfile::tempdir().unwrap(),
        made: AtomicUsize::new(0),
    };
    assert_kept(&conformance::run(&files).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_in_memory_keeps_every_promise() {
    assert_kept(&conformance::run(&|| open(SqliteOptions::memory())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_temporary_store_keeps_every_promise() {
    assert_kept(&conformance::run(&|| open(SqliteOptions::temporary())).await);
}
