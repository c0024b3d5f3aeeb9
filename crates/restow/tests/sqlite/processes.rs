//! Several stores, and several processes, on one file.

use crate::support::*;
use restow::{
    Scope, Selection,
    store::{Parts, Store},
};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const PATH: &str = "RESTOW_TEST_PATH";
const NAME: &str = "RESTOW_TEST_NAME";

/// Runs one of the tests below that are marked as children, in a process of its own.
fn child(test: &str, path: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            &format!("processes::{test}"),
        ])
        .env(PATH, path)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told() -> Option<(std::path::PathBuf, String)> {
    Some((std::env::var_os(PATH)?.into(), std::env::var(NAME).ok()?))
}

#[tokio::test]
#[ignore = "a child process of other tests"]
async fn saves_until_killed() {
    let Some((path, name)) = told() else { return };
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    for i in 0.. {
        // Pairs in one save: both or none.
        let pair = [format!("{name}-{i}-a"), format!("{name}-{i}-b")];
        let pair = pair.map(|id| write(entry(at(&id), id)));
        table.write(&pair, T0).await.unwrap();
        println!("saved {i}");
    }
}

#[tokio::test]
#[ignore = "a child process of other tests"]
async fn reads_and_saves() {
    let Some((path, name)) = told() else { return };
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    for i in 0..300 {
        save(&*table, at(&format!("{name}-{i}")), "x").await;
        assert!(body(&*table, &at(&format!("{name}-{i}"))).await.is_some());
        save(&*table, at("everybody's"), &name).await;
        if i % 50 == 0 {
            table.count(&Selection::new(Scope::Live), T0).await.unwrap();
            table.sweep(10, T0).await.unwrap();
        }
    }
    store.close().await.unwrap();
    println!("saved all");
}

#[tokio::test]
async fn a_kill_after_a_save_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let mut saved = Vec::new();
    for round in 0..6 {
        let name = format!("r{round}");
        let mut child = child("saves_until_killed", &path, &name);
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let acknowledged = lines
            .filter_map(|line| {
                line.split("saved ")
                    .nth(1)
                    .and_then(|n| n.trim().parse::<u32>().ok())
            })
            .nth(round * 13)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        saved.push((name, acknowledged));
    }
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    for (name, last) in saved {
        for i in 0..=last {
            for half in ["a", "b"] {
                let id = format!("{name}-{i}-{half}");
                assert_eq!(body(&*table, &at(&id)).await.unwrap(), id);
            }
        }
    }
    let halves = table.count(&Selection::new(Scope::Live), T0).await.unwrap();
    assert_eq!(halves % 2, 0, "a save was torn");
    store.close().await.unwrap();
    let check: String = plain(&path)
        .query_row("PRAGMA integrity_check", [], |r| r.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[tokio::test]
async fn processes_share_a_file_and_see_what_others_save() {
    let folder = folder();
    let path = folder.path().join("a.db");
    // All of them come first: who makes the file is open.
    let mut children: Vec<_> = ["a", "b", "c"]
        .map(|name| child("reads_and_saves", &path, name))
        .into();
    let store = open(&path).await;
    let table = open_tracks(&store).await;
    for i in 0..300 {
        save(&*table, at(&format!("ours-{i}")), "x").await;
        table
            .read(&at("everybody's"), Parts::Whole, T0)
            .await
            .unwrap();
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child saw an error");
    }
    for name in ["a", "b", "c", "ours"] {
        let ids: Vec<_> = (0..300).map(|i| at(&format!("{name}-{i}"))).collect();
        let found = table.read_many(&ids, Parts::Body, T0).await.unwrap();
        assert!(found.iter().all(|f| f.len() == 1), "{name}");
    }
    assert_eq!(
        table.count(&Selection::new(Scope::Live), T0).await.unwrap(),
        1_201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_in_one_process_share_a_file() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let (first, second) = tokio::join!(open(&path), open(&path));
    assert_eq!(
        first.secret().await.unwrap(),
        second.secret().await.unwrap()
    );
    let mut tasks = Vec::new();
    for (n, store) in [&first, &second].into_iter().enumerate() {
        let table = open_tracks(store).await;
        for task in 0..8 {
            let table = table.clone();
            tasks.push(tokio::spawn(async move {
                for i in 0..50 {
                    let address = at(&format!("{n}-{task}-{i}"));
                    save(&*table, address.clone(), "x").await;
                    assert_eq!(get(&*table, &address).await.len(), 1);
                    assert_eq!(table.delete(&[address], T0).await.unwrap(), 1);
                    save(&*table, at("same"), "y").await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let table = open_tracks(&second).await;
    assert_eq!(table.stats(T0).await.unwrap().entries, 1);
}
