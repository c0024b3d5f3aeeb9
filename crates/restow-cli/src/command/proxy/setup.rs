//! What a proxy serves: the command line and the configuration together.

use super::{Proxy, watch::Watch};
use crate::{
    cli::Global,
    command::routes::Table,
    exit::{Exit, Failure},
    session::{Settings, declared, shared},
};
use restow::{
    Binary, Cache, CacheBuilder, Config, Declaration, DeclaredEndpoint, ErrorKind, Mode, Secret,
};
use restow_proxy::{Options, Proxy as Server, Upstream};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use tokio::task::spawn_blocking;

/// Where to listen unless told.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The memory before the store where nobody says how much, in bytes: 64 MiB.
const MEMORY: u64 = 64 << 20;

/// Where it is said what a proxy serves.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    global: Global,
    arguments: Proxy,
    /// The configuration: which it is does not change while the proxy runs.
    path: Option<PathBuf>,
}

/// What a proxy serves.
pub(super) struct Plan {
    builder: CacheBuilder,
    pub(super) fixed: Fixed,
    /// The mode, where the configuration decides on it.
    pub(super) mode: Option<Mode>,
    /// The endpoints of the configuration; without one, those that are stored are the endpoints.
    endpoints: Option<Vec<Declaration>>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) options: Options,
    /// What operators show.
    pub(super) token: Option<String>,
}

/// What is as it is until the program is started again.
#[derive(Clone, PartialEq)]
pub(super) struct Fixed {
    url: String,
    /// The memory before the store that is not in the URL: by the command line or the default, and by the configuration.
    memory: [Option<u64>; 2],
    pub(super) listen: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    /// Whether operators show a token.
    pub(super) has_token: bool,
    max_connections: usize,
}

impl Setup {
    pub(super) fn new(global: &Global, arguments: Proxy) -> Self {
        Self {
            path: Config::find(global.config.as_deref()),
            global: global.clone(),
            arguments,
        }
    }

    /// Reads it all, and lets the files be watched for what differs from what was read.
    pub(super) async fn watched(&self, watch: &mut Watch) -> Result<Plan, Failure> {
        let failed = |e| Failure::new(Exit::Store, "the settings could not be read").because(e);
        let setup = self.clone();
        let files = spawn_blocking(move || setup.files());
        // Looked at before it is read: a change in between is one that is seen.
        watch.take(files.await.map_err(failed)?).await;
        let setup = self.clone();
        spawn_blocking(move || setup.read()).await.map_err(failed)?
    }

    /// Returns the files in which it is said: the configuration, and those that it names.
    fn files(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.path.iter().cloned().collect();
        let config = self.path.as_ref().map(Config::load);
        if let Some(Ok(config)) = config {
            all.extend(config.files().into_iter().map(Into::into));
        }
        all
    }

    /// Reads the configuration and everything that it names, and finds what is wrong with it without opening anything.
    fn read(&self) -> Result<Plan, Failure> {
        let config = self.path.as_ref().map(Config::load).transpose()?;
        let config = config.as_ref();
        let arguments = &self.arguments;
        let proxy = config.and_then(Config::proxy).cloned().unwrap_or_default();
        if let Some(config) = config {
            Table::new(&declared(config))?;
        }
        let mut options = Options::from_settings(&proxy)?;
        let forward = arguments.forward.iter().map(|host| host.as_str().into());
        options.forward.extend(forward);
        let upstreams = match &arguments.upstream {
            Some(upstream) => vec![upstream.clone()],
            None => {
                let all = proxy.upstreams.iter().map(Upstream::from_settings);
                all.collect::<Result<_, _>>()?
            }
        };
        Server::check(&upstreams, &options)?;
        let configured = proxy.admin.as_ref();
        let admin = arguments.admin.or(configured.map(|admin| admin.listen));
        // Wherever operators are served, they show the token that the configuration has.
        let token = configured.and_then(|admin| admin.token.as_ref());
        let token = token.map(Secret::reveal).transpose()?;
        let settings = Settings::of(config, &self.global)?;
        let mut builder = shared(settings.builder, config, &arguments.targeted)?;
        if let Some(mode) = arguments.mode {
            builder = builder.mode(mode);
        }
        let is_told = arguments.mode.is_some() || std::env::var_os(Mode::ENV).is_some();
        let configured = config.and_then(Config::memory);
        let says = configured.is_some()
            || settings.url.starts_with("memory:")
            || settings.url.contains("memory=");
        let memory = match arguments.memory.map(|size| size.as_u64()) {
            Some(bytes) => Some(bytes).filter(|b| *b > 0),
            None => Some(MEMORY).filter(|_| !says),
        };
        Ok(Plan {
            builder,
            fixed: Fixed {
                url: settings.url,
                memory: [memory, configured],
                listen: arguments.listen.or(proxy.listen).unwrap_or(LISTEN),
                admin,
                has_token: token.is_some(),
                max_connections: options.max_connections,
            },
            mode: config.and_then(Config::mode).filter(|_| !is_told),
            endpoints: config.map(|c| c.endpoints().to_vec()),
            upstreams,
            options,
            token,
        })
    }
}

impl Plan {
    /// Opens the cache with its endpoints. Those whose tables do not fit bypass it.
    pub(super) async fn open(&self) -> Result<Cache, Failure> {
        let mut builder = self.builder.clone().url(&self.fixed.url);
        if let [Some(bytes), _] = self.fixed.memory {
            builder = builder.memory(bytes);
        }
        let cache = builder.build().await?;
        self.open_endpoints(&cache).await?;
        Ok(cache)
    }

    /// The same over the store of a cache that is open.
    pub(super) async fn open_over(&self, before: &Cache) -> Result<Cache, Failure> {
        let cache = self.builder.clone().build_over(before)?;
        self.open_endpoints(&cache).await?;
        Ok(cache)
    }

    async fn open_endpoints(&self, cache: &Cache) -> Result<(), Failure> {
        for declaration in self.endpoints.iter().flatten() {
            let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
            cache.open_or_bypass(endpoint).await?;
        }
        let opened = match self.endpoints {
            // What is declared no more is kept and tidied up, but no request finds it.
            Some(_) => cache.open_stored_unrouted().await,
            None => cache.open_stored().await,
        };
        match opened {
            // Clients are served all the same, by the API.
            Err(error) if matches!(error.kind(), ErrorKind::Down | ErrorKind::Corrupt) => {
                tracing::warn!(target: "restow", %error, "what is stored is not opened but for what is declared");
                Ok(())
            }
            opened => Ok(opened.map(drop)?),
        }
    }
}

impl Fixed {
    /// Returns the names of the settings that are others now.
    pub(super) fn changed(&self, now: &Self) -> Vec<String> {
        let all = [
            ("cache", self.url != now.url),
            ("memory", self.memory != now.memory),
            ("listen in [proxy]", self.listen != now.listen),
            ("listen of admin in [proxy]", self.admin != now.admin),
            // A listener that asks for none goes on so, and one that asks for one is never opened to all.
            ("token of admin in [proxy]", self.has_token != now.has_token),
            (
                "max_connections in [proxy]",
                self.max_connections != now.max_connections,
            ),
        ];
        let changed = all.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(name, _)| name.to_owned()).collect()
    }
}
