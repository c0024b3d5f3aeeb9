//! Which fields go past the proxy, and which it adds.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{DATE, VIA},
};
use std::time::{Duration, UNIX_EPOCH};

/// Fields that would tell an API another URL, method, host or client than the one its answer is stored for. They are in no key, so that an
/// API which heeds them would let one client choose what all others get.
const UNKEYED: [&str; 31] = [
    "client-ip",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Drops what concerns the client's connection alone, and what no key holds.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    restow_policy::drop_hop_by_hop(headers);
    let unkeyed = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with(['x', 'f', 'c', 'e', 't']) && UNKEYED.binary_search(&name).is_ok()
    };
    if headers.keys().any(unkeyed) {
        for name in UNKEYED {
            headers.remove(name);
        }
    }
}

/// Gives an answer of an API the day it came, where it has none (RFC 9110 section 6.6.1).
pub(crate) fn date(headers: &mut HeaderMap, now: restow::Millis) {
    if !headers.contains_key(DATE) {
        let since = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
        let text = httpdate::fmt_http_date(UNIX_EPOCH + since);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(DATE, value);
        }
    }
}

/// Makes an answer of an API one that goes on: without what concerned the connection to it.
///
/// Not before the cache has seen it: a `Cache-Control` that `Connection` names must not go past a client, and restricts all the same.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    restow_policy::drop_hop_by_hop(headers);
}

/// The proxy's own line in `Via` (RFC 9110 section 7.6.3).
#[derive(Clone, Debug)]
pub(crate) struct Via {
    http1: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// `None` where the name is no token.
    pub(crate) fn new(name: &str) -> Option<Self> {
        // Names of fields are tokens too.
        HeaderName::from_bytes(name.as_bytes()).ok()?;
        let line = |version: &str| HeaderValue::from_str(&format!("{version} {name}")).ok();
        Some(Self {
            http1: line("1.1")?,
            http2: line("2")?,
        })
    }

    /// Adds it to a message that was received in this version.
    pub(crate) fn add(&self, headers: &mut HeaderMap, received: Version) {
        let line = if received == Version::HTTP_2 {
            &self.http2
        } else {
            &self.http1
        };
        _ = headers.try_append(VIA, line.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_it_is_searched() {
        assert!(UNKEYED.is_sorted());
        let first = |name: &&str| name.starts_with(['x', 'f', 'c', 'e', 't']);
        assert!(UNKEYED.iter().all(first));
    }

    #[test]
    fn what_no_key_holds_does_not_reach_the_api() {
        let mut headers = HeaderMap::new();
        for name in UNKEYED {
            headers.append(name, HeaderValue::from_static("evil.example"));
        }
        headers.append("connection", HeaderValue::from_static("x-hop"));
        headers.append("x-hop", HeaderValue::from_static("1"));
        headers.append("accept", HeaderValue::from_static("*/*"));
        headers.append("x-tenant", HeaderValue::from_static("1"));
        clean_request(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-tenant"]);
    }
}
