//! The endpoint of all requests that no other endpoint declares: its key is the URL.

use restow::{Binary, Declaration, Endpoint, Field, RequestHead, Result, endpoint::Freshness};

/// The name of the repository that holds the answers to requests of no declared endpoint.
pub const EVERYTHING: &str = "everything";

/// Every `GET` and `HEAD`, by its whole URL as it was sent, with the lifetime that the answer says (RFC 9111).
#[derive(Debug)]
pub(crate) struct Everything(Declaration);

impl Everything {
    pub(crate) fn new(max_body: u64) -> Result<Self> {
        let mut declaration = Declaration::new(EVERYTHING, [Field::text("url")])?;
        declaration.codec = "binary".into();
        declaration.rules.freshness = Freshness::Http;
        declaration.rules.max_body = max_body;
        // RFC 9111 says what answers without an endpoint are kept for: each for what its client accepts.
        declaration.rules.upstream_encoding = None;
        Ok(Self(declaration))
    }
}

impl Endpoint for Everything {
    type Key = String;
    type Codec = Binary;

    fn declaration(&self) -> &Declaration {
        &self.0
    }

    fn codec(&self) -> &Binary {
        &Binary
    }

    /// Scheme, host, port, path and query, byte for byte (RFC 9111 section 4). A request with a body has no key: what it asks for is not
    /// in its URL alone.
    fn key(&self, request: &RequestHead<'_>) -> Option<String> {
        if request.streams || request.body.is_some() {
            return None;
        }
        Some(request.target.to_string())
    }
}
