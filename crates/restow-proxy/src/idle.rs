//! A body that fails where it stands still for too long, or grows too long.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use restow::client::BoxError;
use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// What is said of a body that stood still, before for how long.
pub(crate) const STOOD_STILL: &str = "nothing more of the body came for ";

/// Why a body fails that may not take longer, or be longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing came in this time.
    StoodStill(Duration),
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoodStill(most) => write!(f, "{STOOD_STILL}{most:?}"),
            Self::TooLong => f.write_str("the body is longer than is allowed"),
        }
    }
}

impl std::error::Error for Fault {}

/// A body of which each piece must arrive in time. The clock runs only while somebody waits for a piece.
#[derive(Debug)]
pub(crate) struct Idle<B> {
    body: B,
    most: Duration,
    left: u64,
    /// Set while a piece is awaited.
    deadline: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> Idle<B> {
    /// Lets a body pass whose pieces arrive within `most` of being asked for, and that has `limit` bytes at most.
    pub(crate) fn new(body: B, most: Duration, limit: u64) -> Self {
        Self {
            body,
            most,
            left: limit,
            deadline: None,
            waiting: false,
        }
    }
}

impl<B> Body for Idle<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(len) {
                    Some(left) => this.left = left,
                    None => {
                        return Poll::Ready(Some(Err(Fault::TooLong.into())));
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => {
                let most = this.most;
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(most)));
                if !this.waiting {
                    this.waiting = true;
                    deadline.as_mut().reset(Instant::now() + most);
                }
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Some(Err(Fault::StoodStill(most).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
