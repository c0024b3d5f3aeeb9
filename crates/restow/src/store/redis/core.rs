//! What a store and its tables share.

use super::{
    error,
    keys::{Names, Place},
    link::Link,
    schema,
    uses::Uses,
};
use crate::{
    Result,
    store::{Change, TableName},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) link: Link,
    pub(super) names: Names,
    /// By which others tell what this store publishes from what they do.
    pub(super) sender: [u8; 16],
    pub(super) heard: Heard,
    pub(super) uses: Uses,
    closed: AtomicBool,
    /// Writes over several servers whose callers are gone.
    orphans: Mutex<Vec<JoinHandle<()>>>,
    places: Mutex<HashMap<TableName, Place>>,
}

/// What was heard of others.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) changes: AtomicU64,
    /// How many listen at the moment.
    pub(super) listening: AtomicU64,
}

impl Core {
    pub(super) fn new(link: Link, sender: [u8; 16]) -> Self {
        Self {
            names: Names::new(&link.options().prefix),
            link,
            sender,
            heard: Heard::default(),
            uses: Uses::default(),
            closed: AtomicBool::new(false),
            orphans: Mutex::default(),
            places: Mutex::default(),
        }
    }

    /// Fails once the store is closed, and while its format is another one; waits for writes whose callers are gone, so that what was accepted comes first.
    pub(super) async fn ready(&self) -> Result<()> {
        self.check_open()?;
        self.link.watch().check()?;
        if self.link.is_cluster() {
            loop {
                let Some(orphan) = lock(&self.orphans).pop() else {
                    break;
                };
                // What came of it was nobody's business any more.
                let _ = orphan.await;
            }
        }
        Ok(())
    }

    /// Has its format looked at from now on.
    pub(super) fn watch_format(self: &Arc<Self>) {
        let core = Arc::downgrade(self);
        self.link.watch().begin(Box::new(move || {
            let core = core.upgrade().filter(|core| core.check_open().is_ok())?;
            Some(Box::pin(async move { schema::look(&core).await }))
        }));
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(error::closed());
        }
        Ok(())
    }

    /// Closes; tells whether it was open.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn remember(&self, table: &TableName, place: &Place) {
        lock(&self.places).insert(table.clone(), place.clone());
    }

    pub(super) fn forget(&self, table: &TableName) {
        lock(&self.places).remove(table);
    }

    pub(super) fn place_of(&self, table: &TableName) -> Option<Place> {
        lock(&self.places).get(table).cloned()
    }

    /// Writes what changes for those who listen; too much of it is the whole table.
    pub(super) fn message(&self, change: &Change) -> Vec<u8> {
        super::changes::message(&self.sender, change)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A write that goes on where its caller is dropped.
pub(super) struct Going {
    core: Arc<Core>,
    task: Option<JoinHandle<Result<()>>>,
}

impl Going {
    pub(super) fn start(
        core: Arc<Core>,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Self {
        Self {
            task: Some(tokio::spawn(work)),
            core,
        }
    }

    pub(super) async fn end(mut self) -> Result<()> {
        let done = match &mut self.task {
            Some(task) => task.await,
            None => return Err(error::closed()),
        };
        self.task = None;
        done.unwrap_or_else(|e| {
            Err(crate::Error::new(
                crate::ErrorKind::Store,
                "the write was lost with its task; it may have happened in part",
            )
            .with_source(e))
        })
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(task) = self.task.take().filter(|task| !task.is_finished()) {
            let waiting = tokio::runtime::Handle::try_current()
                .map(|runtime| runtime.spawn(async move { drop(task.await) }));
            if let Ok(waiting) = waiting {
                lock(&self.core.orphans).push(waiting);
            }
        }
    }
}
