//! Calls on a file of SQLite that are not of a cache: looking at it, asking it by hand, saving what is left of it, compressing it.

use crate::place::{T0, spec, writes};
use futures_util::{StreamExt, TryStreamExt};
use restow::{
    BoxFuture, Selection,
    store::{
        Compression, Parts, SqliteOptions, SqliteStore, Store, TableSpec, connect, sqlite::Depth,
    },
};
use restow_testkit::dropping::{At, Dropped, dropped, in_time};
use std::path::PathBuf;
use tempfile::TempDir;

/// So many entries a file has: enough for a dictionary.
const ENTRIES: usize = 64;

struct File {
    folder: TempDir,
    store: SqliteStore,
}

impl File {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::file(folder.path().join("file.db"));
        let store = SqliteStore::open(options).await.unwrap();
        let table = store.open(&compressed()).await.unwrap();
        let ids: Vec<String> = (0..ENTRIES).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        table.write(&writes(&ids), T0).await.unwrap();
        Self { folder, store }
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::file(self.folder.path().join("file.db"))
    }

    /// A place for a file that is not there.
    fn elsewhere(&self) -> PathBuf {
        let free = (0..).map(|n| self.folder.path().join(format!("saved-{n}.db")));
        free.into_iter().find(|path| !path.exists()).unwrap()
    }

    /// Whether all is there, and whoever comes next can do the same.
    async fn is_well(&self, what: &str) {
        let table = self.store.open(&compressed()).await.unwrap();
        let everything = Selection::default();
        let all = table.scan(&everything, Parts::Whole, T0);
        let all: Vec<_> = all.try_collect().await.unwrap();
        assert_eq!(all.len(), ENTRIES, "{what}");
        for entry in all {
            assert!(
                entry.is_intact() && entry.body == "saved",
                "{what}: {entry:?}"
            );
        }
        let report = SqliteStore::check(self.options(), Depth::Whole)
            .await
            .unwrap();
        assert!(report.findings.is_empty(), "{what}: {report:?}");
        table.write(&writes(&["0"]), T0).await.unwrap();
    }
}

fn compressed() -> TableSpec {
    TableSpec {
        compression: Compression::Zstd,
        ..spec()
    }
}

type Call = for<'a> fn(&'a File) -> BoxFuture<'a, ()>;

const CALLS: [(&str, Call); 8] = [
    ("format", |file| {
        Box::pin(async { _ = SqliteStore::format(file.options()).await.unwrap() })
    }),
    ("check", |file| {
        Box::pin(async {
            let depth = Depth::Whole;
            _ = SqliteStore::check(file.options(), depth).await.unwrap();
        })
    }),
    ("open and close", |file| {
        Box::pin(async {
            let store = SqliteStore::open(file.options()).await.unwrap();
            store.close().await.unwrap();
        })
    }),
    ("query", |file| {
        Box::pin(async {
            let sql = "SELECT * FROM \"table\"";
            let mut rows = SqliteStore::query(file.options(), sql).await.unwrap();
            while rows.next().await.unwrap().is_some() {}
        })
    }),
    ("query, of which one row is read", |file| {
        Box::pin(async {
            let sql = "SELECT * FROM \"table\"";
            let mut rows = SqliteStore::query(file.options(), sql).await.unwrap();
            _ = rows.next().await.unwrap();
        })
    }),
    ("salvage", |file| {
        Box::pin(async {
            let from = file.folder.path().join("file.db");
            _ = SqliteStore::salvage(from, file.elsewhere()).await.unwrap();
        })
    }),
    ("train", |file| {
        Box::pin(async { _ = file.store.train(&spec().name, T0).await.unwrap() })
    }),
    ("rewrite", |file| {
        Box::pin(async {
            let steps: Vec<_> = file.store.rewrite(&spec().name).collect().await;
            assert!(steps.iter().all(Result::is_ok));
        })
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_a_file_can_be_dropped_at_every_await() {
    let file = File::make().await;
    let mut waits = 0;
    for (name, call) in CALLS {
        for polls in 0.. {
            let mut ended = false;
            for at in [At::Wait, At::Wake] {
                let what = format!("{name} dropped after {polls} polls, {at:?}");
                let came_to = in_time(&what, dropped(call(&file), polls, at)).await;
                waits += usize::from(came_to == Dropped::Waiting);
                ended = came_to == Dropped::Ended;
                in_time(&format!("what comes after: {what}"), file.is_well(&what)).await;
            }
            if ended {
                break;
            }
        }
    }
    assert!(waits > 0, "nothing waited: nothing was tried");
    // What was salvaged last is whole, whatever became of those before.
    let path = file.elsewhere();
    let from = file.folder.path().join("file.db");
    let salvage = SqliteStore::salvage(from, &path).await.unwrap();
    assert!(salvage.lost.is_empty(), "{salvage:?}");
    let saved = connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    let table = saved.open(&compressed()).await.unwrap();
    assert_eq!(
        table.count(&Selection::default(), T0).await.unwrap(),
        ENTRIES as u64
    );
}
