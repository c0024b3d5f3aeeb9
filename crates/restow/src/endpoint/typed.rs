//! The typed side of an endpoint: its key and its codec.

use super::{declaration::Declaration, request::RequestHead};
use crate::{Codec, Error, ErrorKind, Key, RawKey, Result};
use std::fmt::Debug;

/// The type of an endpoint's values.
pub type ValueOf<E> = <<E as Endpoint>::Codec as Codec>::Value;

/// What a program knows of one kind of request. Mostly a [`RouteEndpoint`](super::RouteEndpoint); write an impl where no URI template fits.
///
/// ```
/// use restow::{Declaration, Endpoint, Field, RequestHead, Text};
///
/// /// `GET /search` with the words in a header.
/// #[derive(Debug)]
/// struct Search(Declaration);
///
/// impl Endpoint for Search {
///     type Key = String;
///     type Codec = Text;
///     fn declaration(&self) -> &Declaration { &self.0 }
///     fn codec(&self) -> &Text { &Text }
///     fn key(&self, request: &RequestHead<'_>) -> Option<String> {
///         (request.target.path == "/search").then(|| request.headers.get("x-words")?.to_str().ok().map(String::from)).flatten()
///     }
/// }
/// # let _ = Search(Declaration::new("search", [Field::text("words")])?);
/// # Ok::<(), restow::Error>(())
/// ```
#[doc(alias = "ResponseRepositorySettings")]
pub trait Endpoint: Debug + Send + Sync + 'static {
    /// The type of its keys.
    type Key: Key;
    /// What turns its values into payloads and back.
    type Codec: Codec;

    /// Returns its name, fields, routes and rules.
    fn declaration(&self) -> &Declaration;

    /// Returns its codec.
    #[doc(alias = "payload_handler")]
    fn codec(&self) -> &Self::Codec;

    /// Returns the key of a request; `None` where it is not one of this endpoint's, or has no key.
    #[doc(alias = "get_key")]
    fn key(&self, request: &RequestHead<'_>) -> Option<Self::Key>;

    /// Returns the canonical key of a request, which may hold undeclared query parameters too.
    fn raw_key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        self.key(request)?.to_raw().ok()
    }

    /// Returns the key under which answers to the requests of `key` are stored: with defaults filled in.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where it does not fit the endpoint.
    fn canonical(&self, key: &Self::Key) -> Result<RawKey> {
        key.to_raw()
    }

    /// Makes the request that a key stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] where there is no route, or the key has a value that no URL can carry.
    fn request(&self, key: &Self::Key) -> Result<http::Request<()>> {
        let message = format!(
            "there is no route to make a request from the key {key:?}; implement Endpoint::request"
        );
        Err(self
            .declaration()
            .named(Error::new(ErrorKind::Key, message)))
    }

    /// Makes the request that a canonical key stands for.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    fn raw_request(&self, key: &RawKey) -> Result<http::Request<()>> {
        self.request(&Self::Key::from_raw(key)?)
    }

    /// Returns a name for an answer, for people.
    #[doc(alias = "get_name")]
    fn label(&self, value: &ValueOf<Self>) -> Option<String> {
        let _ = value;
        None
    }

    /// Tells whether an answer may be stored, beyond what the rules say.
    fn keep_if(&self, value: &ValueOf<Self>) -> bool {
        let _ = value;
        true
    }
}
