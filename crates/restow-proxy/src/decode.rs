//! Answers of the API that come encoded where one encoding is settled for all clients: inspected and stored is what they hold.

use crate::{
    coding::{self, Content},
    plain::{self, Plain},
    refusal::Refusal,
};
use bytes::Bytes;
use http::{Method, Response, response::Parts};
use restow::{
    client::{Body, BoxError, Landed, response},
    endpoint::Rejection,
    exchange::{Answered, Landing, Ticket},
};
use restow_policy::no_transform;

/// Takes an answer of the API in, as [`restow::client::land`] does; one that came encoded for an endpoint of a settled encoding is decoded first.
///
/// What cannot be decoded within the endpoint's `max_body`, and without growing beyond all measure, goes on as it came and is not stored.
///
/// # Errors
/// [`Refusal::Unreachable`] or [`Refusal::TimedOut`] where the body breaks off before it can be decoded, and nothing may stand in for it.
pub(crate) async fn land<B>(
    ticket: Ticket,
    method: &Method,
    answer: Response<B>,
    url: String,
) -> Result<Landed, Refusal>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    let content = match ticket.upstream_encoding() {
        Some(_) => Content::of(answer.headers()),
        None => Content::Plain,
    };
    if content == Content::Plain {
        return Ok(restow::client::land(ticket, method, answer, Some(url)).await);
    }
    let coding = match content {
        Content::Coded(coding) if !no_transform(answer.headers()) => Some(coding),
        _ => None,
    };
    let (mut parts, body) = answer.into_parts();
    let now = ticket.now();
    let mut decoded = parts.headers.clone();
    coding::undo(&mut decoded);
    let (collector, answered) = match ticket.head(parts.status, decoded.clone(), Some(url)).await {
        Landing::Answer(entry, part, answered) => {
            let response = response(&entry, method, part, answered, now);
            return Ok(Landed::Response(Box::new(response)));
        }
        Landing::Again(ticket) => return Ok(Landed::Again(ticket)),
        Landing::Pass(answered) => return Ok(landed(parts, Body::passing(body), answered)),
        Landing::Collect(collector, answered) => (collector, answered),
    };
    let Some(coding) = coding else {
        collector.refuse(Rejection::Encoding);
        return Ok(landed(parts, Body::passing(body), answered));
    };
    let most = collector.max_body();
    match plain::read(coding, body, most).await {
        Plain::Whole(body) => {
            collector.finish_with(body.clone()).await;
            parts.headers = decoded;
            Ok(landed(parts, Body::whole(body), answered))
        }
        Plain::Encoded(body, rule) => {
            tracing::debug!(target: "restow", %rule, "an encoded answer is not stored, and goes on as it came");
            collector.refuse(rule);
            Ok(landed(parts, body, answered))
        }
        Plain::Broken(_, error) => {
            let why = error.to_string();
            let Some((entry, part, answered)) = collector.stand_in(why.as_str().into()) else {
                return Err(Refusal::told(&why));
            };
            let response = response(&entry, method, part, answered, now);
            Ok(Landed::Response(Box::new(response)))
        }
    }
}

fn landed(mut parts: Parts, body: Body, answered: Answered) -> Landed {
    parts.extensions.insert(answered);
    Landed::Response(Box::new(Response::from_parts(parts, body)))
}
