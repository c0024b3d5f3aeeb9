//! The reqwest client, from a request to the repository and back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use http::{HeaderValue, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use restow::{
    Cache, ErrorKind, Json, Millis, Mode, RouteEndpoint, Scope, TestClock, Text,
    client::Got,
    exchange::{Answered, Missed, OutcomeKind, Saved, Staleness},
};
use restow_testkit::dropping::in_time;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Where TLS is built into the workspace's reqwest, a client cannot be made before a provider is chosen.
fn http_client() -> reqwest::Client {
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

type AnswerBy = dyn FnMut(&reqwest::Request) -> Result<Answer, &'static str> + Send;
type Answer = http::Response<String>;

/// An API in the place of the network: it answers by a function, and counts.
#[derive(Clone)]
struct Api {
    answer: Arc<Mutex<AnswerBy>>,
    asked: Arc<AtomicUsize>,
}

impl Api {
    fn new(
        answer: impl FnMut(&reqwest::Request) -> Result<Answer, &'static str> + Send + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
        }
    }

    fn client(&self) -> ClientWithMiddleware {
        ClientBuilder::new(http_client()).with(self.clone()).build()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Middleware for Api {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match (self.answer.lock().unwrap())(&request) {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                let mut response = http::Response::builder();
                response = reqwest::ResponseBuilderExt::url(response, request.url().clone());
                let mut response = response.status(parts.status).body(body).unwrap();
                *response.headers_mut() = parts.headers;
                Ok(response.into())
            }
            Err(why) => Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(why))),
        }
    }
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
    let mut answer = http::Response::new(body.to_owned());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        answer
            .headers_mut()
            .append(*name, HeaderValue::from_static(value));
    }
    answer
}

fn outcome(response: &reqwest::Response) -> OutcomeKind {
    response
        .extensions()
        .get::<Answered>()
        .unwrap()
        .outcome
        .kind
}

const DAY: Duration = Duration::from_secs(86_400);
const URL: &str = "https://api.example.com/items/1";

async fn cache(clock: &TestClock) -> (Cache, restow::Repository<RouteEndpoint<String, Text>>) {
    let cache = Cache::builder()
        .url("memory:")
        .clock(clock.clone())
        .mode(Mode::Live)
        .build()
        .await
        .unwrap();
    let items =
        RouteEndpoint::<String, Text>::get("items", "https://api.example.com/items/{id}").unwrap();
    let items = cache
        .create_repository(items.negative(StatusCode::NOT_FOUND, DAY))
        .await
        .unwrap();
    (cache, items)
}

#[tokio::test]
async fn a_fetched_answer_is_kept_whole_and_answers_the_next_request() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let api = Api::new(|_| {
        Ok(answer(
            203,
            &[
                ("link", "<a>"),
                ("link", "<b>"),
                ("x-empty", ""),
                ("connection", "close"),
            ],
            "one",
        ))
    });
    let client = cache.client(api.client());

    let first = client.get(URL).send().await.unwrap();
    assert_eq!(outcome(&first), OutcomeKind::Miss(Missed::Absent));
    let answered = first.extensions().get::<Answered>().unwrap().clone();
    assert_eq!(first.text().await.unwrap(), "one");
    assert_eq!(answered.saved(), Some(&Saved::Stored));
    assert_eq!(items.get("1").await.unwrap().as_deref(), Some("one"));

    clock.advance(Duration::from_secs(90));
    let hit = client.get(URL).send().await.unwrap();
    assert_eq!(outcome(&hit), OutcomeKind::Hit);
    assert_eq!(hit.status(), 203);
    assert_eq!(hit.url().as_str(), URL);
    assert_eq!(
        hit.headers().get_all("link").iter().collect::<Vec<_>>(),
        ["<a>", "<b>"]
    );
    assert_eq!(hit.headers()["x-empty"], "");
    assert_eq!(hit.headers()["age"], "90");
    assert!(!hit.headers().contains_key("connection"));
    assert_eq!(hit.text().await.unwrap(), "one");
    assert_eq!(api.asked(), 1);
}

#[tokio::test]
async fn an_expired_answer_is_confirmed_by_a_304_and_keeps_its_body() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let api = Api::new(|request| match request.headers().get("if-none-match") {
        Some(tag) if tag == "unquoted" => {
            Ok(answer(304, &[("etag", "unquoted"), ("x-new", "2")], ""))
        }
        Some(_) => Err("another tag"),
        None => Ok(answer(200, &[("etag", "unquoted"), ("x-new", "1")], "one")),
    });
    let client = cache.client(api.client());
    client.get(URL).send().await.unwrap().text().await.unwrap();
    clock.advance(8 * DAY);
    assert_eq!(items.count(Scope::Live).await.unwrap(), 0);
    let validated = client.get(URL).send().await.unwrap();
    assert_eq!(outcome(&validated), OutcomeKind::Validated);
    assert_eq!(validated.headers()["x-new"], "2");
    assert_eq!(validated.text().await.unwrap(), "one");
    assert_eq!(items.count(Scope::Live).await.unwrap(), 1);
    assert_eq!(
        outcome(&client.get(URL).send().await.unwrap()),
        OutcomeKind::Hit
    );
    assert_eq!(api.asked(), 2);
}

#[tokio::test]
async fn where_the_api_fails_an_expired_answer_stands_in_within_its_window() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _) = cache(&clock).await;
    let mut calls = 0;
    let api = Api::new(move |_| {
        calls += 1;
        match calls {
            1 => Ok(answer(200, &[], "one")),
            2 => Ok(answer(503, &[], "down")),
            3 => Err("no route to host"),
            _ => Ok(answer(500, &[], "down")),
        }
    });
    let clients = [
        cache.client(api.client()),
        ClientBuilder::new(http_client())
            .with(cache.middleware())
            .with(api.clone())
            .build(),
    ];
    for (client, pauses) in clients.iter().zip(0..) {
        clock.set(Millis(1_800_000_000_000));
        client.get(URL).send().await.unwrap().text().await.unwrap();
        // After a failure it is not asked again at once.
        clock.advance(8 * DAY + pauses * Duration::from_secs(1));
        let stale = client.get(URL).send().await.unwrap();
        assert_eq!(outcome(&stale), OutcomeKind::Stale(Staleness::Error));
        assert_eq!(stale.text().await.unwrap(), "one");
    }
    clock.advance(7 * DAY);
    let failed = cache.client(api.client()).get(URL).send().await.unwrap();
    assert_eq!(failed.status(), 500);
}

#[tokio::test]
async fn where_the_api_fails_a_head_and_a_part_of_an_expired_answer_stand_in() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _) = cache(&clock).await;
    let mut calls = 0;
    let api = Api::new(move |_| {
        calls += 1;
        match calls {
            1 => Ok(answer(200, &[("etag", "\"1\"")], "whole")),
            n if n % 2 == 0 => Ok(answer(503, &[], "down")),
            _ => Err("no route to host"),
        }
    });
    let clients = [
        cache.client(api.client()),
        ClientBuilder::new(http_client())
            .with(cache.middleware())
            .with(api.clone())
            .build(),
    ];
    clients[0].get(URL).send().await.unwrap();
    clock.advance(8 * DAY);
    for (client, failure) in clients.iter().flat_map(|c| [(c, "503"), (c, "no route")]) {
        // Past the pause after the failure before.
        clock.advance(Duration::from_secs(60));
        let head = client.head(URL).send().await.unwrap();
        assert_eq!(outcome(&head), OutcomeKind::Stale(Staleness::Error));
        assert_eq!(
            (head.status().as_u16(), &head.headers()["etag"]),
            (200, &HeaderValue::from_static("\"1\"")),
            "{failure}"
        );
        assert_eq!(head.text().await.unwrap(), "", "{failure}");
    }
    for (client, failure) in clients.iter().flat_map(|c| [(c, "503"), (c, "no route")]) {
        clock.advance(Duration::from_secs(60));
        let part = client
            .get(URL)
            .header("range", "bytes=1-3")
            .send()
            .await
            .unwrap();
        assert_eq!(outcome(&part), OutcomeKind::Stale(Staleness::Error));
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{failure}");
        assert_eq!(part.text().await.unwrap(), "hol", "{failure}");
    }
    assert_eq!(api.asked(), 9);
    clock.advance(7 * DAY);
    let failed = clients[0].head(URL).send().await.unwrap();
    assert_eq!(failed.status(), 503);
    clients[0].head(URL).send().await.unwrap_err();
}

#[tokio::test]
async fn where_nothing_is_written_a_head_changes_nothing() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let mut tags = ["\"1\"", "\"2\"", "\"2\""].into_iter();
    let api = Api::new(move |_| Ok(answer(200, &[("etag", tags.next().unwrap())], "one")));
    let client = cache.client(api.client());
    client.get(URL).send().await.unwrap().text().await.unwrap();
    clock.advance(8 * DAY);
    for (mode, left) in [(Mode::ReadOnly, 1), (Mode::Live, 0)] {
        client.head(URL).with_extension(mode).send().await.unwrap();
        assert_eq!(items.count(Scope::All).await.unwrap(), left, "{mode:?}");
    }
}

/// Waits until something fresh is held.
async fn is_refreshed<K: restow::Endpoint>(repository: &restow::Repository<K>) {
    in_time("a refresh behind an answer", async {
        while repository.count(Scope::Live).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_expired_is_refreshed_behind_a_head_by_a_get() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _) = cache(&clock).await;
    let notes = RouteEndpoint::<String, Text>::get("notes", "https://api.example.com/notes/{id}");
    let notes = notes.unwrap().stale_while_revalidate(60 * DAY);
    let notes = cache.create_repository(notes).await.unwrap();
    let url = "https://api.example.com/notes/1";
    let api = Api::new(|request| match request.headers().get("if-none-match") {
        _ if request.method() != "GET" => Err("nothing of it could be stored"),
        Some(_) => Ok(answer(304, &[("etag", "\"1\"")], "")),
        None => Ok(answer(200, &[("etag", "\"1\"")], "one")),
    });
    let client = cache.client(api.client());
    client.get(url).send().await.unwrap().text().await.unwrap();
    clock.advance(8 * DAY);
    let head = client.head(url).send().await.unwrap();
    assert_eq!(outcome(&head), OutcomeKind::Stale(Staleness::Window));
    assert_eq!(head.headers()["etag"], "\"1\"");
    is_refreshed(&notes).await;
    let hit = client.get(url).send().await.unwrap();
    assert_eq!(outcome(&hit), OutcomeKind::Hit);
    assert_eq!(hit.text().await.unwrap(), "one");
    assert_eq!(api.asked(), 2);
}

/// RFC 9110 section 13.1.2: of a `POST`, `If-None-Match` is a condition that fails.
#[tokio::test]
async fn a_post_is_refreshed_behind_without_a_condition() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _) = cache(&clock).await;
    let url = "https://api.example.com/queries";
    let queries = RouteEndpoint::<(String,), Text>::post("queries", url);
    let queries = queries.unwrap().stale_while_revalidate(60 * DAY);
    let queries = cache.create_repository(queries).await.unwrap();
    let api = Api::new(|request| match request.headers().get("if-none-match") {
        Some(_) => Ok(answer(412, &[], "")),
        None => Ok(answer(200, &[("etag", "\"1\"")], "one")),
    });
    let client = cache.client(api.client());
    let ask = || client.post(url).body("a").send();
    ask().await.unwrap().text().await.unwrap();
    clock.advance(8 * DAY);
    let stale = ask().await.unwrap();
    assert_eq!(outcome(&stale), OutcomeKind::Stale(Staleness::Window));
    is_refreshed(&queries).await;
}

/// RFC 9110 section 13.1.2: only a `GET` and a `HEAD` are answered 304.
#[tokio::test]
async fn a_post_is_answered_with_the_whole_whatever_its_conditions() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _) = cache(&clock).await;
    let url = "https://api.example.com/queries";
    let queries = RouteEndpoint::<(String,), Text>::post("queries", url);
    cache.create_repository(queries.unwrap()).await.unwrap();
    let api = Api::new(|_| Ok(answer(200, &[("etag", "\"1\"")], "one")));
    let client = cache.client(api.client());
    let ask = || client.post(url).body("a").header("if-none-match", "\"1\"");
    ask().send().await.unwrap().text().await.unwrap();
    let hit = ask().send().await.unwrap();
    assert_eq!(outcome(&hit), OutcomeKind::Hit);
    assert_eq!(hit.status(), StatusCode::OK);
    assert_eq!(hit.text().await.unwrap(), "one");
    assert_eq!(api.asked(), 1);
}

#[tokio::test]
async fn modes_say_what_may_be_asked_and_stored() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let api = Api::new(|_| Ok(answer(200, &[], "one")));
    let client = cache.client(api.client());
    let get = |mode: Mode| client.get(URL).with_extension(mode).send();
    assert_eq!(
        get(Mode::Offline).await.unwrap().status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    assert_eq!(
        get(Mode::ReadOnly).await.unwrap().text().await.unwrap(),
        "one"
    );
    assert_eq!(
        get(Mode::Bypass).await.unwrap().text().await.unwrap(),
        "one"
    );
    assert!(!items.contains("1").await.unwrap());
    assert_eq!(get(Mode::Live).await.unwrap().text().await.unwrap(), "one");
    assert_eq!(
        get(Mode::Refresh).await.unwrap().text().await.unwrap(),
        "one"
    );
    assert_eq!(api.asked(), 4);
    clock.advance(20 * DAY);
    let offline = get(Mode::Offline).await.unwrap();
    assert_eq!(outcome(&offline), OutcomeKind::Stale(Staleness::Offline));
    cache.set_mode(Mode::Offline);
    let error = items
        .get_or_fetch(&"2".to_string(), &api.client())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline);
    assert_eq!(api.asked(), 4);
}

#[tokio::test]
async fn offline_nobody_is_asked_for_anything() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, _items) = cache(&clock).await;
    let api = Api::new(|_| Ok(answer(200, &[], "asked")));
    let owning = cache.client(api.client());
    let borrowing = ClientBuilder::new(http_client())
        .with(cache.middleware())
        .with(api.clone())
        .build();
    cache.set_mode(Mode::Offline);
    for client in [owning, borrowing] {
        for (method, url) in [
            ("POST", URL),
            ("DELETE", URL),
            ("OPTIONS", URL),
            ("GET", "https://api.example.com/elsewhere"),
            // Whose it is cannot be told: it has no key.
            ("GET", "https://me:secret@api.example.com/items/1"),
        ] {
            let response = client.request(method.parse().unwrap(), url).send().await;
            let response = response.unwrap();
            assert_eq!(response.status(), 504, "{method} {url}");
            assert_eq!(outcome(&response), OutcomeKind::Refused, "{method} {url}");
        }
    }
    assert_eq!(api.asked(), 0);
}

#[tokio::test]
async fn what_is_changed_past_the_cache_is_invalid_to_it() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let api = Api::new(|request| match request.method().as_str() {
        "DELETE" => Err("the connection was reset"),
        "PATCH" => Ok(answer(409, &[], "")),
        _ => Ok(answer(200, &[], "one")),
    });
    let client = cache.client(api.client());
    for (mode, method, stays) in [
        (Mode::Bypass, "GET", true),
        (Mode::Bypass, "PATCH", true),
        (Mode::Bypass, "PUT", false),
        (Mode::Live, "PUT", false),
        // It may have been carried out.
        (Mode::Live, "DELETE", false),
    ] {
        items.save("1", &"held".to_owned()).await.unwrap();
        let request = client.request(method.parse().unwrap(), URL);
        _ = request.with_extension(mode).send().await;
        let what = format!("{method} in mode {mode}");
        assert_eq!(items.contains("1").await.unwrap(), stays, "{what}");
    }
}

#[tokio::test]
async fn many_keys_are_answered_in_order_and_one_failure_does_not_lose_the_others() {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let (cache, items) = cache(&clock).await;
    let api = Api::new(|request| match request.url().path() {
        "/items/missing" => Ok(answer(404, &[], "no")),
        "/items/broken" => Err("no route to host"),
        path => Ok(answer(200, &[], path)),
    });
    let inner = api.client();
    items.save("held", &"held".to_string()).await.unwrap();
    let keys = ["a", "held", "missing", "broken", "a", ".."].map(String::from);
    // Through a client that caches too: the fetch is this call's own, and is not waited for twice.
    let caching = cache.client(inner.clone());
    let got = items
        .get_or_fetch_many(&keys, &caching)
        .concurrency(2)
        .await
        .unwrap();
    assert!(
        matches!(&got[0], Got::Fetched(v) if v == "/items/a"),
        "{got:?}"
    );
    assert!(matches!(&got[1], Got::Hit(v) if v == "held"), "{got:?}");
    assert!(
        matches!(&got[2], Got::Negative(StatusCode::NOT_FOUND)),
        "{got:?}"
    );
    assert!(
        matches!(&got[3], Got::Failed(e) if e.kind() == ErrorKind::Upstream),
        "{got:?}"
    );
    assert!(
        matches!(&got[5], Got::Failed(e) if e.kind() == ErrorKind::Key),
        "{got:?}"
    );
    assert_eq!(got[4..].len(), 2);
    assert_eq!(api.asked(), 3);
    let again = items.get_or_fetch_many(&keys[..3], &inner).await.unwrap();
    assert!(
        matches!(&again[..], [Got::Hit(_), Got::Hit(_), Got::Negative(_)]),
        "{again:?}"
    );
    assert_eq!(api.asked(), 3);
}

#[tokio::test]
async fn an_error_page_with_status_200_is_not_stored_and_reaches_its_caller() {
    let cache = Cache::builder()
        .url("memory:")
        .mode(Mode::Live)
        .build()
        .await
        .unwrap();
    let items = RouteEndpoint::<String, Json<serde_json::Value>>::get(
        "items",
        "https://api.example.com/items/{id}",
    )
    .unwrap();
    let items = cache
        .create_repository(items.require("/id").reject("/error"))
        .await
        .unwrap();
    let bodies = ["<html>", "{}", r#"{"id":1,"error":"x"}"#, r#"{"id":1}"#];
    let mut next = bodies.into_iter();
    let api = Api::new(move |_| Ok(answer(200, &[], next.next().unwrap())));
    let client = cache.client(api.client());
    for (i, body) in bodies.into_iter().enumerate() {
        let response = client.get(URL).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), body);
        assert_eq!(items.contains("1").await.unwrap(), i == 3, "{body}");
    }
}
