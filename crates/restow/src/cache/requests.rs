//! The calls of a cache by request: it finds the repository itself.

use super::Cache;
use crate::{
    Error, ErrorKind, Result,
    context::Mount,
    endpoint::RequestHead,
    entry::{Address, Entry, Found},
    exchange::{Answered, Outcome, OutcomeKind, Saved, partition, save},
    registry::{Mounts, Routed},
    repository::{AnyRepository, Message, MessageView, Offer},
    store::Parts,
};
use bytes::Bytes;
use http::request::Parts as Request;
use std::sync::Arc;

/// Where a request or a response belongs.
enum Place {
    At(Arc<Mount>, Address),
    NoKey(Arc<Mount>),
    Nowhere,
}

impl Place {
    fn mount(&self) -> Option<&Arc<Mount>> {
        match self {
            Self::At(mount, _) | Self::NoKey(mount) => Some(mount),
            Self::Nowhere => None,
        }
    }

    fn address(&self) -> Option<&Address> {
        match self {
            Self::At(_, address) => Some(address),
            Self::NoKey(_) | Self::Nowhere => None,
        }
    }
}

impl Cache {
    /// Returns the repository that a request, or a response of our client, belongs to.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use restow::{RouteEndpoint, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// let request = http::Request::get("https://example.com/pages/home").body(())?;
    /// assert_eq!(cache.route(&request).unwrap().name(), "pages");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "get_repository_from_url")]
    pub fn route<M: Message>(&self, message: &M) -> Option<AnyRepository> {
        let place = self.place(&self.shared.registry.mounts(), message);
        place.mount().map(|mount| self.over(mount))
    }

    /// Returns the one repository that all these belong to; `None` where they all belong to none.
    ///
    /// # Errors
    /// [`ErrorKind::MixedRepositories`] where they belong to several, or only some of them to one.
    #[doc(alias = "get_repository_from_requests")]
    pub fn route_all<M: Message>(&self, messages: &[M]) -> Result<Option<AnyRepository>> {
        let (mount, _) = self.places(messages)?;
        Ok(mount.map(|mount| self.over(&mount)))
    }

    /// Returns the live answer that is stored for a request, as the API gave it: status, headers, body. `None` where there is none.
    ///
    /// Of several variants it is the one that the request selects. The response carries an [`Answered`], so that it can be given to other calls.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    #[doc(alias = "get_response")]
    pub async fn get<M: Message>(&self, message: &M) -> Result<Option<http::Response<Bytes>>> {
        self.shared.ctx.check_open()?;
        let Place::At(mount, at) = self.place(&self.shared.registry.mounts(), message) else {
            return Ok(None);
        };
        let now = self.shared.ctx.now();
        let found = self.over(&mount).find(&at, Parts::Whole, now).await?;
        Ok(self.pick(&mount, &found, message))
    }

    /// Returns the live answers that are stored for many requests of one repository: answer `i` is for request `i`.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::MixedRepositories`] as in [`route_all`](Self::route_all).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    #[doc(alias = "get_responses")]
    pub async fn get_many<M: Message>(
        &self,
        messages: &[M],
    ) -> Result<Vec<Option<http::Response<Bytes>>>> {
        let (mount, places) = self.places(messages)?;
        let Some(mount) = mount else {
            return Ok(messages.iter().map(|_| None).collect());
        };
        let at: Vec<_> = places.iter().map(|p| p.address().cloned()).collect();
        let now = self.shared.ctx.now();
        let found = self.over(&mount).find_many(&at, Parts::Whole, now).await?;
        let answers = found.iter().zip(messages);
        Ok(answers
            .map(|(found, message)| self.pick(&mount, found, message))
            .collect())
    }

    /// Stores the answer to a request in the repository it belongs to, where the endpoint's rules and those of HTTP let it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, it is stored as a whole or not at all.
    #[doc(alias = "save_response")]
    pub async fn save(&self, request: &Request, response: &http::Response<Bytes>) -> Result<Saved> {
        self.shared.ctx.check_open()?;
        let (mount, key) = match self.shared.registry.mounts().route(&request.into()) {
            Routed::To(mount, key) => (mount, key),
            Routed::NoKey(..) => return Ok(Saved::NoKey),
            Routed::Bypassed(_) | Routed::Nowhere => return Ok(Saved::NotRouted),
        };
        let offer = self.offer(&mount);
        match offer.entry(request, key, response).await? {
            Ok(entry) => offer.store(vec![entry]).await.map(|()| Saved::Stored),
            Err(rule) => Ok(Saved::Rejected(rule)),
        }
    }

    /// Stores the answers to many requests of one repository at once: where anything fails, none of them is stored.
    ///
    /// Answer `i` says what became of pair `i`; what a rule refuses, or has no key, is left out.
    ///
    /// # Errors
    /// As [`save`](Self::save), and [`ErrorKind::MixedRepositories`] as in [`route_all`](Self::route_all).
    ///
    /// # Cancel safety
    /// Dropped, all are stored or none.
    #[doc(alias = "save_responses")]
    pub async fn save_many(
        &self,
        pairs: &[(Request, http::Response<Bytes>)],
    ) -> Result<Vec<Saved>> {
        self.shared.ctx.check_open()?;
        self.shared.ctx.check_secret()?;
        let mounts = self.shared.registry.mounts();
        let places: Vec<Place> = pairs
            .iter()
            .map(|(request, _)| self.place(&mounts, request))
            .collect();
        let Some(mount) = one_mount(&places)? else {
            return Ok(pairs.iter().map(|_| Saved::NotRouted).collect());
        };
        let offer = self.offer(&mount);
        let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
        let mut saved = Vec::with_capacity(pairs.len());
        for (place, (request, response)) in places.iter().zip(pairs) {
            saved.push(match place.address() {
                None => Saved::NoKey,
                Some(at) => match offer.entry(request, at.key.clone(), response).await? {
                    Ok(entry) => {
                        entries.push(entry);
                        Saved::Stored
                    }
                    Err(rule) => Saved::Rejected(rule),
                },
            });
        }
        offer.store(entries).await?;
        Ok(saved)
    }

    /// Deletes what is stored for a request, every variant and expired ones too, and tells whether there was something.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`] where the mode writes nothing, [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, it is deleted or not.
    #[doc(alias = "delete_response")]
    pub async fn delete<M: Message>(&self, message: &M) -> Result<bool> {
        let place = self.place(&self.shared.registry.mounts(), message);
        match place {
            Place::At(mount, at) => Ok(self.over(&mount).delete_all(&[at]).await? > 0),
            Place::NoKey(_) | Place::Nowhere => self.shared.ctx.check_open().map(|()| false),
        }
    }

    /// Deletes what is stored for many requests of one repository, and returns for how many there was something.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and [`ErrorKind::MixedRepositories`] as in [`route_all`](Self::route_all).
    ///
    /// # Cancel safety
    /// Dropped, some of them may be deleted.
    #[doc(alias = "delete_responses")]
    pub async fn delete_many<M: Message>(&self, messages: &[M]) -> Result<u64> {
        let (mount, places) = self.places(messages)?;
        let Some(mount) = mount else { return Ok(0) };
        let at: Vec<Address> = places.iter().filter_map(|p| p.address().cloned()).collect();
        self.over(&mount).delete_all(&at).await
    }

    fn places<M: Message>(&self, messages: &[M]) -> Result<(Option<Arc<Mount>>, Vec<Place>)> {
        self.shared.ctx.check_open()?;
        let mounts = self.shared.registry.mounts();
        let places: Vec<Place> = messages.iter().map(|m| self.place(&mounts, m)).collect();
        one_mount(&places).map(|mount| (mount, places))
    }

    fn place<M: Message>(&self, mounts: &Mounts, message: &M) -> Place {
        message.view(|view| match view {
            MessageView::Request(head) => match mounts.route(&head) {
                Routed::To(mount, key) => {
                    let owner =
                        partition::owner(&self.shared.ctx, &mount, &head, self.whose.named());
                    Place::At(
                        mount,
                        Address {
                            key,
                            partition: owner.partition,
                        },
                    )
                }
                Routed::NoKey(mount, _) => Place::NoKey(mount),
                Routed::Bypassed(_) | Routed::Nowhere => Place::Nowhere,
            },
            MessageView::Response(extensions) => {
                let answered = extensions.get::<Answered>();
                let mount = answered
                    .and_then(|a| mounts.get(a.repository.as_deref()?))
                    .cloned();
                match (mount, answered.and_then(|a| a.key.clone())) {
                    (Some(mount), Some((key, partition))) => {
                        // A handle that names a principal never reaches another's entries.
                        let named = self.whose.named().is_some();
                        let partition = if named {
                            self.whose.of_a_key(mount.rules().share)
                        } else {
                            partition
                        };
                        Place::At(mount, Address { key, partition })
                    }
                    (Some(mount), None) => Place::NoKey(mount),
                    (None, _) => Place::Nowhere,
                }
            }
        })
    }

    /// The newest live entry that a request selects, as a response.
    fn pick<M: Message>(
        &self,
        mount: &Mount,
        found: &Found,
        message: &M,
    ) -> Option<http::Response<Bytes>> {
        let selects = |entry: &Entry| {
            message.view(|view| match view {
                MessageView::Request(head) => self.selects(mount, entry, &head),
                // The response's own variant is not told apart from the others.
                MessageView::Response(_) => true,
            })
        };
        found
            .newest_live(self.shared.ctx.now(), selects)
            .map(|entry| response(mount, entry))
    }

    fn selects(&self, mount: &Mount, entry: &Entry, head: &RequestHead<'_>) -> bool {
        let (ctx, vary) = (&self.shared.ctx, entry.meta.head.vary());
        let shared = partition::is_shared(ctx, mount, head, self.whose.named());
        save::variant(ctx, mount, vary, head.headers, (shared, None)) == Some(entry.id.variant)
    }

    fn offer<'a>(&'a self, mount: &'a Mount) -> Offer<'a> {
        let ctx = &*self.shared.ctx;
        Offer {
            ctx,
            mount,
            whose: &self.whose,
            now: ctx.now(),
        }
    }
}

/// The repository that all places are in.
fn one_mount(places: &[Place]) -> Result<Option<Arc<Mount>>> {
    let first = places.first().and_then(Place::mount);
    let name =
        |mount: Option<&Arc<Mount>>| mount.map_or("none".to_owned(), |m| format!("{:?}", m.name()));
    match places
        .iter()
        .map(Place::mount)
        .find(|m| m.map(|m| m.name()) != first.map(|m| m.name()))
    {
        None => Ok(first.cloned()),
        Some(other) => {
            let message = format!(
                "the requests of one call belong to several repositories, among them {} and {}; make a call for each",
                name(first),
                name(other)
            );
            Err(Error::new(ErrorKind::MixedRepositories, message))
        }
    }
}

fn response(mount: &Mount, entry: &Entry) -> http::Response<Bytes> {
    let head = &entry.meta.head;
    let mut response = http::Response::new(entry.body.clone());
    *response.status_mut() = head.status();
    *response.headers_mut() = head.headers();
    let Address { key, partition } = entry.id.address.clone();
    let name = mount.endpoint.declaration().name.shared();
    response.extensions_mut().insert(Answered::new(
        Outcome::new(OutcomeKind::Hit, None),
        name,
        key,
        partition,
    ));
    response
}
