//! What of a full answer is stored, and how.

use super::{
    asked::{Asked, origin},
    invalidate::{self, group_tag},
    outcome::Saved,
    partition,
};
use crate::{
    ErrorKind, Millis,
    context::{Context, Mount},
    endpoint::{Coding, Rejection},
    entry::{Address, Entry, EntryId, Head, Variant},
    route::Target,
    store::{Fence, Write},
};
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, SET_COOKIE},
};
use restow_policy::{Facts, Role, Rule, StoreRequest, rule};
use std::{borrow::Cow, sync::Arc};

/// An answer's head, as it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Where it came from in the end, if that is known.
    pub(crate) url: Option<String>,
    pub(crate) at: Millis,
    /// What its headers say of caching.
    pub(crate) facts: Facts,
}

/// Says by an answer's head alone why it will not be stored; `None` where its body decides.
pub(crate) fn refused_by_head(
    mount: &Mount,
    asked: &Asked,
    arrived: &Arrived,
    held: Option<&Entry>,
) -> Option<Rejection> {
    let rules = mount.rules();
    // Whether a 2xx has a body is only known at its end.
    if !stores(mount, arrived.status, 1) {
        return Some(Rejection::Status(arrived.status));
    }
    // An answer that may be gone in a moment (403, 429, 5xx) never takes the place of a good one.
    let passing = matches!(arrived.status.as_u16(), 403 | 429 | 500..)
        || mount.error_statuses.contains(&arrived.status);
    if passing && held.is_some_and(|e| e.meta.head.status().is_success()) {
        return Some(Rejection::Status(arrived.status));
    }
    if arrived
        .url
        .as_deref()
        .is_some_and(|url| !asked.allows_end_at(url, &rules.redirect_origins))
    {
        return Some(Rejection::Redirected);
    }
    if is_event_stream(&arrived.headers) {
        return Some(Rejection::EventStream);
    }
    let request = StoreRequest {
        method: &asked.method,
        headers: &asked.headers,
        credential: asked.known,
    };
    may_store(
        mount,
        &request,
        arrived.status,
        &arrived.facts,
        asked.shared,
    )
    .err()
    .map(Rejection::Policy)
}

/// Says by which rule an answer is not stored.
pub(super) fn may_store(
    mount: &Mount,
    request: &StoreRequest<'_>,
    status: StatusCode,
    facts: &Facts,
    shared: bool,
) -> Result<(), Rule> {
    let rules = mount.rules();
    match restow_policy::may_store(request, status, facts, &mount.options(shared)) {
        // The endpoint says for how long where the answer does not.
        Err(rule::NOT_CACHEABLE)
            if rules.negative(status).is_some()
                || rules.expire_after.is_some() && status.is_success() =>
        {
            Ok(())
        }
        end => end,
    }
}

/// The tags of an answer: its cache groups (RFC 9875), by their names and, for invalidation, with its origin before them.
pub(super) fn tags(headers: &HeaderMap, url: Option<&str>) -> Arc<[Box<str>]> {
    let groups = restow_policy::groups(headers);
    if groups.is_empty() {
        return crate::entry::no_tags();
    }
    let origin = url
        .and_then(|url| url.parse::<http::Uri>().ok())
        .map(|uri| origin(&Target::from(&uri)));
    let mut tags: Vec<Box<str>> = Vec::with_capacity(groups.len() * 2);
    for group in groups {
        if let Some(origin) = &origin {
            tags.push(group_tag(origin, &group));
        }
        tags.push(group.into());
    }
    tags.into()
}

/// Says whether answers of this status are stored at all: those that the endpoint names; under RFC 9111 any.
fn stores(mount: &Mount, status: StatusCode, body_len: u64) -> bool {
    let rules = mount.rules();
    rules.negative(status).is_some()
        || mount.is_http() && rules.statuses.is_none()
        || rules.stores(status, body_len)
}

/// Makes the entry of a full answer, or says why it is not stored.
pub(crate) fn entry(
    ctx: &Context,
    mount: &Mount,
    asked: &Asked,
    address: &Address,
    arrived: &Arrived,
    body: Bytes,
) -> Result<Entry, Rejection> {
    if !stores(mount, arrived.status, body.len() as u64) {
        return Err(Rejection::Status(arrived.status));
    }
    let found = if arrived.status.is_success() {
        mount.endpoint.inspect(&body)
    } else {
        crate::endpoint::Inspection::default()
    };
    if let Some(rule) = found.rejected {
        return Err(rule);
    }
    let (mut headers, mut facts) = (Cow::Borrowed(&arrived.headers), arrived.facts);
    if asked.common && headers.contains_key(SET_COOKIE) {
        // What several may read must not hand out one user's session.
        restow_policy::drop_cookies(headers.to_mut());
        facts = ctx.facts(arrived.status, &headers, asked.at, arrived.at);
    }
    // A URL may name a user or carry a token.
    let url = arrived
        .url
        .as_deref()
        .map(|url| mount.credentials.strip(url));
    let head = Head::with_facts(arrived.status, &headers, url.as_deref(), facts);
    let variant = variant(
        ctx,
        mount,
        head.vary(),
        &asked.headers,
        (asked.shared, asked.coding),
    )
    .ok_or(Rejection::Policy(rule::VARY_STAR))?;
    let expires_at = mount.expires_at(arrived.status, head.facts(), asked.shared, arrived.at);
    let id = EntryId {
        address: address.clone(),
        variant,
    };
    let mut entry = Entry::new(id, head, body, arrived.at, expires_at);
    entry.meta.label = found.label;
    entry.meta.tags = tags(&arrived.headers, url.as_deref());
    if let Some(columns) = found.columns {
        entry.meta.columns = columns;
    }
    Ok(entry)
}

/// The variant that a request selects under these names, in a partition of its own or a `shared` one. With a `coding` that the API is asked for in any case, what the request accepts
/// selects nothing.
pub(crate) fn variant(
    ctx: &Context,
    mount: &Mount,
    vary: &str,
    headers: &HeaderMap,
    (shared, coding): (bool, Option<Coding>),
) -> Option<Variant> {
    let role = |name: &str| match name {
        "accept-encoding" if coding.is_some() => Role::Settled,
        _ => partition::role(name, &mount.credentials, shared),
    };
    restow_policy::variant(vary, headers, &role, ctx.secret.get()).map(Variant)
}

/// Writes an entry, unless such a thing was removed since its request was made.
pub(crate) async fn write_unless_removed(
    (ctx, mount): (&Context, &Mount),
    entry: &Arc<Entry>,
    fence: Option<Fence>,
    since: u64,
    now: Millis,
) -> Saved {
    if ctx.has_removed(mount, entry, since, now) {
        return Saved::Superseded;
    }
    let end = write(mount, entry, fence, now).await;
    // A removal that came in between may have looked before it was there.
    if end == Saved::Stored && ctx.has_removed(mount, entry, since, now) {
        invalidate::remove(mount, &entry.id.address, now).await;
        return Saved::Superseded;
    }
    end
}

/// Writes an entry. A store that fails is logged and loses nothing but the entry.
async fn write(mount: &Mount, entry: &Arc<Entry>, fence: Option<Fence>, now: Millis) -> Saved {
    match mount
        .table
        .write(
            &[Write {
                entry: entry.clone(),
                fence,
            }],
            now,
        )
        .await
    {
        Ok(()) => {
            mount.stored([&**entry]);
            Saved::Stored
        }
        Err(error) if error.kind() == ErrorKind::Fenced => {
            tracing::debug!(target: "restow", repository = mount.name(), %error);
            Saved::Superseded
        }
        Err(error) => {
            mount.complain(&error, "an answer could not be stored");
            Saved::StoreDown
        }
    }
}

/// Events have no end: who waits for it waits for ever.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|v| v.as_bytes());
    kind.and_then(|k| k.get(..17))
        .is_some_and(|k| k.eq_ignore_ascii_case(b"text/event-stream"))
}
