//! Whose entries a proxy finds and makes: the `principal` at the top of the configuration.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use restow_testkit::{Origin, Reply, http_client};

/// An API whose answers are one user's. They come in chunks: whoever has seen the end of one finds it stored.
async fn api() -> Origin {
    Origin::start(|call| {
        let answer = Reply::status(200).header("cache-control", "private, max-age=600");
        answer.then("nth ").then(call.nth.to_string())
    })
    .await
}

fn config(api: &Origin) -> String {
    let root = api.url("");
    format!(
        r#"cache = "items.db"
principal = {{ env = "WHO" }}
[[endpoint]]
name = "items"
route = "GET {root}/items/{{id}}"
[proxy]
principal = {{ header = "X-Tenant", trust = ["127.0.0.0/8"] }}
[[upstream]]
url = "{root}"
"#
    )
}

/// Asks, and tells whether the answer was held, and what it is.
async fn ask(proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> (bool, String) {
    let client = http_client().build().unwrap();
    let mut asked = client.get(format!("{}{path}", proxy.url));
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let status = answer.headers()["cache-status"].to_str().unwrap();
    let is_hit = status.starts_with("restow; hit");
    (is_hit, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_principal_of_the_configuration_is_everyones_who_names_none() {
    let (place, api) = (Place::new().with("WHO", "ada"), api().await);
    place.write("restow.toml", &config(&api));
    let proxy = Proxy::start(&place, &[]);
    let bob = ("x-tenant", "bob");
    for path in ["/items/1", "/other"] {
        let first = ask(&proxy, path, &[]).await;
        assert_eq!(first, (false, "nth 0".to_owned()), "{path}");
        // Whatever credential a client shows, it is the same user.
        for shown in [&[][..], &[("authorization", "one")], &[("cookie", "a=b")]] {
            let held = ask(&proxy, path, shown).await;
            assert_eq!(held, (true, "nth 0".to_owned()), "{path} {shown:?}");
        }
        for held in [false, true] {
            let bobs = ask(&proxy, path, &[bob]).await;
            assert_eq!(bobs, (held, "nth 1".to_owned()), "{path}");
        }
        let calls = api.calls_to(path);
        assert!(calls.iter().all(|c| c.header("x-tenant").is_empty()));
        assert_eq!(calls.len(), 2, "{path}");
    }
    assert_eq!(proxy.stop(), Some(0));
    for (who, body) in [("ada", "nth 0"), ("bob", "nth 1")] {
        for repository in ["items", "everything"] {
            let listed = place.json(&["ls", repository, "--principal", who]);
            assert_eq!(listed.len(), 1, "{listed:?}");
            assert_eq!(listed[0]["partition"], format!("p:{who}"));
        }
        let held = place.ok(&["get", "items", "1", "--principal", who]);
        assert_eq!(held, body);
    }
    // By the same configuration the program is the same user.
    let hit = &place.json(&["fetch", &api.url("/items/1")])[0];
    assert_eq!(hit["outcome"], "hit", "{hit}");
    assert_eq!(api.asked(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_what_is_private_is_nobodys() {
    let (place, api) = (Place::new(), api().await);
    let config = config(&api).replace("principal = { env = \"WHO\" }\n", "");
    place.write("restow.toml", &config);
    let proxy = Proxy::start(&place, &[]);
    for nth in 0..2 {
        let answer = ask(&proxy, "/other", &[]).await;
        assert_eq!(answer, (false, format!("nth {nth}")));
    }
}
