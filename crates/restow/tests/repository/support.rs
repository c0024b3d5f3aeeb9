//! A cache on each store, with a clock that stands still.

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use restow::{Cache, CacheBuilder, Json, Millis, RouteEndpoint, TestClock};
use serde_json::Value;
use std::time::Duration;

pub const URLS: &[&str] = &[
    "memory:",
    #[cfg(feature = "sqlite")]
    "sqlite::memory:",
    #[cfg(feature = "sqlite")]
    "sqlite::temp:",
];

/// The first of August 2026, noon.
pub const NOON: Millis = Millis(1_785_585_600_000);
pub const DAY: Duration = Duration::from_secs(86_400);

pub type Tracks = RouteEndpoint<(String, Option<String>), Json<Value>>;

#[derive(Debug)]
pub struct At {
    pub cache: Cache,
    pub clock: TestClock,
    pub url: &'static str,
}

/// A cache with default settings on each store.
pub async fn every_store() -> Vec<At> {
    every_store_with(|b| b).await
}

pub async fn every_store_with(set: impl Fn(CacheBuilder) -> CacheBuilder) -> Vec<At> {
    let mut all = Vec::new();
    for url in URLS {
        let clock = TestClock::at(NOON);
        let builder = Cache::builder().url(*url).clock(clock.clone());
        let cache = set(builder).build().await.unwrap();
        all.push(At { cache, clock, url });
    }
    all
}

/// `GET https://api.example.com/tracks/{id}{?market}`
pub fn tracks() -> Tracks {
    Tracks::get("tracks", "https://api.example.com/tracks/{id}{?market}").unwrap()
}

pub fn key(id: &str) -> (String, Option<String>) {
    (id.to_owned(), None)
}

pub fn track(name: &str) -> Value {
    serde_json::json!({ "id": name, "name": name })
}

/// A request with headers, without a body.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The request of a user who holds a token.
pub fn asked_with(token: &str, id: &str) -> Parts {
    let bearer = format!("Bearer {token}");
    get(
        &format!("https://api.example.com/tracks/{id}"),
        &[("authorization", &bearer)],
    )
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &Value) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Bytes::from(body.to_string())).unwrap()
}
