//! `fetch`: what reaches the API, what is kept, what is said.

use crate::support::{Place, api, config};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_each_host_has_a_repository_and_the_second_run_asks_nothing() {
    let (place, api) = (Place::new(), api().await);
    let url = api.url("/items/{1..5}?lang={de,en}");
    let first = place.ok(&["fetch", &url]);
    assert!(first.contains("10 URLs: 10 miss"), "{first}");
    let second = place.ok(&["fetch", &url]);
    assert!(second.contains("10 URLs: 10 hit"), "{second}");
    assert_eq!(api.asked(), 10);
    let listed = place.json(&["ls"]);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["repository"], json!(api.url("")));
    assert_eq!(listed[0]["entries"], 10);
    let body: Value =
        serde_json::from_str(&place.ok(&["get", &api.url("/items/3?lang=de")])).unwrap();
    assert_eq!(body["id"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_misses_at_once_are_one_request() {
    let (place, api) = (Place::new(), api().await);
    let url = api.url("/items/1");
    let mut arguments = vec!["fetch", "--jobs", "64"];
    arguments.extend([url.as_str(); 64]);
    let lines = place.json(&arguments);
    assert_eq!(api.asked(), 1);
    let summary = lines.last().unwrap();
    assert_eq!(summary["miss"], 1);
    assert_eq!(
        summary["hit"].as_u64().unwrap() + summary["coalesced"].as_u64().unwrap(),
        63
    );
    assert_eq!(summary["failed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_url_is_a_line_of_json_and_the_last_line_sums_up() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let lines = place.json(&["fetch", "--principal", "ada", &api.url("/items/1")]);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&lines[0]),
        [
            "bytes",
            "detail",
            "error",
            "ms",
            "outcome",
            "partition",
            "repository",
            "rfc",
            "rule",
            "saved",
            "status",
            "type",
            "url"
        ]
    );
    assert_eq!(lines[0]["type"], "response");
    assert_eq!(lines[0]["outcome"], "miss");
    assert_eq!(lines[0]["detail"], "absent");
    assert_eq!(lines[0]["rule"], "absent");
    assert_eq!(lines[0]["rfc"], "9111 4");
    assert_eq!(lines[0]["repository"], "items");
    assert_eq!(lines[0]["partition"], "p:ada");
    assert_eq!(lines[0]["saved"], "stored");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(
        keys(&lines[1]),
        [
            "bypass",
            "bytes",
            "coalesced",
            "failed",
            "hit",
            "miss",
            "refused",
            "saved_seconds",
            "seconds",
            "stale",
            "type",
            "urls",
            "validated"
        ]
    );
    assert_eq!(lines[1]["type"], "summary");
    assert_eq!(lines.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_stand_in_columns() {
    let (place, api) = (Place::new(), api().await);
    let text = place.ok(&[
        "fetch",
        "--jobs",
        "1",
        &api.url("/items/1"),
        &api.url("/items/1"),
    ]);
    let line = text.lines().next().unwrap();
    assert!(line.starts_with("miss       200  "), "{line}");
    assert!(
        line.ends_with(&format!(" B  {}", api.url("/items/1"))),
        "{line}"
    );
    assert!(!text.contains('\u{1b}'), "colour in a pipe: {text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_says_only_the_sum() {
    let (place, api) = (Place::new(), api().await);
    let text = place.ok(&["fetch", "-q", &api.url("/items/{1..3}")]);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_come_from_stdin_as_they_are() {
    let (place, api) = (Place::new(), api().await);
    let input = format!(
        "{}\n\n  {}  \nnonsense\n",
        api.url("/items/1"),
        api.url("/items/2")
    );
    let done = place.run_with_input(&["fetch", "--stdin"], &input);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.out.contains("3 URLs: 2 miss, 1 failed"),
        "{}",
        done.out
    );
    assert!(
        done.out.contains("nonsense  (it is not a whole URL"),
        "{}",
        done.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_some_all_and_not_held_apart() {
    let (place, api) = (Place::new(), api().await);
    let (there, missing) = (api.url("/items/1"), api.url("/nothing"));
    place.fails(&["fetch", &there, &missing], 1, "1 of 2 URLs failed");
    place.fails(&["fetch", &missing], 5, "the URL failed");
    place.fails(
        &["fetch", "--mode", "offline", &api.url("/items/9")],
        4,
        "the URL is not held",
    );
    place.fails(
        &["fetch", "--mode", "offline", &there, &api.url("/items/9")],
        4,
        "1 of 2 URLs is not held",
    );
    assert_eq!(api.calls_to("/items/9").len(), 0);
    // Nobody listens there any more.
    let gone = { crate::support::api().await.url("/items/1") };
    let done = place.fails(&["fetch", &gone], 5, "the URL failed");
    assert!(done.out.contains("failed"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_decide_who_is_asked() {
    let (place, api) = (Place::new(), api().await);
    let url = api.url("/items/1");
    let asked = |mode: &str| {
        let before = api.asked();
        let lines = place.json(&["fetch", "--mode", mode, &url]);
        (
            lines[0]["outcome"].as_str().unwrap().to_owned(),
            api.asked() - before,
        )
    };
    assert_eq!(asked("live"), ("miss".to_owned(), 1));
    assert_eq!(asked("live"), ("hit".to_owned(), 0));
    assert_eq!(asked("revalidate"), ("validated".to_owned(), 1));
    assert_eq!(asked("refresh"), ("miss".to_owned(), 1));
    assert_eq!(asked("offline").1, 0);
    assert_eq!(asked("bypass"), ("bypass".to_owned(), 1));
    assert_eq!(
        api.calls_to("/items/1")
            .iter()
            .filter(|c| !c.header("if-none-match").is_empty())
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_no_endpoint_is_fetched_and_not_kept_and_a_note_says_why() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let done = place.run(&["fetch", &api.url("/text")]);
    assert_eq!(done.code, 0);
    assert!(done.out.contains("(not-routed)"), "{}", done.out);
    assert!(
        done.err
            .contains("1 of the URLs match no endpoint of restow.toml"),
        "{}",
        done.err
    );
    place.ok(&["fetch", "-q", &api.url("/text")]);
    assert_eq!(api.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn principals_have_entries_of_their_own() {
    let place = Place::new()
        .with("TOKEN_1", "t-one")
        .with("TOKEN_2", "t-two");
    let api = api().await;
    let me = api.url("/me");
    place.ok(&[
        "fetch",
        "--principal",
        "ada",
        "--bearer-env",
        "TOKEN_1",
        &me,
    ]);
    // A new token does not matter to a principal.
    let again = place.ok(&[
        "fetch",
        "--principal",
        "ada",
        "--bearer-env",
        "TOKEN_2",
        &me,
    ]);
    assert!(again.contains("1 hit"), "{again}");
    let other = place.ok(&[
        "fetch",
        "--principal",
        "bob",
        "--bearer-env",
        "TOKEN_2",
        &me,
    ]);
    assert!(other.contains("1 miss"), "{other}");
    assert_eq!(
        place
            .json(&["ls", &api.url(""), "--principal", "ada"])
            .len(),
        1
    );
    assert_eq!(place.json(&["ls", &api.url("")]).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_spaces_what_reaches_the_api_and_not_what_is_held() {
    let (place, api) = (Place::new(), api().await);
    let url = api.url("/items/{1..5}");
    let time = |place: &Place| {
        place
            .json(&["fetch", "--rate", "20/s", &url])
            .last()
            .unwrap()["seconds"]
            .as_f64()
            .unwrap()
    };
    // Five requests have four gaps of 50 ms.
    assert!(time(&place) >= 0.19);
    let asked = api.asked();
    place.json(&["fetch", "--rate", "1/h", &url]);
    assert_eq!(api.asked(), asked);
}
