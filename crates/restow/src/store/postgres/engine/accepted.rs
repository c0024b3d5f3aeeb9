//! Changes that go on although nobody waits for them any more.

use crate::store::TableName;
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

/// What a change is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Of {
    /// A table's entries. A later one of the same is answered after it, so that what was seen of one stays.
    Entries(TableName),
    /// What none of the others undoes: a lease, which has a number, and what is removed only where it still is what was looked at.
    Itself,
    /// How a table is made, or the store itself. It takes as long as the server works: ended halfway, it would begin anew with whoever tries
    /// again. It counts as without a caller from the beginning.
    Schema(Option<TableName>),
}

/// Changes whose callers are gone.
#[derive(Debug)]
pub(super) struct Accepted {
    next: AtomicU64,
    orphans: watch::Sender<BTreeSet<Change>>,
}

type Change = (Of, u64);

/// Held by the task that makes a change.
#[derive(Debug)]
struct Ticket {
    accepted: Arc<Accepted>,
    change: Change,
    done: Arc<AtomicBool>,
}

/// Held by who waits for it.
#[derive(Debug)]
pub(super) struct Waiter {
    accepted: Arc<Accepted>,
    change: Change,
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

    /// Begins a change in a task of its own; once who waits for it is gone, it has so much time left, but for one of the schema.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        of: Of,
        patience: Duration,
        change: impl Future<Output = T> + Send + 'static,
    ) -> (JoinHandle<T>, Waiter) {
        let number = (of, self.next.fetch_add(1, Relaxed));
        let done = Arc::new(AtomicBool::new(false));
        if matches!(number.0, Of::Schema(_)) {
            self.orphans
                .send_if_modified(|orphans| orphans.insert(number.clone()));
        }
        let ticket = Ticket {
            accepted: self.clone(),
            change: number.clone(),
            done: done.clone(),
        };
        let task = tokio::spawn(async move {
            let _ticket = ticket;
            change.await
        });
        let waiter = Waiter {
            accepted: self.clone(),
            change: number,
            done,
            task: task.abort_handle(),
            patience,
        };
        (task, waiter)
    }

    /// Waits for all changes without callers that were begun before now, but for those of the schema.
    pub(super) async fn settle(&self) {
        let next = self.next.load(Relaxed);
        self.until_none(|orphans| {
            let mut rest = orphans.iter();
            rest.any(|(of, number)| *number < next && !matches!(of, Of::Schema(_)))
        })
        .await;
    }

    /// Waits for all changes without callers.
    pub(super) async fn settle_all(&self) {
        self.until_none(|orphans| !orphans.is_empty()).await;
    }

    /// Waits for the changes of the same without callers that were begun before now.
    pub(super) async fn settle_of(&self, of: Of) {
        let now = self.next.load(Relaxed);
        self.settle_before((of, now)).await;
    }

    async fn settle_before(&self, change: Change) {
        let first = (change.0.clone(), 0);
        self.until_none(|orphans| orphans.range(&first..&change).next().is_some())
            .await;
    }

    async fn until_none(&self, is_there: impl Fn(&BTreeSet<Change>) -> bool) {
        if is_there(&self.orphans.borrow()) {
            // It is never closed: this holds it.
            _ = self
                .orphans
                .subscribe()
                .wait_for(|orphans| !is_there(orphans))
                .await;
        }
    }
}

impl Waiter {
    /// Waits for the changes without callers that have to be done before this one is answered.
    pub(super) async fn settle(&self) {
        if matches!(self.change.0, Of::Entries(_)) {
            self.accepted.settle_before(self.change.clone()).await;
        }
    }
}

// Both look and write within the lock of the set, so that a change is never taken for an orphan that has ended.

impl Drop for Ticket {
    fn drop(&mut self) {
        self.accepted.orphans.send_if_modified(|orphans| {
            self.done.store(true, Relaxed);
            orphans.remove(&self.change)
        });
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // One of the schema is there already, and keeps its time.
        let is_orphan = self.accepted.orphans.send_if_modified(|orphans| {
            !self.done.load(Relaxed) && orphans.insert(self.change.clone())
        });
        // Later changes wait for it: a server that never answers, or another's lock, is not waited for without end.
        if is_orphan && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (task, patience) = (self.task.clone(), self.patience);
            runtime.spawn(async move {
                tokio::time::sleep(patience).await;
                task.abort();
            });
        }
    }
}
