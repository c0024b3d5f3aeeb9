//! A cache in Redis does for the program what a file does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "where a test cannot run the program, it has to fail"
)]

use crate::{
    running::Proxy,
    support::{Place, api, config},
};
use restow_testkit::{dropping::in_time, http_client, redis::Redis};
use serde_json::json;

#[test]
fn the_demo_runs_on_redis_and_its_commands_too_and_no_password_is_printed() {
    let server = Redis::with(&["--requirepass", "s3cret"]);
    let place = Place::new();
    let password = place.path("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let host = format!("127.0.0.1:{}", server.port());
    // On a busy machine it is slow, and not down.
    let url = format!("redis://:s3cret@{host}?prefix=demo&timeout=5s");
    let story = place.json(&["demo", "--cache", &url]).remove(0);
    let outcomes: Vec<_> = story["phases"].as_array().unwrap().iter().collect();
    assert_eq!(outcomes[0]["outcomes"], json!({ "miss": 221 }));
    assert_eq!(outcomes[3]["outcomes"], json!({ "stale": 221 }));
    assert_eq!(outcomes[4]["outcomes"], json!({ "validated": 221 }));
    let text = place.ok(&["demo", "--cache", &url]);
    assert!(!text.contains("s3cret"), "{text}");
    assert!(
        text.contains(&format!("redis://{host}?prefix=demo")),
        "{text}"
    );
    let url = format!(
        "redis://{host}?prefix=demo&password_file={}",
        password.display()
    );
    let held = place.ok(&["ls", "items", "--where", "kind=lamp", "--cache", &url]);
    assert!(held.lines().count() > 5, "{held}");
    place.ok(&["show", "http://demo.example/items/7", "--cache", &url]);
    let stats = place.ok(&["stats", "--cache", &url]);
    assert!(stats.contains("items"), "{stats}");
    place.ok(&["rm", "pages", "--all", "--cache", &url]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_say_what_the_server_does_when_its_memory_is_full() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let stats = |policy: &[&str]| {
        let server = Redis::with(policy);
        let url = server.url();
        place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
        let told = place.json(&["stats", "--cache", &url]).remove(0);
        let text = place.ok(&["stats", "--cache", &url]);
        let line = text.lines().find(|line| line.starts_with("memory: "));
        (told["memory"].clone(), line.unwrap().to_owned())
    };
    let (told, line) = stats(&[]);
    assert_eq!(
        (&told["most"], &told["removes_entries"]),
        (&json!(null), &json!(false))
    );
    assert!(
        told["used"].as_u64().unwrap() > 0 && line.contains("without a bound"),
        "{line}"
    );
    for (policy, removes, says) in [
        ("volatile-lru", true, "the server removes entries"),
        ("allkeys-lru", true, "set maxmemory-policy to volatile-lru"),
        ("noeviction", false, "the server refuses to save"),
    ] {
        let (told, line) = stats(&["--maxmemory", "64mb", "--maxmemory-policy", policy]);
        assert_eq!(told["most"], 64 << 20, "{told}");
        assert_eq!(told["policy"], policy, "{told}");
        assert_eq!(told["removes_entries"], removes, "{told}");
        assert_eq!(told["advice"].is_null(), policy == "volatile-lru", "{told}");
        for part in ["of 67.1 MB (maxmemory)", policy, says] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    // A file has no server.
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    assert!(place.json(&["stats"])[0].get("memory").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_of_a_server_that_does_not_tell_are_said_all_the_same() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let server = Redis::start();
    let rules = [
        "ACL", "SETUSER", "mute", "on", "nopass", "~*", "&*", "+@all", "-info",
    ];
    let _: String = server.ask(&rules);
    let url = format!("redis://mute@127.0.0.1:{}", server.port());
    place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let text = place.ok(&["stats", "--cache", &url]);
    assert!(
        text.contains("memory: not known: ") && text.contains("items"),
        "{text}"
    );
    let told = place.json(&["stats", "--cache", &url]).remove(0);
    assert!(
        told.get("memory").is_none() && told["entries"] == 1,
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_declaration_keeps_no_answer_back_and_commands_say_the_way_out() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let server = Redis::start();
    let url = server.url();
    place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let declared: String = server.ask(&["HGET", "restow:meta", "repository:items"]);
    let damaged = declared.replacen("name", "nale", 1);
    let _: i64 = server.ask(&["HSET", "restow:meta", "repository:items", &damaged]);
    let fetched = place.json(&["fetch", "--cache", &url, &api.url("/items/1")]);
    assert_eq!(fetched[0]["status"], 200, "{fetched:?}");
    assert_eq!(api.asked(), 2);
    // Without a configuration, too.
    let elsewhere = Place::new();
    elsewhere.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let told = place.run(&["ls", "items", "--cache", &url]);
    assert_eq!(told.code, 3, "{told:?}");
    for part in ["\"items\"", "damaged", "HDEL restow:meta repository:items"] {
        assert!(told.err.contains(part), "{part}: {told:?}");
    }
    let _: i64 = server.ask(&["HDEL", "restow:meta", "repository:items"]);
    place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let hit = place.json(&["fetch", "--cache", &url, &api.url("/items/1")]);
    assert_eq!(hit[0]["outcome"], "hit", "{hit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_starts_over_a_store_that_is_damaged_or_down() {
    let (place, api) = (Place::new(), api().await);
    let upstream = format!("\n[[upstream]]\nurl = \"{}\"\n", api.url(""));
    place.write("restow.toml", &(config(&api) + &upstream));
    let mut server = Redis::start();
    let url = server.url();
    place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let _: i64 = server.ask(&["HSET", "restow:meta", "repository:items", "1 256 x"]);
    let asked = async || {
        let proxy = Proxy::start(&place, &["--cache", &url]);
        let client = restow_testkit::http_client().build().unwrap();
        let answer = client.get(format!("{}/items/1", proxy.url)).send().await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(proxy.stop(), Some(0));
    };
    asked().await;
    server.kill();
    asked().await;
}

async fn asked(url: &str) -> String {
    let client = http_client().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.unwrap()
}

/// What a line of `/metrics` says.
fn number(page: &str, name: &str) -> u64 {
    let mut lines = page.lines().map(|line| line.rsplit_once(' '));
    let found = lines.find_map(|line| line.filter(|(of, _)| *of == name));
    let (_, number) = found.unwrap_or_else(|| panic!("{name} is not there: {page}"));
    number.parse().unwrap()
}

/// Asks the proxy for items until a number of `/metrics` is another than 0, and returns the page.
async fn until_told(proxy: &Proxy, name: &str) -> String {
    let metrics = format!("{}/metrics", proxy.admin.as_deref().unwrap());
    in_time(name, async {
        loop {
            // Whatever the store does, each is answered.
            asked(&format!("{}/items/1", proxy.url)).await;
            let page = asked(&metrics).await;
            if number(&page, name) > 0 {
                return page;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_told_to_operators_until_it_is_back() {
    let (place, api) = (Place::new(), api().await);
    let upstream = format!("\n[[upstream]]\nurl = \"{}\"\n", api.url(""));
    place.write("restow.toml", &(config(&api) + &upstream));
    let mut server = Redis::start();
    // Without memory before it, each request asks the store.
    // On a busy machine it is slow, and not down.
    let url = format!("{}?timeout=2s", server.url());
    let arguments = ["--cache", &*url, "--memory", "0", "--admin", "127.0.0.1:0"];
    let proxy = Proxy::start(&place, &arguments);
    let ready = format!("{}/readyz", proxy.admin.as_deref().unwrap());
    const OPEN: &str = r#"restow_store_breaker{calls="reads",state="open"}"#;
    const CLOSED: &str = r#"restow_store_breaker{calls="reads",state="closed"}"#;
    const OPENS: &str = r#"restow_store_breaker_opens_total{calls="reads"}"#;
    const FAILURES: &str = r#"restow_store_failures_total{calls="reads"}"#;
    const TIMEOUTS: &str = r#"restow_store_timeouts_total{calls="reads"}"#;
    const REFUSED: &str = r#"restow_store_refused_total{calls="reads"}"#;
    let page = until_told(&proxy, "restow_entries{repository=\"items\"}").await;
    assert_eq!(number(&page, CLOSED), 1);
    for name in [OPEN, OPENS, FAILURES, TIMEOUTS, REFUSED] {
        assert_eq!(number(&page, name), 0, "{name}");
    }
    assert_eq!(asked(&ready).await, "ready\n");

    server.kill();
    let page = until_told(&proxy, OPEN).await;
    assert_eq!(number(&page, CLOSED), 0);
    assert!(number(&page, OPENS) > 0 && number(&page, FAILURES) > 0);
    let down = "ready, but the store is down: requests go to the API\n";
    assert_eq!(asked(&ready).await, down);
    let page = until_told(&proxy, REFUSED).await;
    // It has no numbers of its own now.
    assert!(!page.contains("restow_entries{"), "{page}");

    server.restart();
    let page = until_told(&proxy, CLOSED).await;
    assert_eq!(number(&page, OPEN), 0);
    assert!(number(&page, OPENS) > 0, "what was is not forgotten");
    assert_eq!(asked(&ready).await, "ready\n");
    // One that stands still is given up.
    server.pause();
    let page = until_told(&proxy, TIMEOUTS).await;
    assert!(number(&page, FAILURES) >= number(&page, TIMEOUTS));
    server.resume();
    assert_eq!(proxy.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_tell_how_the_store_does() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let mut server = Redis::start();
    let url = format!("{}?timeout=5s", server.url());
    place.ok(&["fetch", "-q", "--cache", &url, &api.url("/items/1")]);
    let text = place.ok(&["stats", "--cache", &url]);
    let line = "breaker: reads closed (0 failed, 0 of them too slow), changes closed (0 failed, 0 of them too slow)";
    assert!(text.lines().any(|l| l == line), "{text}");
    let side = json!({
        "breaker": "closed",
        "opens": 0,
        "failures": 0,
        "timeouts": 0,
        "refused": 0,
        "last_failure": null,
    });
    let told = place.json(&["stats", "--cache", &url]).remove(0);
    let health = json!({ "up": true, "reads": side, "changes": side });
    assert_eq!(told["health"], health);
    server.kill();
    place.fails(&["stats", "--cache", &url], 3, "is down");
    place.fails(&["stats", "--json", "--cache", &url], 3, "is down");
    // A file is watched by nobody.
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    assert!(!place.ok(&["stats"]).contains("breaker: "));
    assert!(place.json(&["stats"])[0].get("health").is_none());
}
