//! An API that answers with bytes as they are, right or wrong.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A server that writes these bytes as the answer to connection `n`, and closes. It ends when it is dropped.
#[derive(Debug)]
pub struct RawOrigin {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl RawOrigin {
    /// Starts a server on a free port.
    pub async fn start(answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut n = 0;
            while let Ok((stream, _)) = listener.accept().await {
                // A client that has gone is no fault of the server's.
                _ = reply(stream, &answer(n)).await;
                n += 1;
            }
        });
        Self { address, server }
    }

    /// Returns the URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn reply(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(answer).await?;
    stream.shutdown().await
}
