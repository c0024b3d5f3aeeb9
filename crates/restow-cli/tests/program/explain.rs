//! `explain` and `routes`: what would come of a request, without making it.

use crate::support::{Place, api, config};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_each_outcome_and_asks_nobody() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let explain = |arguments: &[&str]| {
        let mut all = vec!["explain"];
        all.extend(arguments);
        place.json(&all).remove(0)
    };
    let url = api.url("/items/1");
    let before = explain(&[&url]);
    assert_eq!(
        (&before["outcome"], &before["detail"], &before["endpoint"]),
        (&json!("miss"), &json!("absent"), &json!("items"))
    );
    assert!(!place.path("items.db").exists(), "a dry run makes no file");

    place.ok(&["fetch", "-q", &url]);
    let asked = api.asked();
    let hit = explain(&[&url]);
    assert_eq!(
        (&hit["outcome"], &hit["rule"], &hit["rfc"]),
        (&json!("hit"), &json!("fresh"), &json!("9111 4.2"))
    );
    assert_eq!(hit["held"][0]["key"], json!({ "id": "1", "lang": null }));
    let other = explain(&["--principal", "ada", &url]);
    assert_eq!(other["outcome"], "miss");
    assert_eq!(other["held_for_others"], json!(["public"]));
    assert!(
        other["advice"].as_str().unwrap().contains("another user"),
        "{other}"
    );
    let refused = explain(&["--mode", "offline", &api.url("/items/2")]);
    assert_eq!(refused["outcome"], "refused");
    let nowhere = explain(&[&api.url("/text")]);
    assert_eq!(
        (&nowhere["outcome"], &nowhere["detail"]),
        (&json!("bypass"), &json!("not-routed"))
    );
    assert_eq!(api.asked(), asked);

    let text = place.ok(&["explain", &url]);
    assert!(
        text.contains("outcome    hit") && text.contains("rule       fresh (RFC 9111 4.2)"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_answer_would_be_validated() {
    let (place, api) = (Place::new(), api().await);
    place.write(
        "restow.toml",
        &config(&api).replace("codec =", "expire_after = \"0\"\ncodec ="),
    );
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    let expired = place.json(&["explain", &api.url("/items/1")]).remove(0);
    assert_eq!(
        (&expired["outcome"], &expired["detail"]),
        (&json!("miss"), &json!("expired"))
    );
    assert!(
        expired["advice"].as_str().unwrap().contains("304"),
        "{expired}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_test_shows_the_way_there_and_back() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let url = api.url("/items/7?lang=de&b=2&a=1");
    let found = place.json(&["routes", "test", &url]).remove(0);
    assert_eq!(found["endpoint"], "items");
    assert_eq!(found["key"], json!({ "id": "7", "lang": "de" }));
    assert_eq!(found["query"], "a=1&b=2");
    assert_eq!(found["makes"], json!(api.url("/items/7?lang=de&a=1&b=2")));
    let text = place.ok(&["routes", "test", &url]);
    assert!(text.contains("key        id=7, lang=de ?a=1&b=2"), "{text}");

    let done = place.fails(
        &["routes", "test", &api.url("/item/7")],
        4,
        "belongs to no endpoint",
    );
    assert!(
        done.out.contains("\"item\" is not \"items\""),
        "{}",
        done.out
    );
    let done = place.fails(
        &["routes", "test", &api.url("/items/7?lang=de&lang=en")],
        4,
        "no key",
    );
    assert!(done.out.contains("more than once"), "{}", done.out);
    place.fails(
        &["routes", "test", "--method", "POST", &api.url("/items/7")],
        4,
        "belongs to no endpoint",
    );
    assert_eq!(api.asked(), 0);
}

#[test]
fn the_example_of_github_explains_its_urls() {
    let place = Place::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/github.toml");
    for (url, endpoint) in [
        ("https://api.github.com/repos/rust-lang/rust", "repos"),
        (
            "https://api.github.com/repos/rust-lang/rust/issues?page=2",
            "issues",
        ),
        ("https://api.github.com/users/octocat", "users"),
        ("https://api.github.com/user", "me"),
    ] {
        let found = place
            .json(&["routes", "test", "--config", file, url])
            .remove(0);
        assert_eq!(found["endpoint"], endpoint, "{url}");
    }
    assert!(
        place
            .ok(&["routes", "check", "--config", file])
            .contains("all is well")
    );
}

#[test]
fn routes_check_names_what_is_wrong() {
    let place = Place::new();
    place.fails(
        &["routes", "check"],
        2,
        "there is no configuration to check",
    );
    place.fails(
        &["routes", "check", "--config", "none.toml"],
        2,
        "none.toml",
    );
    let endpoint =
        |name: &str, route: &str| format!("[[endpoint]]\nname = \"{name}\"\nroute = \"{route}\"\n");
    place.write(
        "clash.toml",
        &(endpoint("a", "GET https://a.example/{x}") + &endpoint("b", "GET https://a.example/{y}")),
    );
    place.fails(
        &["routes", "check", "--config", "clash.toml"],
        2,
        "neither is more specific",
    );
    place.write(
        "typo.toml",
        &(endpoint("a", "GET https://a.example/{x}") + "expire_aftr = \"1 day\"\n"),
    );
    place.fails(
        &["routes", "check", "--config", "typo.toml"],
        2,
        "expire_after",
    );
    place.write("good.toml", &endpoint("a", "GET https://a.example/{x}"));
    let good = place
        .json(&["routes", "check", "--config", "good.toml"])
        .remove(0);
    assert_eq!(
        (&good["ok"], &good["routes"], &good["endpoints"][0]["name"]),
        (&json!(true), &json!(1), &json!("a"))
    );
}
