//! A proxy over a table that does not fit what is declared.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use restow_testkit::{Origin, Reply, http_client};

/// An API whose answers all may be stored, by their own word.
async fn api() -> Origin {
    Origin::start(|call| {
        Reply::ok(format!("{{\"nth\":{}}}", call.nth))
            .header("content-type", "application/json")
            .header("cache-control", "public, max-age=600")
    })
    .await
}

fn config(api: &Origin, variables: &str) -> String {
    let root = api.url("");
    format!(
        r#"cache = "items.db"
[[upstream]]
url = "{root}"
[[endpoint]]
name = "items"
route = "GET {root}/items/{{id}}{variables}"
[[endpoint]]
name = "people"
route = "GET {root}/people/{{id}}"
"#
    )
}

async fn cache_status(proxy: &Proxy, path: &str) -> String {
    let client = http_client().build().unwrap();
    let url = format!("{}{path}", proxy.url);
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let status = answer.headers()["cache-status"]
        .to_str()
        .unwrap()
        .to_owned();
    answer.bytes().await.unwrap();
    status
}

async fn asked(url: &str) -> String {
    let client = http_client().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_requests_bypass_the_cache_and_all_else_is_served() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api, "{?lang}"));
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    place.write("restow.toml", &config(&api, "{?lang,size:int}"));

    let proxy = Proxy::start(&place, &["--admin", "127.0.0.1:0"]);
    let warned = proxy.wait_for("bypass");
    for word in [
        "items",
        "size:int?",
        "on_schema_change = \"set-aside\"",
        "WARN",
    ] {
        assert!(warned.contains(word), "{word}: {warned}");
    }
    for (nth, path) in [
        "/items/1",
        "/items/1",
        "/items/1?size=2",
        "/items/1?other=1",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            cache_status(&proxy, path).await,
            "restow; fwd=bypass; fwd-status=200; detail=schema-mismatch"
        );
        // One was made before the proxy ran.
        assert_eq!(api.asked(), nth + 2);
    }
    let people = cache_status(&proxy, "/people/1").await;
    assert!(people.ends_with("; stored"), "{people}");
    let people = cache_status(&proxy, "/people/1").await;
    assert!(people.starts_with("restow; hit"), "{people}");

    let admin = proxy.admin.as_deref().unwrap();
    let ready = asked(&format!("{admin}/readyz")).await;
    assert!(ready.starts_with("ready, but"), "{ready}");
    let metrics = asked(&format!("{admin}/metrics")).await;
    let line =
        r#"restow_request_duration_seconds_count{outcome="bypass",detail="schema-mismatch"} 4"#;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
    let line = r#"restow_entries{repository="everything"} 0"#;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
    let explained = asked(&format!("{admin}/explain?url=/items/1")).await;
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["outcome"], "bypass; detail=schema-mismatch");
    assert_eq!(explained["repository"], "items");
    assert!(
        explained["why"].as_str().unwrap().contains("size:int?"),
        "{explained}"
    );
    assert_eq!(proxy.stop(), Some(0));
    // What was stored under the other declaration is as it was.
    place.write("restow.toml", &config(&api, "{?lang}"));
    let hit = &place.json(&["fetch", "--mode", "offline", &api.url("/items/1")])[0];
    assert_eq!(hit["outcome"], "hit", "{hit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_table_is_migrated_a_reload_makes_it_fit() {
    let (place, api) = (Place::new(), api().await);
    let config = config(&api, "{?lang}");
    place.write("restow.toml", &config);
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    let changed = config.replace("{?lang}\"", "{?lang,size:int}\"\ndefaults = { size = 2 }");
    place.write("restow.toml", &changed);
    let proxy = Proxy::start(&place, &["--admin", "127.0.0.1:0"]);
    let warned = proxy.wait_for("bypass");
    assert!(warned.contains("`restow migrate`"), "{warned}");
    let before = cache_status(&proxy, "/items/1").await;
    assert!(before.contains("schema-mismatch"), "{before}");
    place.ok(&["migrate"]);
    proxy.signal("-HUP");
    proxy.wait_for("read anew");
    let after = cache_status(&proxy, "/items/1?size=2").await;
    assert!(after.starts_with("restow; hit"), "{after}");
    let ready = asked(&format!("{}/readyz", proxy.admin.as_deref().unwrap())).await;
    assert_eq!(ready, "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_no_more_is_kept_and_found_by_no_request() {
    let (place, api) = (Place::new(), api().await);
    let whole = config(&api, "{?lang}");
    place.write("restow.toml", &whole);
    place.ok(&["fetch", "-q", &api.url("/people/1")]);
    let until = whole.find("[[endpoint]]\nname = \"people\"").unwrap();
    place.write("restow.toml", &whole[..until]);
    let proxy = Proxy::start(&place, &["--admin", "127.0.0.1:0"]);
    let first = cache_status(&proxy, "/people/1").await;
    assert!(first.starts_with("restow; fwd=uri-miss"), "{first}");
    let metrics = asked(&format!("{}/metrics", proxy.admin.as_deref().unwrap())).await;
    for line in [
        r#"restow_entries{repository="people"} 1"#,
        r#"restow_entries{repository="everything"} 1"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
}
