//! `get`, `show`, `ls`, `rm`, `purge` and `stats`: what is held, and what is not any more.

use crate::support::{Done, Place, api, config};
use serde_json::{Value, json};
use std::process::Stdio;

/// A cache of five items and a text, by a configuration.
async fn filled() -> (Place, restow_testkit::Origin) {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    place.ok(&["fetch", "-q", &api.url("/items/{1..5}")]);
    (place, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn get_writes_the_body_and_nothing_else() {
    let (place, api) = filled().await;
    let body = "{\"id\":\"3\",\"kind\":\"lamp\",\"name\":\"Item 3\"}";
    assert_eq!(place.ok(&["get", &api.url("/items/3")]), body);
    assert_eq!(place.ok(&["get", "items", "3"]), body);
    assert_eq!(place.ok(&["get", "items", "3", "-"]), body);
    let object = &place.json(&["get", "items", "3"])[0];
    assert_eq!(object["body"]["name"], "Item 3");
    assert_eq!(object["key"], json!({ "id": "3", "lang": null }));
    assert_eq!(api.asked(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_held_is_exit_4_and_says_what_was_looked_for() {
    let (place, api) = filled().await;
    place.fails(
        &["get", "items", "9"],
        4,
        "repository \"items\" holds nothing for id=9, lang=-",
    );
    place.fails(&["get", &api.url("/items/9")], 4, "holds nothing");
    place.fails(&["show", "items", "9"], 4, "holds nothing");
    place.fails(&["get", "item", "9"], 4, "did you mean \"items\"?");
    place.fails(
        &["get", "https://other.example/x"],
        4,
        "belongs to no repository",
    );
    place.fails(&["ls", "nothing"], 4, "there is no repository \"nothing\"");
    place.fails(
        &["ls", "--cache", "none.db"],
        4,
        "there is no cache at none.db",
    );
    assert!(!place.path("none.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_is_exit_2_and_shows_the_fields() {
    let (place, api) = filled().await;
    place.fails(
        &["get", "items"],
        2,
        "there is no value for \"id\"; the key of \"items\" is (id, lang?)",
    );
    place.fails(&["get", "items", "1", "de", "x"], 2, "there are 3 values");
    place.fails(
        &["get", &api.url("/items/1"), "1"],
        2,
        "a URL has its key in it",
    );
    place.fails(&["get", "ftp://a.example/x"], 2, "is not a URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_answers_are_written_only_when_asked_for() {
    let (place, api) = (Place::new(), api().await);
    place.write(
        "restow.toml",
        &config(&api).replace("codec =", "expire_after = \"0\"\ncodec ="),
    );
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    place.fails(
        &["get", "items", "1"],
        4,
        "only an expired answer (--stale writes it)",
    );
    assert!(
        place
            .ok(&["get", "items", "1", "--stale"])
            .contains("Item 1")
    );
    assert_eq!(place.json(&["ls", "items", "--live"]).len(), 0);
    assert_eq!(place.json(&["ls", "items", "--expired"]).len(), 1);
    assert_eq!(
        place.ok(&["purge", "--dry-run"]),
        "would remove 1 from items\n"
    );
    assert_eq!(place.ok(&["purge"]), "removed 1 from items\n");
    assert_eq!(place.ok(&["purge"]), "removed nothing\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn show_tells_head_times_and_validator() {
    let (place, _api) = filled().await;
    let text = place.ok(&["show", "items", "3"]);
    for part in [
        "items id=3, lang=-  200 OK  live",
        "label        Item 3",
        "whose        public",
        "expires      20",
        "(in 7 days)",
        "validator    \"3\"",
        "kind         lamp",
        "etag: \"3\"",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let object = &place.json(&["show", "items", "3"])[0];
    assert_eq!(object["etag"], "\"3\"");
    assert_eq!(object["status"], 200);
    assert_eq!(object["live"], true);
    assert_eq!(object["columns"], json!({ "kind": "lamp" }));
    assert!(
        object["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["etag", "\"3\""]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_all_without_its_configuration() {
    let (place, api) = filled().await;
    std::fs::remove_file(place.path("restow.toml")).unwrap();
    let of = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--cache", "items.db"]);
        place.ok(&all)
    };
    assert!(of(&["get", &api.url("/items/3")]).contains("Item 3"));
    assert!(of(&["ls"]).contains("items"));
    assert!(of(&["explain", &api.url("/items/3")]).contains("outcome    hit"));
    assert!(of(&["routes", "test", &api.url("/items/3")]).contains("endpoint   items"));
    assert!(of(&["fetch", &api.url("/items/3")]).contains("1 hit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_lists_by_every_selection() {
    let (place, api) = filled().await;
    place.ok(&[
        "fetch",
        "-q",
        "--principal",
        "ada",
        &api.url("/items/1?lang=de"),
    ]);
    let url = api.url("/items/2");
    for (selection, count) in [
        (&[][..], 6),
        (&["--where", "id=1"], 2),
        (&["--where", "kind=lamp"], 6),
        (&["--where", "kind=chair"], 0),
        (&["--where", "lang=de"], 1),
        (&["--where", "lang"], 5),
        (&["--where", "id=1", "--where", "lang=de"], 1),
        (&["--url", url.as_str()], 1),
        (&["--principal", "ada"], 1),
        (&["--principal", "bob"], 0),
        (&["--status", "200"], 6),
        (&["--status", "404"], 0),
        (&["--since", "1 hour"], 6),
        (&["--until", "1 hour"], 0),
        (&["--since", "2000-01-01"], 6),
        (&["--changed-since", "2999-01-01"], 0),
        (&["--tag", "x"], 0),
        (&["--live"], 6),
        (&["--expired"], 0),
        (&["--limit", "2"], 2),
        (&["--limit", "0"], 6),
    ] {
        let mut arguments = vec!["ls", "items"];
        arguments.extend(selection);
        assert_eq!(place.json(&arguments).len(), count, "{selection:?}");
        if !selection.contains(&"--limit") {
            arguments.push("--count");
            assert_eq!(
                place.json(&arguments)[0],
                json!({ "count": count }),
                "{selection:?}"
            );
        }
    }
    let text = place.ok(&["ls", "items"]);
    assert!(text.starts_with("ID, LANG "), "{text}");
    assert!(text.contains("p:ada") && text.contains("public"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_overviews_the_repositories() {
    let (place, api) = filled().await;
    let lines = place.json(&["ls"]);
    let items = lines.iter().find(|l| l["repository"] == "items").unwrap();
    assert_eq!(items["entries"], 5);
    assert_eq!(items["fields"], json!(["id", "lang?"]));
    assert_eq!(
        items["routes"],
        json!([format!("{}/items/{{id}}{{?lang}}", api.url(""))])
    );
    assert!(place.ok(&["ls"]).contains("REPOSITORY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_removes_what_it_counts_and_asks_before_all() {
    let (place, api) = filled().await;
    place.fails(&["rm"], 2, "say --all");
    place.fails(&["rm", "items"], 2, "say --all");
    place.fails(&["rm", "items", "--all", "--live"], 2, "leave one out");
    assert_eq!(
        place.ok(&["rm", "--where", "id=1", "--dry-run"]),
        "would remove 1 from items\n"
    );
    assert_eq!(
        place.ok(&["rm", "--where", "id=1"]),
        "removed 1 from items\n"
    );
    assert_eq!(
        place.ok(&["rm", "--url", &api.url("/items/2")]),
        "removed 1 from items\n"
    );
    let object = &place.json(&["rm", "items", "--all"])[0];
    assert_eq!(
        *object,
        json!({ "removed": 3, "dry_run": false, "repositories": { "items": 3 } })
    );
    assert_eq!(place.json(&["ls", "items"]).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_selections_are_exit_2() {
    let (place, _api) = filled().await;
    place.fails(
        &["ls", "items", "--where", "colour=red"],
        2,
        "there is no field or column \"colour\"; there are (id, lang, kind)",
    );
    place.fails(
        &["ls", "--where", "colour=red"],
        2,
        "no repository has the fields or columns \"colour\"",
    );
    place.fails(
        &["ls", "items", "--since", "soon"],
        2,
        "--since \"soon\" is no time",
    );
    place.fails(&["ls", "items", "--status", "99"], 2, "--status");
    place.fails(
        &["ls", "items", "--live", "--expired"],
        2,
        "cannot be used with",
    );
    place.fails(&["purge", "--live"], 2, "purge removes what has expired");
    place.fails(&["ls", "--principal", ""], 2, "principal");
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_sum_up() {
    let (place, _api) = filled().await;
    let object = &place.json(&["stats"])[0];
    assert_eq!(object["entries"], 5);
    assert_eq!(object["kind"], "sqlite");
    assert!(object["bytes"].as_u64().unwrap() > 0);
    let of_items: Vec<&Value> = object["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["repository"] == "items")
        .collect();
    assert_eq!(of_items[0]["entries"], 5);
    assert!(place.ok(&["stats", "items"]).contains("total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_tell_how_old_entries_are_and_how_soon_they_expire() {
    let (place, _api) = filled().await;
    let ages = &place.json(&["stats"])[0]["ages"];
    assert_eq!(ages["exact"], true);
    let spans = |of: &str| -> Vec<(String, u64)> {
        let shares = ages[of].as_array().unwrap().iter();
        let pairs = shares.map(|s| (s["within"].to_string(), s["entries"].as_u64().unwrap()));
        pairs.collect()
    };
    let names = ["1 hour", "1 day", "7 days", "30 days", "beyond"].map(|n| format!("{n:?}"));
    let expected = |counts: [u64; 5]| -> Vec<_> { names.iter().cloned().zip(counts).collect() };
    assert_eq!(spans("stored"), expected([5, 0, 0, 0, 0]));
    // By default they are fresh for seven days, of which some moments are gone.
    assert_eq!(spans("expires"), expected([0, 0, 5, 0, 0]));
    let shown = place.ok(&["stats"]);
    assert!(
        shown.contains("WITHIN") && shown.contains("1 hour"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_users_of_one_key_are_told_apart() {
    let (place, api) = (Place::new(), api().await);
    for user in ["ada", "bob"] {
        place.ok(&["fetch", "-q", "--principal", user, &api.url("/items/1")]);
    }
    place.fails(
        &["get", &api.url("/items/1")],
        2,
        "it is held for several users (p:ada, p:bob)",
    );
    assert!(
        place
            .ok(&["get", "--principal", "bob", &api.url("/items/1")])
            .contains("Item 1")
    );
    place.fails(
        &["get", "--principal", "eve", &api.url("/items/1")],
        4,
        "holds nothing",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_is_no_error() {
    let (place, _api) = filled().await;
    let mut command = place.command(env!("CARGO_BIN_EXE_restow"));
    command
        .args(["ls", "items", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Nobody reads.
    drop(child.stdout.take());
    let done: Done = child.wait_with_output().unwrap().into();
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

#[test]
fn a_file_that_is_no_cache_is_exit_3() {
    let place = Place::new();
    place.write(
        "notes.db",
        &"these are not the bytes of a database ".repeat(100),
    );
    place.fails(&["ls", "--cache", "notes.db"], 3, "error:");
    place.fails(&["ls", "--cache", "mysql://h/db"], 2, "mysql");
    place.fails(
        &["ls", "--cache", "sqlite://a.db?mod=ro"],
        4,
        "there is no cache",
    );
}
