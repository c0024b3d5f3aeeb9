//! Which fields go past the proxy, and which it adds.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, Version,
    header::{DATE, VIA},
};
use std::time::{Duration, UNIX_EPOCH};

/// Fields that would tell an API another URL, method, host, client or user than those its answer is stored for. They are in no key, so that
/// an API which heeds them would let one client choose what all others get. Those of a kind are in [`PREFIXES`].
const UNKEYED: [&str; 43] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ipcountry",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "client-ip",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "remote-user",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-auth-request-email",
    "x-auth-request-user",
    "x-authenticated-user",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded",
    "x-goog-authenticated-user-email",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-ms-client-principal",
    "x-ms-client-principal-name",
    "x-override-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
    "x-webauth-user",
];

/// What the names of such fields begin with.
const PREFIXES: [&str; 2] = ["x-forwarded-", "x-original-"];

/// How all of them begin: most fields are none of them by their first letter.
const FIRST: [char; 6] = ['c', 'e', 'f', 'r', 't', 'x'];

/// Drops what concerns the client's connection alone, and what no key holds.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    restow_policy::drop_hop_by_hop(headers);
    let unkeyed: Vec<HeaderName> = headers.keys().filter(|n| is_unkeyed(n)).cloned().collect();
    for name in unkeyed {
        headers.remove(name);
    }
}

fn is_unkeyed(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with(FIRST)
        && (PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || UNKEYED.binary_search(&name).is_ok())
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

/// The version of HTTP in which an API sent an answer: one of its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received(pub(crate) Version);

/// The proxy's own line in `Via` (RFC 9110 section 7.6.3).
#[derive(Clone, Debug)]
pub(crate) struct Via {
    http10: HeaderValue,
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
            http10: line("1.0")?,
            http1: line("1.1")?,
            http2: line("2")?,
        })
    }

    /// Adds it to an answer, with the version in which the API sent it. Of stored answers that is not kept: they are in HTTP/1.1.
    pub(crate) fn add_received<B>(&self, response: &mut Response<B>) {
        let received = response.extensions().get::<Received>();
        let version = received.map_or(Version::HTTP_11, |r| r.0);
        self.add(response.headers_mut(), version);
    }

    /// Adds it to a message that was received in this version.
    pub(crate) fn add(&self, headers: &mut HeaderMap, received: Version) {
        let line = match received {
            Version::HTTP_2 => &self.http2,
            Version::HTTP_10 | Version::HTTP_09 => &self.http10,
            _ => &self.http1,
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
        let mut all = UNKEYED.iter().chain(&PREFIXES);
        assert!(all.all(|name| name.starts_with(FIRST)));
    }

    #[test]
    fn what_no_key_holds_does_not_reach_the_api() {
        let mut headers = HeaderMap::new();
        for name in UNKEYED
            .into_iter()
            .chain(["x-forwarded-user", "X-Original-URI"])
        {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_static("evil.example"));
        }
        headers.append("connection", HeaderValue::from_static("x-hop"));
        headers.append("x-hop", HeaderValue::from_static("1"));
        headers.append("accept", HeaderValue::from_static("*/*"));
        headers.append("x-tenant", HeaderValue::from_static("1"));
        headers.append("x-originals", HeaderValue::from_static("1"));
        clean_request(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-originals", "x-tenant"]);
    }
}
