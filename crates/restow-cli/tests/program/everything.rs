//! What a proxy keeps, for the program: undeclared requests in `everything`, and what an API answers to the headers of an upstream.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{
    running::Proxy,
    support::{Done, Place},
};
use restow_testkit::{Call, Origin, Reply, dropping::in_time, http_client};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// An API whose answers have a version that a test may raise, and that answers only to `token`, where there is one.
async fn api(token: &'static str, version: &Arc<AtomicU64>) -> Origin {
    let version = version.clone();
    Origin::start(move |call: &Call| {
        if !token.is_empty() && call.header("x-token") != token {
            return Reply::status(401).then("who are you?");
        }
        if call.target.ends_with("/moved") {
            return Reply::status(302).header("location", "http://localhost:1/");
        }
        let version = version.load(Relaxed);
        let etag = format!("\"{version}\"");
        let reply = match call.header("if-none-match") == etag {
            true => Reply::status(304),
            false => Reply::ok(format!("{} {version}", call.target)),
        };
        let accepts = call.target.starts_with("/varies");
        let reply = reply
            .header("etag", &etag)
            .header("cache-control", "max-age=0, s-maxage=3600");
        match accepts {
            // It is no gzip: who decodes it fails.
            true => reply
                .header("vary", "accept-encoding, accept")
                .header("content-encoding", "gzip"),
            false => reply,
        }
    })
    .await
}

/// Asks a proxy over the cache of a place for some paths, and returns what it answers, with whether it was held.
async fn ask(place: &Place, more: &[&str], paths: &[&str]) -> Vec<(String, bool)> {
    let proxy = Proxy::start(place, more);
    let client = http_client().build().unwrap();
    let mut seen = Vec::new();
    for path in paths {
        let asked = client.get(format!("{}{path}", proxy.url)).send().await;
        let answer = asked.unwrap();
        let status = answer.headers()["cache-status"].to_str().unwrap();
        let is_hit = status.contains("; hit");
        seen.push((answer.text().await.unwrap(), is_hit));
    }
    assert_eq!(proxy.stop(), Some(0));
    seen
}

fn held(body: &str) -> (String, bool) {
    (body.to_owned(), true)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_keeps_of_undeclared_requests_is_refreshed_in_place() {
    let (place, version) = (Place::new(), Arc::default());
    let api = api("", &version).await;
    let url = api.url("");
    let proxy = ["--cache", "api.db", "--upstream", &url];
    ask(&place, &proxy, &["/a?x=1", "/b", "/c"]).await;
    assert_eq!(api.asked(), 3);

    let cached = ["--cache", "api.db"];
    let dry = &place.json(&[&["refresh", "everything", "--dry-run"][..], &cached].concat())[0];
    assert_eq!(*dry, json!({ "dry_run": true, "would_ask": 3, "left": 0 }));
    let done = &place.json(&[&["refresh", "everything", "--budget", "2"][..], &cached].concat())[0];
    assert_eq!(
        (&done["confirmed"], &done["over_budget"]),
        (&json!(2), &json!(1))
    );
    let conditional = |path: &str| {
        let calls = api.calls_to(path);
        let conditional = calls
            .iter()
            .filter(|c| !c.header("if-none-match").is_empty());
        conditional.count()
    };
    let counts = ["/a?x=1", "/b", "/c"].map(conditional);
    assert_eq!(counts, [1, 1, 0], "what was checked longest ago is first");

    version.store(1, Relaxed);
    let done = &place.json(&[&["refresh"][..], &cached].concat())[0];
    assert_eq!((&done["asked"], &done["changed"]), (&json!(3), &json!(3)));
    let asked = api.asked();
    let seen = ask(&place, &proxy, &["/a?x=1", "/b", "/c"]).await;
    assert_eq!(seen, [held("/a?x=1 1"), held("/b 1"), held("/c 1")]);
    assert_eq!(api.asked(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_runs_serves_what_a_refresh_brought() {
    let (place, version) = (Place::new(), Arc::default());
    let api = api("", &version).await;
    let url = api.url("");
    let proxy = Proxy::start(&place, &["--cache", "api.db", "--upstream", &url]);
    let client = http_client().build().unwrap();
    let ask = async || {
        let asked = client.get(format!("{}/a", proxy.url)).send().await;
        asked.unwrap().text().await.unwrap()
    };
    assert_eq!(ask().await, "/a 0");
    version.store(1, Relaxed);
    place.ok(&["refresh", "everything", "--cache", "api.db"]);
    in_time("the proxy hears of it", async {
        while ask().await != "/a 1" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(api.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_varies_by_what_common_clients_accept_is_found_and_other_variants_are_left() {
    let (place, version) = (Place::new(), Arc::default());
    let api = api("", &version).await;
    let url = api.url("");
    let arguments = ["--cache", "api.db", "--upstream", &url];
    let proxy = Proxy::start(&place, &arguments);
    let client = http_client().no_gzip().build().unwrap();
    for encoding in ["gzip, deflate, br", "gzip, x-strange"] {
        let request = client.get(format!("{}/varies", proxy.url));
        let request = request.header("accept-encoding", encoding);
        request.send().await.unwrap().bytes().await.unwrap();
    }
    proxy.stop();
    version.store(1, Relaxed);
    let refresh = ["refresh", "everything", "--cache", "api.db"];
    let done = &place.json(&refresh)[0];
    assert_eq!((&done["changed"], &done["left"]), (&json!(1), &json!(1)));
    let calls = api.calls_to("/varies");
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2].header("accept-encoding"), "gzip, deflate, br");
    let named = ["-H", "Accept-Encoding: gzip, x-strange"];
    let done = &place.json(&[&refresh[..], &named].concat())[0];
    assert_eq!((&done["changed"], &done["left"]), (&json!(1), &json!(1)));
    assert!(
        place.ok(&refresh).contains("1 left, for they are of"),
        "it is said"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn get_show_and_explain_find_what_no_endpoint_declares_by_its_url() {
    let (place, version) = (Place::new(), Arc::default());
    let api = api("", &version).await;
    let (url, a) = (api.url(""), api.url("/a?access_token=canary&x=1"));
    ask(
        &place,
        &["--cache", "api.db", "--upstream", &url],
        &["/a?access_token=canary&x=1"],
    )
    .await;
    let run = |command: &[&str]| {
        let all = [command, &["--cache", "api.db"]].concat();
        let done: Done = place.run(&all);
        let said = [&*done.out, &*done.err].concat();
        // The body alone holds what the test let it.
        assert!(command[0] == "get" || !said.contains("canary"), "{said}");
        done
    };
    assert_eq!(run(&["get", &a]).out, "/a?access_token=canary&x=1 0");
    let shown = run(&["show", &a, "--json"]).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["repository"], &shown["etag"]),
        (&json!("everything"), &json!("\"0\""))
    );
    let explained = run(&["explain", &a, "--json"]).out;
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    let shown_url = api.url("/a?access_token=…&x=1");
    assert_eq!(
        (
            &explained["endpoint"],
            &explained["outcome"],
            &explained["key"]["url"]
        ),
        (&json!("everything"), &json!("hit"), &json!(shown_url))
    );
    let text = run(&["explain", &a]).out;
    assert!(text.contains("everything, for none declares it"), "{text}");
    assert!(run(&["ls", "everything"]).out.contains("access_token=…"));
    let other = run(&["get", &api.url("/b?access_token=canary")]);
    assert_eq!(other.code, 4, "{other:?}");
    assert!(other.err.contains("holds nothing"), "{other:?}");
    assert_eq!(api.asked(), 1);
}

/// Two APIs behind a proxy: one answers only to its token, and a declared endpoint is below it.
struct Accounts {
    place: Place,
    version: Arc<AtomicU64>,
    closed: Origin,
    open: Origin,
}

impl Accounts {
    async fn new() -> Self {
        let version = Arc::default();
        let (closed, open) = (api("canary", &version).await, api("", &version).await);
        let place = Place::new().with("TOKEN", "canary");
        let (of_closed, of_open) = (closed.url(""), open.url(""));
        let config = format!(
            r#"cache = "api.db"
[[endpoint]]
name = "items"
route = "GET {of_closed}/v1/items/{{id}}"
[[upstream]]
mount = "/closed"
url = "{of_closed}/v1"
headers = {{ X-Token = {{ env = "TOKEN" }} }}
[[upstream]]
mount = "/open"
url = "{of_open}"
"#
        );
        place.write("restow.toml", &config);
        Self {
            place,
            version,
            closed,
            open,
        }
    }
}

const BEHIND: [&str; 3] = ["/closed/items/7", "/closed/other", "/open/a"];

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_sends_the_headers_of_an_upstream_to_it_alone_and_replaces_what_its_proxy_keeps()
{
    let Accounts {
        place,
        version,
        closed,
        open,
    } = Accounts::new().await;
    ask(&place, &[], &BEHIND).await;
    version.store(1, Relaxed);
    let done = place.run(&["refresh", "-vv", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&said["changed"], &said["left"]), (&json!(3), &json!(0)));
    assert!(!done.err.contains("canary"), "{}", done.err);
    for path in ["/v1/items/7", "/v1/other"] {
        let calls = closed.calls_to(path);
        assert_eq!(calls.len(), 2, "{path}");
        assert_eq!(calls[1].header("if-none-match"), "\"0\"", "{path}");
    }
    let to_others = open.calls_to("/a");
    assert!(to_others.iter().all(|c| c.header("x-token").is_empty()));
    assert_eq!(to_others.len(), 2);
    let seen = ask(&place, &[], &BEHIND).await;
    let bodies = ["/v1/items/7 1", "/v1/other 1", "/a 1"];
    assert_eq!(seen, bodies.map(held));
    let files = std::fs::read_dir(place.path("")).unwrap();
    for file in files {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let has = bytes.windows(6).any(|w| w == b"canary");
        assert!(!has, "{} holds the token", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_explain_and_fetch_find_what_an_upstream_s_account_has() {
    let Accounts {
        place,
        version,
        closed,
        open,
    } = Accounts::new().await;
    ask(&place, &[], &BEHIND).await;
    for path in ["/v1/items/7", "/v1/other"] {
        let url = closed.url(path);
        assert_eq!(place.ok(&["get", &url]), format!("{path} 0"));
        let explained = &place.json(&["explain", &url])[0];
        assert_eq!(explained["outcome"], "hit", "{explained}");
        let fetched = &place.json(&["fetch", &url])[0];
        assert_eq!(fetched["outcome"], "hit", "{fetched}");
        let other = &place.json(&["explain", &url, "-H", "X-Token: other"])[0];
        assert_eq!(other["outcome"], "miss", "{other}");
    }
    version.store(1, Relaxed);
    let url = closed.url("/v1/items/7");
    place.ok(&["fetch", "--mode", "refresh", &url]);
    let seen = ask(&place, &[], &BEHIND[..1]).await;
    assert_eq!(seen, [held("/v1/items/7 1")]);
    // Another host, and what is not below the upstream's path, gets no token.
    place.run(&["fetch", &open.url("/new"), &closed.url("/v2/items/7")]);
    let elsewhere = [open.calls_to("/new"), closed.calls_to("/v2/items/7")].concat();
    let tokens: Vec<&str> = elsewhere.iter().map(|c| c.header("x-token")).collect();
    assert_eq!(tokens, ["", ""]);
    // What leads elsewhere is not followed with a token.
    let moved = place.json(&["fetch", &closed.url("/v1/moved")]);
    assert_eq!(moved[0]["status"], 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_of_an_upstream_nothing_is_asked_of_it() {
    let Accounts { place, closed, .. } = Accounts::new().await;
    ask(&place, &[], &BEHIND).await;
    let asked = closed.asked();
    let config = std::fs::read_to_string(place.path("restow.toml")).unwrap();
    place.write("restow.toml", &config.replace("TOKEN", "NO_SUCH_TOKEN"));
    let says = "the environment variable NO_SUCH_TOKEN is not set";
    place.fails(&["refresh", "items"], 2, says);
    let done = place.run(&["fetch", &closed.url("/v1/items/7")]);
    assert!(
        done.code != 0 && [&*done.out, &*done.err].concat().contains(says),
        "{done:?}"
    );
    // What is only looked at needs no secret, where there is but one user.
    let done = place.run(&["get", &closed.url("/v1/items/7")]);
    assert_eq!((done.code, &*done.out), (0, "/v1/items/7 0"));
    assert!(done.err.contains(says), "{done:?}");
    assert_eq!(closed.asked(), asked);
}

/// What is fetched for everyone's use is kept by the rules for everyone, where the answers decide and a proxy serves them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_beside_a_proxy_is_kept_as_the_proxy_keeps_it() {
    let api = Origin::start(|call: &Call| {
        let reply = Reply::ok("a").header("cache-control", "max-age=3600");
        match &*call.target {
            "/items/private" => reply.header("cache-control", "private"),
            "/items/targeted" => reply.header("cdn-cache-control", "no-store"),
            _ => reply,
        }
    })
    .await;
    let place = Place::new();
    let root = api.url("");
    let config = format!(
        r#"cache = "api.db"
[[endpoint]]
name = "items"
route = "GET {root}/items/{{id}}"
freshness = "http"
"#
    );
    let proxy = "[proxy]\ntargeted = [\"CDN-Cache-Control\"]\n";
    let again = |more: &[&str], path: &str| {
        let url = api.url(path);
        let fetch = [&["fetch", &url][..], more].concat();
        place.json(&fetch);
        place.json(&fetch)[0]["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    place.write("restow.toml", &format!("{config}{proxy}"));
    let token = ["--header", "Authorization: Bearer canary"];
    for (path, of_all, of_one) in [
        ("/items/1", "hit", "hit"),
        ("/items/private", "miss", "hit"),
        ("/items/targeted", "miss", "hit"),
    ] {
        assert_eq!(again(&[], path), of_all, "{path}");
        // It is theirs alone, and no proxy gives it to anybody.
        assert_eq!(again(&token, path), of_one, "{path}");
    }
    place.write("restow.toml", &config);
    assert_eq!(again(&[], "/items/targeted"), "hit");
}
