//! `restow copy` and `import` over the stores of several machines: to them, from them, and from one to the other.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what tests share is no test to clippy"
)]

use crate::{
    moving::{digest_at, fill, listed, script, stored},
    support::{Done, Place, api, config},
};
use restow::{Cache, Scope};
use restow_testkit::{Postgres, Relay, redis::Redis};
use serde_json::{Value, json};
use std::{
    process::{Child, Stdio},
    time::Duration,
};

/// A server of each kind.
struct Servers {
    postgres: Postgres,
    redis: Redis,
}

impl Servers {
    /// Starts both; what is written to them survives their end.
    fn start() -> Self {
        Self {
            postgres: Postgres::start(),
            redis: Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]),
        }
    }

    fn postgres(&self, name: &str) -> String {
        format!("{}?schema={name}", self.postgres.url())
    }

    fn redis(&self, name: &str) -> String {
        format!("{}?prefix={name}", self.redis.url())
    }

    /// The URL of a place in each.
    fn both(&self, name: &str) -> [String; 2] {
        [self.postgres(name), self.redis(name)]
    }
}

/// The entries of a cache with their bodies, as an export has them.
fn contents(place: &Place, cache: &str) -> Vec<String> {
    let text = place.ok(&["export", "-q", "--cache", cache]);
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("\"key\""))
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines
}

/// The same without whose they are: digests hang on the secret, which each store makes for itself.
fn anyones(contents: Vec<String>) -> Vec<Value> {
    let blank = |line: String| {
        let mut entry: Value = serde_json::from_str(&line).unwrap();
        let whose = entry["partition"].as_str().unwrap_or_default();
        if whose.starts_with("c:") {
            // Its sums cover whose it is.
            for name in ["partition", "record", "sum"] {
                entry[name] = Value::Null;
            }
        }
        entry
    };
    let mut all: Vec<_> = contents.into_iter().map(blank).collect();
    all.sort_by_key(Value::to_string);
    all
}

/// Numbers of what a command says of each repository, by their names.
fn numbers(done: &[Value], names: [&str; 4]) -> Vec<[u64; 4]> {
    let of = |one: &Value| names.map(|name| one[name].as_u64().unwrap());
    done.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_from_each_store_to_each_other_and_are_the_same_cache() {
    let (servers, place) = (Servers::start(), stored().await);
    let whole = contents(&place, "items.db");
    assert_eq!(whole.len(), 4);
    let (list, url) = (listed(&place, "items.db"), place.json(&["ls", "me"]));
    let url = url[0]["url"].as_str().unwrap();
    let way = [
        "items.db",
        &servers.postgres("a"),
        &servers.redis("a"),
        "back.db",
        &servers.redis("b"),
        &servers.postgres("b"),
        "again.db",
    ];
    let names = ["written", "present", "compared", "missing"];
    for step in way.windows(2) {
        let [from, to] = *step else { unreachable!() };
        let said = place.json(&["copy", "--dry-run", from, to]);
        let said: Vec<_> = said.iter().map(|copied| &copied["written"]).collect();
        assert_eq!(said, [3, 1], "{from} to {to}");
        if to.contains("://") {
            let made = restow::store::format(to).await.unwrap().stored;
            assert_eq!(made, None, "a dry run makes nothing in {to}");
        }
        let done = place.json(&["copy", from, to]);
        let said = numbers(&done, names);
        assert_eq!(said, [[3, 0, 3, 0], [1, 0, 1, 0]], "{from} to {to}");
        assert_eq!(contents(&place, to), whole, "{from} to {to}");
        assert_eq!(listed(&place, to), list, "{from} to {to}");
        // The credential finds its answer there: the secret went with it.
        let mut offline = vec!["fetch", "--cache", to, "--mode", "offline"];
        offline.extend(["--bearer-env", "TOKEN", url]);
        assert_eq!(place.json(&offline)[0]["outcome"], "hit", "{from} to {to}");
        let again = numbers(&place.json(&["copy", from, to]), names);
        assert_eq!(again, [[0, 3, 3, 0], [0, 1, 1, 0]], "{from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_refuses_what_nobody_would_find_in_it() {
    let (servers, place) = (Servers::start(), stored().await);
    let export = place.ok(&["export", "items", "-q"]);
    for to in servers.both("used") {
        // It has a secret of its own, and entries under it.
        let import = ["import", "-", "--cache", &to];
        assert_eq!(place.run_with_input(&import, &export).code, 0);
        // What could be copied.
        place.ok(&["rm", "items", "--where", "id=1", "--cache", &to]);
        let full = servers.postgres("full");
        place.ok(&["copy", "-q", "items.db", &full]);
        for from in ["items.db", &full] {
            let refused = place.fails(&["copy", from, &to], 2, "--without-digests");
            assert!(!refused.err.contains("canary"), "{}", refused.err);
            let held = place.json(&["stats", "--cache", &to]);
            assert_eq!(held[0]["entries"], 2, "nothing was copied: {held:?}");
        }
        let done = &place.json(&["copy", "items.db", &to, "--without-digests"]);
        let said = numbers(done, ["present", "written", "left_out", "missing"]);
        assert_eq!(said, [[2, 1, 0, 0], [0, 0, 1, 0]], "{to}");
    }
}

/// How many pages a store holds.
async fn pages(url: &str) -> u64 {
    let Ok(cache) = restow::connect(url).await else {
        return 0;
    };
    let pages = counted(&cache).await.unwrap_or_default();
    // It may be the store that is gone.
    _ = cache.close().await;
    pages
}

async fn counted(cache: &Cache) -> restow::Result<u64> {
    let Some(pages) = cache.open_stored().await?.pop() else {
        return Ok(0);
    };
    pages.everyone().count(Scope::All).await
}

/// Begins to copy, and returns once some more pages are there.
async fn begun(place: &Place, from: &str, to: &str) -> Child {
    let before = pages(to).await;
    let mut copy = place.command(env!("CARGO_BIN_EXE_restow"));
    copy.args(["copy", "-q", from, to])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut copy = copy.spawn().unwrap();
    while pages(to).await <= before {
        assert_eq!(copy.try_wait().unwrap(), None, "it was too fast for us");
    }
    copy
}

/// Copies from the file to a store and back into another file, interrupted in either direction.
async fn goes_on(to: &str, mut fail: impl FnMut(), mut mend: impl FnMut()) {
    const PAGES: u64 = 6_000;
    let place = Place::new();
    fill(&place, 6_000, &"x".repeat(2_000)).await;
    let from = place.path("from.db").display().to_string();
    let expected = digest_at(&from).await;
    // The program is killed.
    let mut copy = begun(&place, "from.db", to).await;
    copy.kill().unwrap();
    copy.wait().unwrap();
    // The server dies.
    let copy = begun(&place, "from.db", to).await;
    fail();
    let failed: Done = copy.wait_with_output().unwrap().into();
    assert_eq!(failed.code, 3, "{failed:?}");
    assert!(failed.err.contains("error: "), "{failed:?}");
    mend();
    let (held, done) = (pages(to).await, place.json(&["copy", "from.db", to]));
    assert!((1..PAGES).contains(&held), "{held}");
    let said = numbers(&done, ["present", "written", "missing", "differing"]);
    assert_eq!(said, [[held, PAGES - held, 0, 0]]);
    assert_eq!(digest_at(to).await, expected);
    let done = place.json(&["copy", to, "back.db"]);
    let said = numbers(&done, ["written", "compared", "missing", "differing"]);
    assert_eq!(said, [[PAGES, PAGES, 0, 0]]);
    let back = place.path("back.db").display().to_string();
    assert_eq!(digest_at(&back).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_to_postgres_that_was_broken_off_goes_on_and_ends_the_same() {
    let server = Postgres::start();
    goes_on(&server.fresh(), || server.kill(), || server.restart()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_to_redis_that_was_broken_off_goes_on_and_ends_the_same() {
    let Servers { redis, .. } = Servers::start();
    let (url, redis) = (redis.url(), std::cell::RefCell::new(redis));
    let fail = || redis.borrow_mut().kill();
    goes_on(&url, fail, || redis.borrow_mut().restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_far_away_is_waited_for() {
    let (servers, place) = (Servers::start(), stored().await);
    let whole = contents(&place, "items.db");
    let ports = [servers.postgres.port(), servers.redis.port()];
    for (to, port) in servers.both("far").into_iter().zip(ports) {
        let server = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let relay = Relay::far(server, Duration::from_millis(10)).await;
        let far = to.replace(&server.to_string(), &relay.address().to_string());
        let done = place.json(&["copy", "items.db", &far]);
        let said = numbers(&done, ["written", "present", "compared", "missing"]);
        assert_eq!(said, [[3, 0, 3, 0], [1, 0, 1, 0]], "{far}");
        assert_eq!(contents(&place, &far), whole, "{far}");
        let body = place.ok(&["get", "items", "1", "--cache", &far]);
        assert!(body.contains("lamp"), "{body}");
        let held = place.json(&["stats", "--cache", &far]);
        assert_eq!(held[0]["entries"], 4);
        place.ok(&[
            "copy",
            "-q",
            &far,
            &format!("{}.db", relay.address().port()),
        ]);
        place.ok(&["export", "-o", "far.ndjson", "--cache", &far]);
        place.ok(&["import", "far.ndjson", "--cache", &far]);
        // Who says how long is not made to wait longer.
        let hasty = format!("{far}hasty&timeout=20ms");
        let failed = place.run(&["copy", "-q", "items.db", &hasty]);
        assert_eq!(failed.code, 3, "{failed:?}");
        assert!(relay.asked() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_read_in_by_each_store_and_refused_where_nobody_would_find_it() {
    let (servers, place) = (Servers::start(), stored().await);
    place.ok(&["export", "-o", "all.ndjson", "--with-secret"]);
    place.ok(&["export", "-o", "plain.ndjson"]);
    let whole = contents(&place, "items.db");
    for (to, other) in servers.both("new").iter().zip(servers.both("other")) {
        let names = ["seen", "written", "present", "left_out"];
        let read = |file: &str, to: &str, more: &[&str]| {
            let done = place.json(&[&["import", file, "--cache", to], more].concat());
            numbers(done[0]["repositories"].as_array().unwrap(), names)
        };
        let said = read("all.ndjson", to, &[]);
        assert_eq!(said, [[3, 3, 0, 0], [1, 1, 0, 0]], "{to}");
        assert_eq!(contents(&place, to), whole, "{to}");
        let said = read("all.ndjson", to, &[]);
        assert_eq!(said, [[3, 0, 3, 0], [1, 0, 1, 0]], "{to}");
        // Without the secret.
        let import = ["import", "plain.ndjson", "--cache", &other];
        place.fails(&import, 2, "--without-digests");
        let said = read("plain.ndjson", &other, &["--without-digests"]);
        assert_eq!(said[1], [1, 0, 0, 1], "{other}");
        assert_eq!(contents(&place, &other).len(), 3, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_other_programs_are_taken_over_by_each_store() {
    let (servers, place, api) = (Servers::start(), Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    script(&place, "aiorequestful_file.py", "UTC", &["music.sqlite"]);
    let saved = ["http.sqlite", "pickle", &api.url("")];
    script(&place, "requests_cache_file.py", "UTC", &saved);
    let [postgres, redis] = servers.both("foreign");
    let mut held = Vec::new();
    for cache in ["items.db", &postgres, &redis] {
        let mut theirs = vec!["import", "aiorequestful", "music.sqlite", "--cache", cache];
        theirs.extend(["--timezone", "UTC", "--repository", "items"]);
        let saved = ["import", "requests-cache", "http.sqlite", "--cache", cache];
        let mut said = Vec::new();
        for run in [&theirs[..], &saved, &theirs, &saved] {
            let mut done = place.json(run).remove(0);
            said.push(done["repositories"].take());
        }
        // Once more, it changes nothing.
        for again in &said[2..] {
            assert_eq!(again[0]["written"], 0, "{again}");
        }
        held.push((json!(said), anyones(contents(&place, cache))));
        // A request finds what is public.
        let url = api.url("/items/2");
        let found = place.json(&["fetch", "--mode", "offline", "--cache", cache, &url]);
        assert_eq!(found[0]["outcome"], "hit", "{cache}");
    }
    assert!(held[0].1.len() >= 3, "{held:?}");
    assert_eq!(held[1], held[0], "PostgreSQL has what the file has");
    assert_eq!(held[2], held[0], "Redis has what the file has");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_makes_nothing_on_a_server() {
    let (servers, place) = (Servers::start(), stored().await);
    for cache in servers.both("typo") {
        for command in [&["ls"][..], &["stats"], &["show", "items"], &["purge"]] {
            let asked = [command, &["--cache", &cache]].concat();
            place.fails(&asked, 4, "there is no cache at");
        }
        place.fails(&["copy", &cache, "new.db"], 4, "there is no cache at");
        let url = "https://api.example.com/v1/items/1";
        place.ok(&["explain", url, "--cache", &cache]);
        let made = restow::store::format(&cache).await.unwrap().stored;
        assert_eq!(made, None, "{cache}");
    }
}
