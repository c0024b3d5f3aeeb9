//! The endpoint of all requests that no other endpoint declares: its key is the URL.

use restow::{
    Binary, Declaration, Endpoint, Error, ErrorKind, Field, FieldKind, RequestHead, Result,
    endpoint::Freshness,
};

/// The name of the repository that holds the answers to requests of no declared endpoint.
pub const EVERYTHING: &str = "everything";

/// The endpoint of the repository [`EVERYTHING`]: every `GET` and `HEAD`, by its whole URL as it was sent, with the lifetime that the answer
/// says (RFC 9111).
///
/// A program beside the proxy opens the repository with it as it is [stored](Self::stored), in a cache that was built with
/// [`shared(true)`](restow::CacheBuilder::shared) where it fetches: the answers are kept for all users.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow_proxy::{EVERYTHING, Everything};
/// let cache = restow::Cache::builder().url("memory:").shared(true).build().await?;
/// # cache.create_repository(Everything::new(1 << 20)?).await?;
/// # cache.remove(EVERYTHING);
/// cache.open_stored_as(EVERYTHING, Everything::stored).await?;
/// let request = http::Request::get("https://api.example.com/v1/tracks?page=2").body(()).unwrap();
/// assert_eq!(cache.route(&request).unwrap().name(), EVERYTHING);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Everything(Declaration);

impl Everything {
    /// Makes it; no answer is stored that is longer than `max_body` bytes.
    ///
    /// # Errors
    /// None as yet.
    pub fn new(max_body: u64) -> Result<Self> {
        let mut declaration = Declaration::new(EVERYTHING, [Field::text("url")])?;
        declaration.codec = "binary".into();
        declaration.rules.freshness = Freshness::Http;
        declaration.rules.max_body = max_body;
        // RFC 9111 says what answers without an endpoint are kept for: each for what its client accepts.
        declaration.rules.upstream_encoding = None;
        Ok(Self(declaration))
    }

    /// Makes it of what a store says of the repository; `None` where that is one of another endpoint.
    pub fn stored(declaration: Declaration) -> Option<Self> {
        Self::is(&declaration).then_some(Self(declaration))
    }

    /// Tells whether a declaration is that of this endpoint.
    pub fn is(declaration: &Declaration) -> bool {
        let [field] = &*declaration.fields else {
            return false;
        };
        declaration.name.as_str() == EVERYTHING
            && declaration.templates.is_empty()
            && declaration.rules.freshness == Freshness::Http
            && field.name() == "url"
            && field.kind() == FieldKind::Text
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

    /// The request of the URL that the key is.
    fn request(&self, key: &String) -> Result<http::Request<()>> {
        // The key may hold a secret.
        let wrong = |e| Error::new(ErrorKind::Key, "a key is no URL").with_source(e);
        let request = http::Request::get(key).body(()).map_err(wrong);
        request.map_err(|e| e.in_repository(EVERYTHING))
    }
}
