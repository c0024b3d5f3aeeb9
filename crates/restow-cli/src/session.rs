//! The cache that a command works on: found by the command line, the configuration, or the default.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::note,
    redact::{Secrets, redact},
    upstreams::Upstreams,
};
use http::{HeaderName, Request};
use percent_encoding::percent_decode_str;
use restow::{
    AnyRepository, Binary, Cache, CacheBuilder, Config, Declaration, DeclaredEndpoint, ErrorKind,
    Mode,
    endpoint::{Account, Freshness},
    store::format,
};
use restow_proxy::{EVERYTHING, Everything};
use std::path::PathBuf;

/// The cache where neither the command line nor a configuration names one.
const DEFAULT_CACHE: &str = "restow.db";

/// An open cache with the repositories that a command needs.
#[derive(Debug)]
pub(crate) struct Session {
    /// As the principal sees it, where one is named.
    pub(crate) cache: Cache,
    /// The configuration, where there is one.
    pub(crate) config: Option<Config>,
    /// Whether a principal is named.
    pub(crate) named: bool,
    /// What is never printed of a URL.
    pub(crate) secrets: Secrets,
    /// The APIs of the configuration's proxy.
    pub(crate) upstreams: Upstreams,
    /// The cache as a proxy sees it, where there is something that only a proxy keeps.
    proxied: Option<Cache>,
    place: String,
}

/// What a command does to a cache that is not there, and to endpoints that have no table yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Makes them.
    Create,
    /// Makes them too, and fills them: there is no request that goes to the API where the store is slow.
    Fill,
    /// Reports the cache as missing, and leaves the endpoints out.
    Existing,
    /// Goes on without anything stored, and makes nothing on disk.
    Imagine,
}

impl Session {
    /// Opens the cache, the endpoints of the configuration, and whatever else is stored.
    pub(crate) async fn open(
        global: &Global,
        access: Access,
        mode: Option<Mode>,
    ) -> Result<Self, Failure> {
        let config = config(global)?;
        let mut settings = Settings::of(config.as_ref(), global)?;
        let mut place = None;
        if matches!(access, Access::Existing | Access::Imagine)
            && let Some(missing) = missing(&settings.url).await
        {
            if access == Access::Existing {
                return Err(no_cache(&missing));
            }
            place = Some(format!("{missing}, which is not there yet,"));
            settings.url = "memory:".to_owned();
        }
        let url = match access {
            // But offline the API is nobody to ask either.
            Access::Create if mode != Some(Mode::Offline) => settings.url,
            _ => patient(settings.url),
        };
        let mut builder = settings.builder.clone().url(url);
        if let Some(mode) = mode {
            builder = builder.mode(mode);
        }
        let cache = builder.build().await?;
        let mut session = Self {
            secrets: Secrets::default(),
            // The store says where it is without a password.
            place: place.unwrap_or_else(|| cache.store().to_string()),
            cache,
            upstreams: Upstreams::of(config.as_ref())?,
            proxied: None,
            config,
            named: settings.named,
        };
        session.open_repositories(access).await?;
        session.proxied = session.as_a_proxy(settings.builder)?;
        let all: Vec<AnyRepository> = session.cache.iter().collect();
        let secrets = all
            .iter()
            .fold(Secrets::default(), |s, r| s.and(r.credentials()));
        session.secrets = match session.config.as_ref().and_then(Config::credentials) {
            Some(credentials) => secrets.and(credentials),
            None => secrets,
        };
        Ok(session)
    }

    /// Opens a store as it is, without a configuration: it is only read.
    pub(crate) async fn over(url: &str, global: &Global) -> Result<Self, Failure> {
        if let Some(missing) = missing(url).await {
            return Err(no_cache(&missing));
        }
        let mut builder = Cache::builder().url(patient(url)).mode(Mode::ReadOnly);
        if let Some(name) = &global.principal {
            builder = builder.principal(name);
        }
        let cache = builder.build().await?;
        cache.open_stored_as(EVERYTHING, Everything::stored).await?;
        let all = cache.open_stored().await?;
        let secrets = all
            .iter()
            .fold(Secrets::default(), |s, r| s.and(r.credentials()));
        Ok(Self {
            place: cache.store().to_string(),
            cache,
            config: None,
            named: global.principal.is_some(),
            secrets,
            upstreams: Upstreams::default(),
            proxied: None,
        })
    }

    async fn open_repositories(&self, access: Access) -> Result<(), Failure> {
        let stored = match self.cache.store().tables().await {
            // Whoever fetches goes to the API until it is back; what is declared is opened then.
            Err(error) if access == Access::Create && error.kind() == ErrorKind::Down => None,
            // What cannot be read of one repository is no reason to keep answers back that the API has.
            Err(error) if access == Access::Create && error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(target: "restow", %error, "what is stored is not opened but for what is declared");
                None
            }
            stored => Some(stored?),
        };
        for declaration in self.config.iter().flat_map(Config::endpoints) {
            let is_stored = stored.iter().flatten().any(|t| t.name == declaration.name);
            if access == Access::Existing && !is_stored {
                continue;
            }
            let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
            match self.cache.create_repository(endpoint).await {
                // What is stored can still be read and removed as it was declared then.
                Err(error)
                    if error.kind() == ErrorKind::SchemaMismatch
                        && !matches!(access, Access::Create | Access::Fill) =>
                {
                    tracing::warn!(target: "restow", %error, "the table is read as it is stored");
                }
                Err(error) if access == Access::Create && error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(target: "restow", %error, "its requests go to the API, and nothing of them is kept");
                }
                end => end.map(drop)?,
            }
        }
        if stored.is_some() {
            if !self.cache.contains_repository(EVERYTHING) {
                let everything = self.cache.open_stored_as(EVERYTHING, Everything::stored);
                everything.await?;
            }
            self.cache.open_stored().await?;
        }
        Ok(())
    }

    /// Makes the view of the cache that a proxy has, with the same repositories; `None` where nothing is a proxy's.
    fn as_a_proxy(&self, builder: CacheBuilder) -> Result<Option<Cache>, Failure> {
        let everything = self.cache.repository(EVERYTHING);
        if !everything.is_some_and(|r| is_everything(&r)) && !self.has_proxy() {
            return Ok(None);
        }
        let proxied = shared(builder, self.config.as_ref(), &[])?.build_over(&self.cache)?;
        for repository in self.cache.iter() {
            proxied.insert(&repository)?;
        }
        Ok(Some(proxied))
    }

    /// Tells whether the configuration is a proxy's too.
    fn has_proxy(&self) -> bool {
        self.config.as_ref().and_then(Config::proxy).is_some()
    }

    /// Tells whether the answer to a request is kept as a proxy keeps it: the request is made by an account, no endpoint declares it, or a proxy of
    /// this configuration will give it to everyone for as long as it says itself.
    pub(crate) fn is_proxied(&self, request: &Request<()>) -> bool {
        let account = request.extensions().get::<Account>();
        let routed = || self.cache.route(request);
        let is_its = |r| is_everything(&r) || self.has_proxy() && is_everyones(&r, request);
        self.proxied.is_some() && (account.is_some() || routed().is_some_and(is_its))
    }

    /// Returns the cache as a proxy sees it, where there is something that only a proxy keeps.
    pub(crate) fn proxied(&self) -> &Cache {
        self.proxied.as_ref().unwrap_or(&self.cache)
    }

    /// Returns the cache as whoever keeps the answer to this request sees it.
    pub(crate) fn view(&self, request: &Request<()>) -> &Cache {
        if self.is_proxied(request) {
            self.proxied()
        } else {
            &self.cache
        }
    }

    /// Returns the repository of this name.
    pub(crate) fn repository(&self, name: &str) -> Result<AnyRepository, Failure> {
        self.cache.repository(name).ok_or_else(|| {
            let names: Vec<String> = self.cache.iter().map(|r| r.name().to_owned()).collect();
            let way_out = match nearest(name, &names) {
                Some(near) => format!("did you mean {near:?}?"),
                None if names.is_empty() => "it is empty".to_owned(),
                None => format!("there are {}", names.join(", ")),
            };
            // A URL without its scheme ends here too, with whatever it holds.
            let name = redact(name, &self.secrets);
            Failure::not_held(format!(
                "there is no repository {name:?} in {}; {way_out}",
                self.place
            ))
        })
    }

    /// Returns the repositories to work on: one by its name, or all.
    pub(crate) fn repositories(&self, name: Option<&str>) -> Result<Vec<AnyRepository>, Failure> {
        match name {
            Some(name) => Ok(vec![self.repository(name)?]),
            None => Ok(self.cache.iter().collect()),
        }
    }

    /// Returns the handle that sees what the command may see: the principal's entries where one is named, else everyone's.
    pub(crate) fn seen(&self, repository: &AnyRepository) -> AnyRepository {
        if self.named {
            repository.clone()
        } else {
            repository.everyone()
        }
    }

    /// Says to people that a principal is named, and that the rest is left: for commands that are meant for all there is.
    pub(crate) fn note_principal(&self, global: &Global) {
        if self.named && !global.quiet {
            note("note: a principal is named; what belongs to others is left");
        }
    }

    /// Says where the cache is, without a password.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Makes what was written durable, and lets go.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.cache.close().await?)
    }
}

/// What command line and configuration say of a cache.
pub(crate) struct Settings {
    /// All but its URL.
    pub(crate) builder: CacheBuilder,
    pub(crate) url: String,
    /// Whether a principal is named.
    pub(crate) named: bool,
}

impl Settings {
    pub(crate) fn of(config: Option<&Config>, global: &Global) -> Result<Self, Failure> {
        let mut builder = match config {
            Some(config) => config.builder()?,
            None => Cache::builder(),
        };
        let url = match (&global.cache, config) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(config)) => config.cache_url()?,
            (None, None) => None,
        };
        let principal = match (&global.principal, config) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(config)) => config.principal()?,
            (None, None) => None,
        };
        if let Some(name) = &principal {
            builder = builder.principal(name);
        }
        Ok(Self {
            builder,
            url: url.unwrap_or_else(|| DEFAULT_CACHE.to_owned()),
            named: principal.is_some(),
        })
    }
}

/// Lets a cache be one that a proxy has: under the rules for shared caches.
pub(crate) fn shared(
    builder: CacheBuilder,
    config: Option<&Config>,
    more: &[HeaderName],
) -> Result<CacheBuilder, Failure> {
    let mut targeted = more.to_vec();
    for name in config
        .and_then(Config::proxy)
        .iter()
        .flat_map(|p| &p.targeted)
    {
        let wrong =
            |_| Failure::usage(format!("targeted in [proxy]: {name:?} is no header's name"));
        targeted.push(name.parse().map_err(wrong)?);
    }
    Ok(builder.shared(true).targeted(targeted))
}

/// Tells whether it holds what no endpoint declares.
pub(crate) fn is_everything(repository: &AnyRepository) -> bool {
    Everything::is(repository.endpoint().inner().declaration())
}

/// Tells whether the answer to a request says itself how long it is fresh, for whoever asks: the request shows no credential.
fn is_everyones(repository: &AnyRepository, request: &Request<()>) -> bool {
    let rules = &repository.endpoint().inner().declaration().rules;
    let (credentials, url) = (repository.credentials(), request.uri().to_string());
    let mut names = request.headers().keys();
    rules.freshness == Freshness::Http
        && !names.any(|name| credentials.is_header(name.as_str()))
        && credentials.strip(&url) == url
}

/// Waits longer for a store on a network than a request may, unless the URL says how long: there is no API to ask instead, and the first call to
/// a server that is far away has to connect before it asks.
pub(crate) fn patient(url: impl Into<String>) -> String {
    let url = url.into();
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let is_told = parameters.split('&').any(|p| p.starts_with("timeout="));
    if !is_networked(&url) || is_told {
        return url;
    }
    let sign = if parameters.is_empty() { "?" } else { "&" };
    format!("{}{sign}timeout=1s", url.trim_end_matches('?'))
}

/// Tells whether a URL names a store on a network.
fn is_networked(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ["postgres", "redis"].iter().any(|s| scheme.starts_with(s))
}

/// Reads the configuration, where there is one.
pub(crate) fn config(global: &Global) -> Result<Option<Config>, Failure> {
    let path = Config::find(global.config.as_deref());
    Ok(path.map(Config::load).transpose()?)
}

/// Returns the declarations to route by, and where they are from: those of the configuration, else those that are stored.
///
/// Each says what its credentials are, whether it says so itself or not.
pub(crate) async fn declarations(global: &Global) -> Result<(Vec<Declaration>, String), Failure> {
    if let Some(config) = config(global)? {
        return Ok((declared(&config), config.origin().to_owned()));
    }
    let session = Session::open(global, Access::Existing, None).await?;
    let stored = session.cache.iter().map(|r| whole(&r)).collect();
    let place = session.place().to_owned();
    session.close().await?;
    Ok((stored, place))
}

/// Returns the declarations of a configuration; each says what its credentials are.
pub(crate) fn declared(config: &Config) -> Vec<Declaration> {
    let inherited = config.credentials().cloned().unwrap_or_default();
    let mut all = config.endpoints().to_vec();
    for declaration in &mut all {
        declaration
            .rules
            .credentials
            .get_or_insert_with(|| inherited.clone());
    }
    all
}

/// Returns the declaration of a repository, with the credentials that it inherits.
pub(crate) fn whole(repository: &AnyRepository) -> Declaration {
    let mut declaration = repository.endpoint().inner().declaration().clone();
    declaration.rules.credentials = Some(repository.credentials().clone());
    declaration
}

/// Returns the name that is most like another, where one is like it at all.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    let alike = |other: &str| strsim::jaro_winkler(other, name);
    let near = names.iter().filter(|n| alike(n) > 0.8);
    near.max_by(|a, b| alike(a).total_cmp(&alike(b)))
}

/// Finds the SQLite file that a command is about: the one it names, else the cache.
pub(crate) fn path_of(
    named: Option<String>,
    global: &Global,
    only: &str,
) -> Result<PathBuf, Failure> {
    let url = match named.or_else(|| global.cache.clone()) {
        Some(url) => url,
        None => match config(global)? {
            Some(config) => config.cache_url()?,
            None => None,
        }
        .unwrap_or_else(|| DEFAULT_CACHE.to_owned()),
    };
    let path = file(&url).ok_or_else(|| Failure::usage(only))?;
    if path.exists() {
        Ok(path)
    } else {
        Err(no_cache(&path.display().to_string()))
    }
}

/// Returns where a cache would be that is not there: no file, or nothing of ours on a server. `None` where there is one, or where that cannot
/// be told: whatever is wrong is said when it is opened.
pub(crate) async fn missing(url: &str) -> Option<String> {
    if is_networked(url) {
        // Boxed: it is most of what a command would hold.
        let format = Box::pin(format(&patient(url))).await.ok()?;
        return format.stored.is_none().then_some(format.place);
    }
    let path = file(url)?;
    (!path.exists()).then(|| path.display().to_string())
}

/// Says that there is no cache in this place.
pub(crate) fn no_cache(place: &str) -> Failure {
    Failure::new(
        Exit::NotHeld,
        format!(
            "there is no cache at {place}; `restow fetch URL` makes one, and --cache names another"
        ),
    )
}

/// Returns the file of a SQLite URL; `None` for what is no file.
pub(crate) fn file(url: &str) -> Option<PathBuf> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        // A URL with a slash too few may hold a password: it is no file, and the store says so without it.
        let scheme = url
            .split_once(':')
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        let is_store = |scheme: &str| {
            let mut stores = ["memory", "postgres", "redis", "valkey"].into_iter();
            stores.any(|store| scheme.starts_with(store))
        };
        let is_url = url.contains("://") || scheme.as_deref().is_some_and(is_store);
        return (!is_url).then(|| url.into());
    };
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if path.starts_with(':') {
        return None;
    }
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = percent_decode_str(path).decode_utf8().ok()?;
    Some(PathBuf::from(&*path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_waited_for_unless_its_url_says_how_long() {
        for (url, patient) in [
            ("redis://h", "redis://h?timeout=1s"),
            ("postgres://h/x?pool=4", "postgres://h/x?pool=4&timeout=1s"),
            ("rediss-cluster://h?", "rediss-cluster://h?timeout=1s"),
            ("redis://h?timeout=9ms", "redis://h?timeout=9ms"),
            ("postgres.db", "postgres.db"),
            ("sqlite://a.db", "sqlite://a.db"),
            ("memory:", "memory:"),
        ] {
            assert_eq!(super::patient(url), patient);
        }
    }

    #[test]
    fn files_are_told_from_what_is_none() {
        for (url, path) in [
            ("a.db", Some("a.db")),
            ("/x/a b.db", Some("/x/a b.db")),
            ("sqlite://a%20b.db?mode=ro", Some("a b.db")),
            ("sqlite:///x/a.db", Some("/x/a.db")),
            ("sqlite::memory:", None),
            ("sqlite::temp:", None),
            ("memory:", None),
            ("postgres://h/db", None),
            ("postgres:/u:secret@h/db", None),
            ("Redis:h", None),
            ("redis.db", Some("redis.db")),
        ] {
            assert_eq!(file(url), path.map(PathBuf::from), "{url}");
        }
    }
}
