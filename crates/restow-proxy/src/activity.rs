//! Whether anything goes on on a connection. The library bounds the time for a head of HTTP/1.1 whose first byte is there, and no other: it
//! waits for ever for who sends nothing, and for who speaks HTTP/2, answers its pings, and asks for nothing or reads nothing.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, ready},
};

/// The most of an answer that HTTP/2 is given at a time: it takes what it is given, however long the client takes for that.
const PIECE: usize = 64 << 10;

/// What goes on on a connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How many answers, and pieces of them, there were.
    steps: AtomicUsize,
    /// How many requests wait for the proxy or an API, and not for their client.
    waiting: AtomicUsize,
    /// Whether there are other bounds, so that it is never quiet.
    bounded: AtomicBool,
}

impl Activity {
    /// Says that there are other bounds from now on, as for HTTP/1.1: those of the library, and of the stream.
    pub(crate) fn leave_to_others(&self) {
        self.bounded.store(true, Relaxed);
    }

    /// Tells whether nothing went on since there were `seen` steps, and how many there are now.
    pub(crate) fn is_quiet(&self, seen: &mut usize) -> bool {
        // In this order: who waits no more has made a step.
        let waits = self.waiting.load(Acquire) > 0;
        let steps = self.steps.load(Relaxed);
        let before = std::mem::replace(seen, steps);
        steps == before && !waits && !self.bounded.load(Relaxed)
    }
}

/// A request that waits for the proxy or an API, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waits(Arc<Activity>);

impl Waits {
    pub(crate) fn on(activity: &Arc<Activity>) -> Self {
        activity.waiting.fetch_add(1, Relaxed);
        Self(activity.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.steps.fetch_add(1, Relaxed);
        self.0.waiting.fetch_sub(1, Release);
    }
}

/// An answer; in HTTP/2 one that is given in pieces, each of which is a step.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: B,
    /// What of the last piece is still to be given.
    rest: Bytes,
    activity: Option<Arc<Activity>>,
    waits: Option<Waits>,
}

impl<B> Watched<B> {
    /// Watches the body of an answer where its connection is not bounded otherwise.
    pub(crate) fn new(body: B, activity: Option<Arc<Activity>>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            activity,
            waits: None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let Some(activity) = &this.activity else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            if polled.is_pending() {
                this.waits.get_or_insert_with(|| Waits::on(activity));
            }
            let frame = ready!(polled);
            this.waits = None;
            match frame.map(|f| f.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        activity.steps.fetch_add(1, Relaxed);
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let exact = self.body.size_hint().exact();
        exact.map_or_else(SizeHint::default, |length| {
            SizeHint::with_exact(length + self.rest.len() as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use std::convert::Infallible;

    #[tokio::test]
    async fn it_is_quiet_while_a_client_takes_nothing() {
        let activity = Arc::new(Activity::default());
        let long = Bytes::from(vec![b'x'; 2 * PIECE + 1]);
        let mut body = Watched::new(Full::new(long.clone()), Some(activity.clone()));
        let mut seen = 0;
        let mut taken = Vec::new();
        for length in [PIECE, PIECE, 1] {
            assert!(activity.is_quiet(&mut seen));
            assert_eq!(
                body.size_hint().exact(),
                Some((long.len() - taken.len()) as u64)
            );
            assert!(!body.is_end_stream());
            let piece = body.frame().await.unwrap().unwrap();
            let piece = piece.into_data().unwrap();
            assert_eq!(piece.len(), length);
            taken.extend_from_slice(&piece);
            assert!(!activity.is_quiet(&mut seen), "it took a piece");
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
        assert_eq!(taken, long);
    }

    #[tokio::test]
    async fn it_is_not_quiet_while_a_client_waits() {
        let activity = Arc::new(Activity::default());
        let mut seen = 0;
        let (give, pieces) = tokio::sync::mpsc::unbounded_channel();
        let pieces = futures_util::stream::unfold(pieces, |mut pieces| async {
            Some((pieces.recv().await?, pieces))
        });
        let body = StreamBody::new(Box::pin(pieces));
        let mut body = Watched::new(body, Some(activity.clone()));
        assert!(body.frame().now_or_never().is_none());
        for _ in 0..3 {
            assert!(!activity.is_quiet(&mut seen), "the API has its turn");
        }
        let piece = Frame::data(Bytes::from_static(b"a"));
        give.send(Ok::<_, Infallible>(piece)).unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(!activity.is_quiet(&mut seen));
        assert!(activity.is_quiet(&mut seen), "the client has its turn");
        assert!(body.frame().now_or_never().is_none());
        assert!(!activity.is_quiet(&mut seen));
        drop(body);
        assert!(!activity.is_quiet(&mut seen));
        assert!(activity.is_quiet(&mut seen));
        activity.leave_to_others();
        assert!(!activity.is_quiet(&mut seen));
    }
}
