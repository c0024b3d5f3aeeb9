//! `restow migrate`.

use crate::support::{Place, api, config};

/// A place with three entries, and the configuration they were stored under.
async fn stored() -> (Place, String, String) {
    let (place, api) = (Place::new(), api().await);
    let config = config(&api);
    place.write("restow.toml", &config);
    for id in 0..3 {
        place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
    }
    (place, config, api.url("/items/1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_changed_is_said_by_a_check_and_done_without_it() {
    let (place, config, url) = stored().await;
    let out = place.ok(&["migrate", "--check"]);
    assert!(out.contains("changes to make: 0"), "{out}");
    let changed = config
        .replace("{?lang}", "{?lang,size:int}")
        .replace(
            "label = [\"/name\"]",
            "label = [\"/name\"]\ndefaults = { size = 2 }",
        )
        .replace("{ kind = \"/kind\" }", "{ title = \"/name\" }");
    place.write("restow.toml", &changed);
    // Who would use it is told what helps.
    let refused = place.fails(&["fetch", &url], 2, "`restow migrate`");
    assert!(refused.err.contains("size:int?"), "{}", refused.err);
    let before = std::fs::read(place.path("items.db")).unwrap();
    let done = place.fails(&["migrate", "--check"], 3, "makes the changes: 3");
    for line in [
        "the field size:int? is added; the entries that are there get 2",
        "the column kind = /kind is dropped",
        "the column title = /name is added and filled in",
        "changes to make: 3",
    ] {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
    assert_eq!(std::fs::read(place.path("items.db")).unwrap(), before);
    let done = &place.json(&["migrate"])[0];
    assert_eq!(done["done"], true);
    assert_eq!(done["changes"].as_array().unwrap().len(), 3);
    let out = place.ok(&["migrate", "--check"]);
    assert!(out.contains("changes to make: 0"), "{out}");
    // Nothing was fetched again, and what was added is there.
    let hit = &place.json(&["fetch", "--mode", "offline", &url])[0];
    assert_eq!(hit["outcome"], "hit", "{hit}");
    let entry = &place.json(&["ls", "items", "--where", "title=Item 1"])[0];
    assert_eq!(entry["key"]["size"], 2, "{entry}");
    // There is no way back: two sizes would become one key.
    place.write("restow.toml", &config);
    place.fails(&["migrate"], 3, "cannot become what is configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_migrated_is_said_and_left_as_it_is() {
    let (place, config, url) = stored().await;
    place.write(
        "restow.toml",
        &config.replace("{?lang}", "{?lang,size:int}"),
    );
    let done = place.fails(
        &["migrate", "--check"],
        3,
        "cannot become what is configured",
    );
    assert!(done.out.contains("set-aside"), "{}", done.out);
    place.fails(&["migrate"], 3, "cannot become what is configured");
    place.write("restow.toml", &config);
    let hit = &place.json(&["fetch", "--mode", "offline", &url])[0];
    assert_eq!(hit["outcome"], "hit", "{hit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_needs_no_configuration_and_has_to_be_one_of_ours() {
    let (place, _, _) = stored().await;
    std::fs::remove_file(place.path("restow.toml")).unwrap();
    let done = &place.json(&["migrate", "--check", "items.db"])[0];
    assert_eq!(done["format"], done["newest_format"]);
    place.fails(&["migrate", "none.db"], 4, "none.db");
    place.fails(&["migrate", "memory:"], 2, "SQLite");
    place.write("text.db", &"hello ".repeat(1_000));
    place.fails(&["migrate", "text.db"], 3, "not a SQLite database");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_format_becomes_the_newest() {
    let place = Place::new();
    let golden = include_bytes!("../../../restow/tests/golden/format-1.db");
    std::fs::write(place.path("old.db"), golden).unwrap();
    let check = place.fails(&["migrate", "--check", "old.db"], 3, "makes the changes: 1");
    assert!(
        check.out.contains("the file: format 1 becomes "),
        "{check:?}"
    );
    assert_eq!(std::fs::read(place.path("old.db")).unwrap(), golden);
    let done = &place.json(&["migrate", "old.db"])[0];
    assert_eq!(
        (&done["format"], &done["changes"][0]["kind"]),
        (&1.into(), &"format".into())
    );
    place.ok(&["migrate", "--check", "old.db"]);
    place.ok(&["doctor", "old.db"]);
}
