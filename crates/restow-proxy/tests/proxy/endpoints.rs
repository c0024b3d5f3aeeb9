//! Requests of declared endpoints: the rules of the configuration.

use crate::kit::{Running, T0, open};
use bytes::Bytes;
use http::{Request, Response};
use restow::{Cache, Millis, TestClock, exchange::Saved};
use restow_proxy::{EVERYTHING, Options, Upstream};
use restow_testkit::{Origin, Reply};

async fn declared(origin: &Origin, rules: &str) -> Running {
    let endpoint = format!(
        "[[endpoint]]\nname = \"items\"\nroute = \"GET {}\"\n{rules}",
        origin.url("/items/{id}{?lang}")
    );
    let music = Upstream::new(&origin.url(""))
        .unwrap()
        .mount("/api")
        .unwrap();
    Running::start(vec![music], Options::default(), &endpoint).await
}

#[tokio::test]
async fn an_endpoint_decides_for_itself_and_has_a_repository() {
    let origin =
        Origin::start(|_| Reply::ok("{}").header("content-type", "application/json")).await;
    let proxy = declared(&origin, "expire_after = \"1 hour\"").await;
    proxy.get("/api/items/7").await;
    proxy.get("/api/items/7?lang=en").await;
    proxy.advance(3_599);
    assert!(proxy.get("/api/items/7?lang=en").await.is_hit());
    proxy.advance(2);
    assert!(!proxy.get("/api/items/7?lang=en").await.is_hit());
    let items = proxy.proxy.cache().repository("items").unwrap();
    assert_eq!(
        items
            .everyone()
            .select()
            .eq("id", "7")
            .count()
            .await
            .unwrap(),
        2
    );
    let rest = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    assert_eq!(rest.everyone().count(restow::Scope::All).await.unwrap(), 0);
}

#[tokio::test]
async fn each_credential_has_entries_of_its_own() {
    let origin = Origin::start(|call| Reply::ok(call.header("authorization").to_owned())).await;
    let proxy = declared(&origin, "").await;
    for _ in 0..2 {
        for user in ["alice", "bob"] {
            let answer = proxy
                .get_with("/api/items/1", &[("authorization", user)])
                .await;
            assert_eq!(answer.body, user);
        }
    }
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn with_http_the_answers_decide_and_the_endpoint_says_the_rest() {
    let origin = Origin::start(|call| match &*call.target {
        "/items/says" => Reply::ok("a").header("cache-control", "max-age=5"),
        "/items/private" => Reply::ok("a").header("cache-control", "private, max-age=5"),
        _ => Reply::ok("a"),
    })
    .await;
    let proxy = declared(&origin, "freshness = \"http\"\nexpire_after = \"1 minute\"").await;
    for path in ["says", "silent", "private"] {
        proxy.get(&format!("/api/items/{path}")).await;
    }
    proxy.advance(4);
    assert!(proxy.get("/api/items/says").await.is_hit());
    assert!(!proxy.get("/api/items/private").await.is_hit());
    proxy.advance(4);
    assert!(!proxy.get("/api/items/says").await.is_hit());
    assert!(proxy.get("/api/items/silent").await.is_hit());
    proxy.advance(60);
    assert!(!proxy.get("/api/items/silent").await.is_hit());
}

/// RFC 9111 section 4.2.1: `s-maxage` is for caches that several share, whoever stored the answer.
#[tokio::test]
async fn what_a_program_stored_for_itself_is_fresh_for_all_as_long_as_it_says_for_all() {
    let origin = Origin::start(|_| Reply::ok("new")).await;
    let route = origin.url("/items/{id}");
    let endpoint = format!(
        "[[endpoint]]\nname = \"items\"\nroute = \"GET {route}\"\nfreshness = \"http\"\nnegative = {{ 404 = \"1 hour\" }}"
    );
    let clock = TestClock::at(Millis(T0));
    let builder = Cache::builder().url("memory:").clock(clock.clone());
    let program = builder.build().await.unwrap();
    open(&program, &endpoint).await;
    for (id, status) in [("some", 200), ("none", 404)] {
        let url = origin.url(&format!("/items/{id}"));
        let (request, ()) = Request::get(url).body(()).unwrap().into_parts();
        let answer = Response::builder().status(status);
        let answer = answer.header("cache-control", "max-age=86400, s-maxage=60");
        let answer = answer.body(Bytes::new()).unwrap();
        let saved = program.save(&request, &answer).await;
        assert_eq!(saved.unwrap(), Saved::Stored);
    }
    let shared = Cache::builder().shared(true).build_over(&program).unwrap();
    open(&shared, &endpoint).await;
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::over(shared, clock, upstreams, Options::default()).await;
    proxy.advance(59);
    assert!(proxy.get("/items/some").await.is_hit());
    proxy.advance(2);
    assert!(!proxy.get("/items/some").await.is_hit());
    // Of these the endpoint decides.
    assert!(proxy.get("/items/none").await.is_hit());
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn an_endpoint_that_asks_by_post_is_answered_by_its_body() {
    let origin = Origin::start(|call| Reply::ok(call.body.clone())).await;
    let endpoint = format!(
        "[[endpoint]]\nname = \"search\"\nroute = \"POST {}\"\n",
        origin.url("/search")
    );
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, Options::default(), &endpoint).await;
    let client = restow_testkit::http_client().build().unwrap();
    for (body, asked) in [("one", 1), ("two", 2), ("one", 2), ("two", 2)] {
        let answer = client
            .post(proxy.url("/search"))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.text().await.unwrap(), body);
        assert_eq!(origin.asked(), asked);
    }
    // One that is too long for a key passes all the same.
    let long = "x".repeat(3 << 20);
    let answer = client
        .post(proxy.url("/search"))
        .body(long.clone())
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap() == long);
}

/// An integer of a structured field has 15 digits at most: a parser drops the whole field where one has more.
#[tokio::test]
async fn an_answer_that_never_expires_says_so_in_a_field_that_parsers_take() {
    // In chunks: whoever has seen the end finds it stored.
    let origin = Origin::start(|_| Reply::status(200).then("{").then("}")).await;
    let proxy = declared(&origin, "expire_after = \"never\"").await;
    proxy.get("/api/items/7").await;
    let status = proxy.get("/api/items/7").await.header("cache-status");
    assert_eq!(status, "restow; hit; ttl=999999999999999");
}
