//! Many requests at once over few sockets: streams of HTTP/2.

use crate::kit::{Running, Seen};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

/// The most requests under way on a connection: fewer than the proxy allows, so that there is room for one more.
const MOST: usize = 125;

/// Clients of one proxy that ask all at once.
pub(crate) struct Herd {
    connections: Vec<SendRequest<Empty<Bytes>>>,
    base: String,
    many: usize,
}

impl Herd {
    /// Connects as often as so many requests need.
    pub(crate) async fn of(many: usize, proxy: &Running) -> Self {
        let connect = (0..many.div_ceil(MOST)).map(|_| async {
            let stream = TcpStream::connect(proxy.address).await.unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self {
            connections: join_all(connect).await,
            base: proxy.url(""),
            many,
        }
    }

    /// Asks for `path`, each with the headers that `headers` says for it.
    pub(crate) fn ask(
        &mut self,
        path: &str,
        headers: impl Fn(usize) -> Vec<(&'static str, String)>,
    ) -> Vec<JoinHandle<Seen>> {
        let all = (0..self.many).map(|nth| (nth / MOST, headers(nth)));
        let all: Vec<_> = all.collect();
        all.into_iter()
            .map(|(connection, headers)| tokio::spawn(self.send(connection, path, headers)))
            .collect()
    }

    /// Asks for another path on every connection. On one thread whoever asked before has been dealt with when the answers are here, as
    /// far as it goes without the API's answer.
    pub(crate) async fn had_its_turn(&mut self, path: &str) {
        let probes: Vec<_> = (0..self.connections.len())
            .map(|connection| self.send(connection, path, Vec::new()))
            .collect();
        join_all(probes).await;
    }

    fn send(
        &mut self,
        connection: usize,
        path: &str,
        headers: Vec<(&'static str, String)>,
    ) -> impl Future<Output = Seen> + Send + use<> {
        let mut request = Request::get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // It stands in the connection's queue from here on.
        let answer = self.connections[connection].send_request(request.body(Empty::new()).unwrap());
        async {
            let (head, body) = answer.await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Seen {
                status: head.status,
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
            .checked()
        }
    }
}
