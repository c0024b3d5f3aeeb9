//! From a request to an answer or a ticket.

use super::{
    begin::{Background, Begin},
    inquiry::Inquiry,
    invalidate::{Invalidation, What},
    outcome::{Answered, Bypassed, Outcome, OutcomeKind},
    partition, save,
};
use crate::{
    Millis, Mode, RawKey,
    context::{Context, Mount},
    endpoint::{Coding, RequestHead},
    entry::{Address, Entry, Partition},
    registry::{Mounts, Registry, Routed, Unfit},
};
use http::{Extensions, Method};
use restow_policy::rule;
use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

/// Decides what a request is answered with. Clones share everything; it touches no client.
#[derive(Clone, Debug)]
pub struct Exchange {
    ctx: Arc<Context>,
    registry: Arc<Registry>,
    view: Option<Partition>,
    negotiates: bool,
}

/// Marks a request that the cache makes itself: an exchange beneath lets it pass.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "reqwest"),
    allow(dead_code, reason = "made by the reqwest client alone")
)]
pub(crate) struct FromCache;

impl Exchange {
    pub(crate) fn new(ctx: Arc<Context>, registry: Arc<Registry>, view: Option<Partition>) -> Self {
        Self {
            ctx,
            registry,
            view,
            negotiates: false,
        }
    }

    /// The same for an adapter that asks each API for its endpoint's own encoding ([`Rules::upstream_encoding`](crate::endpoint::Rules)),
    /// and decodes what comes: what its clients accept then selects nothing, and all of them share one answer.
    ///
    /// [`Ticket::upstream_encoding`](super::Ticket::upstream_encoding) and
    /// [`Answered::upstream_encoding`](super::Answered::upstream_encoding) say what it is; [`Ticket::prepare`](super::Ticket::prepare) asks for it.
    #[must_use]
    pub fn negotiating(mut self) -> Self {
        self.negotiates = true;
        self
    }

    /// Finds out what a request comes to: an answer, a ticket to fetch it, or neither.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens; a request that waited leaves the flight.
    pub async fn begin(&self, head: RequestHead<'_>, background: Background) -> Begin {
        match self.find(&head) {
            Continue((mount, key, mode)) => {
                self.inquiry(mount, key, mode, head, background).run().await
            }
            Break(begin) => begin,
        }
    }

    /// Finds out what a request would come to by what is stored. It waits for no fetch that is under way and for no lease; the ticket of a
    /// [`Begin::Fetch`] leads nobody.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use restow::{Cache, DeclaredEndpoint, RequestHead, exchange::Begin};
    /// let cache = Cache::builder().url("memory:").build().await?;
    /// let pages = DeclaredEndpoint::get("pages", "http://api.example.com/pages/{id}")?;
    /// cache.create_repository(pages).await?;
    /// let (request, ()) = http::Request::get("http://api.example.com/pages/1").body(())?.into_parts();
    /// let begin = cache.exchange().foresee(RequestHead::from(&request)).await;
    /// let Begin::Fetch(ticket) = begin else { panic!("nothing is stored") };
    /// assert!(ticket.outcome().to_string().starts_with("miss; detail=absent"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn foresee(&self, head: RequestHead<'_>) -> Begin {
        match self.find(&head) {
            Continue((mount, key, mode)) => {
                let inquiry = self.inquiry(mount, key, mode, head, Background::Possible);
                inquiry.foresee().await
            }
            Break(begin) => begin,
        }
    }

    /// Finds where a request belongs, and its mode; else what it comes to.
    fn find(&self, head: &RequestHead<'_>) -> ControlFlow<Begin, (Arc<Mount>, RawKey, Mode)> {
        let Some(mode) = self.mode_of(head.extensions) else {
            return Break(self.apart(head));
        };
        let routed = self.registry.look().route(head);
        let begin = match routed {
            Routed::To(mount, key) => return Continue((mount, key, mode)),
            Routed::NoKey(mount, why) => {
                let why = why.map_or_else(|| "its key is not known".to_owned(), |w| w.to_string());
                tracing::debug!(target: "restow", repository = mount.name(), why, "a request has no key");
                bypass(Bypassed::NoKey)
            }
            Routed::Bypassed(unfit) => unfit_bypass(&unfit),
            Routed::Nowhere => self.unrouted(&self.registry.look(), head),
        };
        Break(match begin {
            // Whatever it is that would be asked for.
            Begin::Bypass(answered, _) if mode == Mode::Offline => refuse(answered),
            begin => begin,
        })
    }

    /// The same for a request whose repository and key are known.
    ///
    /// # Cancel safety
    /// As [`begin`](Self::begin).
    pub(crate) async fn begin_at(
        &self,
        mount: &Arc<Mount>,
        key: RawKey,
        head: RequestHead<'_>,
        background: Background,
    ) -> Begin {
        match self.mode_of(head.extensions) {
            Some(mode) => {
                let inquiry = self.inquiry(mount.clone(), key, mode, head, background);
                inquiry.run().await
            }
            None => bypass(Bypassed::Mode),
        }
    }

    /// Finds the repository and the key of a request; `None` where it has none.
    pub fn locate(&self, head: &RequestHead<'_>) -> Option<(Arc<str>, RawKey)> {
        match self.registry.look().route(head) {
            Routed::To(mount, key) => Some((mount.endpoint.declaration().name.shared(), key)),
            _ => None,
        }
    }

    /// Tells whether a request finds an entry of this repository: by its key, whose it is, and what it varies on. Nothing is looked up.
    pub fn finds(&self, head: &RequestHead<'_>, repository: &str, entry: &Entry) -> bool {
        let Routed::To(mount, key) = self.registry.look().route(head) else {
            return false;
        };
        let owner = partition::owner(&self.ctx, &mount, head, self.view.as_ref());
        let address = Address {
            key,
            partition: owner.partition,
        };
        let (vary, by) = (entry.meta.head.vary(), (owner.shared, self.coding(&mount)));
        mount.name() == repository
            && entry.id.address == address
            && save::variant(&self.ctx, &mount, vary, head.headers, by) == Some(entry.id.variant)
    }

    /// Tells whether a host asked to be left alone for now (`Retry-After`), by whomever; background work heeds it.
    pub fn rests(&self, host: &str) -> bool {
        self.ctx.rests_for_some(&host.to_ascii_lowercase())
    }

    /// Returns the cache's present moment.
    pub fn now(&self) -> Millis {
        self.ctx.now()
    }

    /// Tells whether a request with these extensions may be sent to the API.
    pub(crate) fn may_ask(&self, extensions: &Extensions) -> bool {
        self.mode_of(extensions)
            .is_some_and(|mode| mode != Mode::Offline)
    }

    /// The mode of a request; `None` where the cache has no part in it.
    fn mode_of(&self, extensions: &Extensions) -> Option<Mode> {
        let mode = extensions
            .get::<Mode>()
            .copied()
            .unwrap_or_else(|| self.ctx.mode());
        let apart =
            mode == Mode::Bypass || self.ctx.is_closed() || extensions.get::<FromCache>().is_some();
        (!apart).then_some(mode)
    }

    /// A request whose user nobody can tell, and which has no key therefore.
    #[cfg_attr(
        not(feature = "reqwest"),
        allow(dead_code, reason = "asked by the reqwest client alone")
    )]
    pub(crate) fn unseen(&self, extensions: &Extensions) -> Begin {
        let answered = Answered::bypass(Outcome::new(OutcomeKind::Bypass(Bypassed::NoKey), None));
        match self.mode_of(extensions) {
            Some(Mode::Offline) => refuse(answered),
            _ => Begin::Bypass(answered, None),
        }
    }

    fn inquiry<'a>(
        &'a self,
        mount: Arc<Mount>,
        key: RawKey,
        mode: Mode,
        head: RequestHead<'a>,
        background: Background,
    ) -> Inquiry<'a> {
        // Asked before the digests are made: they may be those of the stand-in.
        let keyed = self.ctx.secret.is_known();
        let owner = partition::owner(&self.ctx, &mount, &head, self.view.as_ref());
        let address = Address {
            key,
            partition: owner.partition.clone(),
        };
        Inquiry {
            ctx: &self.ctx,
            coding: self.coding(&mount),
            keyed,
            mount,
            address,
            owner,
            mode,
            head,
            background,
        }
    }

    /// What the API is asked for in place of what the client accepts.
    fn coding(&self, mount: &Mount) -> Option<Coding> {
        let coding = mount.rules().upstream_encoding;
        coding.filter(|_| self.negotiates)
    }

    /// A request that the cache has no part in. An unsafe one that the mode keeps away from it makes stored answers invalid all the same: they are served
    /// again once the mode is another.
    fn apart(&self, head: &RequestHead<'_>) -> Begin {
        let answered = Answered::bypass(Outcome::new(OutcomeKind::Bypass(Bypassed::Mode), None));
        let is_own = || head.extensions.get::<FromCache>().is_some();
        if !restow_policy::is_unsafe(head.method) || self.ctx.is_closed() || is_own() {
            return Begin::Bypass(answered, None);
        }
        let mounts = self.registry.look();
        let is_change = matches!(mounts.route(head), Routed::Nowhere);
        let invalidation = is_change.then(|| self.invalidation(&mounts, head));
        Begin::Bypass(answered, invalidation)
    }

    /// A request of no endpoint; with an unsafe method it may still make a stored answer invalid (RFC 9111 section 4.4).
    fn unrouted(&self, mounts: &Arc<Mounts>, head: &RequestHead<'_>) -> Begin {
        if !restow_policy::is_unsafe(head.method) {
            return bypass(Bypassed::NotRouted);
        }
        // Whatever its body: what may be stored for its URL was asked for without one.
        let bodiless = RequestHead {
            body: None,
            streams: false,
            ..*head
        };
        let why = match mounts.route_as(&Method::GET, &bodiless) {
            Routed::To(..) => Bypassed::Method,
            Routed::Bypassed(_) => Bypassed::Unfit,
            _ => Bypassed::NotRouted,
        };
        let rule = (why == Bypassed::Method).then_some(rule::METHOD);
        Begin::Bypass(
            Answered::bypass(Outcome::new(OutcomeKind::Bypass(why), rule)),
            Some(self.invalidation(mounts, head)),
        )
    }

    fn invalidation(&self, mounts: &Arc<Mounts>, head: &RequestHead<'_>) -> Invalidation {
        Invalidation {
            ctx: self.ctx.clone(),
            what: What::Unsafe {
                mounts: mounts.clone(),
                method: head.method.clone(),
                target: head.target.to_string(),
            },
        }
    }
}

/// Offline nobody is asked.
fn refuse(mut answered: Answered) -> Begin {
    answered.outcome = Outcome::new(OutcomeKind::Refused, Some(rule::OFFLINE_MISS));
    Begin::Refuse(answered)
}

/// A request of an endpoint whose table does not fit: the answer tells whose it is.
fn unfit_bypass(unfit: &Unfit) -> Begin {
    let outcome = Outcome::new(OutcomeKind::Bypass(Bypassed::Unfit), None);
    let mut answered = Answered::bypass(outcome);
    answered.repository = Some(unfit.endpoint.declaration().name.shared());
    Begin::Bypass(answered, None)
}

fn bypass(why: Bypassed) -> Begin {
    Begin::Bypass(
        Answered::bypass(Outcome::new(OutcomeKind::Bypass(why), None)),
        None,
    )
}
