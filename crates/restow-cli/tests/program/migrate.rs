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

/// The configuration with another field, its default, and another column.
fn changed(config: &str) -> String {
    config
        .replace("{?lang}", "{?lang,size:int}")
        .replace(
            "label = [\"/name\"]",
            "label = [\"/name\"]\ndefaults = { size = 2 }",
        )
        .replace("{ kind = \"/kind\" }", "{ title = \"/name\" }")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_changed_is_said_by_a_check_and_done_without_it() {
    let (place, config, url) = stored().await;
    let out = place.ok(&["migrate", "--check"]);
    assert!(out.contains("changes to make: 0"), "{out}");
    place.write("restow.toml", &changed(&config));
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
    place.fails(&["migrate", "memory:"], 2, "has no format");
    place.write("text.db", &"hello ".repeat(1_000));
    place.fails(&["migrate", "text.db"], 3, "not a SQLite database");
}

#[cfg(target_os = "linux")]
mod networked {
    use super::*;
    use restow_testkit::{Postgres, redis::Redis};

    /// A place whose cache is in a server, with three entries.
    async fn stored_at(url: &str) -> (Place, String, restow_testkit::Origin) {
        let (place, api) = (Place::new(), api().await);
        let config = config(&api).replace("items.db", url);
        place.write("restow.toml", &config);
        for id in 0..3 {
            place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
        }
        (place, config, api)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tables_on_a_server_become_what_is_configured() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        for cache in [postgres.fresh(), redis.url()] {
            let (place, config, api) = stored_at(&cache).await;
            let url = api.url("/items/1");
            let out = place.ok(&["migrate", "--check"]);
            assert!(out.contains("format 1; changes to make: 0"), "{out}");
            let out = place.ok(&["migrate"]);
            assert!(out.contains("format 1; changes made: 0"), "{out}");
            place.write("restow.toml", &changed(&config));
            place.fails(&["fetch", &url], 2, "`restow migrate`");
            for _ in 0..2 {
                let check = place.fails(&["migrate", "--check"], 3, "makes the changes: 3");
                assert!(check.out.contains("the column kind"), "{check:?}");
            }
            let done = &place.json(&["migrate"])[0];
            assert_eq!(done["changes"].as_array().unwrap().len(), 3, "{cache}");
            let out = place.ok(&["migrate", "--check"]);
            assert!(out.contains("changes to make: 0"), "{out}");
            let hit = &place.json(&["fetch", "--mode", "offline", &url])[0];
            assert_eq!(hit["outcome"], "hit", "{cache}: {hit}");
            let entry = &place.json(&["ls", "items", "--where", "title=Item 1"])[0];
            assert_eq!(entry["key"]["size"], 2, "{cache}: {entry}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_format_that_this_program_does_not_read_is_said_and_costs_hits_alone() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let in_postgres = |format: &str| {
            postgres.sql(&format!(
                "UPDATE s.restow_meta SET value = '{format}' WHERE key = 'format' RETURNING value"
            ))
        };
        let in_redis = |format: &str| {
            let _: i64 = redis.ask(&["HSET", "restow:meta", "format", format]);
            String::new()
        };
        type Set<'s> = &'s dyn Fn(&str) -> String;
        let stores: [(String, Set<'_>); 2] = [
            (format!("{}?schema=s", postgres.url()), &in_postgres),
            (redis.url(), &in_redis),
        ];
        for (cache, set) in stores {
            place_without_a_cache(&cache);
            let (place, _, api) = stored_at(&cache).await;
            let urls: Vec<_> = (0..3).map(|n| api.url(&format!("/items/{n}"))).collect();
            let fetch = ["fetch", "--json", &urls[0], &urls[1], &urls[2]];
            for (format, says) in [
                ("2", "format 2 is newer than 1"),
                ("0", "format 0 is none that this program can bring to 1"),
            ] {
                set(format);
                for run in [&["migrate", "--check"][..], &["migrate"]] {
                    let failed = place.fails(run, 3, "neither reads nor changes");
                    assert!(failed.out.contains(says), "{failed:?}");
                }
                let check = place.run(&["migrate", "--check", "--json"]);
                let told: serde_json::Value = serde_json::from_str(&check.out).unwrap();
                assert_eq!(told["format"].to_string(), format);
                // Requests go to the API, and it is said once.
                let done = place.run(&fetch);
                let down = done.out.matches("\"detail\":\"store-down\"").count();
                assert_eq!((done.code, down), (0, 3), "{done:?}");
                let warned = done.err.matches("has format").count();
                assert_eq!(warned, 1, "{done:?}");
                place.fails(&["ls", "items"], 3, "format");
            }
            set("1");
            let done = place.run(&fetch);
            let hits = done.out.matches("\"outcome\":\"hit\"").count();
            assert_eq!(hits, 3, "{done:?}");
        }
    }

    fn place_without_a_cache(url: &str) {
        let place = Place::new();
        place.fails(&["migrate", "--check", url], 4, "there is no cache");
        place.fails(&["migrate", url], 4, "there is no cache");
    }
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
