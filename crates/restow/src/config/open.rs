//! From a configuration to an open cache.

use super::Config;
use crate::{Binary, Cache, CacheBuilder, DeclaredEndpoint, Result};

impl Config {
    /// Starts to build the cache that the file describes, without its endpoints: what is set on the builder afterwards wins.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) where a secret comes from an environment variable or a file that is not there.
    pub fn builder(&self) -> Result<CacheBuilder> {
        let mut builder = Cache::builder();
        if let Some(url) = self.cache_url()? {
            builder = builder.url(url);
        }
        if let Some(name) = self.name() {
            builder = builder.name(name);
        }
        if let Some(principal) = self.principal()? {
            builder = builder.principal(principal);
        }
        if let Some(mode) = self.mode() {
            builder = builder.mode(mode);
        }
        let inherited = self.defaults.clone();
        if let Some(expiry) = inherited.expire_after {
            builder = builder.expire_after(expiry);
        }
        if let Some(keep) = inherited.keep {
            builder = builder.keep(keep);
        }
        if let Some(window) = inherited.stale_if_error {
            builder = builder.stale_if_error(window);
        }
        if let Some(window) = inherited.stale_while_revalidate {
            builder = builder.stale_while_revalidate(window);
        }
        if let Some(statuses) = &inherited.error_statuses {
            builder = builder.error_statuses(statuses.iter().copied());
        }
        if let Some(credentials) = inherited.credentials {
            builder = builder.credentials(credentials);
        }
        Ok(builder)
    }

    /// Opens the cache with all its endpoints.
    ///
    /// # Errors
    /// As [`builder`](Self::builder), [`CacheBuilder::build`] and [`Cache::create_repository`].
    ///
    /// # Cancel safety
    /// Dropped, nothing is open.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::Config;
    /// let config = Config::parse(
    ///     r#"
    ///     cache = "memory:"
    ///     [[endpoint]]
    ///     name = "tracks"
    ///     route = "GET https://api.example.com/v1/tracks/{id}"
    ///     "#,
    ///     "restow.toml",
    /// )?;
    /// let cache = config.open().await?;
    /// assert!(cache.contains_repository("tracks"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(&self) -> Result<Cache> {
        let cache = self.builder()?.build().await?;
        for declaration in self.endpoints() {
            cache.create_repository(DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?).await?;
        }
        Ok(cache)
    }
}
