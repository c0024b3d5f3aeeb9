//! Changes that go on although nobody waits for them any more.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

/// Changes whose callers are gone. A later change is answered after them, so that what was seen of one stays.
#[derive(Debug)]
pub(super) struct Accepted {
    next: AtomicU64,
    orphans: watch::Sender<BTreeSet<u64>>,
}

/// Held by the task that makes a change.
#[derive(Debug)]
struct Ticket {
    accepted: Arc<Accepted>,
    number: u64,
    done: Arc<AtomicBool>,
}

/// Held by who waits for it.
#[derive(Debug)]
pub(super) struct Waiter {
    accepted: Arc<Accepted>,
    number: u64,
    done: Arc<AtomicBool>,
    task: AbortHandle,
    patience: Duration,
}

impl Accepted {
    pub(super) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            orphans: watch::Sender::new(BTreeSet::new()),
        }
    }

    /// Begins a change in a task of its own; once who waits for it is gone, it has so much time left.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        patience: Duration,
        change: impl Future<Output = T> + Send + 'static,
    ) -> (JoinHandle<T>, Waiter) {
        let number = self.next.fetch_add(1, Relaxed);
        let done = Arc::new(AtomicBool::new(false));
        let ticket = Ticket {
            accepted: self.clone(),
            number,
            done: done.clone(),
        };
        let task = tokio::spawn(async move {
            let _ticket = ticket;
            change.await
        });
        let waiter = Waiter {
            accepted: self.clone(),
            number,
            done,
            task: task.abort_handle(),
            patience,
        };
        (task, waiter)
    }

    /// Waits for all changes without callers that were begun before now.
    pub(super) async fn settle(&self) {
        self.settle_before(self.next.load(Relaxed)).await;
    }

    async fn settle_before(&self, number: u64) {
        let before = |orphans: &BTreeSet<u64>| orphans.first().is_some_and(|first| *first < number);
        if before(&self.orphans.borrow()) {
            // It is never closed: this holds it.
            _ = self
                .orphans
                .subscribe()
                .wait_for(|orphans| !before(orphans))
                .await;
        }
    }
}

impl Waiter {
    /// Waits for the changes without callers that were begun before this one.
    pub(super) async fn settle(&self) {
        self.accepted.settle_before(self.number).await;
    }
}

// Both look and write within the lock of the set, so that a change is never taken for an orphan that has ended.

impl Drop for Ticket {
    fn drop(&mut self) {
        self.accepted.orphans.send_if_modified(|orphans| {
            self.done.store(true, Relaxed);
            orphans.remove(&self.number)
        });
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let is_orphan = self
            .accepted
            .orphans
            .send_if_modified(|orphans| !self.done.load(Relaxed) && orphans.insert(self.number));
        // All later changes wait for it: a server that never answers, or another's lock, is not waited for without end.
        if is_orphan && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (task, patience) = (self.task.clone(), self.patience);
            runtime.spawn(async move {
                tokio::time::sleep(patience).await;
                task.abort();
            });
        }
    }
}
