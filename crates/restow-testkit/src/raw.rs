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
        Self::reading(move |n, _| answer(n)).await
    }

    /// Starts one whose answer depends on the bytes of the request, up to the end of its head.
    pub async fn reading(answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut n = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                // A client that has gone is no fault of the server's.
                if let Ok(Some(request)) = asked(&mut stream).await {
                    let bytes = answer(n, &request);
                    _ = send(stream, &bytes).await;
                }
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

async fn asked(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(request))
}

async fn send(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await
}
