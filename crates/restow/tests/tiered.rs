//! The memory tier: it keeps every promise of the store beneath it, and never answers what this process changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "what tests share is no test to clippy"
)]
#![cfg(feature = "sqlite")]

#[macro_use]
#[path = "common/forward.rs"]
mod forward;
#[path = "sqlite/support.rs"]
mod support;

use restow::{
    BoxFuture, BoxStream, Cache, Config, ErrorKind, Result, Selection,
    conformance::{self, Subject},
    store::{
        Change, Leases, MemoryStore, Parts, Renewal, SqliteOptions, SqliteStore, Store, Table,
        TableSpec, TierOptions, TieredStore, connect,
    },
};
use std::{
    fmt,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const SECOND: Duration = Duration::from_secs(1);

fn tier(inner: Arc<dyn Store>) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(TieredStore::new(
        inner,
        TierOptions::new(1 << 20),
    )?))
}

async fn tiered(path: &Path) -> Arc<dyn Table> {
    let store = tier(Arc::new(open(path).await)).unwrap();
    store.open(&tracks()).await.unwrap()
}

async fn body_at(table: &dyn Table, id: &str, later: Duration) -> Option<bytes::Bytes> {
    let at = at(id);
    let found = table.read(&at, Parts::Whole, T0.plus(later)).await.unwrap();
    found.iter().next().map(|e| e.body.clone())
}

/// Tiers over files of one folder.
struct Files(tempfile::TempDir, AtomicUsize);

impl Subject for Files {
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        let n = self.1.fetch_add(1, Ordering::SeqCst);
        let path = self.0.path().join(format!("{n}.db"));
        Box::pin(async move {
            tier(Arc::new(
                SqliteStore::open(SqliteOptions::file(path)).await?,
            ))
        })
    }

    fn reopen<'a>(
        &'a self,
        closed: &'a Arc<dyn Store>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Store>>>> {
        Box::pin(async move {
            let options = SqliteOptions::parse(&closed.to_string())?;
            tier(Arc::new(SqliteStore::open(options).await?)).map(Some)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn around_a_file_it_keeps_every_promise() {
    let files = Files(folder(), AtomicUsize::new(0));
    conformance::run(&files).await.assert();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn around_memory_it_keeps_every_promise() {
    let fresh = || async { tier(Arc::new(MemoryStore::default())) };
    conformance::run(&fresh).await.assert();
}

#[tokio::test]
async fn what_is_held_is_answered_without_the_store_and_shared() {
    let inner = Arc::new(memory().await);
    let beneath = inner.open(&tracks()).await.unwrap();
    let table = tier(inner).unwrap().open(&tracks()).await.unwrap();
    save(&*table, at("a"), "one").await;
    let first = get(&*table, &at("a")).await;
    // Behind its back: only the tier can still have it.
    beneath.delete(&[at("a")], T0).await.unwrap();
    for parts in [Parts::Meta, Parts::Body, Parts::Whole] {
        let again = table.read(&at("a"), parts, T0).await.unwrap();
        assert!(Arc::ptr_eq(
            first.iter().next().unwrap(),
            again.iter().next().unwrap()
        ));
    }
    let many = table
        .read_many(&[at("b"), at("a")], Parts::Body, T0)
        .await
        .unwrap();
    assert_eq!((many[0].len(), many[1].len()), (0, 1));
    // The bound of an entry's life holds within the tier as well.
    let end = HOUR + TableSpec::KEEP;
    assert_eq!(body_at(&*table, "a", end).await, None);
}

#[tokio::test]
async fn a_change_of_this_process_is_seen_at_once_by_every_handle() {
    let store = tier(Arc::new(memory().await)).unwrap();
    let (table, other) = (
        store.open(&tracks()).await.unwrap(),
        store.open(&tracks()).await.unwrap(),
    );
    save(&*table, at("a"), "one").await;
    assert_eq!(body(&*other, &at("a")).await.unwrap(), "one");
    save(&*table, at("a"), "two").await;
    assert_eq!(body(&*other, &at("a")).await.unwrap(), "two");
    let held = get(&*other, &at("a")).await;
    let entry = held.iter().next().unwrap();
    let renewal = Renewal {
        id: entry.id.clone(),
        read: entry.generation,
        meta: restow::entry::Meta {
            expires_at: T0.plus(HOUR * 2),
            ..entry.meta.clone()
        },
    };
    assert_eq!(table.renew(&[renewal], T0).await.unwrap(), 1);
    let renewed = get(&*other, &at("a")).await;
    assert_eq!(
        renewed.iter().next().unwrap().meta.expires_at,
        T0.plus(HOUR * 2)
    );
    assert_eq!(table.delete(&[at("a")], T0).await.unwrap(), 1);
    assert_eq!(body(&*other, &at("a")).await, None);
    save(&*table, at("a"), "three").await;
    assert_eq!(body(&*other, &at("a")).await.unwrap(), "three");
    assert_eq!(table.clear(&Selection::default(), 10, T0).await.unwrap(), 1);
    assert_eq!(body(&*other, &at("a")).await, None);
    save(&*table, at("a"), "four").await;
    assert_eq!(body(&*other, &at("a")).await.unwrap(), "four");
    assert!(store.remove(&tracks().name).await.unwrap());
    assert!(
        other
            .read(&at("a"), Parts::Whole, T0)
            .await
            .map_or(true, |f| f.is_empty())
    );
}

#[tokio::test]
async fn what_another_store_on_the_file_does_is_seen_after_a_second() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let (ours, theirs) = (tiered(&path).await, tiered(&path).await);
    save(&*ours, at("a"), "one").await;
    assert_eq!(body_at(&*ours, "a", Duration::ZERO).await.unwrap(), "one");
    save(&*theirs, at("a"), "two").await;
    let almost = SECOND - Duration::from_millis(1);
    assert_eq!(body_at(&*ours, "a", almost).await.unwrap(), "one");
    assert_eq!(body_at(&*ours, "a", SECOND).await.unwrap(), "two");
    theirs.clear(&Selection::default(), 10, T0).await.unwrap();
    assert_eq!(body_at(&*ours, "a", SECOND + almost).await.unwrap(), "two");
    assert_eq!(body_at(&*ours, "a", SECOND * 2).await, None);
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn purges() {
    let Some(path) = std::env::var_os("RESTOW_TEST_PATH") else {
        return;
    };
    let table = tiered(Path::new(&path)).await;
    assert_eq!(table.clear(&Selection::default(), 10, T0).await.unwrap(), 1);
}

/// What was read before a change that nobody waited for is not believed for longer than a second.
#[tokio::test]
async fn a_save_that_happens_after_its_caller_is_gone_is_seen_after_a_second() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = tier(Arc::new(open(&path).await)).unwrap();
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, at("a"), "one").await;
    // Another program holds the file, so that the save has to wait.
    let other = plain(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writes = [write(entry(at("a"), "two"))];
    let mut saving = Box::pin(async { table.write(&writes, T0).await });
    assert!(futures_util::poll!(&mut saving).is_pending());
    drop(saving);
    assert_eq!(body(&*table, &at("a")).await.unwrap(), "one");
    other.execute_batch("COMMIT").unwrap();
    store.commit().await.unwrap();
    let later = Duration::from_secs(2);
    assert_eq!(body_at(&*table, "a", later).await.unwrap(), "two");
}

/// As long as nobody else writes, what is held is not asked for again and again.
#[tokio::test]
async fn what_is_held_is_believed_while_nobody_else_writes() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let inner = Arc::new(open(&path).await);
    let table = tier(inner.clone()).unwrap().open(&tracks()).await.unwrap();
    save(&*table, at("a"), "one").await;
    save(&*table, at("b"), "one").await;
    assert_eq!(body(&*table, &at("a")).await.unwrap(), "one");
    // Behind the tier's back, by the same store: it is not noticed.
    let beneath = inner.open(&tracks()).await.unwrap();
    beneath.delete(&[at("a")], T0).await.unwrap();
    let later = Duration::from_secs(10);
    assert_eq!(body_at(&*table, "a", later).await.unwrap(), "one");
    // Another program's change is noticed, whatever it changed.
    plain(&path)
        .execute_batch("DELETE FROM tracks WHERE id = 'b'")
        .unwrap();
    let later = Duration::from_secs(20);
    assert_eq!(body_at(&*table, "a", later).await, None);
}

#[tokio::test]
async fn what_another_process_purges_is_gone_after_a_second() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let table = tiered(&path).await;
    save(&*table, at("a"), "one").await;
    assert_eq!(body_at(&*table, "a", Duration::ZERO).await.unwrap(), "one");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "--ignored", "purges"])
        .env("RESTOW_TEST_PATH", &path);
    assert!(child.status().unwrap().success());
    assert_eq!(body_at(&*table, "a", SECOND / 2).await.unwrap(), "one");
    assert_eq!(body_at(&*table, "a", SECOND).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_races_with_a_save_never_brings_the_older_state_back() {
    let folder = folder();
    let table = tiered(&folder.path().join("a.db")).await;
    save(&*table, at("a"), "0").await;
    let saved = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (table, saved) = (table.clone(), saved.clone());
            tokio::spawn(async move {
                loop {
                    let least = saved.load(Ordering::SeqCst);
                    let text = body(&*table, &at("a")).await.unwrap();
                    let read: usize = std::str::from_utf8(&text).unwrap().parse().unwrap();
                    assert!(read >= least, "{read} was read after {least} was saved");
                    if read == 1_000 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 1..=1_000 {
        save(&*table, at("a"), &n.to_string()).await;
        saved.store(n, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn it_stays_within_its_bytes_and_leaves_out_what_is_too_large() {
    let inner = Arc::new(memory().await);
    let beneath = inner.open(&tracks()).await.unwrap();
    let options = TierOptions::new(256 << 10).max_entry(16 << 10);
    let store = TieredStore::new(inner, options).unwrap();
    let table = store.open(&tracks()).await.unwrap();
    for i in 0..200 {
        save(&*table, at(&i.to_string()), &"x".repeat(8 << 10)).await;
        get(&*table, &at(&i.to_string())).await;
        assert!(store.held_bytes() <= 256 << 10);
    }
    assert!(store.held_bytes() > 128 << 10, "{}", store.held_bytes());
    save(&*table, at("large"), &"x".repeat(32 << 10)).await;
    get(&*table, &at("large")).await;
    beneath.delete(&[at("large")], T0).await.unwrap();
    assert_eq!(body(&*table, &at("large")).await, None);
}

#[tokio::test]
async fn what_is_read_again_and_again_stays_while_others_pass() {
    // Each time other entries are in a part of the tier together.
    for _ in 0..50 {
        what_is_read_stays().await;
    }
}

async fn what_is_read_stays() {
    let inner = Arc::new(memory().await);
    let beneath = inner.open(&tracks()).await.unwrap();
    let store = TieredStore::new(inner, TierOptions::new(64 << 10)).unwrap();
    let table = store.open(&tracks()).await.unwrap();
    for id in ["hot", "cold"] {
        save(&*table, at(id), id).await;
        get(&*table, &at(id)).await;
    }
    // Who was put out cannot come back.
    beneath.delete(&[at("hot"), at("cold")], T0).await.unwrap();
    for i in 0..200 {
        // Behind its back: a change that it knows of may be one of what it holds, by its stripe.
        save(&*beneath, at(&i.to_string()), &"x".repeat(2 << 10)).await;
        get(&*table, &at(&i.to_string())).await;
        get(&*table, &at("hot")).await;
    }
    assert_eq!(
        body(&*table, &at("hot")).await.as_deref(),
        Some(&b"hot"[..])
    );
    assert_eq!(body(&*table, &at("cold")).await, None);
}

#[tokio::test]
async fn a_url_a_builder_and_a_file_ask_for_it() {
    let store = connect("sqlite::temp:?memory=64MiB").await.unwrap();
    assert!(format!("{store:?}").contains("TieredStore"));
    let cache = Cache::builder()
        .url("sqlite::temp:")
        .memory(1 << 20)
        .build()
        .await
        .unwrap();
    assert!(format!("{:?}", cache.store()).contains("TieredStore"));
    let config = Config::parse(
        "cache = \"sqlite::temp:\"\nmemory = \"64 MiB\"",
        "restow.toml",
    )
    .unwrap();
    let cache = config.open().await.unwrap();
    assert!(format!("{:?}", cache.store()).contains("TieredStore"));
    for (builder, said) in [
        (
            Cache::builder().url("sqlite::temp:?memory=1MiB").memory(1),
            "set one of them",
        ),
        (
            Cache::builder().url("sqlite::temp:").memory(0),
            "holds nothing",
        ),
        (Cache::builder().url("memory:").memory(1 << 20), "max_bytes"),
        (Cache::builder().url("memory:?memory=1MiB"), "max_bytes"),
        (
            Cache::builder().url("sqlite::temp:?memory=much"),
            "memory=64MiB",
        ),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// A store in memory that is told by a test what others change.
#[derive(Debug)]
struct Told(MemoryStore, Mutex<Option<UnboundedReceiver<Change>>>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Store for Told {
    forward!(0: capabilities open tables remove secret adopt_secret trim commit health memory_policy close);

    fn kind(&self) -> &'static str {
        "told"
    }
    fn leases(&self) -> Option<Arc<dyn Leases>> {
        None
    }
    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        let changes = self.1.lock().unwrap().take()?;
        let next = |mut changes: UnboundedReceiver<Change>| async move {
            changes.recv().await.map(|change| (change, changes))
        };
        Some(Box::pin(futures_util::stream::unfold(changes, next)))
    }
}

/// The same, where nobody knows whether others changed anything.
#[derive(Debug)]
struct Unwatched(Told);

impl fmt::Display for Unwatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Store for Unwatched {
    forward!(0: kind capabilities tables remove secret adopt_secret changes trim commit health memory_policy close);

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let inner = self.0.open(spec).await?;
            Ok(Arc::new(UnwatchedTable(inner)) as Arc<dyn Table>)
        })
    }
    fn leases(&self) -> Option<Arc<dyn Leases>> {
        self.0.0.leases()
    }
}

#[derive(Debug)]
struct UnwatchedTable(Arc<dyn Table>);

impl Table for UnwatchedTable {
    forward!(0: spec read read_many write renew delete count clear sweep scan pending_columns columns_filled stats partitions);

    fn foreign_changes(&self) -> Option<u64> {
        None
    }
}

#[tokio::test]
async fn what_the_store_tells_of_others_is_believed_before_the_second_is_over() {
    let spec = tracks();
    let beneath = MemoryStore::default();
    let theirs = beneath.open(&spec).await.unwrap();
    let (tell, told) = unbounded_channel();
    let store = tier(Arc::new(Told(beneath, Mutex::new(Some(told))))).unwrap();
    let ours = store.open(&spec).await.unwrap();
    for change in [
        Change::Address(spec.name.clone(), at("a")),
        Change::Table(spec.name.clone()),
        Change::Everything,
    ] {
        save(&*ours, at("a"), "one").await;
        assert_eq!(body(&*ours, &at("a")).await.unwrap(), "one");
        theirs.delete(&[at("a")], T0).await.unwrap();
        assert_eq!(body(&*ours, &at("a")).await.unwrap(), "one");
        tell.send(change).unwrap();
        while body(&*ours, &at("a")).await.is_some() {
            tokio::task::yield_now().await;
        }
    }
}

/// While the store tells of others, what is held is believed for minutes; while it does not, for a second.
#[tokio::test]
async fn what_is_held_is_believed_for_as_long_as_the_store_tells_of_others() {
    let spec = tracks();
    let beneath = MemoryStore::default();
    let theirs = beneath.open(&spec).await.unwrap();
    let (tell, told) = unbounded_channel();
    let beneath = Unwatched(Told(beneath, Mutex::new(Some(told))));
    let store = tier(Arc::new(beneath)).unwrap();
    let ours = store.open(&spec).await.unwrap();
    let minute = Duration::from_secs(60);
    // What is told is heard in order: once the last is, the others were.
    let tells = async |changes: &[Change]| {
        for id in ["mark", "mark2"] {
            save(&*ours, at(id), "one").await;
            body(&*ours, &at(id)).await.unwrap();
            theirs.delete(&[at(id)], T0).await.unwrap();
        }
        for change in changes {
            tell.send(change.clone()).unwrap();
        }
        tell.send(Change::Address(spec.name.clone(), at("mark")))
            .unwrap();
        while body(&*ours, &at("mark")).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    let hold = async || {
        save(&*ours, at("a"), "one").await;
        assert_eq!(body(&*ours, &at("a")).await.unwrap(), "one");
        save(&*theirs, at("a"), "two").await;
    };
    // It has not said that it listens.
    hold().await;
    assert_eq!(body_at(&*ours, "a", SECOND).await.unwrap(), "two");
    tells(&[Change::Everything]).await;
    hold().await;
    assert_eq!(body_at(&*ours, "a", minute).await.unwrap(), "one");
    tells(&[Change::Address(spec.name.clone(), at("a"))]).await;
    assert_eq!(body_at(&*ours, "a", minute).await.unwrap(), "two");
    hold().await;
    tells(&[Change::Silence]).await;
    assert_eq!(body_at(&*ours, "a", SECOND / 2).await.unwrap(), "one");
    assert_eq!(body_at(&*ours, "a", minute).await.unwrap(), "two");
    tells(&[Change::Everything]).await;
    hold().await;
    assert_eq!(body_at(&*ours, "a", minute).await.unwrap(), "one");
    // A change of ours that failed may still happen, and nobody tells us of it.
    let fenced = restow::store::Write {
        fence: Some(restow::store::Fence(0)),
        ..write(entry(at("a"), "three"))
    };
    let leases = store.leases().unwrap();
    leases
        .acquire(&spec.name, &at("a"), minute, T0)
        .await
        .unwrap();
    ours.write(&[fenced], T0).await.unwrap_err();
    hold().await;
    assert_eq!(body_at(&*ours, "a", SECOND).await.unwrap(), "two");
    // It tells no more.
    tells(&[Change::Everything]).await;
    save(&*ours, at("b"), "one").await;
    assert_eq!(body(&*ours, &at("b")).await.unwrap(), "one");
    save(&*theirs, at("b"), "two").await;
    assert_eq!(body_at(&*ours, "b", minute).await.unwrap(), "one");
    drop(tell);
    while body_at(&*ours, "b", minute).await.unwrap() == "one" {
        tokio::task::yield_now().await;
    }
}

/// Between a read and what it brings others change the entry, and tell: what is held afterwards is never the older state.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_races_with_what_others_tell_never_holds_the_older_state() {
    let spec = tracks();
    let beneath = MemoryStore::default();
    let theirs = beneath.open(&spec).await.unwrap();
    let (tell, told) = unbounded_channel();
    tell.send(Change::Everything).unwrap();
    let beneath = Unwatched(Told(beneath, Mutex::new(Some(told))));
    let store = tier(Arc::new(beneath)).unwrap();
    let ours = store.open(&spec).await.unwrap();
    save(&*theirs, at("a"), "0").await;
    let over = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (ours, over) = (ours.clone(), over.clone());
            tokio::spawn(async move {
                while over.load(Ordering::SeqCst) == 0 {
                    body(&*ours, &at("a")).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 1..=2_000 {
        save(&*theirs, at("a"), &n.to_string()).await;
        tell.send(Change::Address(spec.name.clone(), at("a")))
            .unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // All was told; from here on nothing changes.
    let last = async {
        while body(&*ours, &at("a")).await.unwrap() != "2000" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), last)
        .await
        .unwrap();
    over.store(1, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    for _ in 0..100 {
        assert_eq!(body(&*ours, &at("a")).await.unwrap(), "2000");
    }
}

#[tokio::test]
async fn what_the_tier_answers_is_used_to_the_store() {
    let minute = Duration::from_secs(60);
    let folder = folder();
    let store = tier(Arc::new(open(&folder.path().join("a.db")).await)).unwrap();
    let mut spec = tracks();
    spec.budget.entries = Some(2);
    let table = store.open(&spec).await.unwrap();
    for (n, id) in (0..).zip(["hot", "cold"]) {
        let mut entry = entry(at(id), "x");
        entry.meta.expires_at = restow::Millis::MAX;
        table
            .write(&[write(entry)], T0.plus(minute * n))
            .await
            .unwrap();
    }
    for n in 1..40 {
        assert!(body_at(&*table, "hot", minute * n).await.is_some());
    }
    let mut new = entry(at("new"), "x");
    new.meta.expires_at = restow::Millis::MAX;
    let now = T0.plus(minute * 41);
    table.write(&[write(new)], now).await.unwrap();
    assert_eq!(table.sweep(10, now).await.unwrap(), 1);
    assert!(body_at(&*table, "cold", minute * 42).await.is_none());
    assert!(body_at(&*table, "hot", minute * 42).await.is_some());
}
