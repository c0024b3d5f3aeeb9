//! A request as the cache sees it.

use crate::route::Target;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use std::sync::Arc;

/// The head of a request, borrowed: no client has to build another kind of request for a hit.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL, in parts.
    pub target: Target<'a>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What the caller attached: a principal, a mode, an [`Account`].
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

/// The headers that whoever passes requests on puts in by itself: see [`RequestHead::account`]. As an extension of a request it says so to
/// the cache, which does not send them: who makes the request does, beneath the cache.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::{HeaderValue, header::AUTHORIZATION};
/// use restow::{RouteEndpoint, Text, endpoint::Account};
/// let cache = restow::connect("memory:").await?;
/// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
/// let token = HeaderValue::from_static("Bearer a-token");
/// let account = Account::new([(AUTHORIZATION, token)]);
/// let request = http::Request::get("https://example.com/pages/home").extension(account).body(())?;
/// let (request, ()) = request.into_parts();
/// cache.save(&request, &http::Response::new("Welcome".into())).await?;
/// assert!(pages.contains(&request).await?);
/// assert!(!pages.contains("home").await?, "it is the account's");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account(Arc<[(HeaderName, HeaderValue)]>);

impl Account {
    /// Makes it of headers; of two with one name the later one counts. They are secret: `Debug` shows no value.
    pub fn new(headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        let mut all: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, mut value) in headers {
            value.set_sensitive(true);
            all.retain(|(other, _)| *other != name);
            all.push((name, value));
        }
        // In whatever order they are given, they are the same account's.
        all.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        Self(all.into())
    }

    /// Returns the headers, sorted by name.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0
    }

    /// Tells whether there are none: then it is nobody's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the headers into those of a request, in place of its own.
    pub fn put_into(&self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            headers.insert(name, value.clone());
        }
    }

    /// The headers of the account that a request carries.
    pub(crate) fn of(extensions: &Extensions) -> &[(HeaderName, HeaderValue)] {
        extensions.get::<Self>().map_or(&[], Self::headers)
    }
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
            account: Account::of(&parts.extensions),
        }
    }
}
