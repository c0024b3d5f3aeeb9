//! What every adapter does with a stored entry, and with a head that has arrived.

use super::body::{Body, Inner};
use crate::{
    Millis,
    entry::Entry,
    exchange::{Answered, Landing, Ticket},
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

/// What a ticket came to: a response, or the ticket again.
pub(crate) enum Landed {
    Response(Box<Response<Body>>),
    Again(Box<Ticket>),
}

/// The response of a stored entry: its status, every header line in order, its body, and its age (RFC 9111 section 5.1).
pub(crate) fn response(
    entry: &Entry,
    method: &Method,
    not_modified: bool,
    answered: Answered,
    now: Millis,
) -> Response<Body> {
    let head = &entry.meta.head;
    let bare = not_modified || *method == Method::HEAD;
    let mut response = Response::new(if bare {
        Body::default()
    } else {
        Body::whole(entry.body.clone())
    });
    *response.status_mut() = if not_modified {
        StatusCode::NOT_MODIFIED
    } else {
        head.status()
    };
    *response.version_mut() = Version::HTTP_11;
    *response.headers_mut() = head.headers();
    if answered.outcome.is_from_store() {
        let seconds = head.facts().age_seconds(now.0);
        response
            .headers_mut()
            .insert(header::AGE, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(answered);
    response
}

#[cfg(any(feature = "reqwest", feature = "tower"))]
/// The response where nothing may be served and nobody may be asked.
pub(crate) fn refusal(answered: Answered) -> Response<Body> {
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

/// Takes an answer in: its body is stored while the caller reads it, or passes, or a stored one takes its place.
pub(crate) async fn land(
    ticket: Ticket,
    method: &Method,
    response: Response<Inner>,
    url: Option<String>,
) -> Landed {
    let (mut parts, body) = response.into_parts();
    let now = ticket.now();
    // A client that decodes keeps no encoding; what it hands over is what is stored.
    let headers: HeaderMap = parts.headers.clone();
    let (body, answered) = match ticket.head(parts.status, headers, url).await {
        Landing::Answer(entry, answered) => {
            return Landed::Response(Box::new(self::response(
                &entry, method, false, answered, now,
            )));
        }
        Landing::Again(ticket) => return Landed::Again(ticket),
        Landing::Collect(collector, answered) => (Body::stored(collector, body), answered),
        Landing::Pass(answered) => (Body::passing(body), answered),
    };
    parts.extensions.insert(answered);
    Landed::Response(Box::new(Response::from_parts(parts, body)))
}
