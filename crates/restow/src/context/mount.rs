//! An opened endpoint.

use super::Context;
use crate::{
    Error, ErrorKind, Expiry, Millis, RawKey, Result,
    endpoint::{AnyEndpoint, Credentials, Freshness, RequestHead, Rules},
    entry::{Address, Entry, Partition},
    route::{Matched, Route, Target},
    store::{Table, TableSpec},
    upkeep::{Room, Upkeep},
};
use http::StatusCode;
use restow_policy::{Facts, Lifetime, Limits, Options};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// An endpoint, its table, and its rules with the cache's defaults filled in.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) endpoint: Arc<dyn AnyEndpoint>,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) credentials: Credentials,
    /// The endpoint's routes, which leave out the parameters that are credentials here.
    routes: Vec<Route>,
    pub(crate) expire_after: Expiry,
    pub(crate) keep: Duration,
    pub(crate) limits: Limits,
    pub(crate) error_statuses: Arc<[StatusCode]>,
    /// How its table was opened.
    pub(super) spec: TableSpec,
    /// A digest of the declaration.
    pub(crate) declared: u64,
    /// Whether somebody was told already that entries lie in another partition.
    pub(crate) warned: AtomicBool,
    /// Whether it was told that something of it is damaged.
    damaged: AtomicBool,
    /// Whether somebody was told already that the store has no leases.
    pub(crate) unleased: AtomicBool,
    /// Partitions that this process has stored into; a few are enough to explain a miss.
    seen: Mutex<Vec<Partition>>,
    /// What the repository's own budget still allows.
    pub(crate) room: Room,
    upkeep: Arc<Upkeep>,
}

const MOST_SEEN: usize = 8;

fn digest(declaration: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    declaration.hash(&mut hasher);
    hasher.finish()
}

impl Mount {
    /// Opens the endpoint's table.
    pub(crate) async fn open(ctx: &Context, endpoint: Arc<dyn AnyEndpoint>) -> Result<Arc<Self>> {
        let declaration = endpoint.declaration();
        declaration.check()?;
        let inherited = &ctx.defaults.credentials;
        let text = match declaration.rules.credentials {
            // Whoever opens the file without this cache's settings must not take a credential for a part of the key.
            None if *inherited != Credentials::default() => {
                let mut whole = declaration.clone();
                whole.rules.credentials = Some(inherited.clone());
                whole.to_json()
            }
            _ => declaration.to_json(),
        };
        let spec = declaration.spec(&text, ctx.defaults.keep)?;
        Self::open_as(ctx, endpoint, &spec).await
    }

    /// Opens the endpoint's table by a spec of its own: as the store has it.
    pub(crate) async fn open_as(
        ctx: &Context,
        endpoint: Arc<dyn AnyEndpoint>,
        spec: &TableSpec,
    ) -> Result<Arc<Self>> {
        let declaration = endpoint.declaration();
        let in_repository = |e: Error| declaration.named(e);
        let mut spec = spec.clone();
        spec.ranked |= ctx.defaults.budget.is_bounded();
        let table = ctx.store.open(&spec).await.map_err(in_repository)?;
        let rules = &declaration.rules;
        let credentials = rules
            .credentials
            .clone()
            .unwrap_or_else(|| ctx.defaults.credentials.clone());
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let if_error = rules.stale_if_error.or(ctx.defaults.stale_if_error);
        let while_revalidate = rules
            .stale_while_revalidate
            .or(ctx.defaults.stale_while_revalidate);
        let limits = Limits {
            stale_while_revalidate_ms: millis(while_revalidate.unwrap_or_default()),
            stale_if_error_ms: millis(if_error.unwrap_or(Rules::STALE_IF_ERROR)),
            insist_if_error: if_error.is_some(),
            insist_while_revalidate: while_revalidate.is_some(),
            mode: restow_policy::Mode::Live,
        };
        Ok(Arc::new(Self {
            routes: declaration.routes(credentials.parameters())?,
            credentials,
            expire_after: rules.expire_after.unwrap_or(ctx.defaults.expire_after),
            error_statuses: rules
                .error_statuses
                .clone()
                .unwrap_or_else(|| ctx.defaults.error_statuses.clone()),
            keep: spec.keep,
            limits,
            declared: digest(&spec.declaration),
            table,
            warned: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            unleased: AtomicBool::new(false),
            seen: Mutex::default(),
            room: Room::unknown(spec.budget),
            upkeep: ctx.upkeep.clone(),
            endpoint,
            spec,
        }))
    }

    pub(crate) fn name(&self) -> &str {
        self.endpoint.declaration().name.as_str()
    }

    /// Tells whether its keys come from routes, and not from code that sees the whole request.
    pub(crate) fn is_routed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Returns the key of a request, as the router gives it: the endpoint alone does not know the cache's credentials. One without routes is
    /// shown a request whose query holds no secret.
    pub(crate) fn raw_key(&self, head: &RequestHead<'_>) -> Option<RawKey> {
        let declaration = self.endpoint.declaration();
        if !self.is_routed() {
            let elided = head.target.query.and_then(|q| self.credentials.elide(q));
            let target = Target {
                query: elided.as_deref().or(head.target.query),
                ..head.target
            };
            return self.endpoint.raw_key(&RequestHead { target, ..*head });
        }
        let matched = |route: &Route| match route.key(&head.target) {
            Matched::Key(key) => Some(key),
            _ => None,
        };
        let key = self
            .routes
            .iter()
            .filter(|_| declaration.answers(head.method))
            .find_map(matched)?;
        declaration.complete(key, head)
    }

    /// Logs that the store failed a request. A store that is down, or whose table cannot be used, has been told of once; so is what is damaged.
    pub(crate) fn complain(&self, error: &Error, what: &'static str) {
        let repository = self.name();
        let is_known = match error.kind() {
            ErrorKind::Down | ErrorKind::SchemaMismatch => true,
            ErrorKind::Corrupt => self.damaged.swap(true, Ordering::Relaxed),
            _ => false,
        };
        match is_known {
            true => {
                tracing::debug!(target: "restow", repository, %error, "{what}");
            }
            false => tracing::warn!(target: "restow", repository, %error, "{what}"),
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.endpoint.declaration().rules
    }

    /// Tells whether the answers say themselves how long they are fresh.
    pub(crate) fn is_http(&self) -> bool {
        self.rules().freshness == Freshness::Http
    }

    /// Returns what endpoint and place of the cache allow. `shared` is of the request: whether the rules for shared caches apply to it.
    pub(crate) fn options(&self, shared: bool) -> Options {
        let rules = self.rules();
        Options {
            shared,
            http: self.is_http(),
            force: rules.force,
            share: rules.share,
            ..Options::default()
        }
    }

    /// Returns when an answer of this status expires that came at `at`.
    pub(crate) fn expires_at(
        &self,
        status: StatusCode,
        facts: &Facts,
        shared: bool,
        at: Millis,
    ) -> Millis {
        let rules = self.rules();
        if let Some(negative) = rules.negative(status) {
            return negative.after(at);
        }
        if !self.is_http() {
            return self.expire_after.after(at);
        }
        match restow_policy::lifetime(status, facts, &self.options(shared)) {
            Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => Millis(at.0.saturating_add(ms)),
            Lifetime::Unknown => match rules.expire_after {
                Some(fallback) if status.is_success() => fallback.after(at),
                _ => at,
            },
        }
    }

    /// Notes that entries were stored: where they lie, and that a budget may be exceeded now.
    pub(crate) fn stored<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) {
        let (mut count, mut bytes) = (0, 0);
        for entry in entries {
            self.saw(&entry.id.address.partition);
            count += 1;
            bytes += entry.size();
        }
        self.upkeep.wrote(&self.room, count, bytes);
    }

    /// Remembers that entries lie in this partition.
    fn saw(&self, partition: &Partition) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(partition) {
            if seen.len() >= MOST_SEEN {
                seen.remove(0);
            }
            seen.push(partition.clone());
        }
    }

    /// Tells whether another partition holds this key: best effort, for explaining a miss.
    pub(crate) async fn elsewhere(&self, key: &RawKey, but: &Partition, now: Millis) -> bool {
        let seen: Vec<Partition> = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|p| *p != but)
            .cloned()
            .collect();
        for partition in seen {
            let at = Address {
                key: key.clone(),
                partition,
            };
            if self
                .table
                .read(&at, crate::store::Parts::Meta, now)
                .await
                .is_ok_and(|f| !f.is_empty())
            {
                return true;
            }
        }
        false
    }
}
