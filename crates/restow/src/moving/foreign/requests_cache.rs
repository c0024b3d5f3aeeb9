//! The SQLite file of requests-cache: responses with the requests that they answer.

use super::{
    ForeignOptions, ask,
    intake::{Foreign, Intake},
    rows,
    saved::Saved,
};
use crate::{
    BoxStream, Cache, Error, ErrorKind, Millis, RequestHead, Result,
    entry::Entry,
    repository::{AnyRepository, Offer, Whose},
    store::sqlite::SqlValue,
};
use bytes::Bytes;
use http::{
    Request, Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
};
use std::path::PathBuf;
use url::Url;

/// Where it keeps responses.
const TABLE: &str = "responses";
/// What it writes in the place of a credential.
const REDACTED: &str = "REDACTED";

/// Takes over the responses of an SQLite file that requests-cache wrote: each to the open repository that its request belongs to.
///
/// Responses serialized by `pickle`, which is the default, and by `json` are read. A pickle is read without running anything: one that
/// holds more than plain values is left. A response belongs to the principal that is named, else to the credential that its request
/// shows, else to the public; where requests-cache blanked the credential out, it is left. Of its life the file says how long, unless the
/// endpoint's answers say so themselves. Each item tells how far it is; the stream has to be read to its end.
///
/// # Errors
/// [`Format`](ErrorKind::Format) where the file is not one of requests-cache, [`Store`](ErrorKind::Store) and its kin where it cannot be read, or the store fails.
///
/// # Cancel safety
/// Dropped, some responses are taken over, each whole.
pub fn requests_cache(
    cache: &Cache,
    path: PathBuf,
    options: ForeignOptions,
    now: Millis,
) -> BoxStream<'static, Result<Foreign>> {
    let mut intake = Intake::new(cache, options, now);
    Box::pin(async_stream::try_stream! {
        let whose = match &intake.options.principal {
            Some(name) => Whose::principal(name)?,
            None => Whose::Unnamed,
        };
        let (place, tables) = ask(path.clone(), |file| Ok((file.place().to_owned(), file.tables()?))).await?;
        let known = |table: &str, column: &str| tables.iter().any(|t| t.name == table && t.columns.iter().any(|c| c == column));
        if !known(TABLE, "key") || !known(TABLE, "value") {
            let message = format!("{place} has no table {TABLE:?} with key and value; it is not a file of requests-cache");
            Err(Error::new(ErrorKind::Format, message))?;
        }
        let mut rows = rows(path, vec![(TABLE.to_owned(), vec!["value".to_owned()])]);
        while let Some(row) = rows.next().await {
            let (_, row) = row?;
            match taken(&intake, &whose, row.first().unwrap_or(&SqlValue::Null)).await? {
                Ok((repository, entry)) => {
                    intake.open(&repository).await?;
                    if intake.take(repository.name(), *entry).await? {
                        yield intake.told();
                    }
                }
                Err((repository, why)) => intake.leave(repository.as_deref(), why),
            }
        }
        yield intake.end().await?;
    })
}

/// A response as requests-cache saved it, with the request that it answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct SavedResponse {
    /// The request; credentials that it showed are in its headers.
    pub request: Request<()>,
    /// The response, its body decoded.
    pub response: Response<Bytes>,
    /// When it came.
    pub created_at: Millis,
    /// When it expires; `None` for never.
    pub expires_at: Option<Millis>,
}

/// Reads one response as requests-cache serializes it, by `pickle` or `json`, wherever it was kept. Nothing of a pickle is run.
///
/// # Errors
/// [`Codec`](ErrorKind::Codec) where it is none, where its pickle holds more than plain values, and where another serializer wrote it; the message says how to
/// save it anew.
pub fn saved_response(bytes: &[u8]) -> Result<SavedResponse> {
    saved(bytes).map_err(|why| Error::new(ErrorKind::Codec, why))
}

fn saved(bytes: &[u8]) -> Result<SavedResponse, String> {
    let saved = Saved::read(bytes)?;
    let (created_at, expires_at) = (saved.created_at, saved.expires_at);
    let (request, response) = messages(saved).ok_or("it is no response to a request by HTTP")?;
    Ok(SavedResponse {
        request,
        response,
        created_at,
        expires_at,
    })
}

/// An entry and where it goes, or why there is none, and of which repository.
type Taken = Result<(AnyRepository, Box<Entry>), (Option<String>, String)>;

async fn taken(intake: &Intake, whose: &Whose, value: &SqlValue) -> Result<Taken> {
    let bytes = match value {
        SqlValue::Text(text) => text.as_bytes(),
        SqlValue::Blob(bytes) => bytes,
        _ => return Ok(Err((None, "it is no response".to_owned()))),
    };
    let saved = match saved(bytes) {
        Ok(saved) => saved,
        Err(why) => return Ok(Err((None, why))),
    };
    let SavedResponse {
        request,
        response,
        created_at,
        expires_at,
    } = saved;
    let (parts, ()) = request.into_parts();
    let Some(repository) = intake.cache.route(&parts) else {
        return Ok(Err((None, "no endpoint".to_owned())));
    };
    let left = |why: String| Ok(Err((Some(repository.name().to_owned()), why)));
    let Some(key) = repository.raw_key(&RequestHead::from(&parts)) else {
        return left("no key".to_owned());
    };
    if whose.named().is_none() && is_redacted(&repository, &parts) {
        return left(
            "a credential that requests-cache blanked out; name whose they are with --principal"
                .to_owned(),
        );
    }
    let mount = repository.mount();
    let offer = Offer {
        ctx: repository.context(),
        mount,
        whose,
        now: created_at,
    };
    match offer.entry(&parts, key, &response).await? {
        Ok(mut entry) => {
            if !mount.is_http() {
                entry.meta.expires_at = expires_at.unwrap_or(Millis::MAX);
            }
            Ok(Ok((repository, Box::new(entry))))
        }
        Err(rule) => left(format!("rejected: {rule}")),
    }
}

/// Makes the request and the response that were saved.
fn messages(saved: Saved) -> Option<(Request<()>, Response<Bytes>)> {
    let mut url = Url::parse(&saved.url).ok()?;
    url.set_fragment(None);
    // A client moves it into a header; here nobody did.
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let mut request = Request::builder()
        .method(saved.method.as_str())
        .uri(url.as_str())
        .body(())
        .ok()?;
    *request.headers_mut() = saved.request_headers;
    let mut headers = saved.headers;
    // It keeps bodies as they are once they are decoded.
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let mut response = Response::builder()
        .status(saved.status)
        .body(saved.body)
        .ok()?;
    *response.headers_mut() = headers;
    Some((request, response))
}

/// Tells whether the request showed a credential that is not in the file.
fn is_redacted(repository: &AnyRepository, request: &Parts) -> bool {
    let credentials = repository.credentials();
    let is_blank = |value: &[u8]| {
        value
            .windows(REDACTED.len())
            .any(|part| part == REDACTED.as_bytes())
    };
    let mut headers = credentials
        .headers()
        .iter()
        .flat_map(|name| request.headers.get_all(name));
    headers.any(|value| is_blank(value.as_bytes()))
        || request.uri.query().is_some_and(|query| {
            query.split('&').any(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                value == REDACTED && credentials.is_parameter(name)
            })
        })
}
