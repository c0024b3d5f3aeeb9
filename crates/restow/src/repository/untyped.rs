//! Repositories whose types are not known: of a file, or of a program that only looks.

use super::{Repository, view::Whose};
use crate::{
    Binary, Declaration, Endpoint, RawKey, Result,
    context::{Context, Mount},
    endpoint::{AnyEndpoint, RequestHead},
    route::Route,
};
use std::sync::Arc;

/// A repository without its types: raw keys, and payloads as bytes. The endpoint's rules hold all the same.
pub type AnyRepository = Repository<Untyped>;

/// An endpoint whose types are not known: its keys are raw, its values are payloads.
#[derive(Debug)]
pub struct Untyped {
    inner: Arc<dyn AnyEndpoint>,
    route: Option<Route>,
}

impl Untyped {
    /// Returns the endpoint itself.
    pub fn inner(&self) -> &Arc<dyn AnyEndpoint> {
        &self.inner
    }
}

impl AnyRepository {
    pub(crate) fn over(mount: &Arc<Mount>, ctx: &Arc<Context>, whose: Whose) -> Self {
        let declaration = mount.endpoint.declaration();
        // It was checked when the repository was opened.
        let routes = declaration
            .routes(mount.credentials.parameters())
            .unwrap_or_default();
        let route = routes
            .into_iter()
            .next()
            .filter(|_| !declaration.has_body_field());
        let endpoint = Arc::new(Untyped {
            inner: mount.endpoint.clone(),
            route,
        });
        Self::new(endpoint, mount.clone(), ctx.clone(), whose)
    }
}

impl Endpoint for Untyped {
    type Key = RawKey;
    type Codec = Binary;

    fn declaration(&self) -> &Declaration {
        self.inner.declaration()
    }

    fn codec(&self) -> &Binary {
        &Binary
    }

    fn key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        self.inner.raw_key(request)
    }

    fn canonical(&self, key: &RawKey) -> Result<RawKey> {
        match &self.route {
            Some(route) => route.canonical(key.clone()),
            None => Ok(key.clone()),
        }
    }

    fn request(&self, key: &RawKey) -> Result<http::Request<()>> {
        self.inner.request(key)
    }
}
