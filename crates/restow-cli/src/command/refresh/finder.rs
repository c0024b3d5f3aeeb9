//! From an entry to the request that finds it.

use crate::{
    exit::Failure,
    session::{Session, is_everything},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use restow::{AnyRepository, RequestHead, endpoint::Account, entry::Entry, exchange::Exchange};

/// What clients say that they accept unless they are told. An entry holds what it varies on, but not what was said: that is found by trying.
const ENCODINGS: &[&str] = &[
    "gzip, deflate",
    "gzip, deflate, br",
    "gzip, deflate, br, zstd",
    "gzip, deflate, zstd",
    "deflate, gzip, br, zstd",
    "deflate, gzip, br",
    "deflate, gzip, zstd",
    "deflate, gzip",
    "br, gzip, deflate",
    "gzip, br",
    "gzip, compress, deflate, br",
    "zstd, gzip, deflate, br",
    "gzip",
    "identity",
    "*",
];
const ACCEPTS: &[&str] = &["*/*", "application/json"];

/// How an entry is asked for, beside its URL.
#[derive(Clone, Debug)]
pub(super) struct Way {
    account: Option<Account>,
    accept: Option<&'static str>,
    encoding: Option<&'static str>,
}

/// Finds requests for entries.
pub(super) struct Finder<'s> {
    session: &'s Session,
    library: Exchange,
    proxied: Exchange,
    /// What each request carries.
    headers: HeaderMap,
}

impl<'s> Finder<'s> {
    pub(super) fn new(session: &'s Session, headers: HeaderMap) -> Self {
        Self {
            library: session.cache.exchange(),
            proxied: session.proxied().exchange(),
            session,
            headers,
        }
    }

    /// Returns the URL of an entry and the way to ask for it; `None` where no request of this program finds it.
    ///
    /// # Errors
    /// Where a secret of its upstream is not there.
    pub(super) fn find(
        &self,
        repository: &AnyRepository,
        entry: &Entry,
    ) -> Result<Option<(Uri, Way)>, Failure> {
        let Some(url) = url(repository, entry) else {
            return Ok(None);
        };
        let upstreams = &self.session.upstreams;
        let mut accounts = upstreams.accounts(&url, &self.headers)?;
        accounts.push(None);
        let encodings = match is_everything(repository) {
            true => self.tried(entry, ACCEPT_ENCODING, ENCODINGS),
            // Of a declared endpoint all clients have one encoding.
            false => vec![None],
        };
        let accepts = self.tried(entry, ACCEPT, ACCEPTS);
        for account in accounts {
            for accept in &accepts {
                for encoding in &encodings {
                    let way = Way {
                        account: account.clone(),
                        accept: *accept,
                        encoding: *encoding,
                    };
                    if self.finds(repository, entry, &self.request(&url, &way)) {
                        return Ok(Some((url, way)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Makes the request.
    pub(super) fn request(&self, url: &Uri, way: &Way) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = url.clone();
        *request.headers_mut() = self.headers.clone();
        let said = [(ACCEPT, way.accept), (ACCEPT_ENCODING, way.encoding)];
        for (name, value) in said {
            if let Some(value) = value {
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
        }
        if let Some(account) = &way.account {
            request.extensions_mut().insert(account.clone());
        }
        request
    }

    /// Returns the exchange of whoever keeps the answer.
    pub(super) fn exchange(&self, request: &Request<()>) -> &Exchange {
        match self.session.is_proxied(request) {
            true => &self.proxied,
            false => &self.library,
        }
    }

    fn finds(&self, repository: &AnyRepository, entry: &Entry, request: &Request<()>) -> bool {
        let (parts, ()) = request.clone().into_parts();
        let exchange = self.exchange(request);
        exchange.finds(&RequestHead::from(&parts), repository.name(), entry)
    }

    /// What may have been said under a name on which an entry varies.
    fn tried(
        &self,
        entry: &Entry,
        name: HeaderName,
        values: &[&'static str],
    ) -> Vec<Option<&'static str>> {
        let mut names = entry.meta.head.vary().split(',');
        let varies = names.any(|n| n == name.as_str()) && !self.headers.contains_key(name);
        let values = values.iter().filter(|_| varies).copied().map(Some);
        [None].into_iter().chain(values).collect()
    }
}

/// The URL of an entry: what its key makes, else where it came from.
fn url(repository: &AnyRepository, entry: &Entry) -> Option<Uri> {
    let endpoint = repository.endpoint().inner();
    if endpoint.declaration().method != Method::GET {
        return None;
    }
    let made = endpoint.request(&entry.id.address.key).ok();
    made.map(|request| request.uri().clone())
        .or_else(|| entry.meta.head.url()?.parse().ok())
}
