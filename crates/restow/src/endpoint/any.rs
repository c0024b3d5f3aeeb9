//! The untyped side of an endpoint: what the exchange, the proxy and the program see.

use super::{
    declaration::Declaration,
    inspect::{Inspection, Rejection},
    request::RequestHead,
    typed::Endpoint,
};
use crate::{Codec, RawKey, Result};
use bytes::Bytes;
use std::{any::Any, fmt::Debug, sync::Arc};

/// An endpoint without its static types. Every [`Endpoint`] is one.
pub trait AnyEndpoint: Debug + Send + Sync + 'static {
    /// Returns its name, fields, routes and rules.
    fn declaration(&self) -> &Declaration;

    /// Returns the canonical key of a request; `None` where it is not one of this endpoint's, or has no key.
    fn raw_key(&self, request: &RequestHead<'_>) -> Option<RawKey>;

    /// Makes the request that a key stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) where there is no route, or no URL can carry the key.
    fn request(&self, key: &RawKey) -> Result<http::Request<()>>;

    /// Inspects the body of a successful answer: label, columns, and whether it may be stored.
    fn inspect(&self, body: &Bytes) -> Inspection;

    /// Returns the endpoint as its own type, to be downcast.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<E: Endpoint> AnyEndpoint for E {
    fn declaration(&self) -> &Declaration {
        Endpoint::declaration(self)
    }

    fn raw_key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        Endpoint::raw_key(self, request)
    }

    fn request(&self, key: &RawKey) -> Result<http::Request<()>> {
        self.raw_request(key)
    }

    fn inspect(&self, body: &Bytes) -> Inspection {
        let found = Endpoint::declaration(self).inspect(body);
        if found.rejected.is_some() {
            return found;
        }
        let Ok(value) = self.codec().decode(body) else {
            return Inspection {
                rejected: Some(Rejection::Codec(self.codec().name().into())),
                ..Inspection::default()
            };
        };
        if !self.keep_if(&value) {
            return Inspection {
                rejected: Some(Rejection::KeepIf),
                ..Inspection::default()
            };
        }
        Inspection {
            label: self.label(&value).map(Into::into).or(found.label),
            ..found
        }
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
