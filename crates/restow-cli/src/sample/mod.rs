//! A small REST API of the program's own: paged lists, items, entity tags, a token, a rate limit. Its data follow from their numbers.

mod answers;
mod data;

pub(crate) use data::{ITEMS, PER_PAGE, TOKEN};

use hyper::{body::Body as _, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet};

/// How long the API thinks about each request.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// The API, running on the loopback interface until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct SampleApi {
    address: SocketAddr,
    counters: Arc<Counters>,
    server: JoinHandle<()>,
}

/// What the API counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// What the API has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Requests that reached it.
    pub(crate) requests: u64,
    /// Bytes of the bodies it sent.
    pub(crate) bytes: u64,
}

impl SampleApi {
    /// Starts it on a free port of the loopback interface.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let server = tokio::spawn(serve(listener, counters.clone()));
        Ok(Self {
            address,
            counters,
            server,
        })
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has counted.
    pub(crate) fn counted(&self) -> Counted {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counted {
            requests: load(&self.counters.requests),
            bytes: load(&self.counters.bytes),
        }
    }

    /// Stops it: from then on nobody can connect, and open connections are cut.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        // An error only says that it was aborted.
        _ = (&mut self.server).await;
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Counters {
    fn count(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, counters: Arc<Counters>) {
    let limit = Arc::new(answers::Limit::default());
    // Connections die with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (counters, limit) = (counters.clone(), limit.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let (counters, limit) = (&counters, &limit);
                async move {
                    tokio::time::sleep(LATENCY).await;
                    let answer = answers::answer(&request, limit);
                    counters.count(answer.body().size_hint().lower());
                    Ok::<_, Infallible>(answer)
                }
            });
            // A client that hangs up is no news to a sample.
            _ = http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
