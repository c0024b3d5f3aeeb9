//! The endpoints of a cache: by name, and by request.

use crate::{
    Credentials, Error, ErrorKind, RawKey, Result,
    context::Mount,
    endpoint::{AnyEndpoint, Declaration, RequestHead},
    route::{NoKey, Router},
    store::TableName,
};
use arc_swap::{ArcSwap, Guard};
use http::Method;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Chooses a repository for a request, by name.
pub(crate) type Chooser = Arc<dyn Fn(&RequestHead<'_>) -> Option<String> + Send + Sync>;

/// The endpoints of a cache. Readers share a snapshot, and none waits for another; a change makes a new one.
#[derive(Default)]
pub(crate) struct Registry {
    mounts: ArcSwap<Mounts>,
    /// Held by who changes it.
    changing: Mutex<()>,
}

/// A snapshot of the endpoints.
#[derive(Clone, Default)]
pub(crate) struct Mounts {
    by_name: BTreeMap<TableName, Arc<Mount>>,
    /// Endpoints whose requests are known, and bypass the cache.
    bypassed: BTreeMap<TableName, Arc<Unfit>>,
    router: Router<Member>,
    /// Those without a route, tried last, in the order they came.
    unrouted: Vec<Member>,
    chooser: Option<Chooser>,
}

/// An endpoint whose table does not fit it.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) endpoint: Arc<dyn AnyEndpoint>,
    pub(crate) credentials: Credentials,
    pub(crate) why: Arc<Error>,
}

/// An endpoint that requests are found for.
#[derive(Clone, Debug)]
enum Member {
    Open(Arc<Mount>),
    Bypassed(Arc<Unfit>),
}

impl Member {
    fn endpoint(&self) -> &Arc<dyn AnyEndpoint> {
        match self {
            Self::Open(mount) => &mount.endpoint,
            Self::Bypassed(unfit) => &unfit.endpoint,
        }
    }

    fn declaration(&self) -> &Declaration {
        self.endpoint().declaration()
    }

    /// The key that an endpoint without routes makes.
    fn raw_key(&self, head: &RequestHead<'_>) -> Option<RawKey> {
        match self {
            Self::Open(mount) => mount.raw_key(head),
            Self::Bypassed(unfit) => unfit.endpoint.raw_key(head),
        }
    }

    fn credentials(&self) -> &Credentials {
        match self {
            Self::Open(mount) => &mount.credentials,
            Self::Bypassed(unfit) => &unfit.credentials,
        }
    }
}

/// Where a request belongs.
#[derive(Clone, Debug)]
pub(crate) enum Routed {
    To(Arc<Mount>, RawKey),
    NoKey(Arc<Mount>, Option<NoKey>),
    Bypassed(Arc<Unfit>),
    Nowhere,
}

impl Registry {
    pub(crate) fn mounts(&self) -> Arc<Mounts> {
        self.mounts.load_full()
    }

    /// The same for a look that ends at once: not even a count is changed that all share.
    pub(crate) fn look(&self) -> Guard<Arc<Mounts>> {
        self.mounts.load()
    }

    fn begin_change(&self) -> (MutexGuard<'_, ()>, Mounts) {
        let changing = self.changing.lock();
        let changing = changing.unwrap_or_else(PoisonError::into_inner);
        (changing, Mounts::clone(&self.look()))
    }

    /// Adds an endpoint; one of this name that bypassed the cache does so no more.
    ///
    /// # Errors
    /// [`ErrorKind::RepositoryExists`], or [`ErrorKind::Route`] where one of its routes is as specific as another's.
    pub(crate) fn insert(&self, mount: &Arc<Mount>) -> Result<()> {
        self.change(&mount.endpoint.declaration().name, |next, name| {
            next.by_name.insert(name.clone(), mount.clone());
            next.add(Member::Open(mount.clone()))
        })
    }

    /// Adds an endpoint whose requests bypass the cache.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub(crate) fn insert_unfit(&self, unfit: &Arc<Unfit>) -> Result<()> {
        self.change(&unfit.endpoint.declaration().name, |next, name| {
            next.bypassed.insert(name.clone(), unfit.clone());
            next.add(Member::Bypassed(unfit.clone()))
        })
    }

    fn change(
        &self,
        name: &TableName,
        add: impl FnOnce(&mut Mounts, &TableName) -> Result<()>,
    ) -> Result<()> {
        let (_changing, mut next) = self.begin_change();
        if next.by_name.contains_key(name) {
            let message = "it is open already; use open_or_get for the handle, or remove it first";
            return Err(
                Error::new(ErrorKind::RepositoryExists, message).in_repository(name.shared())
            );
        }
        if next.bypassed.remove(name).is_some() {
            next.forget_routes(name.as_str());
        }
        add(&mut next, name).map_err(|e| e.in_repository(name.shared()))?;
        self.mounts.store(Arc::new(next));
        Ok(())
    }

    /// Forgets an endpoint, one that bypasses the cache too.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Mount>> {
        let (_changing, mut next) = self.begin_change();
        let named = |key: &TableName| key.as_str() == name;
        let open = next.by_name.keys().find(|k| named(k)).cloned();
        let mount = open.and_then(|key| next.by_name.remove(&key));
        next.bypassed.retain(|key, _| !named(key));
        next.forget_routes(name);
        self.mounts.store(Arc::new(next));
        mount
    }

    /// Replaces what chooses repositories in front of the routes.
    pub(crate) fn choose(&self, chooser: Option<Chooser>) {
        let (_changing, next) = self.begin_change();
        self.mounts.store(Arc::new(Mounts { chooser, ..next }));
    }
}

impl Mounts {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Mount>> {
        self.by_name
            .iter()
            .find(|(k, _)| k.as_str() == name)
            .map(|(_, m)| m)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.by_name.values()
    }

    pub(crate) fn bypassed(&self) -> impl Iterator<Item = &Arc<Unfit>> {
        self.bypassed.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Finds where a request belongs: by the program's chooser, then by routes, then by asking each endpoint that has none.
    pub(crate) fn route(&self, head: &RequestHead<'_>) -> Routed {
        self.route_as(head.method, head)
    }

    /// The same for another method than the request's.
    pub(crate) fn route_as(&self, method: &Method, head: &RequestHead<'_>) -> Routed {
        if let Some(chooser) = &self.chooser {
            let Some(name) = chooser(head) else {
                return Routed::Nowhere;
            };
            return match (self.get(&name), self.unfit(&name)) {
                (Some(mount), _) => mount.raw_key(head).map_or_else(
                    || Routed::NoKey(mount.clone(), None),
                    |key| Routed::To(mount.clone(), key),
                ),
                (None, Some(unfit)) => Routed::Bypassed(unfit.clone()),
                (None, None) => Routed::Nowhere,
            };
        }
        if let Some(found) = self.router.find(method, &head.target) {
            let mount = match found.value {
                Member::Open(mount) => mount.clone(),
                Member::Bypassed(unfit) => return Routed::Bypassed(unfit.clone()),
            };
            return match found.key {
                Ok(key) => match mount.endpoint.declaration().complete(key, head) {
                    Some(key) => Routed::To(mount, key),
                    None => Routed::NoKey(mount, None),
                },
                Err(why) => Routed::NoKey(mount, Some(why)),
            };
        }
        let here = self
            .unrouted
            .iter()
            .filter(|m| m.declaration().answers(method));
        let mut keyed = here.filter_map(|m| m.raw_key(head).map(|key| (m, key)));
        match keyed.next() {
            Some((Member::Open(mount), key)) => Routed::To(mount.clone(), key),
            Some((Member::Bypassed(unfit), _)) => Routed::Bypassed(unfit.clone()),
            None => Routed::Nowhere,
        }
    }

    fn unfit(&self, name: &str) -> Option<&Arc<Unfit>> {
        let named = |unfit: &&Arc<Unfit>| unfit.endpoint.declaration().name.as_str() == name;
        self.bypassed.values().find(named)
    }

    /// Adds the routes of one endpoint.
    fn add(&mut self, member: Member) -> Result<()> {
        let declaration = member.declaration();
        for route in declaration.routes(member.credentials().parameters())? {
            self.router
                .insert(declaration.method.clone(), route, member.clone())?;
        }
        if declaration.templates.is_empty() {
            self.unrouted.push(member);
        }
        Ok(())
    }

    /// Forgets the routes of one endpoint: adds those of all others anew.
    fn forget_routes(&mut self, name: &str) {
        self.router = Router::new();
        let unrouted = std::mem::take(&mut self.unrouted);
        let open = self.by_name.values().cloned().map(Member::Open);
        let bypassed = self.bypassed.values().cloned().map(Member::Bypassed);
        let routed = open
            .chain(bypassed)
            .filter(|m| !m.declaration().templates.is_empty());
        // Those without a route keep the order in which they came.
        let left = routed
            .chain(unrouted)
            .filter(|m| m.declaration().name.as_str() != name);
        for member in left.collect::<Vec<_>>() {
            // Fewer routes conflict no more than all did.
            _ = self.add(member);
        }
    }
}

impl fmt::Debug for Mounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_name.keys()).finish()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.mounts(), f)
    }
}
