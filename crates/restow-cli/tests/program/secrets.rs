//! Secrets: whatever is asked, they are in no output and in no file.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{
    running::Proxy,
    support::{Place, api, config},
};
use restow_testkit::{Origin, Reply, http_client};
use std::fs::File;

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
    no_file_holds_it(&place);
}

/// Looks through every file of the folder: the database, its log, and what was written there.
#[track_caller]
fn no_file_holds_it(place: &Place) {
    for file in std::fs::read_dir(place.path("")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        assert!(!holds, "{} holds a secret", path.display());
    }
}

/// An API that may be kept by all, that sets a cookie, and that echoes nothing.
async fn keepable() -> Origin {
    Origin::start(|call| match call.target.starts_with("/none") {
        true => Reply::status(404).then("nothing"),
        false => Reply::ok("{\"name\":\"ada\"}")
            .header("content-type", "application/json")
            .header("cache-control", "public, max-age=600")
            .header("set-cookie", &format!("session={CANARY}")),
    })
    .await
}

/// A proxy with all that tells of requests, whose upstream gets a secret of the environment.
async fn proxy(place: &Place, api: &Origin, log: &str) -> Proxy {
    let gone = keepable().await.url("");
    let root = api.url("");
    let settings = format!(
        r#"{}
[proxy]
access_log = "{log}"
admin = {{ listen = "127.0.0.1:0", token = {{ env = "ADMIN" }} }}
[[upstream]]
url = "{root}"
headers = {{ X-Account = {{ env = "ACCOUNT" }} }}
[[upstream]]
mount = "/gone"
url = "{gone}"
headers = {{ X-Account = {{ env = "ACCOUNT" }} }}
"#,
        config(api)
    );
    place.write("restow.toml", &settings);
    let out = File::create(place.path("access.log")).unwrap();
    Proxy::start_with(place, &["-vv", "--admin", "127.0.0.1:0"], out.into())
}

/// Asks for paths with every secret that a client may show.
async fn ask_with_secrets(proxy: &Proxy) {
    let client = http_client().build().unwrap();
    for (path, status) in [
        ("/items/1", 200),
        ("/items/1", 200),
        ("/text", 200),
        ("/text", 200),
        ("/none", 404),
        ("/gone/text", 502),
        ("/gone/..%2ftext", 400),
    ] {
        for name in ["", "authorization", "cookie", "x-api-key"] {
            for query in ["", "?api_key=", "?a=1&access_token="] {
                let value = if query.is_empty() { "" } else { CANARY };
                let mut asked = client.get(format!("{}{path}{query}{value}", proxy.url));
                if !name.is_empty() {
                    asked = asked.header(name, format!("Bearer {CANARY}"));
                }
                let answer = asked.send().await.unwrap();
                assert_eq!(answer.status(), status, "{path} {name} {query}");
                answer.bytes().await.unwrap();
            }
        }
    }
}

async fn what_a_proxy_tells_and_keeps(log: &str) {
    let place = Place::new().with("ACCOUNT", CANARY).with("ADMIN", CANARY);
    let api = keepable().await;
    let proxy = proxy(&place, &api, log).await;
    ask_with_secrets(&proxy).await;
    let calls = api.calls_to(&format!("/text?api_key={CANARY}"));
    assert!(!calls.is_empty() && calls.iter().all(|c| c.header("x-account") == CANARY));
    let client = http_client().build().unwrap();
    let admin = proxy.admin.clone().unwrap();
    for (path, says) in [
        ("/metrics", "restow_entries{repository=\"items\"}"),
        ("/readyz", "ready"),
        ("/explain?url=/items/1%3Fapi_key=", "\"outcome\":\"hit"),
        ("/explain?url=/items/9%3Fapi_key=", "\"outcome\":\"miss"),
        ("/explain?url=/text%3Fapi_key=", "\"outcome\":\"hit"),
        ("/explain?url=/none%3Fa=1%26access_token=", "\"outcome\""),
        ("/explain?url=/gone/..%252f%3Fapi_key=", "\"error\""),
        ("/explain?url=x%3Fapi_key=", "\"error\""),
    ] {
        let value = if path.ends_with('=') { CANARY } else { "" };
        let asked = client.get(format!("{admin}{path}{value}"));
        let answer = asked.bearer_auth(CANARY).send().await.unwrap();
        let told = answer.text().await.unwrap();
        assert!(told.contains(says), "{path}: {told}");
        assert!(!told.contains(CANARY), "{path}: {told}");
    }
    let url = api.url(&format!("/text?api_key={CANARY}"));
    for arguments in [
        &["ls", "--json"][..],
        &["ls", "items", "--json"],
        &["ls", "everything", "--json"],
        &["ls", "everything"],
        &["show", "--json", &url],
        &["show", &url],
        &["stats", "--json"],
    ] {
        let told = place.ok(arguments);
        assert!(!told.is_empty(), "{arguments:?}");
        assert!(!told.contains(CANARY), "{arguments:?}: {told}");
    }
    // While the log of the database is there, and once it is gone.
    no_file_holds_it(&place);
    let (code, said) = proxy.stop_and_tell();
    assert_eq!(code, Some(0));
    assert!(said.contains("DEBUG"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
    no_file_holds_it(&place);
    let logged = std::fs::read_to_string(place.path("access.log")).unwrap();
    assert_eq!(logged.lines().count(), 7 * 4 * 3, "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_with_lines_of_common_logs_tells_and_keeps_no_secret() {
    what_a_proxy_tells_and_keeps("common").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_logs_json_tells_and_keeps_no_secret() {
    what_a_proxy_tells_and_keeps("json").await;
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
