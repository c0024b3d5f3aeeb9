//! `restow doctor`.

use crate::support::{Place, api, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_file_is_called_so_and_a_garbled_one_fails() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    place.fails(&["doctor"], 4, "items.db");
    place.fails(&["doctor", "memory:"], 2, "SQLite");
    for id in 0..8 {
        place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
    }
    let out = place.ok(&["doctor"]);
    assert!(out.contains("sound; repositories: 2, entries: 8"), "{out}");
    let report = &place.json(&["doctor", "--quick", "items.db"])[0];
    assert_eq!(report["ok"], true);
    assert_eq!(report["entries"], 8);
    // One letter of a body.
    let path = place.path("items.db");
    let mut garbled = std::fs::read(&path).unwrap();
    let damaged = b"\"name\":\"Item 7\"";
    let at = garbled
        .windows(damaged.len())
        .position(|w| w == damaged)
        .unwrap();
    garbled[at + 8] = b'J';
    std::fs::write(&path, &garbled).unwrap();
    place.ok(&["doctor", "--quick"]);
    let done = place.fails(&["doctor"], 3, "findings: 1");
    assert!(
        done.out.contains("damaged entries: 1") && done.out.contains("misses"),
        "{done:?}"
    );
    let done = place.fails(&["doctor", "--json"], 3, "findings: 1");
    assert!(done.out.contains("\"damaged-entries\""), "{done:?}");
    assert_eq!(std::fs::read(&path).unwrap(), garbled, "nothing is changed");
    place.write("text.db", &"hello ".repeat(1_000));
    place.fails(&["doctor", "text.db"], 3, "not a SQLite database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_salvaged_into_a_new_one() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    for id in 0..8 {
        place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
    }
    let path = place.path("items.db");
    let mut garbled = std::fs::read(&path).unwrap();
    let damaged = b"\"name\":\"Item 7\"";
    let at = garbled
        .windows(damaged.len())
        .position(|w| w == damaged)
        .unwrap();
    garbled[at + 8] = b'J';
    std::fs::write(&path, &garbled).unwrap();
    let out = place.ok(&["doctor", "--salvage", "saved.db"]);
    let numbers = |name| {
        let line = out.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        (numbers("items"), numbers("me")),
        ("7 1 0".into(), "0 0 0".into()),
        "{out}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), garbled, "nothing is changed");
    place.fails(&["doctor", "--salvage", "saved.db"], 2, "is there already");
    place.fails(&["doctor", "--salvage", "a.db", "none.db"], 4, "none.db");
    place.ok(&["doctor", "saved.db"]);
    let held = place.json(&["ls", "items", "--cache", "saved.db"]);
    assert_eq!(held.len(), 7);
    let url = api.url("/items/3");
    assert_eq!(
        place.ok(&["get", &url]),
        place.ok(&["get", &url, "--cache", "saved.db"])
    );
}
