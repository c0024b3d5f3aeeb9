//! A relay that counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let server = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    // Either side may go at any time.
                    _ = copy_bidirectional(&mut near, &mut far).await;
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

    /// Returns how many requests went through.
    pub fn asked(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}
