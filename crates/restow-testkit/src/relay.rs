//! A relay that counts.

use std::time::Duration;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Stands in front of a server and counts the connections to it. With a client that opens one for each request
/// ([`http_client`](crate::http_client)) these are the requests. It ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to a server, on a free port.
    pub async fn to(server: SocketAddr) -> Self {
        Self::start(server, Duration::ZERO).await
    }

    /// Starts a relay to a server that seems to be far away: whatever either side says comes so much later.
    pub async fn far(server: SocketAddr, away: Duration) -> Self {
        Self::start(server, away).await
    }

    async fn start(server: SocketAddr, away: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let server = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    if away.is_zero() {
                        // Either side may go at any time.
                        _ = copy_bidirectional(&mut near, &mut far).await;
                        return;
                    }
                    let ((here, to_here), (there, to_there)) =
                        (near.into_split(), far.into_split());
                    tokio::join!(later(here, to_there, away), later(there, to_here, away));
                });
            }
        });
        Self {
            address,
            count,
            server,
        }
    }

    /// Returns the URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many requests went through.
    pub fn asked(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Hands on what is read, so much later, until either side goes.
async fn later(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, away: Duration) {
    let (sender, mut on_its_way) = mpsc::unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if sender
                .send((Instant::now() + away, buffer[..n].to_vec()))
                .is_err()
            {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = on_its_way.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}
