//! A cache in Redis does for the program what a file does.

use crate::{
    running::Proxy,
    support::{Place, api, config},
};
use restow_testkit::redis::Redis;
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
