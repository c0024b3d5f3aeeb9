//! Polls a future so many times, and drops it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::sync::Notify;

/// How long anything may take before it stands still.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a future that waits is dropped.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// As soon as it waits.
    Wait,
    /// When it was woken, and what it waited for is there.
    Wake,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It was never polled.
    Unpolled,
    /// It was waiting.
    Waiting,
    /// It had ended before.
    Ended,
}

/// Polls `future` at most `polls` times, each time when it was woken, and drops it.
pub async fn dropped(future: impl Future<Output = ()>, polls: usize, at: At) -> Dropped {
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    for poll in 1..=polls {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => return Dropped::Ended,
            Poll::Pending if poll == polls && matches!(at, At::Wait) => {}
            Poll::Pending => bell.0.notified().await,
        }
    }
    if polls == 0 {
        Dropped::Unpolled
    } else {
        Dropped::Waiting
    }
}

/// Wakes whoever polls; one that rings before somebody listens is heard.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Waits for what has to come; where it never comes, the test fails in place of standing still.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, future).await;
    came.unwrap_or_else(|_| panic!("it stands still: {what}"))
}
