//! The body of a response that went through the cache.

use crate::exchange::Collector;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use sync_wrapper::SyncWrapper;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What can go wrong while a body arrives.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Says why something failed: an error and all its causes, without those that the one before has told already.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

pub(crate) type Inner = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a response: a stored one, one that is stored while it is read, or one that passes.
///
/// One that is stored ends for its reader when it is stored: who has read it to the end finds it in the repository.
pub struct Body(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Stored(UnboundedReceiver<Piece>),
    Passing(SyncWrapper<Inner>),
}

enum Piece {
    Chunk(Bytes),
    /// The body is longer than what is stored; the reader takes the rest at its own pace.
    Rest(SyncWrapper<Inner>),
    Failed(BoxError),
}

/// How long a body is read on for the store when its reader has gone.
const GRACE: Duration = Duration::from_secs(30);

impl Body {
    /// Makes a body of bytes.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes)))
    }

    /// Lets a body pass.
    pub fn passing<B>(inner: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let inner = inner.map_err(Into::into).boxed_unsync();
        Self(Kind::Passing(SyncWrapper::new(inner)))
    }

    /// Gives a body to its reader and to the store at once; it is stored even if its reader goes.
    pub(crate) fn stored(collector: Box<Collector>, inner: Inner) -> Self {
        // What waits here is bounded: it is what the collector holds too.
        let (to, from) = unbounded_channel();
        tokio::spawn(pump(collector, inner, to));
        Self(Kind::Stored(from))
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// What the client says where it breaks off.
    pub async fn bytes(self) -> Result<Bytes, BoxError> {
        Ok(self.collect().await?.to_bytes())
    }
}

async fn pump(mut collector: Box<Collector>, mut inner: Inner, to: UnboundedSender<Piece>) {
    let alone = async {
        to.closed().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::pin!(alone);
    loop {
        let frame = tokio::select! {
            frame = inner.frame() => frame,
            // Nobody reads it any more and it does not end: dropping the collector hands the fetch to a waiter.
            () = &mut alone => return,
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else {
                    continue;
                };
                let fits = collector.push(&chunk);
                _ = to.send(Piece::Chunk(chunk));
                if !fits {
                    collector.too_large();
                    _ = to.send(Piece::Rest(SyncWrapper::new(inner)));
                    return;
                }
            }
            Some(Err(error)) => {
                collector.fail(error.to_string().into());
                _ = to.send(Piece::Failed(error));
                return;
            }
            None => {
                collector.finish().await;
                return;
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            match &mut this.0 {
                Kind::Whole(bytes) => {
                    return Poll::Ready(
                        bytes
                            .take()
                            .filter(|b| !b.is_empty())
                            .map(|b| Ok(Frame::data(b))),
                    );
                }
                Kind::Passing(inner) => return Pin::new(inner.get_mut()).poll_frame(cx),
                Kind::Stored(from) => match std::task::ready!(from.poll_recv(cx)) {
                    None => this.0 = Kind::Whole(None),
                    Some(Piece::Chunk(chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                    Some(Piece::Rest(rest)) => this.0 = Kind::Passing(rest),
                    Some(Piece::Failed(error)) => {
                        this.0 = Kind::Whole(None);
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Kind::Stored(_) | Kind::Passing(_) => SizeHint::default(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "Body::Whole",
            Kind::Stored(_) => "Body::Stored",
            Kind::Passing(_) => "Body::Passing",
        })
    }
}
