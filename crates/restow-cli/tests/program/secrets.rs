//! Secrets: whatever is asked, they are in no output and in no file.

use crate::support::{Place, api};

const CANARY: &str = "canary-7f3a";

#[tokio::test(flavor = "multi_thread")]
async fn no_output_and_no_file_holds_a_secret() {
    let place = Place::new().with("TOKEN", CANARY);
    let api = api().await;
    let header = format!("X-Api-Key: {CANARY}");
    let cookie = format!("Cookie: session={CANARY}");
    let query = api.url(&format!("/items/1?access_token={CANARY}&a=1"));
    let fragment = api.url(&format!("/items/1#access_token={CANARY}"));
    let user = api
        .url("/items/1")
        .replace("http://", &format!("http://ada:{CANARY}@"));
    let missing = api.url(&format!("/none?token={CANARY}"));
    let gone = {
        crate::support::api()
            .await
            .url(&format!("/items/1?sig={CANARY}"))
    };
    let broken = format!("x: {CANARY}\u{1}");
    let runs: Vec<Vec<&str>> = vec![
        vec!["fetch", "-vv", &query],
        vec!["fetch", "--json", &query, &fragment],
        vec![
            "fetch",
            "-vv",
            "-H",
            &header,
            "-H",
            &cookie,
            "--bearer-env",
            "TOKEN",
            &api.url("/items/2"),
        ]
        .iter()
        .map(|s| &**s)
        .collect::<Vec<&str>>()
        .clone(),
        vec!["fetch", "-vv", &user],
        vec!["fetch", "-vv", &missing],
        vec!["fetch", "-vv", &gone],
        vec!["fetch", "-H", &broken, &query],
        vec!["fetch", "-H", CANARY, &query],
        vec!["get", &query],
        vec!["get", &user],
        vec!["show", &query],
        vec!["show", "--json", &query],
        vec!["ls", "--json", "--url", &query],
        vec!["rm", "--dry-run", "--url", &query],
        vec!["explain", &query],
        vec!["explain", "--json", &user],
        vec!["explain", "--bearer-env", "TOKEN", &missing],
        vec!["routes", "test", &query],
        vec!["routes", "test", "--json", &missing],
        vec!["ls", "--limit", "0"],
        vec!["ls", "--limit", "0", "--json"],
    ]
    .into_iter()
    .map(|v| {
        v.into_iter()
            .map(|s| Box::leak(s.to_owned().into_boxed_str()) as &str)
            .collect()
    })
    .collect();
    for arguments in &runs {
        let done = place.run(arguments);
        assert!(
            !done.out.contains(CANARY),
            "{arguments:?} wrote {}",
            done.out
        );
        assert!(
            !done.err.contains(CANARY),
            "{arguments:?} said {}",
            done.err
        );
    }
    assert!(api.asked() >= 4, "the API was asked with the secrets");
    for file in std::fs::read_dir(place.path("")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()));
    }
}

#[test]
fn help_does_not_show_what_the_environment_holds() {
    let place = Place::new().with("RESTOW_CACHE", &format!("postgres://u:{CANARY}@h/db"));
    let done = place.run(&["--help"]);
    assert!(!done.out.contains(CANARY), "{}", done.out);
    let done = place.fails(&["ls"], 2, "postgres");
    assert!(!done.err.contains(CANARY), "{}", done.err);
}
