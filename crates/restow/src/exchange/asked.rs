//! What was asked.

use super::{partition::Limited, stored::may_give};
use crate::{Millis, Mode, endpoint::Coding, entry::Entry};
use http::{HeaderMap, Method};
use restow_policy::RequestControl;

/// What saving the answer needs to know of the request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Scheme, host and port.
    pub(crate) origin: Box<str>,
    pub(crate) host: Box<str>,
    pub(crate) mode: Mode,
    /// Whether the request says whose it is.
    pub(crate) known: bool,
    /// Whether the rules for shared caches apply.
    pub(crate) shared: bool,
    /// Whether others than this user may get the entry.
    pub(crate) common: bool,
    /// Whose limits a 429 speaks of.
    pub(crate) limited: Limited,
    /// What the API is asked for in place of what the client accepts.
    pub(crate) coding: Option<Coding>,
    /// Whether the address is made with the store's own secret: else nothing is stored there.
    pub(crate) keyed: bool,
    pub(crate) at: Millis,
    /// How many removals there were before.
    pub(crate) removals: u64,
}

impl Asked {
    /// Tells whether the answer says something of an entry for others too. What is not to be stored says nothing, nor does what an API answers to
    /// a user who would not be given the entry.
    pub(super) fn speaks_for(&self, entry: &Entry) -> bool {
        !RequestControl::parse(&self.headers).no_store && may_give(entry, self.known, self.shared)
    }

    /// Tells whether an answer may be stored that came from `url`: from the origin that was asked, or one that the endpoint allows.
    pub(crate) fn allows_end_at(&self, url: &str, allowed: &[Box<str>]) -> bool {
        let Ok(uri) = url.parse::<http::Uri>() else {
            return false;
        };
        let end = origin(&crate::route::Target::from(&uri));
        *end == *self.origin || allowed.iter().any(|o| **o == *end)
    }
}

/// Scheme, host and port of a URL, in one spelling.
pub(crate) fn origin(target: &crate::route::Target<'_>) -> Box<str> {
    let port = target.port.or(match target.scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    });
    let scheme = target.scheme.to_ascii_lowercase();
    let host = target.host.to_ascii_lowercase();
    match (scheme.as_str(), port) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => {
            format!("{scheme}://{host}").into()
        }
        (_, Some(port)) => format!("{scheme}://{host}:{port}").into(),
    }
}
