//! `restow proxy --upstream URL`.

mod reload;
mod setup;
mod watch;

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
};
use bytesize::ByteSize;
use clap::Args;
use http::HeaderName;
use reload::Reloader;
use restow::Mode;
use restow_proxy::{Admin, Proxy as Server, Upstream};
use setup::{Plan, Setup};
use std::{net::SocketAddr, num::NonZeroUsize};
use tokio::net::TcpListener;
use watch::Watch;

/// Stands before an API and answers from the cache: a program in any language gets it by changing a base URL.
///
/// Requests of declared endpoints follow the configuration; all others follow HTTP's own rules (RFC 9111, as a shared cache).
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "It tells on stderr where it listens, and ends on SIGTERM or Ctrl-C once the requests under way are answered.

On SIGHUP, and when the configuration or a file that it names has changed, it reads them anew. No connection is dropped. What is wrong is
refused with an error that says what, and the proxy goes on as before; where to listen and the cache are what they were.

Examples:
  restow proxy --upstream https://api.example.com
  restow proxy --upstream https://api.example.com --listen 127.0.0.1:8080 --cache sqlite://api.db"
)]
pub(crate) struct Proxy {
    /// The API: its URL, to which the path of each request is added. It goes before the upstreams of the configuration.
    #[arg(long, value_name = "URL")]
    upstream: Option<Upstream>,
    /// Where to listen for clients; otherwise where the configuration says, else 127.0.0.1:8080.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to listen for operators, on this machine: /metrics, /readyz, /purge, /mode, /explain, /reload. The configuration may have a token too.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// A host that clients may name themselves, as they do where this is their http proxy; may be there several times.
    #[arg(long, value_name = "HOST")]
    forward: Vec<String>,
    /// A field of answers that goes before Cache-Control (RFC 9213), such as cdn-cache-control; may be there several times.
    #[arg(long, value_name = "FIELD")]
    targeted: Vec<HeaderName>,
    /// How network and store may be used: live, revalidate, refresh, read-only, offline, bypass.
    #[arg(long)]
    mode: Option<Mode>,
    /// Memory before the store, such as 1GiB; 0 for none. Otherwise what the cache's URL or the configuration says, else 64 MiB.
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// How many threads serve; by default one for each core.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
}

impl Proxy {
    pub(crate) async fn run(self, global: &Global, _: &mut Out) -> Result<(), Failure> {
        let setup = Setup::new(global, self);
        let mut watch = Watch::default();
        let plan = setup.watched(&mut watch).await?;
        let cache = plan.open().await?;
        let Plan {
            upstreams,
            options,
            fixed,
            mode,
            token,
            ..
        } = plan;
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let server = Server::new(cache, upstreams, options).await?;
        let listener = bind(fixed.listen).await?;
        let operators = match fixed.admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let signal = self::stop()?;
        let (reloader, ask) =
            Reloader::new(setup, server.clone(), fixed, mode, watch, global.quiet)?;
        if !global.quiet {
            if let Ok(address) = listener.local_addr() {
                anstream::eprintln!(
                    "listening on {scheme}://{address}, answers are kept in {}",
                    server.cache().store()
                );
            }
            if let Some(Ok(address)) = operators.as_ref().map(TcpListener::local_addr) {
                anstream::eprintln!("operators are served on http://{address}");
            }
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let told = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            // The sender is there until all of it has ended.
            _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let admin = Admin::new(&server, token.as_deref()).reloads_by(move || ask.clone().reload());
        // Operators are served until the last request is answered: they see that the proxy is about to stop.
        let (drained, is_drained) = tokio::sync::watch::channel(false);
        let clients = async {
            let served = server.serve(listener, told(stopped.clone())).await;
            drained.send_replace(true);
            served
        };
        let operators = async {
            match operators {
                Some(listener) => admin.clone().serve(listener, told(is_drained)).await,
                None => Ok(()),
            }
        };
        let reloads = async {
            reloader.run(admin.clone(), stopped.clone()).await;
            Ok(())
        };
        let wait = async {
            signal.await;
            stop.send_replace(true);
            restow::Result::Ok(())
        };
        // Where one cannot be served the others need not be.
        let served = tokio::try_join!(clients, operators, reloads, wait);
        let cache = server.cache();
        drop(server);
        cache.close().await?;
        Ok(served.map(drop)?)
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(
            Exit::Usage,
            format!("cannot listen on {address}; name another address with --listen"),
        )
        .because(e)
    })
}

/// Waits for SIGTERM or Ctrl-C.
fn stop() -> Result<impl Future<Output = ()>, Failure> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|e| {
        Failure::new(Exit::Store, "the signal to stop cannot be heard").because(e)
    })?;
    Ok(async move {
        let interrupt = tokio::signal::ctrl_c();
        #[cfg(unix)]
        {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        {
            _ = interrupt.await;
        }
    })
}
