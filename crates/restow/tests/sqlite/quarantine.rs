//! `damaged=quarantine`: a damaged file makes room for a new one, and nothing else does.

use crate::support::*;
use restow::{
    ErrorKind, Selection,
    store::{
        Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PATH: &str = "RESTOW_TEST_PATH";

async fn quarantining(path: &Path) -> restow::Result<SqliteStore> {
    SqliteStore::open(SqliteOptions::file(path).quarantine()).await
}

/// The files that were moved away, in order of name.
fn aside(path: &Path) -> Vec<PathBuf> {
    let begins = format!("{}.corrupt-", path.display());
    let mut found: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| {
            let name = file.display().to_string();
            name.starts_with(&begins) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    found.sort();
    found
}

/// A file with 200 entries, closed.
async fn filled(path: &Path) {
    let store = open(path).await;
    let entries: Vec<_> = (0..200)
        .map(|i| write(entry(at(&i.to_string()), "x".repeat(2_000))))
        .collect();
    open_tracks(&store).await.write(&entries, T0).await.unwrap();
    store.close().await.unwrap();
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, &bytes).unwrap();
    bytes
}

#[tokio::test]
async fn whatever_makes_a_file_too_damaged_to_be_opened_it_is_moved_away_as_it_was() {
    let folder = folder();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("text", |b| *b = "no database ".repeat(99).into_bytes()),
        ("short", |b| *b = b"xy".to_vec()),
        ("no-header", |b| b[..512].fill(0)),
        ("half", |b| b.truncate(b.len() / 2)),
        ("schema", |b| b[100..9_000].fill(0xA5)),
        ("in-header", |b| b.truncate(90)),
    ];
    for (name, damage) in damages {
        let path = folder.path().join(name);
        filled(&path).await;
        let bytes = change(&path, damage);
        let refused = SqliteStore::open(SqliteOptions::file(&path)).await;
        let kind = refused.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::Corrupt | ErrorKind::Format),
            "{name}: {kind:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name} was changed");
        assert!(aside(&path).is_empty(), "{name}: nobody asked for it");
        let store = quarantining(&path).await.unwrap();
        let table = open_tracks(&store).await;
        save(&*table, at("1"), "new").await;
        assert_eq!(table.count(&Selection::default(), T0).await.unwrap(), 1);
        store.close().await.unwrap();
        let [moved] = &aside(&path)[..] else {
            panic!("{name}: {:?}", aside(&path));
        };
        assert_eq!(fs::read(moved).unwrap(), bytes, "{name}");
        assert!(moved.display().to_string().ends_with('Z'), "{moved:?}");
        // What was made is whole: it is opened, not moved.
        let store = quarantining(&path).await.unwrap();
        assert_eq!(
            body(&*open_tracks(&store).await, &at("1")).await.unwrap(),
            "new"
        );
        assert_eq!(aside(&path).len(), 1);
    }
}

#[tokio::test]
async fn its_log_goes_with_it_and_a_second_one_gets_a_name_of_its_own() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let log = folder.path().join("a.db-wal");
    for _ in 0..2 {
        fs::write(&path, "no database ".repeat(99)).unwrap();
        fs::write(&log, "no log").unwrap();
        let store = quarantining(&path).await.unwrap();
        let table = open_tracks(&store).await;
        save(&*table, at("1"), "new").await;
        assert_eq!(body(&*table, &at("1")).await.unwrap(), "new");
        store.close().await.unwrap();
    }
    let moved = aside(&path);
    assert_eq!(moved.len(), 2, "{moved:?}");
    for file in moved {
        assert!(fs::read(&file).unwrap().starts_with(b"no database"));
        let log = format!("{}-wal", file.display());
        assert_eq!(fs::read(log).unwrap(), b"no log");
    }
}

#[tokio::test]
async fn a_file_that_lost_what_every_cache_needs_is_damaged() {
    let folder = folder();
    for (name, sql) in [
        (
            "secret",
            "UPDATE restow_meta SET value = x'00' WHERE key = 'secret'",
        ),
        (
            "declaration",
            "UPDATE restow_meta SET value = '{' WHERE key = 'repository:tracks'",
        ),
    ] {
        let path = folder.path().join(name);
        filled(&path).await;
        plain(&path).execute_batch(sql).unwrap();
        let store = quarantining(&path).await.unwrap();
        store.secret().await.unwrap();
        assert!(store.tables().await.unwrap().is_empty());
        assert_eq!(aside(&path).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn nothing_else_is_moved() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    filled(&path("newer.db")).await;
    plain(&path("newer.db"))
        .execute_batch("PRAGMA user_version = 9")
        .unwrap();
    // The same with damage behind the header: it is not for an older program to judge.
    fs::copy(path("newer.db"), path("newer-half.db")).unwrap();
    change(&path("newer-half.db"), |b| b.truncate(b.len() / 2));
    filled(&path("newer-sqlite.db")).await;
    change(&path("newer-sqlite.db"), |b| b[18..20].fill(3));
    plain(&path("other.db"))
        .execute_batch("CREATE TABLE songs (a)")
        .unwrap();
    fs::copy(path("other.db"), path("other-damaged.db")).unwrap();
    change(&path("other-damaged.db"), |b| b[100..].fill(0xA5));
    fs::create_dir(path("folder.db")).unwrap();
    for (name, kinds) in [
        ("newer.db", [ErrorKind::Format; 2]),
        ("newer-half.db", [ErrorKind::Corrupt, ErrorKind::Format]),
        ("newer-sqlite.db", [ErrorKind::Format; 2]),
        ("other.db", [ErrorKind::Format; 2]),
        ("other-damaged.db", [ErrorKind::Corrupt; 2]),
        ("folder.db", [ErrorKind::Store; 2]),
    ] {
        let before = fs::read(path(name)).ok();
        let error = quarantining(&path(name)).await.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{name}: {error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(path(name)).ok(), before, "{name} was changed");
        assert!(aside(&path(name)).is_empty(), "{name} was moved");
    }
    fs::write(path("text.db"), "no database ".repeat(99)).unwrap();
    let options = SqliteOptions::file(path("text.db"))
        .quarantine()
        .read_only();
    let error = SqliteStore::open(options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(aside(&path("text.db")).is_empty(), "mode=ro moves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_find_the_damage_at_once_move_it_once_and_share_the_new_file() {
    let folder = folder();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        fs::write(&path, "no database ".repeat(99)).unwrap();
        let opened = (0..8).map(|_| {
            let path = path.clone();
            tokio::spawn(async move { quarantining(&path).await.unwrap() })
        });
        let mut stores = Vec::new();
        for store in opened.collect::<Vec<_>>() {
            stores.push(store.await.unwrap());
        }
        for (i, store) in stores.iter().enumerate() {
            save(&*open_tracks(store).await, at(&i.to_string()), "x").await;
        }
        for store in &stores {
            let table = open_tracks(store).await;
            assert_eq!(table.count(&Selection::default(), T0).await.unwrap(), 8);
        }
        assert_eq!(aside(&path).len(), 1, "{:?}", aside(&path));
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn holds_a_file() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let _store = open(Path::new(&path)).await;
    println!("holds it");
    std::io::stdin().lines().for_each(drop);
}

#[tokio::test]
async fn a_damaged_file_that_another_process_has_open_stays_until_it_ends() {
    let folder = folder();
    let path = folder.path().join("a.db");
    filled(&path).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("quarantine::holds_a_file")
        .env(PATH, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holds it")));
    // Else the first page is read out of the log.
    plain(&path)
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    change(&path, |b| b[..512].fill(0));
    let error = quarantining(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("has it open"), "{error}");
    assert!(aside(&path).is_empty());
    drop(child.stdin.take());
    child.wait().unwrap();
    // What it wrote at its end may have made the file whole.
    quarantining(&path).await.unwrap();
}
