//! What an answer of an endpoint with a settled encoding is made into for its client: in the encoding that the client likes best.

use crate::{
    coding::{self, Accepts, Coding, Content},
    options::Options,
    recode, whole,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE,
    },
    request::Parts,
};
use http_body::Body as _;
use restow::{
    client::Body,
    endpoint::Rejection,
    exchange::{Answered, Saved},
};
use restow_policy::no_transform;

/// Up to this length an encoded answer is made as a whole, and its length is known.
const AT_ONCE: u64 = 64 << 10;

/// Tells whether an answer has to be looked at for its client. One that came plain for a client that says nothing of encodings has not.
pub(crate) fn is_due(
    response: &Response<Body>,
    request: &Parts,
    answered: Option<&Answered>,
) -> bool {
    answered.is_some_and(|a| a.upstream_encoding.is_some())
        && (request.headers.contains_key(ACCEPT_ENCODING)
            || response.headers().contains_key(CONTENT_ENCODING))
}

/// Encodes an answer for a client that accepts it, and decodes one whose encoding the client does not accept, for it did not ask for it.
///
/// `length` is that of the whole plain body, where it is known better than the answer says.
pub(crate) async fn fit(
    response: Response<Body>,
    request: &Parts,
    answered: Option<&Answered>,
    length: Option<u64>,
    options: &Options,
) -> Response<Body> {
    if no_transform(response.headers()) || no_transform(&request.headers) {
        return response;
    }
    let accepts = Accepts::of(&request.headers);
    match (Content::of(response.headers()), accepts) {
        (Content::Coded(coding), accepts) => {
            let as_it_came = matches!(
                answered.and_then(Answered::saved),
                Some(Saved::Rejected(Rejection::Encoding))
            );
            let part = response.status() == StatusCode::PARTIAL_CONTENT;
            if as_it_came || part || accepts.is_some_and(|a| a.takes(coding)) {
                return response;
            }
            decoded(coding, response, request, options.max_body)
        }
        (Content::Plain, Some(accepts)) if options.encode => {
            encoded(&accepts, response, request, length, options.encode_from).await
        }
        _ => response,
    }
}

fn decoded(coding: Coding, response: Response<Body>, request: &Parts, free: u64) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    coding::undo(&mut parts.headers);
    coding::weaken(&mut parts.headers);
    coding::vary(&mut parts.headers);
    let body = if has_body(parts.status, &request.method) {
        recode::decoded(coding, body, free)
    } else {
        body
    };
    Response::from_parts(parts, body)
}

async fn encoded(
    accepts: &Accepts,
    response: Response<Body>,
    request: &Parts,
    length: Option<u64>,
    from: u64,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let length = length
        .or_else(|| coding::length(&parts.headers))
        .or_else(|| body.size_hint().exact().filter(|length| *length > 0));
    let worth = length.is_none_or(|l| l >= from) && is_text(&parts.headers);
    let whole = parts.status != StatusCode::PARTIAL_CONTENT
        && !parts.headers.contains_key(CONTENT_RANGE)
        && !request.headers.contains_key(RANGE);
    let may =
        whole && parts.status != StatusCode::NO_CONTENT && !coding::has_digest(&parts.headers);
    if !may || !(worth || accepts.refuses_plain()) {
        return Response::from_parts(parts, body);
    }
    coding::vary(&mut parts.headers);
    let Some(coding) = accepts.best() else {
        return Response::from_parts(parts, body);
    };
    // What a client holds under the weak tag is confirmed by it: tags are compared weakly there (RFC 9110 section 13.1.2).
    coding::weaken(&mut parts.headers);
    coding::changed(&mut parts.headers);
    if parts.status == StatusCode::NOT_MODIFIED {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(ACCEPT_RANGES);
    let name = HeaderValue::from_static(coding.name());
    parts.headers.insert(CONTENT_ENCODING, name);
    if !has_body(parts.status, &request.method) {
        return Response::from_parts(parts, body);
    }
    let at_once = body.size_hint().exact().is_some_and(|l| l <= AT_ONCE);
    let body = recode::encoded(coding, body);
    let body = if at_once {
        match body.bytes().await {
            Ok(bytes) => {
                let length = HeaderValue::from(bytes.len());
                parts.headers.insert(CONTENT_LENGTH, length);
                Body::whole(bytes)
            }
            Err(error) => whole::broken(Bytes::new(), error),
        }
    } else {
        body
    };
    Response::from_parts(parts, body)
}

fn has_body(status: StatusCode, method: &Method) -> bool {
    *method != Method::HEAD && status != StatusCode::NOT_MODIFIED
}

/// Tells whether the content is of a kind that becomes shorter: text and its kin. Images, archives and the like are short as they are.
fn is_text(headers: &HeaderMap) -> bool {
    const KINDS: [&str; 12] = [
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/json-seq",
        "application/jsonl",
        "application/ndjson",
        "application/toml",
        "application/wasm",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
    ];
    let kind = coding::kind(headers);
    // Events are to arrive one by one.
    kind.starts_with("text/") && kind != "text/event-stream"
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || KINDS.contains(&&*kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    #[test]
    fn text_and_its_kin_become_shorter() {
        for (kind, text) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.github.v3+json", true),
            ("text/plain", true),
            ("text/event-stream", false),
            ("image/svg+xml", true),
            ("image/png", false),
            ("application/zip", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_text(&headers), text, "{kind}");
        }
        assert!(!is_text(&HeaderMap::new()));
    }
}
