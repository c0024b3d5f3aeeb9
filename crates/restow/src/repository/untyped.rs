//! Repositories whose types are not known: of a file, or of a program that only looks.

use super::{Repository, view::Whose};
use crate::{
    Binary, Declaration, Endpoint, RawKey, Result,
    context::{Context, Mount},
    endpoint::{AnyEndpoint, RequestHead},
    route::Route,
};
use std::sync::{Arc, OnceLock};

/// A repository without its types: raw keys, and payloads as bytes. The endpoint's rules hold all the same.
pub type AnyRepository = Repository<Untyped>;

/// An endpoint whose types are not known: its keys are raw, its values are payloads.
#[derive(Debug)]
pub struct Untyped {
    mount: Arc<Mount>,
    /// The canonical route, once a key was asked for.
    route: OnceLock<Option<Route>>,
}

impl Untyped {
    /// Returns the endpoint itself.
    pub fn inner(&self) -> &Arc<dyn AnyEndpoint> {
        &self.mount.endpoint
    }

    fn route(&self) -> Option<&Route> {
        let first = || {
            let declaration = self.mount.endpoint.declaration();
            // It was checked when the repository was opened.
            let routes = declaration.routes(self.mount.credentials.parameters());
            let first = routes.unwrap_or_default().into_iter().next();
            first.filter(|_| !declaration.has_body_field())
        };
        self.route.get_or_init(first).as_ref()
    }
}

impl AnyRepository {
    pub(crate) fn over(mount: &Arc<Mount>, ctx: &Arc<Context>, whose: Whose) -> Self {
        let endpoint = Untyped {
            mount: mount.clone(),
            route: OnceLock::new(),
        };
        Self::new(Arc::new(endpoint), mount.clone(), ctx.clone(), whose)
    }
}

impl Endpoint for Untyped {
    type Key = RawKey;
    type Codec = Binary;

    fn declaration(&self) -> &Declaration {
        self.inner().declaration()
    }

    fn codec(&self) -> &Binary {
        &Binary
    }

    fn key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        self.inner().raw_key(request)
    }

    fn canonical(&self, key: &RawKey) -> Result<RawKey> {
        match self.route() {
            Some(route) => route.canonical(key.clone()),
            None => Ok(key.clone()),
        }
    }

    fn request(&self, key: &RawKey) -> Result<http::Request<()>> {
        self.inner().request(key)
    }
}
