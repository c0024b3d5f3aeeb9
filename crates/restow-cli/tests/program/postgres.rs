//! A cache in PostgreSQL whose tables somebody else makes.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{
    running::Proxy,
    support::{Place, api, config},
};
use restow_testkit::{Origin, Postgres, Reply, http_client};

/// The statements of `docs/CONFIG.md`, and the role that they are for.
const GRANTS: &str = "CREATE ROLE app LOGIN;
GRANT USAGE ON SCHEMA restow TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA restow TO app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA restow TO app;";

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_create_uses_the_tables_that_are_printed() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let server = Postgres::start();
    // What is no matter of the tables is no matter of their statements.
    let more = "?timeout=5s&memory=1MiB";
    let url = format!("{}{more}", server.url());
    let printed = place.ok(&["schema", "--print", "--cache", &url]);
    assert_eq!(
        place.ok(&["schema", "--print", "--cache", &server.url()]),
        printed
    );
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'restow'";
    assert_eq!(server.sql(schemas), "0", "nothing is made by printing");
    server.sql("CREATE ROLE nobody LOGIN");
    let nobody = url.replace("restow@", "nobody@");
    let denied = ["fetch", "-q", "--cache", &nobody, &api.url("/items/1")];
    place.run(&denied);
    assert_eq!(server.sql(schemas), "0", "it may not make any");

    server.sql(&printed);
    server.sql(GRANTS);
    let app = url.replace("restow@", "app@");
    let urls = api.url("/items/{1..3}");
    for outcome in ["miss", "hit"] {
        let fetched = place.json(&["fetch", "--cache", &app, &urls]);
        // Behind them is a summary.
        for fetched in &fetched[..3] {
            assert_eq!(fetched["outcome"], outcome, "{fetched}");
        }
    }
    let kept = server.sql("SELECT id, kind FROM restow.restow_items ORDER BY id");
    assert_eq!(kept, "1|lamp\n2|lamp\n3|lamp");
    let listed = place.json(&["ls", "items", "--where", "kind=lamp", "--cache", &app]);
    assert_eq!(listed.len(), 3);
    place.ok(&["rm", "items", "--all", "--cache", &app]);
    let stats = place.json(&["stats", "--cache", &app]);
    assert_eq!(stats[0]["entries"], 0, "{stats:?}");
    std::fs::remove_file(place.path("restow.toml")).unwrap();
    let made = place.ok(&["schema", "--print", "--cache", &app]);
    assert_eq!(made, printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_for_a_proxy_has_a_table_for_everything() {
    let place = Place::new();
    // In chunks: whoever has seen the end finds it stored.
    let api = Origin::start(|_| {
        let answer = Reply::status(200).header("cache-control", "max-age=600");
        answer.then("a").then("b")
    })
    .await;
    let root = api.url("");
    let settings = format!("[[upstream]]\nurl = \"{root}\"\n");
    place.write("restow.toml", &settings);
    let server = Postgres::start();
    let url = format!("{}?timeout=5s", server.url());
    server.sql(&place.ok(&["schema", "--print", "--cache", &url]));
    server.sql(GRANTS);
    // Without memory before it, what is a hit is in the store.
    let app = url.replace("restow@", "app@");
    let proxy = Proxy::start(&place, &["--cache", &app, "--memory", "0"]);
    let client = http_client().build().unwrap();
    for begins in ["restow; fwd=uri-miss", "restow; hit"] {
        let answer = client.get(&proxy.url).send().await.unwrap();
        let status = answer.headers()["cache-status"].to_str().unwrap();
        assert!(status.starts_with(begins), "{status}");
        answer.bytes().await.unwrap();
    }
    assert_eq!(proxy.stop(), Some(0));
    assert_eq!(server.sql("SELECT count(*) FROM restow.everything"), "1");
}
