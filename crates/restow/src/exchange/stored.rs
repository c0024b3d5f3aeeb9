//! What an entry is to a request.

use crate::{Millis, context::Mount, entry::Entry};
use http::{HeaderMap, HeaderValue, Method, header::SET_COOKIE};
use restow_policy::{ErrorKind as Failure, OnRequest, Options, Request, Rule};

/// An entry as the policy sees it.
pub(super) fn stored<'a>(entry: &'a Entry, mount: &Mount) -> restow_policy::Stored<'a> {
    let meta = &entry.meta;
    let end = |at: Millis| (at != Millis::MAX).then_some(at.0);
    restow_policy::Stored {
        status: meta.head.status(),
        facts: meta.head.facts(),
        vary: meta.head.vary(),
        variant: entry.id.variant.0,
        etag: meta.head.etag(),
        last_modified: meta.head.last_modified(),
        expires_at: end(meta.expires_at),
        stored_at: meta.stored_at.0,
        keep_until: end(meta.expires_at.plus(mount.keep)),
    }
}

/// The same for whoever may be `shared` with: one who stored it for one user alone read another lifetime in it (RFC 9111 section 4.2.1).
pub(super) fn stored_for<'a>(
    entry: &'a Entry,
    mount: &Mount,
    shared: bool,
) -> restow_policy::Stored<'a> {
    let mut seen = stored(entry, mount);
    if shared && seen.facts.s_maxage.is_some() {
        let came = Millis(seen.facts.received_at);
        let end = mount.expires_at(seen.status, seen.facts, shared, came).0;
        seen.expires_at = Some(seen.expires_at.map_or(end, |at| at.min(end)));
    }
    seen
}

/// How long the API took for an entry.
pub(super) fn took(entry: &Entry) -> std::time::Duration {
    let facts = entry.meta.head.facts();
    Millis(facts.received_at).since(Millis(facts.requested_at))
}

/// By which rule an entry stands in for an API that failed, for a request of a user that is `known` or not, in a partition that is `shared` or not.
pub(super) fn stands_in(
    entry: &Entry,
    mount: &Mount,
    (known, shared): (bool, bool),
    now: Millis,
    failure: Failure,
) -> Option<Rule> {
    let (seen, options) = (stored_for(entry, mount, shared), mount.options(shared));
    let rule = restow_policy::on_error(&seen, now.0, &mount.limits, &options, failure)?;
    may_give(entry, known, shared).then_some(rule)
}

/// Tells whether an entry is given to who asks: in a `shared` partition who is `known` gets what everyone may have alone (RFC 9111 section 3.5).
pub(super) fn may_give(entry: &Entry, known: bool, shared: bool) -> bool {
    !(shared && known) || restow_policy::may_share(entry.meta.head.facts()).is_ok()
}

/// Tells whether a request that demands nothing would be answered with this entry, fresh or stale, or would have been when it was sent. Where
/// the program decides how long answers are good, it has said so.
pub(super) fn can_be_used_again(
    entry: &Entry,
    mount: &Mount,
    method: &Method,
    shared: bool,
    now: Millis,
) -> bool {
    if !mount.is_http() {
        return true;
    }
    let options = Options {
        background: true,
        ..mount.options(shared)
    };
    // One that took longer than it is fresh is not asked for by each of them: that would take longer still.
    let head = &entry.meta.head;
    if restow_policy::was_fresh(head.status(), head.facts(), &options) {
        return true;
    }
    let request = Request {
        method,
        headers: &HeaderMap::new(),
        credential: false,
    };
    let entries = std::iter::once(stored_for(entry, mount, shared));
    let selects = &mut |_: &str| Some(entry.id.variant.0);
    matches!(
        restow_policy::on_request(&request, entries, now.0, &mount.limits, &options, selects),
        OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..)
    )
}

/// What a 304 sets for the user who asked, where the entry is not theirs alone and does not hold it.
pub(super) fn cookies(entry: &Entry, confirmation: &HeaderMap) -> Box<[HeaderValue]> {
    let set = confirmation.get_all(SET_COOKIE).iter().cloned();
    let mut set: Box<[HeaderValue]> = set.collect();
    if set.is_empty() || entry.meta.head.headers().contains_key(SET_COOKIE) {
        return Box::default();
    }
    // They are in no log.
    set.iter_mut().for_each(|cookie| cookie.set_sensitive(true));
    set
}
