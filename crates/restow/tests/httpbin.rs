//! The clients against httpbin, a server that was made for testing HTTP clients and knows nothing of caches.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use restow::{
    Binary, Cache, DeclaredEndpoint, Json, Millis, Mode, RawKey, Repository, RouteEndpoint, Scope,
    TestClock,
    client::Got,
    endpoint::Rejection,
    exchange::{Answered, Missed, OutcomeKind, Saved, Staleness},
};
use restow_testkit::{Relay, http_client, httpbin::httpbin};
use serde_json::Value;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A SQLite cache of everything that httpbin answers, behind a relay that counts.
struct Bench {
    clock: TestClock,
    relay: Relay,
    cache: Cache,
    all: Repository<RouteEndpoint<RawKey, Binary>>,
    client: ClientWithMiddleware,
}

/// What a test looks at in an answer.
#[derive(Clone, Debug)]
struct Seen {
    status: u16,
    url: String,
    headers: HeaderMap,
    body: bytes::Bytes,
    answered: Answered,
}

impl Seen {
    fn outcome(&self) -> OutcomeKind {
        self.answered.outcome.kind
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Bench {
    async fn new() -> Self {
        let endpoint = |relay: &Relay| {
            let all = DeclaredEndpoint::get("all", &relay.url("{/path*}")).unwrap();
            all.negative(StatusCode::NOT_FOUND, HOUR)
        };
        Self::with(endpoint).await
    }

    async fn with(endpoint: impl FnOnce(&Relay) -> DeclaredEndpoint) -> Self {
        let clock = TestClock::at(Millis(1_800_000_000_000));
        let relay = Relay::to(httpbin()).await;
        let cache = Cache::builder().url("sqlite::temp:").mode(Mode::Live);
        let cache = cache.clock(clock.clone()).expire_after(HOUR);
        let cache = cache.build().await.unwrap();
        let all = cache.create_repository(endpoint(&relay)).await.unwrap();
        let client = cache.client(http_client().build().unwrap());
        Self {
            clock,
            relay,
            cache,
            all,
            client,
        }
    }

    async fn get(&self, target: &str) -> Seen {
        self.get_with(target, &[]).await
    }

    async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Seen {
        let url = self.relay.url(target);
        send(&self.client, Method::GET, &url, headers).await
    }
}

async fn send(
    client: &ClientWithMiddleware,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
) -> Seen {
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    Seen {
        status: response.status().as_u16(),
        url: response.url().to_string(),
        headers: response.headers().clone(),
        answered: response.extensions().get::<Answered>().unwrap().clone(),
        body: response.bytes().await.unwrap(),
    }
}

#[tokio::test]
async fn entity_tags_without_quotes_are_validated_as_they_came() {
    let bench = Bench::new().await;
    for target in ["/etag/abc", "/etag/a-b.c", "/cache"] {
        let first = bench.get(target).await;
        assert_eq!(bench.get(target).await.outcome(), OutcomeKind::Hit);
        let asked = bench.relay.asked();
        bench.clock.advance(2 * HOUR);
        let second = bench.get(target).await;
        assert_eq!(second.outcome(), OutcomeKind::Validated, "{target}");
        assert_eq!(bench.relay.asked(), asked + 1, "{target}");
        assert_eq!(
            (second.status, &second.body),
            (200, &first.body),
            "{target}"
        );
        assert_eq!(second.headers["etag"], first.headers["etag"], "{target}");
        // It lives again.
        assert_eq!(bench.get(target).await.outcome(), OutcomeKind::Hit);
        assert_eq!(bench.relay.asked(), asked + 1, "{target}");
    }
    assert_eq!(bench.get("/etag/abc").await.headers["etag"], "abc");
}

#[tokio::test]
async fn what_a_client_decodes_is_stored_decoded() {
    let bench = Bench::new().await;
    let typed = RouteEndpoint::<String, Json<Value>>::get("json", &bench.relay.url("/{coding}"));
    let typed = typed.unwrap().label_at("/method");
    let typed = bench.cache.create_repository(typed).await.unwrap();
    for (coding, says) in [("gzip", "gzipped"), ("brotli", "brotli")] {
        let target = format!("/{coding}");
        let first = bench.get(&target).await;
        let hit = bench.get(&target).await;
        assert_eq!(first.answered.saved(), Some(&Saved::Stored), "{coding}");
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{coding}");
        assert_eq!(
            (hit.json(), &hit.json()[says]),
            (first.json(), &Value::Bool(true))
        );
        assert!(!hit.headers.contains_key("content-encoding"), "{coding}");
        let value = typed.get(coding).await.unwrap();
        assert_eq!(value.as_ref(), Some(&first.json()), "{coding}");
    }
}

#[tokio::test]
async fn what_a_client_does_not_decode_is_stored_as_it_came() {
    let bench = Bench::new().await;
    let plain = http_client().no_gzip().no_brotli().build().unwrap();
    let client = bench.cache.client(plain);
    for coding in ["gzip", "deflate", "brotli"] {
        let url = bench.relay.url(&format!("/{coding}"));
        let first = send(&client, Method::GET, &url, &[]).await;
        let hit = send(&client, Method::GET, &url, &[]).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{coding}");
        assert_eq!(hit.body, first.body, "{coding}");
        let named = &hit.headers["content-encoding"];
        assert_eq!(named, &first.headers["content-encoding"], "{coding}");
        assert!(
            serde_json::from_slice::<Value>(&hit.body).is_err(),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn bytes_come_back_byte_for_byte() {
    let bench = Bench::new().await;
    let targets = [
        "/bytes/1000?seed=7",
        "/bytes/1000?seed=8",
        "/bytes/0?seed=1",
        "/image/png",
        "/image/jpeg",
        "/image/webp",
        "/encoding/utf8",
    ];
    let mut bodies = Vec::new();
    for target in targets {
        let first = bench.get(target).await;
        let hit = bench.get(target).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{target}");
        assert_eq!(hit.body, first.body, "{target}");
        assert_eq!(hit.headers["content-type"], first.headers["content-type"]);
        let request = http::Request::get(bench.relay.url(target))
            .body(())
            .unwrap();
        let stored = bench.all.get(&request).await.unwrap();
        assert_eq!(stored, Some(first.body.clone()), "{target}");
        bodies.push(first.body);
    }
    assert_ne!(bodies[0], bodies[1], "the seed is part of the key");
    assert!(bodies[3].starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn a_hit_ends_at_the_url_that_the_redirects_led_to() {
    let bench = Bench::new().await;
    for target in [
        "/redirect/2",
        "/relative-redirect/1",
        "/absolute-redirect/1",
    ] {
        let first = bench.get(target).await;
        assert_eq!(first.url, bench.relay.url("/get"), "{target}");
        let asked = bench.relay.asked();
        let hit = bench.get(target).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{target}");
        assert_eq!((hit.url, hit.body), (first.url, first.body), "{target}");
        assert_eq!(bench.relay.asked(), asked, "{target}");
    }
}

#[tokio::test]
async fn an_answer_of_another_origin_is_stored_only_where_the_endpoint_allows_it() {
    let elsewhere = Relay::to(httpbin()).await;
    let target = format!("/redirect-to?url={}", elsewhere.url("/bytes/9%3Fseed=1"));
    let bench = Bench::new().await;
    for _ in 0..2 {
        let answer = bench.get(&target).await;
        assert_eq!(answer.body.len(), 9);
        let saved = answer.answered.saved();
        assert_eq!(saved, Some(&Saved::Rejected(Rejection::Redirected)));
    }
    assert_eq!(elsewhere.asked(), 2);

    let allowing = Bench::with(|relay| {
        let all = DeclaredEndpoint::get("all", &relay.url("{/path*}")).unwrap();
        all.rules(|r| r.redirect_origins = vec![elsewhere.url("").into()])
    })
    .await;
    let first = allowing.get(&target).await;
    let hit = allowing.get(&target).await;
    assert_eq!(hit.outcome(), OutcomeKind::Hit);
    assert_eq!((hit.url, hit.body), (first.url, first.body));
    assert_eq!(elsewhere.asked(), 3);
}

#[tokio::test]
async fn a_herd_before_a_slow_endpoint_makes_one_request() {
    let bench = Bench::new().await;
    let inner = http_client().build().unwrap();
    let borrowing = ClientBuilder::new(inner).with(bench.cache.middleware());
    let forms = [
        ("client", bench.client.clone()),
        ("middleware", borrowing.build()),
    ];
    for (form, client) in forms {
        let before = bench.relay.asked();
        let url = bench.relay.url(&format!("/delay/1?{form}"));
        let herd = (0..64).map(|_| send(&client, Method::GET, &url, &[]));
        let answers = join_all(herd).await;
        assert_eq!(bench.relay.asked() - before, 1, "{form}");
        let fetched = |a: &&Seen| matches!(a.outcome(), OutcomeKind::Miss(_));
        assert_eq!(answers.iter().filter(fetched).count(), 1, "{form}");
        assert!(answers.iter().all(|a| a.body == answers[0].body), "{form}");
    }
}

#[tokio::test]
async fn bodies_that_come_in_pieces_are_stored_whole() {
    let bench = Bench::new().await;
    for (target, len) in [
        ("/stream/20", None),
        ("/stream-bytes/5000?seed=1&chunk_size=100", Some(5_000)),
        ("/drip?duration=0.2&numbytes=10&delay=0", Some(10)),
    ] {
        let first = bench.get(target).await;
        assert_eq!(first.answered.saved(), Some(&Saved::Stored), "{target}");
        let hit = bench.get(target).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{target}");
        assert_eq!(hit.body, first.body, "{target}");
        assert_eq!(hit.body.len(), len.unwrap_or(first.body.len()), "{target}");
    }
    let lines = bench.get("/stream/20").await.body;
    assert_eq!(lines.iter().filter(|b| **b == b'\n').count(), 20);
}

#[tokio::test]
async fn successes_and_declared_negatives_are_stored_and_no_other_status() {
    let bench = Bench::new().await;
    for (status, stored) in [
        (200, true),
        (203, true),
        (204, false),
        (206, false),
        (400, false),
        (401, false),
        (403, false),
        (404, true),
        (410, false),
        (418, false),
        (429, false),
        (500, false),
        (503, false),
    ] {
        let target = format!("/status/{status}");
        let before = bench.relay.asked();
        for _ in 0..2 {
            assert_eq!(bench.get(&target).await.status, status);
        }
        let asked = bench.relay.asked() - before;
        assert_eq!(asked, if stored { 1 } else { 2 }, "{status}");
    }
}

#[tokio::test]
async fn a_password_opens_its_own_entry_only() {
    let bench = Bench::new().await;
    let (right, wrong) = ("Basic dTpw", "Basic dTpx");
    let target = "/basic-auth/u/p";
    for (credential, status, outcome) in [
        (Some(right), 200, "miss"),
        (None, 401, "miss"),
        (Some(wrong), 401, "miss"),
        (Some(right), 200, "hit"),
        (Some(wrong), 401, "miss"),
        (None, 401, "miss"),
    ] {
        let header = credential.map(|c| ("authorization", c));
        let answer = bench.get_with(target, header.as_slice()).await;
        assert_eq!(answer.status, status, "{credential:?}");
        assert_eq!(answer.outcome().as_strs().0, outcome, "{credential:?}");
    }
    // reqwest makes the same header of a password in the URL.
    let url = bench.relay.url(target).replace("http://", "http://u:p@");
    let answer = send(&bench.client, Method::GET, &url, &[]).await;
    assert_eq!((answer.status, answer.outcome()), (200, OutcomeKind::Hit));
}

#[tokio::test]
async fn two_tokens_never_share() {
    let bench = Bench::new().await;
    for outcome in ["miss", "hit"] {
        for token in ["one", "two"] {
            let header = format!("Bearer {token}");
            let answer = bench
                .get_with("/bearer", &[("authorization", &header)])
                .await;
            assert_eq!(answer.json()["token"], token);
            assert_eq!(answer.outcome().as_strs().0, outcome, "{token}");
        }
    }
    assert_eq!(bench.get("/bearer").await.status, 401);
}

#[tokio::test]
async fn two_cookies_never_share_and_none_is_replayed() {
    let bench = Bench::new().await;
    for outcome in ["miss", "hit"] {
        for cookie in ["one", "two"] {
            let header = format!("session={cookie}");
            let answer = bench.get_with("/cookies", &[("cookie", &header)]).await;
            assert_eq!(answer.json()["cookies"]["session"], cookie);
            assert_eq!(answer.outcome().as_strs().0, outcome, "{cookie}");
        }
    }
    assert_eq!(
        bench.get("/cookies").await.json()["cookies"],
        serde_json::json!({})
    );

    let target = "/response-headers?Set-Cookie=session%3Done";
    assert_eq!(bench.get(target).await.headers["set-cookie"], "session=one");
    let hit = bench.get(target).await;
    assert_eq!(hit.outcome(), OutcomeKind::Hit);
    assert!(!hit.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_header_of_several_lines_keeps_them() {
    let bench = Bench::new().await;
    let target = "/response-headers?X-A=1&X-A=2&X-B=3&X-A=4";
    let first = bench.get(target).await;
    let hit = bench.get(target).await;
    assert_eq!(hit.outcome(), OutcomeKind::Hit);
    let lines: Vec<_> = hit.headers.get_all("x-a").iter().collect();
    assert_eq!(lines, ["1", "2", "4"]);
    assert_eq!(hit.headers["x-b"], first.headers["x-b"]);
}

#[tokio::test]
async fn a_stored_get_answers_head() {
    let bench = Bench::new().await;
    let first = bench.get("/bytes/100?seed=3").await;
    let asked = bench.relay.asked();
    let url = bench.relay.url("/bytes/100?seed=3");
    let head = send(&bench.client, Method::HEAD, &url, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-type"], first.headers["content-type"]);
    assert_eq!(bench.relay.asked(), asked);
}

#[tokio::test]
async fn a_change_that_succeeds_removes_what_it_changed() {
    let bench = Bench::new().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let target = "/anything/a";
        bench.get(target).await;
        assert_eq!(bench.get(target).await.outcome(), OutcomeKind::Hit);
        bench.get("/anything/b").await;
        let url = bench.relay.url(target);
        let changed = send(&bench.client, method.clone(), &url, &[]).await;
        assert_eq!(changed.json()["method"], method.as_str());
        let again = bench.get(target).await;
        assert_eq!(
            again.outcome(),
            OutcomeKind::Miss(Missed::Absent),
            "{method}"
        );
        let other = bench.get("/anything/b").await;
        assert_eq!(other.outcome(), OutcomeKind::Hit, "{method}");
    }
}

#[tokio::test]
async fn a_part_of_an_answer_is_not_taken_for_the_whole() {
    let bench = Bench::new().await;
    let part = bench
        .get_with("/range/100", &[("range", "bytes=10-19")])
        .await;
    assert_eq!((part.status, part.body.len()), (206, 10));
    assert_eq!(bench.all.count(Scope::All).await.unwrap(), 0);
    let whole = bench.get("/range/100").await;
    assert_eq!((whole.status, whole.body.len()), (200, 100));
}

#[tokio::test]
async fn an_answer_stands_in_for_a_server_that_is_gone() {
    let mut bench = Bench::new().await;
    let first = bench.get("/bytes/10?seed=5").await;
    let target = bench.relay.url("/bytes/10?seed=5");
    // A relay to nowhere, and with it nothing at the old address.
    bench.relay = Relay::to(httpbin()).await;
    bench.clock.advance(2 * HOUR);
    let stale = send(&bench.client, Method::GET, &target, &[]).await;
    assert_eq!(stale.outcome(), OutcomeKind::Stale(Staleness::Error));
    assert_eq!(stale.body, first.body);
    bench.clock.advance(8 * DAY);
    assert!(bench.client.get(&target).send().await.is_err());
}

#[tokio::test]
async fn typed_reads_fetch_what_is_not_held() {
    let bench = Bench::new().await;
    let items =
        RouteEndpoint::<String, Json<Value>>::get("items", &bench.relay.url("/anything/{id}"));
    let items = bench.cache.create_repository(items.unwrap()).await.unwrap();
    let inner = http_client().build().unwrap();
    items
        .save("b", &serde_json::json!({ "mine": true }))
        .await
        .unwrap();

    let keys = ["a", "b", "c", "a"].map(String::from);
    let got = items.get_or_fetch_many(&keys, &inner).await.unwrap();
    let url = |got: &Got<Value>| match got {
        Got::Fetched(value) | Got::Hit(value) => value["url"].as_str().map(String::from),
        other => panic!("{other:?}"),
    };
    let asked: Vec<_> = got.iter().map(url).collect();
    let a = Some(bench.relay.url("/anything/a"));
    assert_eq!(
        asked,
        [a.clone(), None, Some(bench.relay.url("/anything/c")), a]
    );
    assert_eq!(bench.relay.asked(), 2);
    // The client finds what the typed read has stored, and the other way round.
    assert_eq!(bench.get("/anything/c").await.outcome(), OutcomeKind::Hit);
    let a = items.get_or_fetch(&keys[0], &inner).await.unwrap();
    assert_eq!(a.outcome.kind, OutcomeKind::Hit);
}
