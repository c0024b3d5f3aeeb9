//! The promises of a store, as every backend has to keep them.

use restow::{
    BoxFuture, Result,
    conformance::{self, Subject, Verdict},
    store::{
        Compression, Store, Table, TableName, TableSpec,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::{
    fmt::{self, Display},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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

/// A store that compresses every table, with a dictionary where there is one.
#[derive(Debug)]
struct Compressed {
    inner: SqliteStore,
    path: Option<PathBuf>,
}

impl Compressed {
    /// Gives a table a dictionary before it holds anything: raw content is one too.
    fn teach(&self, table: &TableName) {
        let Some(path) = &self.path else { return };
        let dictionary = r#"{"id":"a","name":"","value":}"#.repeat(20).into_bytes();
        let sum = xxhash_rust::xxh3::xxh3_64(&dictionary).cast_signed();
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        conn.execute(
            "INSERT INTO restow_dictionaries (repository, made_at, entries, samples, sum, dictionary) VALUES (?1, 0, 0, 0, ?2, ?3)",
            rusqlite::params![table.as_str(), sum, dictionary],
        )
        .unwrap();
    }
}

impl Display for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for Compressed {
    forward!(inner: kind capabilities remove secret adopt_secret leases changes trim commit health memory_policy close);

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let known = self.inner.tables().await?;
            let spec = TableSpec {
                compression: Compression::Zstd,
                ..spec.clone()
            };
            let inner = self.inner.open(&spec).await?;
            if known.iter().all(|t| t.name != spec.name) {
                self.teach(&spec.name);
            }
            let spec = as_asked(inner.spec().clone());
            Ok(Arc::new(CompressedTable { inner, spec }) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        Box::pin(async move {
            let tables = self.inner.tables().await?;
            Ok(tables.into_iter().map(as_asked).collect())
        })
    }
}

/// A compressed table that says it is as it was asked for.
#[derive(Debug)]
struct CompressedTable {
    inner: Arc<dyn Table>,
    spec: TableSpec,
}

fn as_asked(spec: TableSpec) -> TableSpec {
    TableSpec {
        compression: Compression::None,
        ..spec
    }
}

#[deny(clippy::missing_trait_methods)]
impl Table for CompressedTable {
    forward!(inner: read read_latest read_many read_many_latest write renew delete count clear sweep scan partitions foreign_changes pending_columns columns_filled stats);

    fn spec(&self) -> &TableSpec {
        &self.spec
    }
}

/// Compressed stores in files of one folder.
struct CompressedFiles(Files);

impl CompressedFiles {
    async fn open(path: PathBuf) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Compressed {
            inner: SqliteStore::open(SqliteOptions::file(&path)).await?,
            path: Some(path),
        }))
    }
}

impl Subject for CompressedFiles {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        let n = self.0.made.fetch_add(1, Ordering::SeqCst);
        Box::pin(Self::open(self.0.folder.path().join(format!("{n}.db"))))
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move {
            let place = closed.to_string();
            let path = place.strip_prefix("sqlite://").unwrap();
            Self::open(path.into()).await.map(Some)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_compressed_store_in_a_file_keeps_every_promise() {
    let files = CompressedFiles(Files {
        folder: tempfile::tempdir().unwrap(),
        made: AtomicUsize::new(0),
    });
    assert_kept(&conformance::run(&files).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_compressed_store_in_memory_keeps_every_promise() {
    let open = || async {
        Ok(Arc::new(Compressed {
            inner: SqliteStore::open(SqliteOptions::memory()).await?,
            path: None,
        }) as Arc<dyn Store>)
    };
    assert_kept(&conformance::run(&open).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_in_memory_keeps_every_promise() {
    assert_kept(&conformance::run(&|| open(SqliteOptions::memory())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_temporary_store_keeps_every_promise() {
    assert_kept(&conformance::run(&|| open(SqliteOptions::temporary())).await);
}
