//! What all connections share: made as a whole, and replaced as a whole.

use crate::{
    everything::{EVERYTHING, Everything},
    fetch::Clients,
    fields::Via,
    log_thread::LogThread,
    options::Options,
    serve::Shared,
    tls,
    upstream::{Upstream, Upstreams},
};
use arc_swap::ArcSwap;
use http::Method;
use restow::{Cache, Error, ErrorKind, Principal, Result};
use rustls::ServerConfig;
use std::sync::Arc;

/// The present state. A request takes it once and keeps it to its end.
pub(crate) type Live = ArcSwap<Shared>;

/// What upstreams and options come to, once nothing is wrong with them.
#[derive(Debug)]
pub(crate) struct Checked {
    upstreams: Upstreams,
    via: Via,
    default_principal: Option<Principal>,
    tls: Option<Arc<ServerConfig>>,
}

impl Checked {
    /// Looks at upstreams, options, and the files that they name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], or [`ErrorKind::Name`] for what is no principal.
    pub(crate) fn new(upstreams: Vec<Upstream>, options: &Options) -> Result<Self> {
        let via = Via::new(&options.name).ok_or_else(|| {
            let message = format!(
                "the proxy's name {:?} is no token; use letters, digits, \"-\" and \".\"",
                options.name
            );
            Error::new(ErrorKind::Config, message)
        })?;
        let named = options.default_principal.as_deref();
        let tls = options.tls.as_ref();
        Ok(Self {
            upstreams: Upstreams::new(upstreams, &options.forward)?,
            via,
            default_principal: named.map(Principal::new).transpose()?,
            tls: tls
                .map(|t| tls::server(&t.certificate, &t.key, t.client_authority.as_deref()))
                .transpose()?,
        })
    }
}

impl Shared {
    /// Opens the repository of all requests that no endpoint declares, and puts everything together. From the state `before` it takes over
    /// what goes on: the numbers, connections to APIs, and the thread of the access log.
    pub(crate) async fn open(
        cache: Cache,
        checked: Checked,
        options: Options,
        before: Option<&Self>,
    ) -> Result<Self> {
        let kept = before.filter(|b| b.clients_serve(&options));
        let clients = Clients::new(&options, &checked.upstreams, kept.map(|b| &b.clients))?;
        // It may be open already, by what the store says of it, and then no request finds it.
        cache.remove(EVERYTHING);
        let everything = Everything::new(options.max_body)?;
        cache.open_or_bypass(everything).await?;
        let reads_bodies = cache
            .iter()
            .any(|r| r.endpoint().inner().declaration().method == Method::POST);
        let log = match (options.access_log, before.and_then(|b| b.log.clone())) {
            (None, _) => None,
            (Some(_), Some(log)) => Some(log),
            (Some(_), None) => Some(LogThread::start()?),
        };
        Ok(Self {
            exchange: cache.exchange().negotiating(),
            cache,
            upstreams: checked.upstreams,
            clients,
            via: checked.via,
            reads_bodies,
            default_principal: checked.default_principal,
            tls: checked.tls,
            metrics: before.map(|b| b.metrics.clone()).unwrap_or_default(),
            draining: before.map(|b| b.draining.clone()).unwrap_or_default(),
            log,
            options,
        })
    }

    /// Tells whether the clients that there are can go on with other options.
    fn clients_serve(&self, options: &Options) -> bool {
        self.options.connect_timeout == options.connect_timeout
            && self.options.idle_timeout == options.idle_timeout
    }
}
