//! What a 304, or the answer to a HEAD, makes of a stored entry (RFC 9111 sections 4.3.4 and 4.3.5).

use super::{asked::Asked, invalidate, save};
use crate::{
    Millis,
    context::{Context, Mount},
    entry::{Entry, Head, Meta},
    store::Renewal,
};
use http::{HeaderMap, Method, StatusCode};
use restow_policy::{HeadUpdate, StoreRequest};

/// An entry with its new head.
pub(super) struct Renewed {
    pub(super) entry: Entry,
    /// Whether it may stay in the store: the new head may forbid what the old one allowed.
    pub(super) may_stay: bool,
}

/// Merges the fields of a fresh head into an entry.
pub(super) fn merge(
    ctx: &Context,
    mount: &Mount,
    entry: &Entry,
    fresh: &HeaderMap,
    asked: &Asked,
) -> Renewed {
    let now = ctx.now();
    let status = entry.meta.head.status();
    let mut merged = restow_policy::merge_304(&entry.meta.head.headers(), fresh);
    if asked.common {
        // What several may read must not hand out one user's session.
        restow_policy::drop_cookies(&mut merged);
    }
    let facts = ctx.facts(status, &merged, asked.at, now);
    let head = Head::with_facts(status, &merged, entry.meta.head.url(), facts);
    let expires_at = mount.expires_at(status, head.facts(), asked.shared, now);
    let may_stay = save::may_store(
        mount,
        &StoreRequest {
            // What is renewed is the answer to a GET, whatever confirmed it.
            method: &Method::GET,
            headers: &asked.headers,
            credential: asked.known,
        },
        status,
        head.facts(),
        asked.shared,
    )
    .is_ok();
    let meta = Meta {
        tags: save::tags(&merged, entry.meta.head.url()),
        head: std::sync::Arc::new(head),
        // Where the clock was set back since it would come from the future still, and be asked for each time.
        stored_at: entry.meta.stored_at.min(now),
        changed_at: entry.meta.changed_at.min(now),
        checked_at: now,
        expires_at,
        ..entry.meta.clone()
    };
    Renewed {
        entry: Entry {
            meta,
            generation: entry.generation.next(),
            ..entry.clone()
        },
        may_stay,
    }
}

/// Lets the answer to a HEAD confirm or disprove what is stored for GET (RFC 9111 section 4.3.5).
pub(super) async fn by_head(
    ctx: &Context,
    mount: &Mount,
    entry: &Entry,
    (status, fresh): (StatusCode, &HeaderMap),
    asked: &Asked,
    now: Millis,
) {
    match restow_policy::head_update(&entry.meta.head.headers(), status, fresh) {
        HeadUpdate::Freshens => {
            let renewed = merge(ctx, mount, entry, fresh, asked);
            write(mount, entry, &renewed, now).await;
        }
        HeadUpdate::Invalidates => {
            invalidate::remove(mount, &entry.id.address, now).await;
        }
        HeadUpdate::Nothing => {}
    }
}

/// Writes the new head where the entry is still the one that was read; returns how many were renewed, `None` where the store failed.
pub(super) async fn write(
    mount: &Mount,
    read: &Entry,
    renewed: &Renewed,
    now: Millis,
) -> Option<u64> {
    let done = if renewed.may_stay {
        let renewal = Renewal {
            id: read.id.clone(),
            read: read.generation,
            meta: renewed.entry.meta.clone(),
        };
        mount.table.renew(&[renewal], now).await
    } else {
        let at = std::slice::from_ref(&read.id.address);
        mount.table.delete(at, now).await.map(|_| 1)
    };
    done.inspect_err(|error| mount.complain(error, "a confirmed answer could not be renewed"))
        .ok()
}
