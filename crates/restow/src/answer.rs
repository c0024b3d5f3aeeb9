//! What a backend gives back: an answer that is there, or a future of it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::task::coop;

/// A boxed future that can cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed stream that can cross threads.
pub type BoxStream<'a, T> = Pin<Box<dyn futures_core::Stream<Item = T> + Send + 'a>>;

/// A future that may be answered already: a read from a warm page or a map in memory needs no box and no wait.
///
/// A call may do its work before it returns or when it is awaited; until then it may not have happened.
#[must_use = "an answer may not have happened until it is awaited"]
pub enum Answer<'a, T> {
    /// The answer is there. Empty once it was taken.
    Ready(Option<T>),
    /// The answer has to be waited for.
    Later(BoxFuture<'a, T>),
}

impl<'a, T> Answer<'a, T> {
    /// Answers at once.
    pub fn ready(value: T) -> Self {
        Self::Ready(Some(value))
    }

    /// Answers when `future` does.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl<T> Unpin for Answer<'_, T> {}

impl<T> Future for Answer<'_, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            // A task that is always answered at once would never let others run: it yields as tokio's own resources do.
            Self::Ready(value) => match coop::poll_proceed(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(budget) => {
                    budget.made_progress();
                    // Polled again after it was taken: as for any finished future, it stays pending.
                    value.take().map_or(Poll::Pending, Poll::Ready)
                }
            },
            Self::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Answer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Ready(_)) {
            "Answer::Ready"
        } else {
            "Answer::Later"
        })
    }
}
