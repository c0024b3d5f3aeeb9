//! A cache on each store, with a clock that stands still.

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use restow::{Cache, Json, Millis, RouteEndpoint, TestClock, Text};
use serde_json::Value;

pub const URLS: &[&str] = &[
    "memory:",
    #[cfg(feature = "sqlite")]
    "sqlite::memory:",
    #[cfg(feature = "sqlite")]
    "sqlite::temp:",
];

pub type Pages = RouteEndpoint<String, Text>;
pub type Tracks = RouteEndpoint<String, Json<Value>>;

#[derive(Debug)]
pub struct At {
    pub cache: Cache,
    pub clock: TestClock,
    pub url: &'static str,
}

pub async fn every_store() -> Vec<At> {
    let mut all = Vec::new();
    for url in URLS {
        let clock = TestClock::at(Millis(1_785_585_600_000));
        let cache = Cache::builder()
            .url(*url)
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        all.push(At { cache, clock, url });
    }
    all
}

/// `GET https://example.com/pages/{id}`
pub fn pages() -> Pages {
    Pages::get("pages", "https://example.com/pages/{id}").unwrap()
}

/// `GET https://example.com/tracks/{id}`
pub fn tracks() -> Tracks {
    Tracks::get("tracks", "https://example.com/tracks/{id}").unwrap()
}

pub fn get(path: &str) -> Parts {
    get_with(path, &[])
}

pub fn get_with(path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(format!("https://example.com{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

pub fn answer(body: &'static str) -> Response<Bytes> {
    Response::new(Bytes::from_static(body.as_bytes()))
}
