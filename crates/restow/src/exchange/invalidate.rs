//! What the answer to a request that went past the cache does to what is stored (RFC 9111 section 4.4, RFC 9875).

use super::asked::origin;
use crate::{
    Error, Millis, RequestHead,
    context::{Context, Mount},
    entry::Address,
    registry::{Mounts, Routed},
    route::Target,
    selection::{Scope, Selection},
};
use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use std::sync::Arc;

/// What the answer to a request that went past the cache does to what is stored: one with an unsafe method makes its target invalid.
#[must_use = "what is stored stays as it is until the invalidation is carried out"]
#[derive(Debug)]
pub struct Invalidation {
    pub(super) ctx: Arc<Context>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Unsafe {
        mounts: Arc<Mounts>,
        method: Method,
        /// The whole URL of the target.
        target: String,
    },
}

impl Invalidation {
    /// The request was answered with this head: carries out what it does to what is stored, for every user.
    ///
    /// A success of an unsafe method removes what is stored for its target, for the `Location` and `Content-Location` of the answer on
    /// the same origin, and for the groups in `Cache-Group-Invalidation`. What this process asked for before and gets after is not stored
    /// ([`Saved::Superseded`](super::Saved::Superseded)), and no later request waits for it; what other processes have under way they store.
    ///
    /// # Cancel safety
    /// Dropped, some of the entries may stay.
    pub async fn answered(self, status: StatusCode, headers: &HeaderMap) {
        let Self { ctx, what } = self;
        match what {
            What::Unsafe {
                mounts,
                method,
                target,
            } if restow_policy::invalidates(&method, status) => {
                remove_at(&ctx, &mounts, &target).await;
                let Ok(base) = url::Url::parse(&target) else {
                    return;
                };
                for other in restow_policy::also_invalidated(headers) {
                    // Another origin's answers are not this one's to invalidate.
                    if let Ok(url) = base.join(other)
                        && url.origin() == base.origin()
                        && url.as_str() != target
                    {
                        remove_at(&ctx, &mounts, url.as_str()).await;
                    }
                }
                let groups = restow_policy::invalidated_groups(headers);
                if groups.is_empty() {
                    return;
                }
                let Ok(uri) = target.parse::<Uri>() else {
                    return;
                };
                let origin = origin(&Target::from(&uri));
                for group in &groups {
                    let mut which = Selection::new(Scope::All);
                    which.tag = Some(group_tag(&origin, group));
                    for mount in mounts.iter() {
                        clear(&ctx, mount, &which).await;
                    }
                }
            }
            What::Unsafe { .. } => {}
        }
    }

    /// The request was sent, and no answer came: it may have been carried out, and counts as a success.
    ///
    /// # Cancel safety
    /// As [`answered`](Self::answered).
    pub async fn unanswered(self) {
        let nothing = HeaderMap::new();
        self.answered(StatusCode::NO_CONTENT, &nothing).await;
    }
}

/// The tag of an entry's cache group: groups of two origins are two (RFC 9875 section 2.1).
pub(super) fn group_tag(origin: &str, group: &str) -> Box<str> {
    format!("{origin} {group}").into()
}

/// Removes what is stored for a URL, whoever's it is.
async fn remove_at(ctx: &Context, mounts: &Mounts, url: &str) {
    let Ok(uri) = url.parse::<Uri>() else {
        return;
    };
    let head = RequestHead {
        method: &Method::GET,
        target: Target::from(&uri),
        headers: &HeaderMap::new(),
        extensions: &Extensions::new(),
        body: None,
        streams: false,
        account: &[],
    };
    let Routed::To(mount, key) = mounts.route(&head) else {
        return;
    };
    let fields = &mount.endpoint.declaration().fields;
    let which = Selection::new(Scope::All).key(fields, &key);
    clear(ctx, &mount, &which).await;
}

async fn clear(ctx: &Context, mount: &Mount, which: &Selection) {
    ctx.removes(mount, which);
    let now = ctx.now();
    loop {
        match mount.table.clear(which, 1_000, now).await {
            Ok(1_000..) => {}
            Ok(_) => return,
            Err(error) => return stays(mount, &error),
        }
    }
}

/// Removes what is stored at an address, which was made invalid.
pub(super) async fn remove(mount: &Mount, at: &Address, now: Millis) {
    if let Err(error) = mount.table.delete(std::slice::from_ref(at), now).await {
        stays(mount, &error);
    }
}

fn stays(mount: &Mount, error: &Error) {
    tracing::warn!(target: "restow", repository = mount.name(), %error, "an answer that was made invalid could not be removed");
}
