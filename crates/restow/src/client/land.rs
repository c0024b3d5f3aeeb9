//! What every adapter does with a stored entry, and with a head that has arrived.

use super::body::{Body, BoxError};
use crate::{
    Millis,
    entry::Entry,
    exchange::{Answered, Landing, Part, Ticket},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use http_body_util::BodyExt;

/// What a ticket came to.
#[derive(Debug)]
pub enum Landed {
    /// The response for the caller. Its body must be read to the end, or dropped: it is stored on the way.
    Response(Box<Response<Body>>),
    /// The API confirmed something that is not what is stored: make the request again.
    Again(Box<Ticket>),
}

/// Makes the response of a stored entry: its status, every header line in order, its body or a part of it, and its age (RFC 9111
/// section 5.1), and the cookies that a 304 set for this caller alone. The [`Answered`] is among its extensions.
pub fn response(
    entry: &Entry,
    method: &Method,
    part: Part,
    answered: Answered,
    now: Millis,
) -> Response<Body> {
    let from_store = answered.outcome.is_from_store();
    let mut response = stored_response(entry, method, part, from_store, now);
    for cookie in answered.cookies() {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    response.extensions_mut().insert(answered);
    response
}

/// The same without the [`Answered`], for an adapter that tells of it otherwise: `from_store` says whether it has an `Age`.
pub fn stored_response(
    entry: &Entry,
    method: &Method,
    part: Part,
    from_store: bool,
    now: Millis,
) -> Response<Body> {
    let head = &entry.meta.head;
    let mut headers = head.headers();
    let (status, body) = match part {
        Part::Whole => (head.status(), entry.body.clone()),
        Part::NotModified => (StatusCode::NOT_MODIFIED, Bytes::new()),
        Part::Range { first, last } => {
            let (range, body) = slice(&entry.body, first, last);
            headers.insert(header::CONTENT_RANGE, range);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            (StatusCode::PARTIAL_CONTENT, body)
        }
        Part::Unsatisfiable => {
            let range = text(&format!("bytes */{}", entry.body.len()));
            headers.insert(header::CONTENT_RANGE, range);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
        }
    };
    let body = if *method == Method::HEAD {
        Body::default()
    } else {
        Body::whole(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    if from_store {
        let seconds = head.facts().age_seconds(now.0);
        headers.insert(header::AGE, HeaderValue::from(seconds));
    }
    *response.headers_mut() = headers;
    response
}

/// The bytes from `first` to `last`, and their `Content-Range`.
fn slice(body: &Bytes, first: u64, last: u64) -> (HeaderValue, Bytes) {
    let end = body.len() as u64;
    let last = last.min(end.saturating_sub(1));
    let from = usize::try_from(first.min(end)).unwrap_or(body.len());
    let to = usize::try_from(last.saturating_add(1).min(end)).unwrap_or(body.len());
    let range = text(&format!("bytes {first}-{last}/{end}"));
    (range, body.slice(from..to.max(from)))
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Makes the response where nothing may be served and nobody may be asked: 504 (RFC 9111 section 5.2.1.7).
pub fn refusal(answered: Answered) -> Response<Body> {
    let mut response = Response::new(Body::whole(
        "504: the cache does not hold this answer, and may not ask for it\n".into(),
    ));
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response.extensions_mut().insert(answered);
    response
}

/// Takes an answer of the API in: its body is stored while the caller reads it, or passes, or a stored one takes its place.
///
/// `url` is where the answer came from after redirects, if the client knows.
///
/// # Cancel safety
/// Dropped, nothing is stored, or a renewal is; waiters go on.
pub async fn land<B>(
    ticket: Ticket,
    method: &Method,
    response: Response<B>,
    url: Option<String>,
) -> Landed
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let now = ticket.now();
    // A client that decodes keeps no encoding; what it hands over is what is stored.
    let headers: HeaderMap = parts.headers.clone();
    let (body, answered) = match ticket.head(parts.status, headers, url).await {
        Landing::Answer(entry, part, answered) => {
            return Landed::Response(Box::new(self::response(
                &entry, method, part, answered, now,
            )));
        }
        Landing::Again(ticket) => return Landed::Again(ticket),
        Landing::Collect(collector, answered) => {
            let body = body.map_err(Into::into).boxed_unsync();
            (Body::stored(collector, body), answered)
        }
        Landing::Pass(answered) => (Body::passing(body), answered),
    };
    parts.extensions.insert(answered);
    Landed::Response(Box::new(Response::from_parts(parts, body)))
}
