//! Requests of the program through the cache: as the library makes them, or as a proxy over the same cache does.

use crate::{
    exit::Failure,
    http::{AsItIs, builder, client},
    rate::{Pace, Rate},
    session::{Session, is_everything},
};
use http::Request;
use reqwest::{Response, Url};
use reqwest_middleware::{ClientWithMiddleware, Result};
use restow::endpoint::Account;

/// Makes requests through the cache of a session.
pub(crate) struct Asker<'s> {
    session: &'s Session,
    library: ClientWithMiddleware,
    proxied: ClientWithMiddleware,
}

impl<'s> Asker<'s> {
    pub(crate) fn new(
        session: &'s Session,
        rate: Option<Rate>,
    ) -> std::result::Result<Self, Failure> {
        let client = client(builder, Pace::new(rate))?;
        Ok(Self {
            library: session.cache.client(client.clone()),
            proxied: session.proxied().client(client),
            session,
        })
    }

    /// Makes a request of this URL with the headers and the account of another.
    pub(crate) async fn send(&self, url: Url, request: &Request<()>) -> Result<Response> {
        let client = if self.session.is_proxied(request) {
            &self.proxied
        } else {
            &self.library
        };
        let mut sent = client.get(url).headers(request.headers().clone());
        if let Some(account) = request.extensions().get::<Account>() {
            sent = sent.with_extension(account.clone());
        }
        let repository = self.session.cache.route(request);
        if repository.is_some_and(|r| is_everything(&r)) {
            sent = sent.with_extension(AsItIs);
        }
        sent.send().await
    }
}
