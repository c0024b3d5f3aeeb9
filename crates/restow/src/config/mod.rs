//! The configuration file, `restow.toml`: a cache and its endpoints, the same for library and program.
//!
//! `docs/CONFIG.md` lists every key. Every mistake is an error that names file, line, key and endpoint, and the way out.

mod keys;
mod open;
mod places;
mod proxy;
mod read;
mod secret;

pub use proxy::{AdminSettings, PrincipalSettings, ProxySettings, TlsSettings, UpstreamSettings};
pub use secret::Secret;

use crate::{Credentials, Declaration, Error, ErrorKind, Expiry, Mode, Result, store::Budget};
use http::StatusCode;
use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A configuration: where the cache is, what its endpoints inherit, and the endpoints.
///
/// ```
/// use restow::Config;
/// let config = Config::parse(
///     r#"
///     cache = "sqlite://music.db"
///     expire_after = "7 days"
///
///     [[endpoint]]
///     name = "tracks"
///     route = "GET https://api.example.com/v1/tracks/{id}{?market}"
///     "#,
///     "restow.toml",
/// )?;
/// assert_eq!(config.cache_url()?.as_deref(), Some("sqlite://music.db"));
/// assert_eq!(config.endpoints()[0].name.as_str(), "tracks");
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    origin: Arc<str>,
    cache: Option<Placed>,
    name: Option<Box<str>>,
    principal: Option<Placed>,
    memory: Option<u64>,
    defaults: Inherited,
    mode: Option<Mode>,
    budget: Budget,
    endpoints: Vec<Declaration>,
    proxy: Option<ProxySettings>,
}

/// What endpoints inherit where they say nothing themselves.
#[derive(Clone, Debug, Default)]
struct Inherited {
    expire_after: Option<Expiry>,
    keep: Option<Duration>,
    stale_if_error: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    error_statuses: Option<Arc<[StatusCode]>>,
    credentials: Option<Credentials>,
}

/// A secret, with the key and the line it stands on: it is looked up late.
#[derive(Clone, Debug)]
struct Placed {
    key: &'static str,
    line: usize,
    secret: Secret,
}

impl Config {
    /// The name of the file that is looked for.
    pub const FILE: &'static str = "restow.toml";
    /// The environment variable that names another file.
    pub const ENV: &'static str = "RESTOW_CONFIG";

    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it cannot be read, and as [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|e| {
            let message = format!("the configuration {} cannot be read", path.display());
            Error::new(ErrorKind::Config, message).with_source(e)
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text; `origin` is the name it has in errors, mostly a path.
    ///
    /// Environment variables and files that hold secrets are read when they are asked for, so that a configuration can be checked without them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming line, key and endpoint of the first mistake, and [`ErrorKind::Unsupported`] for what this version does not have.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        read::config(text, origin)
    }

    /// Finds the file: `explicit` if there is one, else the one that `RESTOW_CONFIG` names, else `restow.toml` in the working directory if it is there.
    ///
    /// The first two are returned whether they are there or not: [`load`](Self::load) tells.
    pub fn find(explicit: Option<&Path>) -> Option<PathBuf> {
        choose(explicit, std::env::var_os(Self::ENV), Path::new(""))
    }

    /// Returns the name under which it was read.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the URL of the store, if there is one. It may hold a password.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it comes from an environment variable or a file that is not there.
    pub fn cache_url(&self) -> Result<Option<String>> {
        self.cache
            .as_ref()
            .map(|placed| self.reveal(placed))
            .transpose()
    }

    /// Returns the name of the cache, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the principal of all requests, if there is one.
    ///
    /// # Errors
    /// As [`cache_url`](Self::cache_url).
    pub fn principal(&self) -> Result<Option<String>> {
        self.principal
            .as_ref()
            .map(|placed| self.reveal(placed))
            .transpose()
    }

    /// Returns what names the user of a request where an endpoint does not say, if the file does.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.defaults.credentials.as_ref()
    }

    /// Returns the mode, if it names one.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Returns the most that all repositories hold together.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Returns how much memory there is before the store, in bytes, if the file says so.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Returns what it says of a proxy, if it has a table `[proxy]` or `[[upstream]]`.
    pub fn proxy(&self) -> Option<&ProxySettings> {
        self.proxy.as_ref()
    }

    /// Returns the files that it names: those of secrets and of certificates. A program that follows changes looks at them too.
    pub fn files(&self) -> Vec<&Path> {
        let named = [&self.cache, &self.principal];
        let mut all: Vec<_> = named
            .into_iter()
            .flatten()
            .filter_map(|placed| placed.secret.path())
            .collect();
        all.extend(self.proxy.iter().flat_map(ProxySettings::files));
        all
    }

    /// Returns the endpoints, in the order of the file.
    pub fn endpoints(&self) -> &[Declaration] {
        &self.endpoints
    }

    /// Returns the endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Option<&Declaration> {
        self.endpoints.iter().find(|e| e.name.as_str() == name)
    }

    fn reveal(&self, placed: &Placed) -> Result<String> {
        placed.secret.reveal().map_err(|e| {
            let message = format!(
                "{}:{}: {}: {}",
                self.origin,
                placed.line,
                placed.key,
                e.message()
            );
            Error::new(e.kind(), message).with_source(e)
        })
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

fn choose(explicit: Option<&Path>, named: Option<OsString>, folder: &Path) -> Option<PathBuf> {
    let named = named.filter(|n| !n.is_empty()).map(PathBuf::from);
    explicit
        .map(Path::to_owned)
        .or(named)
        .or_else(|| Some(folder.join(Config::FILE)).filter(|p| p.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_to_the_caller_wins() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        assert_eq!(choose(None, None, here), None);
        let file = here.join(Config::FILE);
        fs::write(&file, "").unwrap();
        assert_eq!(choose(None, None, here), Some(file.clone()));
        assert_eq!(choose(None, Some("".into()), here), Some(file));
        assert_eq!(
            choose(None, Some("b.toml".into()), here),
            Some("b.toml".into())
        );
        assert_eq!(
            choose(Some(Path::new("a.toml")), Some("b.toml".into()), here),
            Some("a.toml".into())
        );
    }
}
