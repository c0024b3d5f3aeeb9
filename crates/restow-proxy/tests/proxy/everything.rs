//! Requests of no endpoint: the rules of RFC 9111 for shared caches.

use crate::kit::{Running, asked_with, before};
use futures_util::TryStreamExt as _;
use restow::Scope;
use restow_proxy::EVERYTHING;
use restow_testkit::{Origin, Reply};

#[tokio::test]
async fn a_fresh_answer_is_a_hit_with_its_age_and_every_byte() {
    let origin = Origin::start(|_| {
        Reply::ok("hello")
            .header("cache-control", "max-age=60")
            .header("x-a", "1")
            .header("x-a", "2")
    })
    .await;
    let proxy = before(&origin).await;
    let first = proxy.get("/a?b=1").await;
    assert_eq!(
        first.header("cache-status"),
        "restow; fwd=uri-miss; fwd-status=200; stored"
    );
    assert_eq!(first.header("via"), "1.1 restow");
    proxy.advance(10);
    let second = proxy.get("/a?b=1").await;
    assert_eq!((second.status.as_u16(), &*second.body), (200, "hello"));
    assert_eq!(second.header("cache-status"), "restow; hit; ttl=50");
    assert_eq!(second.header("age"), "10");
    assert_eq!(second.header("x-a"), "1, 2");
    assert_eq!(second.header("date"), first.header("date"));
    assert_eq!(origin.asked(), 1);
    assert_eq!(
        proxy.get("/a?b=2").await.header("age"),
        "",
        "another query is another key"
    );
}

#[tokio::test]
async fn an_expired_answer_is_validated_and_its_new_fields_are_served() {
    let origin = Origin::start(|call| match call.header("if-none-match") {
        "\"v\"" => Reply::status(304)
            .header("etag", "\"v\"")
            .header("x-new", "1")
            .header("cache-control", "max-age=60"),
        _ => Reply::ok("hello")
            .header("etag", "\"v\"")
            .header("cache-control", "max-age=60"),
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    proxy.advance(61);
    let validated = proxy.get("/").await;
    assert_eq!(
        (validated.status.as_u16(), &*validated.body),
        (200, "hello")
    );
    assert_eq!(validated.header("x-new"), "1");
    assert_eq!(
        validated.header("cache-status"),
        "restow; fwd=stale; fwd-status=304; detail=expired"
    );
    assert!(proxy.get("/").await.is_hit());
    let wanted = proxy.get_with("/", &[("cache-control", "no-cache")]).await;
    assert_eq!(
        wanted.header("cache-status"),
        "restow; fwd=request; fwd-status=304; detail=request-no-cache"
    );
    let conditions = asked_with(&origin, "/", "if-none-match");
    assert_eq!(conditions, ["", "\"v\"", "\"v\""]);
}

#[tokio::test]
async fn what_may_not_be_stored_is_not() {
    for forbids in [
        "no-store",
        "private, max-age=60",
        "max-age=60; broken",
        "No-Store, max-age=60",
    ] {
        let origin = Origin::start(move |_| Reply::ok("a").header("cache-control", forbids)).await;
        let proxy = before(&origin).await;
        assert!(
            !proxy
                .get("/")
                .await
                .header("cache-status")
                .contains("stored"),
            "{forbids}"
        );
        assert!(!proxy.get("/").await.is_hit(), "{forbids}");
        assert_eq!(origin.asked(), 2, "{forbids}");
    }
}

#[tokio::test]
async fn an_answer_without_a_lifetime_is_asked_for_each_time() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    proxy.get("/").await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn cookies_are_for_the_one_who_asked_first() {
    let origin = Origin::start(|_| {
        Reply::ok("a")
            .header("cache-control", "max-age=60")
            .header("set-cookie", "session=1")
    })
    .await;
    let proxy = before(&origin).await;
    assert_eq!(proxy.get("/").await.header("set-cookie"), "session=1");
    let hit = proxy.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.header("set-cookie"), "");
}

#[tokio::test]
async fn clients_get_304_and_parts_from_what_is_held() {
    let origin = Origin::start(|_| {
        Reply::ok("0123456789")
            .header("cache-control", "max-age=60")
            .header("etag", "\"v\"")
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    let same = proxy.get_with("/", &[("if-none-match", "\"v\"")]).await;
    assert_eq!((same.status.as_u16(), &*same.body), (304, ""));
    let part = proxy.get_with("/", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status.as_u16(), &*part.body), (206, "234"));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    let beyond = proxy.get_with("/", &[("range", "bytes=20-")]).await;
    assert_eq!(beyond.status.as_u16(), 416);
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let head = proxy.ask("HEAD", "/", &[]).await;
    assert_eq!(
        (head.header("content-length"), &*head.body),
        ("10".to_owned(), "")
    );
    assert!(head.is_hit());
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn an_unsafe_method_makes_its_target_and_what_it_names_invalid() {
    let origin = Origin::start(|call| match call.method.as_str() {
        "POST" => Reply::status(201)
            .header("location", "/b")
            .header("content-location", "http://elsewhere.example/c"),
        _ => Reply::ok("a").header("cache-control", "max-age=60"),
    })
    .await;
    let proxy = before(&origin).await;
    for path in ["/a", "/b", "/c"] {
        proxy.get(path).await;
    }
    assert_eq!(proxy.ask("POST", "/a", &[]).await.status.as_u16(), 201);
    assert!(!proxy.get("/a").await.is_hit());
    assert!(!proxy.get("/b").await.is_hit());
    assert!(proxy.get("/c").await.is_hit());
}

#[tokio::test]
async fn a_method_that_no_cache_answers_is_why_it_is_passed_on_whatever_its_body() {
    let origin = Origin::start(|_| Reply::status(204)).await;
    let proxy = before(&origin).await;
    let client = restow_testkit::http_client().build().unwrap();
    for (method, body) in [
        ("POST", ""),
        ("POST", "hello"),
        ("PUT", "hello"),
        ("DELETE", ""),
    ] {
        let request = client.request(method.parse().unwrap(), proxy.url("/a"));
        let answer = request.body(body).send().await.unwrap();
        let status = answer.headers()["cache-status"].to_str().unwrap();
        let expected = "restow; fwd=method; fwd-status=204; detail=method";
        assert_eq!(status, expected, "{method} {body:?}");
    }
}

#[tokio::test]
async fn groups_are_tags_and_are_made_invalid_together() {
    let origin = Origin::start(|call| match call.method.as_str() {
        "POST" => Reply::status(204).header("cache-group-invalidation", "\"news\""),
        _ if call.target == "/other" => Reply::ok("a").header("cache-control", "max-age=60"),
        _ => Reply::ok("a")
            .header("cache-control", "max-age=60")
            .header("cache-groups", "\"news\", \"all\""),
    })
    .await;
    let proxy = before(&origin).await;
    for path in ["/1", "/2", "/other"] {
        proxy.get(path).await;
    }
    proxy.ask("POST", "/x", &[]).await;
    assert!(!proxy.get("/1").await.is_hit());
    assert!(!proxy.get("/2").await.is_hit());
    assert!(proxy.get("/other").await.is_hit());
    let everything = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    assert_eq!(
        everything
            .everyone()
            .select()
            .tag("news")
            .count()
            .await
            .unwrap(),
        2
    );
}

/// A secret in a URL tells whose the answer is, even where the API says that it is for all, and is never stored.
#[tokio::test]
async fn a_secret_of_the_query_keeps_answers_apart_and_stands_in_no_key() {
    let origin = Origin::start(|call| {
        Reply::ok(format!("{} {}", call.target, call.nth))
            .header("cache-control", "public, max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    let urls = [
        "/a?api_key=canary-1&page=2",
        "/a?api_key=canary-2&page=2",
        "/a?page=2&api_key=canary-1",
        "/a?api_key=&page=2",
        "/a?page=2",
        "/a?%61pi_key=canary-1&page=2",
    ];
    for _ in 0..2 {
        for url in urls {
            assert_eq!(proxy.get(url).await.body, format!("{url} 0"));
        }
    }
    assert_eq!(origin.asked(), urls.len());
    let everything = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    let entries = everything.everyone().entries(Scope::All);
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    assert_eq!(entries.len(), urls.len());
    for entry in entries {
        let shown = format!("{} {:?}", entry.id.address.key, entry.meta);
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[tokio::test]
async fn a_stale_answer_within_its_window_is_refreshed_once_behind() {
    let gate = restow_testkit::Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| {
        let reply = Reply::ok(format!("{}", call.nth))
            .header("cache-control", "max-age=1, stale-while-revalidate=60");
        if call.nth == 0 {
            reply
        } else {
            reply.behind(&held)
        }
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/").await;
    proxy.advance(2);
    for _ in 0..5 {
        let stale = proxy.get("/").await;
        assert_eq!(stale.body, "0");
        assert!(
            stale
                .header("cache-status")
                .starts_with("restow; hit; ttl=-1; detail=stale-while-revalidate")
        );
    }
    gate.reached(1).await;
    gate.open();
    until_body(&proxy, "1").await;
    assert_eq!(origin.asked(), 2);
}

/// Asks until the refreshed answer is there: it is stored in a task of its own.
async fn until_body(proxy: &Running, body: &str) {
    for _ in 0..1_000 {
        if proxy.get("/").await.body == body {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the refresh never arrived");
}
