//! `refresh`: what is held is confirmed, oldest first.

use crate::support::{Place, api, config};
use restow_testkit::{Origin, Reply};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_confirmed_without_its_body() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    place.ok(&["fetch", "-q", &api.url("/items/{1..5}")]);
    let dry = &place.json(&["refresh", "items", "--dry-run"])[0];
    assert_eq!(*dry, json!({ "dry_run": true, "would_ask": 5, "left": 0 }));
    assert_eq!(api.asked(), 5);
    let done = &place.json(&["refresh", "items"])[0];
    assert_eq!((&done["asked"], &done["confirmed"]), (&json!(5), &json!(5)));
    for id in 1..=5 {
        let calls = api.calls_to(&format!("/items/{id}"));
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[1].header("if-none-match"), format!("\"{id}\""));
    }
    assert_eq!(
        place.ok(&["refresh", "items", "--where", "id=3"]),
        "asked for 1: 1 confirmed, 0 fetched anew, 0 failed\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_for_those_that_were_checked_longest_ago() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    for id in [4, 2, 5] {
        place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
    }
    let done = &place.json(&["refresh", "items", "--budget", "2"])[0];
    assert_eq!(
        (&done["asked"], &done["over_budget"]),
        (&json!(2), &json!(1))
    );
    let asked = |id: u32| api.calls_to(&format!("/items/{id}")).len();
    assert_eq!((asked(4), asked(2), asked(5)), (2, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_asks_to_be_left_alone_is_and_what_is_held_stays() {
    let api = Origin::start(|call| match call.nth {
        0 => Reply::ok("{}").header("etag", "\"a\""),
        _ => Reply::status(429)
            .header("retry-after", "3600")
            .then("slow down"),
    })
    .await;
    let place = Place::new();
    place.write("restow.toml", &config(&api));
    place.ok(&["fetch", "-q", &api.url("/items/{1..4}")]);
    let done = place.run(&["refresh", "items", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let said: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (&said["asked"], &said["failed"], &said["resting"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(api.asked(), 5);
    assert_eq!(place.ok(&["get", "items", "4"]), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_others_are_left_alone() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let me = api.url("/me");
    place.ok(&["fetch", "-q", "-H", "Authorization: Bearer 1", &me]);
    let done = &place.json(&["refresh", "me"])[0];
    assert_eq!((&done["asked"], &done["left"]), (&json!(0), &json!(1)));
    let done = &place.json(&["refresh", "me", "-H", "Authorization: Bearer 1"])[0];
    assert_eq!((&done["asked"], &done["changed"]), (&json!(1), &json!(1)));
    assert_eq!(api.asked(), 2);
}
