//! A few connections that many tasks share.

use super::{
    super::error::{Attempt, Fault},
    connector::{Connector, Use},
    link::Link,
};
use crate::Error;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};
use tokio::sync::Mutex;

/// Connections for statements that are short and alone: several follow each other on one, and nobody holds one for himself.
///
/// A pool that lends a connection to one task at a time would have as many questions under way as connections.
#[derive(Debug)]
pub(super) struct Lane {
    connector: Arc<Connector>,
    purpose: Use,
    /// So many questions follow each other on a connection before another one is made.
    patience: usize,
    slots: Box<[Slot]>,
}

#[derive(Debug, Default)]
struct Slot {
    link: RwLock<Option<Arc<Link>>>,
    /// Held by who connects; when that last failed, and how.
    connecting: Mutex<Option<(Instant, Error)>>,
}

impl Lane {
    pub(super) fn new(
        connector: Arc<Connector>,
        purpose: Use,
        connections: usize,
        patience: usize,
    ) -> Self {
        Self {
            connector,
            purpose,
            patience,
            slots: (0..connections.max(1)).map(|_| Slot::default()).collect(),
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Returns how many connections it may have.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns a connection, making one where there is none or all are in use.
    pub(super) async fn link(&self) -> Attempt<Arc<Link>> {
        let (best, free) = self.look();
        match (best, free) {
            // Who holds a connection is counted by the handles to it: the slot's is one.
            (Some(link), Some(_)) if Arc::strong_count(&link) - 2 < self.patience => Ok(link),
            (Some(link), None) => Ok(link),
            (Some(link), Some(free)) => match free.connecting.try_lock() {
                // Somebody else makes one already.
                Err(_) => Ok(link),
                Ok(mut failed) => {
                    let made = self.connect(free, &mut failed).await;
                    Ok(made.unwrap_or(link))
                }
            },
            (None, Some(free)) => {
                let begun = Instant::now();
                let mut failed = free.connecting.lock().await;
                if let Some(link) = free.open() {
                    return Ok(link);
                }
                // It failed for whoever was first, while this one waited.
                if let Some((at, error)) = &*failed
                    && *at >= begun
                {
                    return Err(Error::new(error.kind(), error.message().to_owned()).into());
                }
                self.connect(free, &mut failed).await
            }
            (None, None) => Err(Fault::TimedOut),
        }
    }

    /// The open connection with the fewest questions under way, and the first place without one.
    fn look(&self) -> (Option<Arc<Link>>, Option<&Slot>) {
        let (mut best, mut free): (Option<Arc<Link>>, _) = (None, None);
        for slot in &self.slots {
            match slot.open() {
                None => free = free.or(Some(slot)),
                Some(link) => {
                    let fewer = best
                        .as_ref()
                        .is_none_or(|best| Arc::strong_count(&link) < Arc::strong_count(best));
                    if fewer {
                        best = Some(link);
                    }
                }
            }
        }
        (best, free)
    }

    async fn connect(
        &self,
        slot: &Slot,
        failed: &mut Option<(Instant, Error)>,
    ) -> Attempt<Arc<Link>> {
        match self.connector.connect(self.purpose).await {
            Ok(client) => {
                let link = Arc::new(Link::new(client));
                *slot.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
                *failed = None;
                Ok(link)
            }
            Err(fault) => {
                let error = fault.at(self.connector.place());
                *failed = Some((
                    Instant::now(),
                    Error::new(error.kind(), error.message().to_owned()),
                ));
                Err(error.into())
            }
        }
    }

    /// Lets go of all connections: each ends when the last question on it is answered.
    pub(super) fn close(&self) {
        for slot in &self.slots {
            slot.link
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
        }
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Link>> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().filter(|link| link.is_open()).cloned()
    }
}
