//! Upstreams with headers of their own: what an API answers to one account is not another's.

use crate::kit::{Running, Seen};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Origin, Reply};

/// An API that says to whom it answers.
async fn api() -> Origin {
    Origin::start(|call| {
        Reply::ok(format!("<{}>", call.header("authorization")))
            .header("cache-control", "max-age=60")
    })
    .await
}

fn account(origin: &Origin, mount: &str, token: &str) -> Upstream {
    let upstream = Upstream::new(&origin.url("")).unwrap();
    let upstream = upstream.mount(mount).unwrap();
    upstream.header("authorization", token).unwrap()
}

fn tracks(origin: &Origin, more: &str) -> String {
    let route = origin.url("/v1/tracks/{id}");
    format!("[[endpoint]]\nname = \"tracks\"\nroute = \"GET {route}\"\n{more}")
}

/// One with an endpoint, one without.
const PATHS: [&str; 2] = ["/v1/tracks/7", "/v1/other"];

#[tokio::test]
async fn what_one_account_is_answered_no_other_gets() {
    let origin = api().await;
    let open = Upstream::new(&origin.url("")).unwrap();
    let upstreams = vec![
        account(&origin, "/alice", "A"),
        account(&origin, "/bob", "B"),
        open.mount("/open").unwrap(),
    ];
    let proxy = Running::start(upstreams, Options::default(), &tracks(&origin, "")).await;
    for path in PATHS {
        for (mount, body, hit) in [
            ("/open", "<>", false),
            ("/alice", "<A>", false),
            ("/bob", "<B>", false),
            ("/alice", "<A>", true),
            ("/bob", "<B>", true),
            ("/open", "<>", true),
        ] {
            let seen = proxy.get(&format!("{mount}{path}")).await;
            assert_eq!((&*seen.body, seen.is_hit()), (body, hit), "{mount}{path}");
        }
    }
}

#[tokio::test]
async fn all_clients_of_an_account_share_its_answers_and_no_other_s() {
    let origin = Origin::start(|call| {
        Reply::ok(call.header("x-account").to_owned()).header("cache-control", "public, max-age=60")
    })
    .await;
    let of = |mount: &str, name: &str| {
        let upstream = Upstream::new(&origin.url("")).unwrap();
        let upstream = upstream.mount(mount).unwrap();
        upstream.header("x-account", name).unwrap()
    };
    let upstreams = vec![of("/alice", "A"), of("/bob", "B")];
    let proxy = Running::start(upstreams, Options::default(), "").await;
    let client = [("authorization", "of a client")];
    assert_eq!(proxy.get("/alice/a").await.body, "A");
    for (mount, body, hit) in [
        ("/bob", "B", false),
        ("/bob", "B", true),
        ("/alice", "A", true),
    ] {
        let seen: Seen = proxy.get_with(&format!("{mount}/a"), &client).await;
        assert_eq!((&*seen.body, seen.is_hit()), (body, hit), "{mount}");
    }
}

#[tokio::test]
async fn another_token_starts_anew() {
    let origin = api().await;
    let endpoints = tracks(&origin, "");
    let start = |token| vec![account(&origin, "", token)];
    let proxy = Running::start(start("old"), Options::default(), &endpoints).await;
    for path in PATHS {
        proxy.get(path).await;
        assert!(proxy.get(path).await.is_hit(), "{path}");
    }
    for (token, hit) in [("new", false), ("old", true)] {
        let next = proxy.reload(start(token), Options::default(), &endpoints);
        next.await.unwrap();
        for path in PATHS {
            let seen = proxy.get(path).await;
            assert_eq!(seen.body, format!("<{token}>"), "{path}");
            assert_eq!(seen.is_hit(), hit, "{token} {path}");
        }
    }
}

#[tokio::test]
async fn accounts_share_what_an_endpoint_says_is_everyone_s() {
    for says in ["credentials = []\n", "share = true\n"] {
        let origin = api().await;
        let upstreams = vec![
            account(&origin, "/alice", "A"),
            account(&origin, "/bob", "B"),
        ];
        let endpoints = tracks(&origin, says);
        let proxy = Running::start(upstreams, Options::default(), &endpoints).await;
        assert_eq!(proxy.get("/alice/v1/tracks/7").await.body, "<A>");
        let shared = proxy.get("/bob/v1/tracks/7").await;
        assert_eq!((&*shared.body, shared.is_hit()), ("<A>", true), "{says}");
    }
}
