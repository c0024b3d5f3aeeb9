//! The sample answers: items of 2.2 KB with the head that a real API sends.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use restow::RouteEndpoint;
use std::sync::LazyLock;

pub(crate) type Items = RouteEndpoint<String, restow::Binary>;

/// The endpoint of every bench.
pub(crate) fn items() -> restow::Result<Items> {
    RouteEndpoint::get("items", "https://api.example.com/v1/items/{id}")
}

pub(crate) fn key(i: usize) -> String {
    format!("item{i:07}")
}

pub(crate) fn url(i: usize) -> String {
    format!("https://api.example.com/v1/items/{}", key(i))
}

/// A body of 2.2 KB, different for each item.
pub(crate) fn body(i: usize) -> Bytes {
    let artists: Vec<_> = (0..4).map(|a| serde_json::json!({ "id": format!("artist{}", i % 97 + a), "name": format!("Artist number {a} of item {i}"), "type": "artist" })).collect();
    let markets: Vec<_> = (0..180)
        .map(|m| {
            format!(
                "{}{}",
                char::from(b'A' + (m / 26 + i % 7) as u8 % 26),
                char::from(b'A' + m as u8 % 26)
            )
        })
        .collect();
    let value = serde_json::json!({
        "id": key(i), "name": format!("The item with the number {i}"), "duration_ms": 180_000 + i, "explicit": i.is_multiple_of(3),
        "popularity": i % 101, "preview_url": format!("https://p.example.com/{}", key(i)), "artists": artists, "available_markets": markets,
        "external_ids": { "isrc": format!("XX{i:010}") }, "note": "x".repeat(240),
    });
    value.to_string().into()
}

/// A head that lets every cache keep the answer for the whole run.
fn headers() -> HeaderMap {
    let lines = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "public, max-age=86400"),
        ("etag", "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("vary", "Accept, Accept-Language"),
        ("x-robots-tag", "noindex, nofollow"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("server", "envoy"),
    ];
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let date = HeaderValue::from_str(&date.to_string()).map(|date| (http::header::DATE, date));
    lines
        .into_iter()
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .chain(date)
        .collect()
}

/// The bytes of an answer as they were sent: header lines and body.
pub(crate) fn sent_bytes(response: &Response<Bytes>) -> usize {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    response.headers().iter().map(line).sum::<usize>() + response.body().len()
}

pub(crate) fn response(i: usize) -> Response<Bytes> {
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(headers);
    let mut response = Response::new(body(i));
    *response.headers_mut() = HEADERS.clone();
    response
}
