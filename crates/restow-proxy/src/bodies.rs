//! Links in bodies, made to lead through the proxy: on the way to each client, so that what is stored is what the API sent, whoever asks by
//! whatever name of the proxy.

use crate::{
    coding::{self, Content},
    plain::{self, Plain},
    pointers,
    upstream::Upstream,
    whole::{self, Read},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_RANGE, HOST},
    request::Parts,
};
use restow::client::Body;
use restow_policy::no_transform;
use std::sync::Arc;

/// Bodies up to this length are rewritten on the spot: some hundreds of microseconds of work.
const AT_ONCE: usize = 128 << 10;

/// Rewrites the links in a JSON body of up to `most` bytes where the upstream's pointers say so. `scheme` is that of the listener.
pub(crate) async fn rewrite(
    response: Response<Body>,
    request: &Parts,
    upstream: &Arc<Upstream>,
    scheme: &str,
    most: u64,
) -> Response<Body> {
    let headers = response.headers();
    // Who names the API itself, as a forward proxy's clients do, is to go on doing so.
    let named = request.version < Version::HTTP_2 && request.uri.authority().is_some();
    let part =
        response.status() == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE);
    let content = Content::of(headers);
    let too_long = coding::length(headers).is_some_and(|l| l > most);
    if named
        || part
        || too_long
        || content == Content::Strange
        || !is_json(headers)
        || no_transform(headers)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The bytes differ from client to client, and from those that the tag was given for.
    coding::weaken(&mut parts.headers);
    if parts.status == StatusCode::NOT_MODIFIED || request.method == Method::HEAD {
        coding::undo(&mut parts.headers);
        return Response::from_parts(parts, body);
    }
    let read = match content {
        Content::Coded(coding) => plain::read(coding, body, most).await,
        _ => match whole::read(body, most).await {
            Read::Whole(body) => Plain::Whole(body),
            Read::Longer(body) => return Response::from_parts(parts, body),
            Read::Broken(read, error) => Plain::Broken(read, error),
        },
    };
    let plain = match read {
        Plain::Whole(plain) => plain,
        Plain::Encoded(body, _) => return Response::from_parts(parts, body),
        Plain::Broken(read, error) => {
            return Response::from_parts(parts, whole::broken(read, error));
        }
    };
    let front = host(request).map(|host| format!("{scheme}://{host}"));
    let body = match replaced(plain.clone(), upstream, front).await {
        Some(rewritten) => rewritten,
        // Nothing leads to the API: what came is as good.
        None if content == Content::Plain => {
            return Response::from_parts(parts, Body::whole(plain));
        }
        None => plain,
    };
    coding::undo(&mut parts.headers);
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, Body::whole(body))
}

/// The body with its links replaced; `None` where there are none.
async fn replaced(body: Bytes, upstream: &Arc<Upstream>, front: Option<String>) -> Option<Bytes> {
    let replace = {
        let (body, upstream) = (body.clone(), upstream.clone());
        move || {
            let by = |url: &str| through(url, &upstream, front.as_deref());
            pointers::replace(&body, upstream.pointers(), &by).map(Bytes::from)
        }
    };
    if body.len() <= AT_ONCE {
        return replace();
    }
    tokio::task::spawn_blocking(replace).await.ok().flatten()
}

/// The URL by which the client reaches the same through the proxy: whole where it was whole, for what stands in a body is mostly taken as it is.
fn through(url: &str, upstream: &Upstream, front: Option<&str>) -> Option<String> {
    let path = upstream.through(url)?;
    let is_path = url.starts_with('/') && !url.starts_with("//");
    match front {
        Some(front) if !is_path => Some(format!("{front}{path}")),
        _ => Some(path),
    }
}

/// The proxy's host and port, as the client calls them.
fn host(request: &Parts) -> Option<&str> {
    match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST)?.to_str().ok(),
    }
    .filter(|host| !host.is_empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = coding::kind(headers);
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_url_stays_whole_and_a_path_a_path() {
        let upstream = Upstream::new("https://api.example.com/v1").unwrap();
        let upstream = upstream.mount("/music").unwrap();
        let front = Some("http://127.0.0.1:8080");
        for (url, expected) in [
            (
                "https://api.example.com/v1/a?page=2#x",
                Some("http://127.0.0.1:8080/music/a?page=2#x"),
            ),
            (
                "//api.example.com/v1/a",
                Some("http://127.0.0.1:8080/music/a"),
            ),
            ("/v1/a", Some("/music/a")),
            ("/v2/a", None),
            ("https://api.example.com.evil.example/v1/a", None),
            ("see https://api.example.com/v1/a", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(through(url, &upstream, front).as_deref(), expected, "{url}");
        }
        let nameless = through("https://api.example.com/v1/a", &upstream, None);
        assert_eq!(nameless.as_deref(), Some("/music/a"));
    }
}
