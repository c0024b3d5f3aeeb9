//! What a process leaves behind for the next one, and beside which it can live.
//!
//! Each test starts its own binary again, to run the same test in another role.

use crate::place::{HOUR, MINUTE, T0, open, pages};
use restow::{Cache, ErrorKind, Scope, SystemClock, TestClock};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ORIGIN: &str = "https://api.example.com";
const ROLE: &str = "RESTOW_TEST_ROLE";
const FOLDER: &str = "RESTOW_TEST_FOLDER";

/// Starts the test `name` again as `role`.
fn start(name: &str, role: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &format!("processes::{name}"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Returns the role and the folder, in a process that was started as one.
fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    Some((role, std::env::var_os(FOLDER).unwrap().into()))
}

/// Reads what a process says until it says this.
fn wait_for(child: &mut Child, line: &str) {
    let out = BufReader::new(child.stdout.as_mut().unwrap());
    let mut said = Vec::new();
    for next in out.lines().map_while(Result::ok) {
        if next.ends_with(line) {
            return;
        }
        said.push(next);
    }
    panic!("it never said {line:?}:\n{}", said.join("\n"));
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(body);
}

#[test]
fn what_was_saved_survives_a_kill() {
    if let Some((_, folder)) = role() {
        return run(async {
            let cache = open(&folder, SystemClock).await;
            let pages = pages(&cache, ORIGIN).await;
            // Until it is killed.
            for n in 0.. {
                pages
                    .save(&n.to_string(), &format!("body {n}"))
                    .await
                    .unwrap();
                println!("saved {n}.");
            }
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = start("what_was_saved_survives_a_kill", "writer", folder.path())
        .spawn()
        .unwrap();
    wait_for(&mut child, "saved 499.");
    child.kill().unwrap();
    child.wait().unwrap();
    run(async {
        let cache = open(folder.path(), SystemClock).await;
        let pages = pages(&cache, ORIGIN).await;
        let keys: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let found = pages.get_many(&keys).await.unwrap();
        let expected: Vec<_> = (0..500).map(|n| Some(format!("body {n}"))).collect();
        assert_eq!(found, expected);
    });
    let sql = rusqlite::Connection::open(folder.path().join("cache.db")).unwrap();
    let check: String = sql
        .query_row("PRAGMA integrity_check", [], |r| r.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_second_process_reads_and_writes_while_the_first_does() {
    if let Some((_, folder)) = role() {
        return run(async {
            let cache = open(&folder, SystemClock).await;
            let pages = pages(&cache, ORIGIN).await;
            pages.save("first", &"of the first".into()).await.unwrap();
            println!("ready.");
            let mut over = tokio::task::spawn_blocking(|| {
                // The other closes it when it has done its part.
                std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            });
            let mut n = 0;
            while !over.is_finished() {
                pages.save(&format!("a{n}"), &"a".into()).await.unwrap();
                assert!(pages.get("first").await.unwrap().is_some());
                n += 1;
            }
            (&mut over).await.unwrap();
            assert_eq!(pages.get("b199").await.unwrap().as_deref(), Some("b"));
            cache.close().await.unwrap();
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "a_second_process_reads_and_writes_while_the_first_does";
    let mut child = start(name, "first", folder.path()).spawn().unwrap();
    wait_for(&mut child, "ready.");
    run(async {
        let cache = open(folder.path(), SystemClock).await;
        let pages = pages(&cache, ORIGIN).await;
        let value = pages.get("first").await.unwrap();
        assert_eq!(value.as_deref(), Some("of the first"));
        for n in 0..200 {
            pages.save(&format!("b{n}"), &"b".into()).await.unwrap();
        }
        assert!(pages.count(Scope::Live).await.unwrap() > 200);
        cache.close().await.unwrap();
    });
    drop(child.stdin.take());
    let mut rest = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

#[test]
fn a_change_of_time_zone_changes_no_lifetime() {
    let moment = |role: &str| match role {
        "writer" => T0,
        "just before" => T0.plus(HOUR - MINUTE),
        _ => T0.plus(HOUR + MINUTE),
    };
    if let Some((role, folder)) = role() {
        return run(async {
            let cache = open(&folder, TestClock::at(moment(&role))).await;
            let pages = pages(&cache, ORIGIN).await;
            if role == "writer" {
                pages.save("a", &"b".into()).await.unwrap();
                assert_eq!(pages.expires_at(), T0.plus(HOUR));
            }
            let live = pages.contains("a").await.unwrap();
            assert_eq!(live, role != "just after", "{role}");
            cache.close().await.unwrap();
            println!("checked.");
        });
    }
    let folder = tempfile::tempdir().unwrap();
    // Fourteen hours before Greenwich, then eleven behind it, and back.
    for (role, zone) in [
        ("writer", "Pacific/Kiritimati"),
        ("just before", "Pacific/Pago_Pago"),
        ("just before", "UTC"),
        ("just after", "Pacific/Pago_Pago"),
        ("just after", "Pacific/Kiritimati"),
    ] {
        let name = "a_change_of_time_zone_changes_no_lifetime";
        let out = start(name, role, folder.path())
            .env("TZ", zone)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.contains("checked."), "{role} in {zone}: {said}");
    }
}

#[test]
fn a_failed_opening_leaves_no_thread() {
    if let Some((_, folder)) = role() {
        std::fs::create_dir(folder.join("folder.db")).unwrap();
        std::fs::write(
            folder.join("letter.db"),
            "Dear Madam, this is no database.".repeat(40),
        )
        .unwrap();
        let before = threads();
        run(async {
            for (file, kind) in [
                ("folder.db", ErrorKind::Store),
                ("letter.db", ErrorKind::Format),
            ] {
                let url = format!("sqlite://{}", folder.join(file).display());
                let error = Cache::builder().url(url).build().await.unwrap_err();
                assert_eq!(error.kind(), kind, "{error}");
            }
        });
        // With the runtime its threads have gone; what is left was made by the openings.
        // A thread that was joined is listed for a moment longer.
        let deadline = Instant::now() + Duration::from_secs(10);
        while threads() != before {
            assert!(Instant::now() < deadline, "{} of {before}", threads());
            std::thread::yield_now();
        }
        println!("checked.");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = start("a_failed_opening_leaves_no_thread", "opener", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("checked."), "{said}");
}

/// How many threads this process has; where the system does not say, as many as always.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
