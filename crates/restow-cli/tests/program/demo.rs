//! `demo`: it does what it prints, and what it prints can be run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "where a test cannot run the program, it has to fail"
)]

use crate::support::{Done, Place};
use serde_json::json;

#[test]
fn each_phase_comes_to_what_it_says() {
    let place = Place::new();
    let story = place.json(&["demo"]).remove(0);
    let phases = story["phases"].as_array().unwrap();
    let told = |n: usize| (&phases[n]["reached_api"], &phases[n]["outcomes"]);
    assert_eq!(told(0), (&json!(221), &json!({ "miss": 221 })));
    assert_eq!(told(1), (&json!(0), &json!({ "hit": 221 })));
    // Who comes late hits what the others wait for.
    assert_eq!((told(2).0, &told(2).1["miss"]), (&json!(1), &json!(1)));
    assert_eq!(told(3), (&json!(0), &json!({ "stale": 221 })));
    assert_eq!(told(4), (&json!(221), &json!({ "validated": 221 })));
    // What is confirmed is not sent again.
    assert_eq!(phases[4]["api_bytes"], 0);
    assert_eq!(
        story["repositories"][0],
        json!({ "repository": "items", "entries": 201, "bytes": story["repositories"][0]["bytes"], "route": "http://demo.example/items/{id}" })
    );
    assert!(place.path("demo.db").exists());
}

#[test]
fn the_commands_it_prints_work_as_printed_and_runs_repeat() {
    let place = Place::new();
    let text = place.ok(&["demo", "--cache", "my demo.db"]);
    run_what_is_printed(&place, &text);
    let second = place.ok(&["demo", "--cache", "my demo.db"]);
    assert!(second.contains("221 miss"), "{second}");
    let kept = place.ok(&["demo", "--cache", "my demo.db", "--keep"]);
    assert!(
        kept.contains("what an earlier run left") && kept.contains("221 hit"),
        "{kept}"
    );
}

/// Runs the commands of a demo's last lines, as a shell takes them.
fn run_what_is_printed(place: &Place, text: &str) {
    let commands: Vec<&str> = text
        .lines()
        .skip_while(|l| *l != "Try:")
        .skip(1)
        .map(str::trim)
        .collect();
    assert_eq!(commands.len(), 7, "{text}");
    for command in commands {
        let done = Done::of(place.command("sh").args(["-c", command]));
        assert_eq!(done.code, 0, "{command}: {done:?}");
        assert!(!done.out.is_empty(), "{command}");
    }
}

/// On a server that several programs share.
#[cfg(target_os = "linux")]
fn runs_on(url: &str) {
    let place = Place::new();
    let story = place.json(&["demo", "--cache", url]).remove(0);
    let outcomes = |n: usize| &story["phases"][n]["outcomes"];
    assert_eq!(*outcomes(0), json!({ "miss": 221 }));
    assert_eq!(*outcomes(1), json!({ "hit": 221 }));
    assert_eq!(*outcomes(3), json!({ "stale": 221 }));
    assert_eq!(*outcomes(4), json!({ "validated": 221 }));
    let text = place.ok(&["demo", "--cache", url]);
    run_what_is_printed(&place, &text);
    let kept = place.ok(&["demo", "--cache", url, "--keep"]);
    assert!(kept.contains("221 hit"), "{kept}");
    let files = std::fs::read_dir(place.path("")).unwrap();
    assert_eq!(files.count(), 0, "nothing is left beside the server");
}

#[cfg(target_os = "linux")]
#[test]
fn it_runs_on_postgresql_by_its_bare_url_and_its_commands_too() {
    runs_on(&restow_testkit::Postgres::start().url());
}

#[cfg(target_os = "linux")]
#[test]
fn it_runs_on_redis_by_its_bare_url_and_its_commands_too() {
    runs_on(&restow_testkit::redis::Redis::start().url());
}

#[test]
fn it_leaves_others_repositories_alone() {
    let place = Place::new();
    place.write("restow.toml", "cache = \"mine.db\"\n[[endpoint]]\nname = \"items\"\nroute = \"GET http://127.0.0.1:9/{id}\"\n");
    // Makes the table, though nothing answers there.
    place.fails(
        &["fetch", "-q", "http://127.0.0.1:9/1"],
        5,
        "the URL failed",
    );
    place.fails(
        &["demo", "--cache", "mine.db"],
        2,
        "has a repository \"items\" that is not the demo's",
    );
    let gone = place.ok(&["demo", "--cache", "memory:"]);
    assert!(!gone.contains("Left in"), "{gone}");
}
