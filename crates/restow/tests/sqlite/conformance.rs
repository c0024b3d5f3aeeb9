//! The promises of a store, as every backend has to keep them.

use restow::{
    Answer, BoxFuture, BoxStream, Millis, Result, Selection,
    conformance::{self, Subject, Verdict},
    entry::{Address, Entry, Found, Partition},
    store::{
        Budget, Capabilities, Change, Compression, Leases, Parts, Renewal, Stats, Store, Table,
        TableName, TableSpec, Trimmed, Write,
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
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

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

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        self.inner.remove(table)
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        self.inner.secret()
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.inner.adopt_secret(secret)
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.inner.leases()
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        self.inner.changes()
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        self.inner.trim(most, limit)
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.commit()
    }

    fn health(&self) -> Option<restow::store::Health> {
        self.inner.health()
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
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
    fn spec(&self) -> &TableSpec {
        &self.spec
    }

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        self.inner.read(at, parts, now)
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        self.inner.read_many(at, parts, now)
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        self.inner.write(entries, now)
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        self.inner.renew(renewals, now)
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        self.inner.delete(at, now)
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        self.inner.count(which, now)
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        self.inner.clear(which, limit, now)
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        self.inner.sweep(limit, now)
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        self.inner.scan(which, parts, now)
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        self.inner.partitions(now)
    }

    fn foreign_changes(&self) -> Option<u64> {
        self.inner.foreign_changes()
    }

    fn pending_columns(&self) -> Answer<'_, Result<Vec<Box<str>>>> {
        self.inner.pending_columns()
    }

    fn columns_filled<'a>(&'a self, columns: &'a [Box<str>]) -> Answer<'a, Result<()>> {
        self.inner.columns_filled(columns)
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        self.inner.stats(now)
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
