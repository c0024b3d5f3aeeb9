//! The endpoints of a cache: by name, and by request.

use crate::{
    Error, ErrorKind, RawKey, Result,
    context::Mount,
    endpoint::RequestHead,
    route::{NoKey, Router},
    store::TableName,
};
use http::Method;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// Chooses a repository for a request, by name.
pub(crate) type Chooser = Arc<dyn Fn(&RequestHead<'_>) -> Option<String> + Send + Sync>;

/// The endpoints of a cache. Readers share a snapshot; a change makes a new one.
#[derive(Default)]
pub(crate) struct Registry(RwLock<Arc<Mounts>>);

/// A snapshot of the endpoints.
#[derive(Clone, Default)]
pub(crate) struct Mounts {
    by_name: BTreeMap<TableName, Arc<Mount>>,
    router: Router<Arc<Mount>>,
    /// Those without a route, tried last, in the order they came.
    unrouted: Vec<Arc<Mount>>,
    chooser: Option<Chooser>,
}

/// Where a request belongs.
#[derive(Clone, Debug)]
pub(crate) enum Routed {
    To(Arc<Mount>, RawKey),
    NoKey(Arc<Mount>, Option<NoKey>),
    Nowhere,
}

impl Registry {
    pub(crate) fn mounts(&self) -> Arc<Mounts> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds an endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::RepositoryExists`], or [`ErrorKind::Route`] where one of its routes is as specific as another's.
    pub(crate) fn insert(&self, mount: &Arc<Mount>) -> Result<()> {
        let name = &mount.endpoint.declaration().name;
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.by_name.contains_key(name) {
            let message = "it is open already; use open_or_get for the handle, or remove it first";
            return Err(
                Error::new(ErrorKind::RepositoryExists, message).in_repository(name.shared())
            );
        }
        let mut next = Mounts::clone(&current);
        next.by_name.insert(name.clone(), mount.clone());
        next.add(mount)
            .map_err(|e| e.in_repository(name.shared()))?;
        *current = Arc::new(next);
        Ok(())
    }

    /// Forgets an endpoint.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Mount>> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Mounts::clone(&current);
        let key = next.by_name.keys().find(|k| k.as_str() == name)?.clone();
        let mount = next.by_name.remove(&key);
        next.unrouted.retain(|m| m.name() != name);
        // Fewer routes conflict no more than all did.
        _ = next.rebuild();
        *current = Arc::new(next);
        mount
    }

    /// Replaces what chooses repositories in front of the routes.
    pub(crate) fn choose(&self, chooser: Option<Chooser>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(Mounts {
            chooser,
            ..Mounts::clone(&current)
        });
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
            return match chooser(head).as_deref().and_then(|name| self.get(name)) {
                Some(mount) => mount.raw_key(head).map_or_else(
                    || Routed::NoKey(mount.clone(), None),
                    |key| Routed::To(mount.clone(), key),
                ),
                None => Routed::Nowhere,
            };
        }
        if let Some(found) = self.router.find(method, &head.target) {
            let mount = found.value.clone();
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
            .filter(|m| m.endpoint.declaration().answers(method));
        let mut keyed = here.filter_map(|m| m.endpoint.raw_key(head).map(|key| (m, key)));
        keyed.next().map_or(Routed::Nowhere, |(mount, key)| {
            Routed::To(mount.clone(), key)
        })
    }

    /// Adds the routes of one endpoint.
    fn add(&mut self, mount: &Arc<Mount>) -> Result<()> {
        let declaration = mount.endpoint.declaration();
        if declaration.templates.is_empty() {
            self.unrouted.push(mount.clone());
        }
        for route in declaration.routes(mount.credentials.parameters())? {
            self.router
                .insert(declaration.method.clone(), route, mount.clone())?;
        }
        Ok(())
    }

    /// Adds the routes of all that are left.
    fn rebuild(&mut self) -> Result<()> {
        self.router = Router::new();
        let unrouted = std::mem::take(&mut self.unrouted);
        let known: Vec<_> = self.by_name.values().cloned().collect();
        let routed = known
            .iter()
            .filter(|m| !m.endpoint.declaration().templates.is_empty());
        // Those without a route keep the order in which they came.
        routed
            .chain(unrouted.iter())
            .try_for_each(|mount| self.add(mount))
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
