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
    let second = api.url("/items/2");
    let runs: [&[&str]; 21] = [
        &["fetch", "-vv", &query],
        &["fetch", "--json", &query, &fragment],
        &[
            "fetch",
            "-vv",
            "-H",
            &header,
            "-H",
            &cookie,
            "--bearer-env",
            "TOKEN",
            &second,
        ],
        &["fetch", "-vv", &user],
        &["fetch", "-vv", &missing],
        &["fetch", "-vv", &gone],
        &["fetch", "-H", &broken, &query],
        &["fetch", "-H", CANARY, &query],
        &["get", &query],
        &["get", &user],
        &["show", &query],
        &["show", "--json", &query],
        &["ls", "--json", "--url", &query],
        &["rm", "--dry-run", "--url", &query],
        &["explain", &query],
        &["explain", "--json", &user],
        &["explain", "--bearer-env", "TOKEN", &missing],
        &["routes", "test", &query],
        &["routes", "test", "--json", &missing],
        &["ls", "--limit", "0"],
        &["ls", "--limit", "0", "--json"],
    ];
    for arguments in runs {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_a_configuration_declares_as_a_credential_is_one_everywhere() {
    let (place, api) = (Place::new(), api().await);
    let config = crate::support::config(&api);
    place.write(
        "restow.toml",
        &format!("credentials = [\"query:pass\"]\n{config}"),
    );
    let url = api.url(&format!("/items/1?pass={CANARY}"));
    let (nowhere, nonsense) = (
        api.url(&format!("/none?pass={CANARY}")),
        format!("x?pass={CANARY}"),
    );
    for arguments in [
        ["fetch", "-vv", &url],
        ["fetch", "--json", &url],
        ["fetch", "-vv", &nowhere],
        ["fetch", "--json", &nonsense],
        ["get", "--json", &url],
        ["get", "--json", &nonsense],
        ["show", "-v", &url],
        ["show", "--json", &url],
        ["explain", "--json", &url],
        ["explain", "-v", &nowhere],
        ["routes", "test", &url],
        ["routes", "test", &nowhere],
        ["routes", "test", &nonsense],
        ["ls", "--url", &url],
        ["ls", "items", "--json"],
    ] {
        let done = place.run(&arguments);
        assert!(
            !done.out.contains(CANARY) && !done.err.contains(CANARY),
            "{arguments:?}: {done:?}"
        );
    }
    assert_eq!(place.json(&["ls", "items"])[0]["url"], api.url("/items/1"));
}

#[test]
fn help_does_not_show_what_the_environment_holds() {
    let place = Place::new().with(
        "RESTOW_CACHE",
        &format!("postgres://u:{CANARY}@127.0.0.1:1/db"),
    );
    let done = place.run(&["--help"]);
    assert!(!done.out.contains(CANARY), "{}", done.out);
    // No such server is there.
    let done = place.fails(&["ls"], 3, "postgres");
    assert!(!done.err.contains(CANARY), "{}", done.err);
}
