//! What a proxy serves: the command line and the configuration together.

use super::Proxy;
use crate::{
    cli::Global,
    command::routes::Table,
    exit::Failure,
    session::{Settings, declared},
};
use http::HeaderName;
use restow::{Binary, Cache, CacheBuilder, Config, Declaration, DeclaredEndpoint, Secret};
use restow_proxy::{Options, Upstream};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

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
    url: String,
    memory: Option<u64>,
    /// The endpoints of the configuration; without one, those that are stored are the endpoints.
    endpoints: Option<Vec<Declaration>>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) options: Options,
    pub(super) listen: SocketAddr,
    /// The listener for operators, with its token.
    pub(super) admin: Option<(SocketAddr, Option<String>)>,
}

impl Setup {
    pub(super) fn new(global: &Global, arguments: Proxy) -> Self {
        Self {
            path: Config::find(global.config.as_deref()),
            global: global.clone(),
            arguments,
        }
    }

    /// Reads the configuration and everything that it names, and finds what is wrong with it without opening anything.
    pub(super) fn read(&self) -> Result<Plan, Failure> {
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
        let admin = match (arguments.admin, &proxy.admin) {
            (Some(address), _) => Some((address, None)),
            (None, Some(admin)) => {
                let token = admin.token.as_ref().map(Secret::reveal).transpose()?;
                Some((admin.listen, token))
            }
            (None, None) => None,
        };
        let settings = Settings::of(config, &self.global)?;
        let mut builder = settings
            .builder
            .shared(true)
            .targeted(self.targeted(&proxy.targeted)?);
        if let Some(mode) = arguments.mode {
            builder = builder.mode(mode);
        }
        let says = config.is_some_and(|c| c.memory().is_some())
            || settings.url.starts_with("memory:")
            || settings.url.contains("memory=");
        let memory = match arguments.memory.map(|size| size.as_u64()) {
            Some(bytes) => Some(bytes).filter(|b| *b > 0),
            None => Some(MEMORY).filter(|_| !says),
        };
        Ok(Plan {
            builder,
            url: settings.url,
            memory,
            endpoints: config.map(|c| c.endpoints().to_vec()),
            upstreams,
            options,
            listen: arguments.listen.or(proxy.listen).unwrap_or(LISTEN),
            admin,
        })
    }

    /// The fields of answers that go before `Cache-Control`.
    fn targeted(&self, configured: &[Box<str>]) -> Result<Vec<HeaderName>, Failure> {
        let mut all = self.arguments.targeted.clone();
        for name in configured {
            let wrong =
                |_| Failure::usage(format!("targeted in [proxy]: {name:?} is no header's name"));
            all.push(name.parse().map_err(wrong)?);
        }
        Ok(all)
    }
}

impl Plan {
    /// Opens the cache with its endpoints. Those whose tables do not fit bypass it.
    pub(super) async fn open(&self) -> Result<Cache, Failure> {
        let mut builder = self.builder.clone().url(&self.url);
        if let Some(bytes) = self.memory {
            builder = builder.memory(bytes);
        }
        let cache = builder.build().await?;
        self.open_endpoints(&cache).await?;
        Ok(cache)
    }

    async fn open_endpoints(&self, cache: &Cache) -> Result<(), Failure> {
        for declaration in self.endpoints.iter().flatten() {
            let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
            cache.open_or_bypass(endpoint).await?;
        }
        match self.endpoints {
            // What is declared no more is kept and tidied up, but no request finds it.
            Some(_) => cache.open_stored_unrouted().await?,
            None => cache.open_stored().await?,
        };
        Ok(())
    }
}
