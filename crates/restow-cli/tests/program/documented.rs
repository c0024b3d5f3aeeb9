//! `docs/PROGRAM.md` says what scripts rely on: every key of the JSON is there.

use crate::support::{Place, api, config};

const PAGE: &str = include_str!("../../../../docs/PROGRAM.md");

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_the_json_is_documented() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let (url, other) = (api.url("/items/1"), api.url("/none/1"));
    for arguments in [
        &["fetch", "-q", &url][..],
        &["get", &url],
        &["show", &url],
        &["ls"],
        &["ls", "items"],
        &["ls", "items", "--count"],
        &["stats"],
        &["doctor"],
        &["doctor", "--salvage", "saved.db"],
        &["migrate", "--check"],
        &["train", "--rewrite"],
        &["explain", &url],
        &["explain", &other],
        &["routes", "test", &url],
        &["routes", "check"],
        &["copy", "items.db", "copy.db"],
        &["export", "-o", "all.ndjson"],
        &["import", "all.ndjson"],
        &["schema", "--print"],
        &["rm", "items", "--all"],
        &["demo", "--cache", "memory:"],
    ] {
        let lines = place.json(arguments);
        assert!(!lines.is_empty(), "{arguments:?}");
        for key in lines.iter().flat_map(|l| l.as_object().unwrap().keys()) {
            assert!(
                PAGE.contains(&format!("`{key}`")),
                "{key:?} of {arguments:?} is not documented"
            );
        }
    }
}

#[test]
fn every_command_and_exit_code_is_documented() {
    let help = Place::new().ok(&["--help"]);
    let commands = help
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty());
    let names = commands
        .filter(|l| !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next());
    for name in names.filter(|n| *n != "help") {
        assert!(
            PAGE.contains(&format!("`{name} ")) || PAGE.contains(&format!("`{name}`")),
            "{name}"
        );
    }
    for code in 0..=5 {
        assert!(PAGE.contains(&format!("\n| {code} |")), "{code}");
    }
}
