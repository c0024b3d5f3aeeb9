//! A request as the cache sees it.

use crate::route::Target;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, request::Parts};

/// The head of a request, borrowed: no client has to build another kind of request for a hit.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL, in parts.
    pub target: Target<'a>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What the caller attached: a principal, a mode.
    pub extensions: &'a Extensions,
    /// The body where it is at hand as a whole; `None` where there is none.
    pub body: Option<&'a [u8]>,
    /// Whether there is a body that is not at hand.
    pub streams: bool,
    /// Headers that whoever passes the request on puts in by itself, such as a gateway's token, each in place of the request's own; mostly
    /// none. What is answered to these headers is found by requests that get the same ones, and by no others; all users share it as far as
    /// they share what is asked without. Where a principal is named, or the endpoint shares its answers or takes nothing for a credential,
    /// they do not count.
    pub account: &'a [(HeaderName, HeaderValue)],
}

impl<'a> From<&'a Parts> for RequestHead<'a> {
    fn from(parts: &'a Parts) -> Self {
        RequestHead {
            method: &parts.method,
            target: Target::from(&parts.uri),
            headers: &parts.headers,
            extensions: &parts.extensions,
            body: None,
            streams: false,
            account: &[],
        }
    }
}
