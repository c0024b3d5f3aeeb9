//! Interim answers (RFC 9110 section 15.2): what an API says before its answer goes on to the client whose request it is.
//!
//! The server of the HTTP library sends none, so that they are written beneath it: while it waits for the answer, and has nothing of its
//! own left to write. Both sides speak HTTP/1.1; the library gives and takes none in HTTP/2, and HTTP/1.0 has none.

use crate::{
    fields::{self, Via},
    links,
    upstream::Upstream,
};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header::CONTENT_LENGTH};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
};

/// How many of one request may wait for a client that is slower than the API; the rest is dropped.
const MOST: usize = 8;

/// A head that is to be written, and who waits for that.
type Due = (Bytes, oneshot::Sender<()>);

/// A client's connection, on which interim answers are written between what the server writes.
#[derive(Debug)]
pub(crate) struct Interim<S> {
    stream: S,
    due: mpsc::Receiver<Due>,
    /// What is written now, of which a part may be on its way.
    writing: Option<Due>,
}

/// The way to such a connection, for the one request that is under way on it.
#[derive(Clone, Debug)]
pub(crate) struct Lane(mpsc::Sender<Due>);

impl<S> Interim<S> {
    pub(crate) fn new(stream: S) -> (Self, Lane) {
        let (lane, due) = mpsc::channel(1);
        let interim = Self {
            stream,
            due,
            writing: None,
        };
        (interim, Lane(lane))
    }
}

impl<S: AsyncWrite + Unpin> Interim<S> {
    /// Ends what is begun.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some((head, _)) = &mut self.writing {
            while head.has_remaining() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, head))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                head.advance(written);
            }
        }
        if let Some((_, written)) = self.writing.take() {
            _ = written.send(());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Interim<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Interim<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_end(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_end(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes whenever its task ran, and the stream beneath only once all that it had to write is written: nowhere else can a
    /// head begin without standing in the middle of another.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_end(cx))?;
            match self.due.try_recv() {
                Ok(due) => self.writing = Some(due),
                Err(_) => break,
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes what an API says before its answer.
#[derive(Clone, Debug)]
pub(crate) struct Ears {
    heads: mpsc::Sender<Bytes>,
    upstream: Arc<Upstream>,
    via: Via,
}

/// What was said before an answer, for the client on a lane.
#[derive(Debug)]
pub(crate) struct Heard<'l>(Option<(mpsc::Receiver<Bytes>, &'l Lane)>);

/// Makes both ends for a request to an API: deaf ones where no lane leads to the client.
pub(crate) fn listen<'l>(
    lane: Option<&'l Lane>,
    upstream: &Arc<Upstream>,
    via: &Via,
) -> (Option<Ears>, Heard<'l>) {
    let ends = lane.map(|lane| {
        let (heads, heard) = mpsc::channel(MOST);
        let (upstream, via) = (upstream.clone(), via.clone());
        let ears = Ears {
            heads,
            upstream,
            via,
        };
        (ears, (heard, lane))
    });
    let (ears, heard) = ends.unzip();
    (ears, Heard(heard))
}

impl Lane {
    /// Writes a head; ready once it is written, so that the answer cannot overtake it. Must be awaited where the connection is served.
    async fn write(&self, head: Bytes) {
        let (written, waits) = oneshot::channel();
        if self.0.send((head, written)).await.is_ok() {
            _ = waits.await;
        }
    }
}

impl Ears {
    /// Listens to what comes before the answer to this request.
    pub(crate) fn attach<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |interim| {
            // To `Expect` the proxy answers by itself, and asks no API for it.
            if interim.status() == StatusCode::CONTINUE {
                return;
            }
            let mut headers = interim.headers().clone();
            fields::clean_response(&mut headers);
            // It has no content (RFC 9110 section 8.6).
            headers.remove(CONTENT_LENGTH);
            if self.upstream.rewrites_links() {
                links::rewrite(&mut headers, &self.upstream);
            }
            self.via.add(&mut headers, interim.version());
            _ = self.heads.try_send(head(interim.status(), &headers));
        });
    }
}

impl Heard<'_> {
    /// Waits for the answer, and passes on what comes before it.
    pub(crate) async fn until<T>(self, answer: impl Future<Output = T>) -> T {
        let Some((mut heads, lane)) = self.0 else {
            return answer.await;
        };
        tokio::pin!(answer);
        loop {
            tokio::select! {
                // In this order: what was said before is passed on before.
                biased;
                Some(head) = heads.recv() => lane.write(head).await,
                answer = &mut answer => return answer,
            }
        }
    }
}

/// A head as it is written (RFC 9112 section 4).
fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = BytesMut::new();
    let reason = status.canonical_reason().unwrap_or("");
    head.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn a_head_stands_between_two_writes_and_never_within_one() {
        // Room for less than a head.
        let (near, mut far) = duplex(4);
        let (mut stream, lane) = Interim::new(near);
        let said = lane.write(Bytes::from_static(b"interim "));
        let written = async {
            // The server has more to write before it flushes: the head waits.
            stream.write_all(b"one").await?;
            stream.write_all(b" two ").await?;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            // A part of the head is on its way, and the rest goes before all else.
            let begun = Pin::new(&mut stream).poll_flush(&mut cx);
            assert!(begun.is_pending());
            stream.write_all(b"three").await?;
            stream.shutdown().await
        };
        let mut all = String::new();
        let all_at_once = async { tokio::join!(written, said, far.read_to_string(&mut all)) };
        let done = tokio::time::timeout(Duration::from_secs(10), all_at_once);
        let (written, (), read) = done.await.unwrap();
        written.unwrap();
        read.unwrap();
        assert_eq!(all, "one two interim three");
    }
}
