//! Files: how they are made, opened, refused and let go of.

use crate::support::*;
use restow::{
    ErrorKind, Selection,
    store::{
        Parts, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::{fs, path::Path};

async fn refused(options: SqliteOptions) -> restow::Error {
    SqliteStore::open(options).await.unwrap_err()
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_a_new_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.path().join("deep/er/a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "x").await;
    let mut files = 0;
    for file in fs::read_dir(path.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
        files += 1;
    }
    assert_eq!(files, 3, "the file, -wal and -shm");
    store.close().await.unwrap();
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "the log is gone after close"
    );
}

#[tokio::test]
async fn a_closed_store_answers_closed_and_its_file_opens_again() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let secret = store.secret().await.unwrap();
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "x").await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    for error in [
        table.read(&at("1"), Parts::Whole, T0).await.unwrap_err(),
        table
            .read_many(&vec![at("1"); 100], Parts::Whole, T0)
            .await
            .unwrap_err(),
        table.write(&[], T0).await.unwrap_err(),
        table.count(&Selection::default(), T0).await.unwrap_err(),
        store.open(&tracks()).await.unwrap_err(),
        store.tables().await.unwrap_err(),
        store.commit().await.unwrap_err(),
        store.secret().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    let store = open(&path).await;
    assert_eq!(store.secret().await.unwrap(), secret);
    let table = open_tracks(&store).await;
    assert_eq!(body(&*table, &at("1")).await.unwrap(), "x");
}

#[tokio::test]
async fn what_was_accepted_before_close_is_saved() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    let mut saves = Vec::new();
    for i in 0..100 {
        let table = table.clone();
        saves.push(tokio::spawn(async move {
            table
                .write(&[write(entry(at(&i.to_string()), "x"))], T0)
                .await
        }));
    }
    tokio::task::yield_now().await;
    store.close().await.unwrap();
    let mut saved = 0;
    for save in saves {
        match save.await.unwrap() {
            Ok(()) => saved += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    assert_eq!(table.count(&Selection::default(), T0).await.unwrap(), saved);
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_that_is_dropped_or_could_not_be_opened_leaves_no_thread() {
    // In a process of its own, where no other test has threads.
    let threads = || {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .filter(|t| {
                let name = t.as_ref().unwrap().path().join("comm");
                fs::read_to_string(name).is_ok_and(|n| n.starts_with("restow-sqlite"))
            })
            .count()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = folder();
    let before = threads();
    runtime.block_on(async {
        let store = open(&folder.path().join("a.db")).await;
        let table = open_tracks(&store).await;
        save(&*table, at("1"), "x").await;
        table.count(&Selection::default(), T0).await.unwrap();
        if before == 0 {
            assert_eq!(
                threads(),
                3,
                "one writes, one reads, one keeps the log short"
            );
        }
        fs::write(
            folder.path().join("b.db"),
            "not a database, and longer than a header of SQLite would be at its shortest",
        )
        .unwrap();
        refused(SqliteOptions::file(folder.path().join("b.db"))).await;
    });
    drop(runtime);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while threads() > before && before == 0 {
        assert!(std::time::Instant::now() < end, "threads are left");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn memory_and_temporary_stores_share_nothing_and_leave_nothing() {
    for options in [SqliteOptions::memory(), SqliteOptions::temporary()] {
        let first = SqliteStore::open(options.clone()).await.unwrap();
        let second = SqliteStore::open(options).await.unwrap();
        let (a, b) = (open_tracks(&first).await, open_tracks(&second).await);
        save(&*a, at("1"), "x").await;
        assert!(body(&*b, &at("1")).await.is_none());
        assert!(!first.capabilities().durable && !first.capabilities().shared);
        let shown = first.to_string();
        first.close().await.unwrap();
        drop((first, a));
        if let Some(path) = shown.strip_prefix("sqlite://") {
            assert!(
                !Path::new(path).parent().unwrap().exists(),
                "{path} is left"
            );
        }
    }
}

#[tokio::test]
async fn a_file_opened_for_reading_answers_and_refuses_changes() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    save(&*table, at("1"), "x").await;
    let reader = SqliteStore::open(SqliteOptions::file(&path).read_only())
        .await
        .unwrap();
    assert!(reader.capabilities().read_only);
    let read = open_tracks(&reader).await;
    assert_eq!(body(&*read, &at("1")).await.unwrap(), "x");
    assert_eq!(
        reader.secret().await.unwrap(),
        store.secret().await.unwrap()
    );
    let mut other = tracks();
    other.name = restow::store::TableName::new("other").unwrap();
    for error in [
        read.write(&[write(entry(at("2"), "x"))], T0)
            .await
            .unwrap_err(),
        read.delete(&[at("1")], T0).await.unwrap_err(),
        read.clear(&Selection::default(), 1, T0).await.unwrap_err(),
        read.sweep(1, T0).await.unwrap_err(),
        read.renew(&[], T0).await.unwrap_err(),
        reader.remove(&tracks().name).await.unwrap_err(),
        reader.open(&other).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    }
    let mut changed = tracks();
    changed.fields = [restow::Field::text("id")].into();
    assert_eq!(
        reader.open(&changed).await.unwrap_err().kind(),
        ErrorKind::SchemaMismatch
    );
    reader.close().await.unwrap();
    store.close().await.unwrap();
    let reader = SqliteStore::open(SqliteOptions::file(&path).read_only())
        .await
        .unwrap();
    assert_eq!(
        body(&*open_tracks(&reader).await, &at("1")).await.unwrap(),
        "x"
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made_for_reading() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let error = refused(SqliteOptions::file(&path).read_only()).await;
    assert!(
        error.to_string().contains("a.db") && error.to_string().contains("mode=ro"),
        "{error}"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused_and_not_touched() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text.db"), "hello ".repeat(1_000)).unwrap();
    plain(&path("other.db"))
        .execute_batch("CREATE TABLE songs (a)")
        .unwrap();
    plain(&path("marked.db"))
        .execute_batch("PRAGMA application_id = 7; CREATE TABLE songs (a)")
        .unwrap();
    open(&path("newer.db")).await.close().await.unwrap();
    plain(&path("newer.db"))
        .execute_batch("PRAGMA user_version = 9")
        .unwrap();
    for (name, found) in [
        ("text.db", "not a SQLite database"),
        ("other.db", "tables songs"),
        ("marked.db", "application id 0x7"),
        ("newer.db", "format 9"),
    ] {
        let before = fs::read(path(name)).unwrap();
        for options in [
            SqliteOptions::file(path(name)),
            SqliteOptions::file(path(name)).read_only(),
        ] {
            let error = refused(options).await;
            assert_eq!(error.kind(), ErrorKind::Format, "{error}");
            assert!(
                error.to_string().contains(found) && error.to_string().contains(name),
                "{error}"
            );
        }
        assert_eq!(fs::read(path(name)).unwrap(), before, "{name} was changed");
    }
    fs::create_dir(path("folder.db")).unwrap();
    let error = refused(SqliteOptions::file(path("folder.db"))).await;
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("folder.db"), "{error}");
    // An empty file is a new one.
    fs::write(path("empty.db"), "").unwrap();
    open(&path("empty.db")).await;
}

#[tokio::test]
async fn paths_are_taken_as_they_are() {
    let folder = folder();
    for name in [
        "a b.db",
        "file:x.db",
        "q?mode=ro.db",
        "100%.db",
        ":memory:",
        "日本.db",
    ] {
        let path = folder.path().join(name);
        let store = open(&path).await;
        assert!(path.exists(), "{name}");
        let url = store.to_string();
        assert_eq!(
            SqliteOptions::parse(&url).unwrap(),
            SqliteOptions::file(&path),
            "{url}"
        );
        store.close().await.unwrap();
    }
}
