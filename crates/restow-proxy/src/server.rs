//! Connections: accepted, bounded, drained.

use crate::{
    everything::{EVERYTHING, Everything},
    fetch,
    fields::Via,
    metrics::Metrics,
    options::Options,
    serve::Shared,
    tls,
    upstream::{Upstream, Upstreams},
};
use http::{Method, Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use restow::{Cache, Error, ErrorKind, Principal, Result, client::BoxError};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// A caching proxy in front of APIs. Clones are one proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    cache: Cache,
}

impl Proxy {
    /// Makes a proxy over a cache that was built with [`shared(true)`](restow::CacheBuilder::shared), and opens the repository
    /// [`EVERYTHING`](crate::EVERYTHING) in it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where there is no upstream, two are mounted in one place, or a setting is wrong; [`ErrorKind::Store`] and its kin
    /// where the repository cannot be opened.
    ///
    /// # Cancel safety
    /// Dropped, the repository may be open.
    pub async fn new(cache: Cache, upstreams: Vec<Upstream>, options: Options) -> Result<Self> {
        let wrong = |message: String| Error::new(ErrorKind::Config, message);
        let via = Via::new(&options.name).ok_or_else(|| {
            wrong(format!(
                "the proxy's name {:?} is no token; use letters, digits, \"-\" and \".\"",
                options.name
            ))
        })?;
        let default_principal = options
            .default_principal
            .as_deref()
            .map(Principal::new)
            .transpose()?;
        let https = upstreams.iter().any(Upstream::is_https);
        let upstreams = Upstreams::new(upstreams, &options.forward)?;
        // It may be open already, by what the store says of it, and then no request finds it.
        cache.remove(EVERYTHING);
        let everything = Everything::new(options.max_body)?;
        cache.open_or_bypass(everything).await?;
        let reads_bodies = cache
            .iter()
            .any(|r| r.endpoint().inner().declaration().method == Method::POST);
        let shared = Shared {
            exchange: cache.exchange().negotiating(),
            upstreams,
            client: fetch::client(&options, https)?,
            via,
            reads_bodies,
            default_principal,
            metrics: Arc::new(Metrics::default()),
            draining: AtomicBool::new(false),
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
            cache,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Serves clients until `stop` is ready; then accepts no more, and waits for requests under way, up to
    /// [`drain_timeout`](Options::drain_timeout). The cache stays open.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the certificate of the listener cannot be read.
    ///
    /// # Cancel safety
    /// Dropped, it accepts no more, and each connection ends with the requests that are under way on it.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
        let tls = self.shared.options.tls.as_ref();
        let tls = tls
            .map(|t| tls::acceptor(&t.certificate, &t.key, t.client_authority.as_deref()))
            .transpose()?;
        let places = Arc::new(Semaphore::new(self.shared.options.max_connections));
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let watcher = graceful.watcher();
                    tokio::spawn(connection(
                        self.shared.clone(),
                        tls.clone(),
                        stream,
                        peer,
                        place,
                        watcher,
                    ));
                }
                Err(error) => {
                    tracing::warn!(target: "restow", %error, "a connection could not be accepted");
                    // Mostly too many open files: some will be closed in a moment.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        self.shared.draining.store(true, Relaxed);
        drop(listener);
        let drained = tokio::time::timeout(self.shared.options.drain_timeout, graceful.shutdown());
        if drained.await.is_err() {
            tracing::warn!(target: "restow", "some requests were still under way when the time to drain was over");
        }
        Ok(())
    }
}

/// Waits for a place, then for a connection.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn connection(
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    watcher: Watcher,
) {
    _ = stream.set_nodelay(true);
    // A client that reads nothing more would keep its place for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.options.idle_timeout));
    let stream = Box::pin(stream);
    shared.metrics.connections.fetch_add(1, Relaxed);
    let ended = match tls {
        None => talk(&shared, stream, None, peer, watcher).await,
        Some(tls) => {
            let shaken = tokio::time::timeout(shared.options.head_timeout, tls.accept(stream));
            match shaken.await {
                Ok(Ok(stream)) => {
                    let named = principal(&stream);
                    talk(&shared, stream, named, peer, watcher).await
                }
                Ok(Err(error)) => Err(error.into()),
                Err(late) => Err(late.into()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "restow", %peer, %error, "a connection ended early");
    }
    shared.metrics.connections.fetch_sub(1, Relaxed);
    drop(place);
}

/// The principal that a client's certificate names: a digest of the certificate, which the client alone has the key of.
fn principal<S>(stream: &tokio_rustls::server::TlsStream<S>) -> Option<Principal> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let digest = blake3::hash(certificate.as_ref()).to_hex();
    Principal::new(&format!("certificate:{}", digest.get(..32)?)).ok()
}

/// Serves one connection until its end.
async fn talk<S>(
    shared: &Arc<Shared>,
    stream: S,
    named: Option<Principal>,
    peer: SocketAddr,
    watcher: Watcher,
) -> std::result::Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let options = &shared.options;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        // Without `pipeline_flush`, which would hold whatever a client does not read, without a bound.
        .max_buf_size(options.max_head.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(options.max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(options.head_timeout);
    let service = {
        let shared = shared.clone();
        service_fn(move |mut request: Request<Incoming>| {
            if let Some(principal) = &named {
                request.extensions_mut().insert(principal.clone());
            }
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(shared.answer(request, peer.ip()).await) }
        })
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await
}
