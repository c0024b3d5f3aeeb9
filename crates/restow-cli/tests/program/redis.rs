//! A cache in Redis does for the program what a file does.

use crate::support::Place;
use restow_testkit::redis::Redis;
use serde_json::json;

#[test]
fn the_demo_runs_on_redis_and_its_commands_too_and_no_password_is_printed() {
    let server = Redis::with(&["--requirepass", "s3cret"]);
    let place = Place::new();
    let password = place.path("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let host = format!("127.0.0.1:{}", server.port());
    let url = format!("redis://:s3cret@{host}?prefix=demo");
    let story = place.json(&["demo", "--cache", &url]).remove(0);
    let outcomes: Vec<_> = story["phases"].as_array().unwrap().iter().collect();
    assert_eq!(outcomes[0]["outcomes"], json!({ "miss": 221 }));
    assert_eq!(outcomes[3]["outcomes"], json!({ "stale": 221 }));
    assert_eq!(outcomes[4]["outcomes"], json!({ "validated": 221 }));
    let text = place.ok(&["demo", "--cache", &url]);
    assert!(!text.contains("s3cret"), "{text}");
    assert!(
        text.contains(&format!("redis://{host}?prefix=demo")),
        "{text}"
    );
    let url = format!(
        "redis://{host}?prefix=demo&password_file={}",
        password.display()
    );
    let held = place.ok(&["ls", "items", "--where", "kind=lamp", "--cache", &url]);
    assert!(held.lines().count() > 5, "{held}");
    place.ok(&["show", "http://demo.example/items/7", "--cache", &url]);
    let stats = place.ok(&["stats", "--cache", &url]);
    assert!(stats.contains("items"), "{stats}");
    place.ok(&["rm", "pages", "--all", "--cache", &url]);
}
