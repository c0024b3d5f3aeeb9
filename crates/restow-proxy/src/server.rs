//! Connections: accepted, bounded, drained.

use crate::{
    activity::{Activity, Waits, Watched},
    interim::Interim,
    options::Options,
    serve::Shared,
    state::{Checked, Live},
    upstream::Upstream,
};
use http::{Request, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use restow::{Cache, Principal, Result, client::BoxError};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// How long the end waits for whoever reads the access log.
const FLUSH: Duration = Duration::from_secs(1);
/// Why a connection is cut that nobody else bounds.
const QUIET: &str = "the client asked for nothing, or took nothing, for too long";

/// A caching proxy in front of APIs. Clones are one proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    live: Arc<Live>,
}

impl Proxy {
    /// Makes a proxy over a cache that was built with [`shared(true)`](restow::CacheBuilder::shared), and opens the repository
    /// [`EVERYTHING`](crate::EVERYTHING) in it. The certificate of the listener is read now.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](restow::ErrorKind::Config) where there is no upstream, two are mounted in one place, a setting is wrong, or a certificate cannot be read;
    /// [`Store`](restow::ErrorKind::Store) and its kin where the repository cannot be opened.
    ///
    /// # Cancel safety
    /// Dropped, the repository may be open.
    pub async fn new(cache: Cache, upstreams: Vec<Upstream>, options: Options) -> Result<Self> {
        let checked = Checked::new(upstreams, &options)?;
        let shared = Shared::open(cache, checked, options, None).await?;
        Ok(Self {
            live: Arc::new(Live::from_pointee(shared)),
        })
    }

    /// Tells what is wrong with upstreams and options, certificates among them, without making anything.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for those of the store.
    pub fn check(upstreams: &[Upstream], options: &Options) -> Result<()> {
        Checked::new(upstreams.to_vec(), options).map(drop)
    }

    /// Goes on with another cache, other upstreams and other options: no connection is dropped, requests under way end as they began, and
    /// the next request of each connection is answered by what is new. Certificates are read anew, for the handshakes to come.
    ///
    /// A cache [over](restow::CacheBuilder::build_over) the present one keeps what is stored, and what is under way. With another store
    /// the caller closes the one before, once no request needs it. What concerns a connection from its beginning (`head_timeout`,
    /// `max_head`) is for new ones; `max_connections` is what it was when [`serve`](Self::serve) was called.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use restow::{Cache, Config};
    /// use restow_proxy::{Options, Proxy, Upstream};
    /// let cache = Cache::builder().url("memory:").shared(true).build().await?;
    /// let proxy = Proxy::new(cache, vec![Upstream::new("http://api.example.com")?], Options::default()).await?;
    ///
    /// let next = Cache::builder().shared(true).build_over(&proxy.cache())?;
    /// next.create_repository(restow::DeclaredEndpoint::get("pages", "http://api.example.com/pages/{id}")?).await?;
    /// let upstreams = vec![Upstream::new("http://api.example.com")?.mount("/api")?];
    /// proxy.reload(next, upstreams, Options::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new); the proxy then goes on as it was. Either way it is counted in the metrics.
    ///
    /// # Cancel safety
    /// Dropped, the proxy goes on as it was.
    pub async fn reload(
        &self,
        cache: Cache,
        upstreams: Vec<Upstream>,
        options: Options,
    ) -> Result<()> {
        let before = self.shared();
        let opened = async {
            let checked = Checked::new(upstreams, &options)?;
            Shared::open(cache, checked, options, Some(&before)).await
        };
        match opened.await {
            Ok(next) => {
                self.live.store(Arc::new(next));
                before.metrics.reloads.succeeded.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(error) => {
                self.refuse_reload();
                Err(error)
            }
        }
    }

    /// Counts a reload that came to nothing before [`reload`](Self::reload) could be called: its settings could not be read.
    pub fn refuse_reload(&self) {
        let shared = self.shared();
        shared.metrics.reloads.failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.live.load_full()
    }

    /// Returns the cache; after a [`reload`](Self::reload) the new one.
    pub fn cache(&self) -> Cache {
        self.live.load().cache.clone()
    }

    /// Serves clients until `stop` is ready; then accepts no more, and waits for requests under way, up to
    /// [`drain_timeout`](Options::drain_timeout), and up to a second for the access log to be read. The cache stays open.
    ///
    /// # Errors
    /// None as yet.
    ///
    /// # Cancel safety
    /// Dropped, it accepts no more, and each connection ends with the requests that are under way on it.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
        let places = Arc::new(Semaphore::new(self.shared().options.max_connections));
        let end = watch::Sender::new(());
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let end = end.subscribe();
                    tokio::spawn(connection(self.live.clone(), stream, peer, place, end));
                }
                Err(error) => {
                    tracing::warn!(target: "restow", %error, "a connection could not be accepted");
                    // Mostly too many open files: some will be closed in a moment.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let shared = self.shared();
        shared.draining.store(true, Relaxed);
        drop(listener);
        end.send_replace(());
        // Each connection holds its receiver until it has ended.
        let drained = tokio::time::timeout(shared.options.drain_timeout, end.closed());
        if drained.await.is_err() {
            tracing::warn!(target: "restow", "some requests were still under way when the time to drain was over");
        }
        if let Some(log) = &self.shared().log {
            log.flush(FLUSH).await;
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
    live: Arc<Live>,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    end: watch::Receiver<()>,
) {
    _ = stream.set_nodelay(true);
    // A connection that is kept must not keep a state that was replaced.
    let (metrics, tls, patience, idle) = {
        let shared = live.load();
        let Options {
            head_timeout,
            idle_timeout,
            ..
        } = shared.options;
        let (metrics, tls) = (shared.metrics.clone(), shared.tls.clone());
        (metrics, tls, head_timeout, idle_timeout)
    };
    // A client that reads nothing more would keep its place for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(idle));
    let stream = Box::pin(stream);
    metrics.connections.fetch_add(1, Relaxed);
    let deadline = Instant::now() + patience;
    let ended = match tls {
        None => talk(live, stream, None, peer, deadline, end).await,
        Some(tls) => {
            let shaken = timeout_at(deadline, TlsAcceptor::from(tls).accept(stream));
            match shaken.await {
                Ok(Ok(stream)) => {
                    let named = principal(&stream);
                    talk(live, stream, named, peer, deadline, end).await
                }
                Ok(Err(error)) => Err(error.into()),
                Err(late) => Err(late.into()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "restow", %peer, %error, "a connection ended early");
    }
    metrics.connections.fetch_sub(1, Relaxed);
    drop(place);
}

/// The principal that a client's certificate names: a digest of the certificate, which the client alone has the key of.
fn principal<S>(stream: &tokio_rustls::server::TlsStream<S>) -> Option<Principal> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let digest = blake3::hash(certificate.as_ref()).to_hex();
    Principal::new(&format!("certificate:{}", digest.get(..32)?)).ok()
}

/// Serves one connection until its end: that of a client which has not asked for anything by the deadline, too.
async fn talk<S>(
    live: Arc<Live>,
    stream: S,
    named: Option<Principal>,
    peer: SocketAddr,
    deadline: Instant,
    mut end: watch::Receiver<()>,
) -> std::result::Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (patience, idle, most) = {
        let options = &live.load().options;
        (options.head_timeout, options.idle_timeout, options.max_head)
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        // Without `pipeline_flush`, which would hold whatever a client does not read, without a bound.
        .max_buf_size(most.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
        .keep_alive_interval(patience);
    let (stream, lane) = Interim::new(stream);
    let activity = Arc::new(Activity::default());
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Some(principal) = &named {
            request.extensions_mut().insert(principal.clone());
        }
        let (shared, lane) = (live.load_full(), lane.clone());
        let watched = (request.version() == Version::HTTP_2).then(|| activity.clone());
        if watched.is_none() {
            activity.leave_to_others();
        }
        let waits = watched.as_ref().map(Waits::on);
        async move {
            let answer = shared.answer(request, peer.ip(), &lane).await;
            drop(waits);
            Ok::<_, Infallible>(answer.map(|body| Watched::new(body, watched)))
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut end = pin!(end.changed());
    let mut due = pin!(sleep_until(deadline));
    let (mut seen, mut leaving) = (0, false);
    loop {
        let leaves = tokio::select! {
            biased;
            ended = &mut connection => return ended,
            _ = &mut end, if !leaving => true,
            () = &mut due => {
                let quiet = activity.is_quiet(&mut seen);
                if quiet && (leaving || seen == 0) {
                    return Err(QUIET.into());
                }
                let next = if leaving || quiet { idle } else { patience };
                due.as_mut().reset(Instant::now() + next);
                quiet
            }
        };
        if leaves {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}
