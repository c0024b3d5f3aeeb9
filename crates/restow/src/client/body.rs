//! The body of a response that went through the cache.

use crate::exchange::{Collector, Reader};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use sync_wrapper::SyncWrapper;
use tokio::sync::oneshot;

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
    /// What has arrived, and what comes behind it.
    Stored(Reader, oneshot::Receiver<Behind>),
    Passing(SyncWrapper<Inner>),
}

/// What comes behind the bytes that were collected.
enum Behind {
    /// Nothing: they are stored, or were not to be.
    End,
    /// The body is longer than what is stored: the chunk that is too much, and the rest, which the reader takes at its own pace.
    Rest(Bytes, SyncWrapper<Inner>),
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
        // Its reader shares what the collector holds, so that a slow one costs no more than that.
        let reader = collector.reader();
        let (behind, comes) = oneshot::channel();
        tokio::spawn(pump(collector, inner, behind));
        Self(Kind::Stored(reader, comes))
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// What the client says where it breaks off.
    pub async fn bytes(self) -> Result<Bytes, BoxError> {
        Ok(self.collect().await?.to_bytes())
    }
}

async fn pump(collector: Box<Collector>, inner: Inner, mut reader: oneshot::Sender<Behind>) {
    let behind = {
        let alone = async {
            reader.closed().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            behind = collect(collector, inner) => behind,
            // Nobody reads it any more and it does not end: dropping the collector hands the fetch to a waiter.
            () = alone => return,
        }
    };
    // Nobody may be there to hear of it.
    _ = reader.send(behind);
}

async fn collect(mut collector: Box<Collector>, mut inner: Inner) -> Behind {
    loop {
        match inner.frame().await {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else {
                    continue;
                };
                if !collector.push(&chunk) {
                    collector.too_large();
                    return Behind::Rest(chunk, SyncWrapper::new(inner));
                }
            }
            Some(Err(error)) => {
                collector.fail(error.to_string().into());
                return Behind::Failed(error);
            }
            None => {
                collector.finish().await;
                return Behind::End;
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
        let (reader, comes) = match &mut this.0 {
            Kind::Whole(bytes) => {
                let bytes = bytes.take().filter(|b| !b.is_empty());
                return Poll::Ready(bytes.map(|b| Ok(Frame::data(b))));
            }
            Kind::Passing(inner) => return Pin::new(inner.get_mut()).poll_frame(cx),
            Kind::Stored(reader, comes) => (reader, comes),
        };
        if let Some(bytes) = ready!(reader.poll_read(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let (rest, last) = match ready!(Pin::new(comes).poll(cx)) {
            Ok(Behind::End) => (Kind::Whole(None), None),
            Ok(Behind::Rest(chunk, rest)) => (Kind::Passing(rest), Some(Ok(Frame::data(chunk)))),
            Ok(Behind::Failed(error)) => (Kind::Whole(None), Some(Err(error))),
            Err(_) => {
                let why = "the task that reads the body ended early";
                (Kind::Whole(None), Some(Err(why.into())))
            }
        };
        this.0 = rest;
        Poll::Ready(last)
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Kind::Stored(..) | Kind::Passing(_) => SizeHint::default(),
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
            Kind::Stored(..) => "Body::Stored",
            Kind::Passing(_) => "Body::Passing",
        })
    }
}
