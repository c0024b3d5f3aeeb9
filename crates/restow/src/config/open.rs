//! From a configuration to an open cache.

use super::Config;
use crate::{Binary, Cache, CacheBuilder, DeclaredEndpoint, Error, ErrorKind, Mode, Result};

impl Config {
    /// Returns a builder with everything the file says but the endpoints: for a program that adds a clock, or sets another store.
    ///
    /// The mode of the file is left out where the environment variable `RESTOW_MODE` sets one.
    ///
    /// # Errors
    /// As [`cache_url`](Self::cache_url).
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
        if let Some(bytes) = self.memory {
            builder = builder.memory(bytes);
        }
        if let Some(mode) = self.mode.filter(|_| !is_set(Mode::ENV)) {
            builder = builder.mode(mode);
        }
        if let Some(bytes) = self.budget.bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(entries) = self.budget.entries {
            builder = builder.max_entries(entries);
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
        if let Some(statuses) = inherited.error_statuses {
            builder = builder.error_statuses(statuses.iter().copied());
        }
        if let Some(credentials) = inherited.credentials {
            builder = builder.credentials(credentials);
        }
        Ok(builder)
    }

    /// Opens the cache and the repositories of all endpoints.
    ///
    /// Their values are bytes; [`Cache::typed`] gives a repository its types.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{Config, Json};
    /// let config = Config::parse(
    ///     r#"
    ///     cache = "memory:"
    ///     [[endpoint]]
    ///     name = "tracks"
    ///     route = "https://api.example.com/v1/tracks/{id}"
    ///     codec = "json"
    ///     "#,
    ///     "restow.toml",
    /// )?;
    /// let cache = config.open().await?;
    /// let tracks = cache.typed::<String, Json<serde_json::Value>>("tracks")?;
    /// assert_eq!(tracks.get(&"6fWo".to_owned()).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the file names no store, and as [`CacheBuilder::build`] and [`Cache::create_repository`].
    ///
    /// # Cancel safety
    /// Dropped, nothing is open; tables that were made stay.
    pub async fn open(&self) -> Result<Cache> {
        if self.cache.is_none() {
            let message = format!(
                "{}: there is no cache; write one at the top, such as cache = \"sqlite://cache.db\"",
                self.origin
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let cache = self.builder()?.build().await?;
        for declaration in &self.endpoints {
            let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
            cache.create_repository(endpoint).await?;
        }
        Ok(cache)
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
