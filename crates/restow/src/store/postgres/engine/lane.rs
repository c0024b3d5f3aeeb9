//! A few connections that many tasks share.

use super::{
    super::error::{Attempt, Fault},
    connector::{Connector, Use},
    link::{Link, Query},
};
use crate::Error;
use std::{
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Where no further connection could be made, the next try waits for so long: those that are there go on.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections for statements that are short and alone: several follow each other on one, and nobody holds one for himself.
///
/// A pool that lends a connection to one task at a time would have as many questions under way as connections.
#[derive(Debug)]
pub(super) struct Lane {
    connector: Arc<Connector>,
    purpose: Use,
    /// So many questions follow each other on a connection before another one is made.
    patience: usize,
    slots: Box<[Arc<Slot>]>,
}

#[derive(Debug, Default)]
struct Slot {
    held: RwLock<Held>,
    /// Held by who connects; when that last failed, and how.
    connecting: Arc<Mutex<Option<(Instant, Error)>>>,
}

#[derive(Debug, Default)]
struct Held {
    link: Option<Arc<Link>>,
    /// Nothing is held any more.
    closed: bool,
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
            slots: (0..connections.max(1)).map(|_| Arc::default()).collect(),
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Returns how many connections it may have.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns a connection. Where there is none, one is made; where all are in use, another one is made behind, for the next who ask.
    pub(super) async fn link(&self, query: &Query) -> Attempt<Arc<Link>> {
        match self.look() {
            (Some(link), free) => {
                self.grow_where_busy(&link, free, query);
                Ok(link)
            }
            (None, Some(free)) => self.first(free).await,
            (None, None) => Err(Fault::TimedOut),
        }
    }

    /// Returns a connection that is there. Where there is none, or all are in use, one is made behind, for the next who ask.
    pub(super) fn ready(&self, query: &Query) -> Option<Arc<Link>> {
        let (link, free) = self.look();
        match &link {
            Some(link) => self.grow_where_busy(link, free, query),
            None => free.into_iter().for_each(|free| self.grow(free, query)),
        }
        link
    }

    fn grow_where_busy(&self, link: &Arc<Link>, free: Option<&Arc<Slot>>, query: &Query) {
        // Who holds a connection is counted by the handles to it: the slot's is one, unless it has another connection by now.
        let is_busy = Arc::strong_count(link).saturating_sub(2) >= self.patience;
        if let Some(free) = free.filter(|_| is_busy) {
            self.grow(free, query);
        }
    }

    /// Returns a connection, and makes one where there is none; nobody asks anything on it yet.
    pub(super) async fn open(&self) -> Attempt<Arc<Link>> {
        match self.look() {
            (Some(link), _) => Ok(link),
            (None, Some(free)) => self.first(free).await,
            (None, None) => Err(Fault::TimedOut),
        }
    }

    async fn first(&self, free: &Arc<Slot>) -> Attempt<Arc<Link>> {
        let begun = Instant::now();
        let mut failed = free.connecting.lock().await;
        if let Some(link) = free.open() {
            return Ok(link);
        }
        // It failed for whoever was first, while this one waited.
        if let Some((at, error)) = &*failed
            && *at >= begun
        {
            return Err(error.again().into());
        }
        let made = connect(&self.connector, self.purpose, &mut failed).await?;
        free.hold(&made);
        Ok(made)
    }

    /// Makes another connection. Nobody waits for it, and nobody is sent there before it knows the statement: a server needs a while for
    /// the first one.
    fn grow(&self, slot: &Arc<Slot>, query: &Query) {
        let Ok(mut failed) = slot.connecting.clone().try_lock_owned() else {
            return;
        };
        if matches!(&*failed, Some((at, _)) if at.elapsed() < PAUSE) {
            return;
        }
        let (slot, query) = (slot.clone(), query.clone());
        let (connector, purpose) = (self.connector.clone(), self.purpose);
        tokio::spawn(async move {
            match connect(&connector, purpose, &mut failed).await {
                Ok(link) => {
                    // Where it cannot be prepared, whoever asks is told.
                    _ = link.prepare(&query, connector.prepares()).await;
                    slot.hold(&link);
                }
                Err(fault) => {
                    let error = fault.at(connector.place());
                    tracing::debug!(%error, "no further connection to PostgreSQL could be made");
                }
            }
        });
    }

    /// The open connection with the fewest questions under way, and the first place without one.
    fn look(&self) -> (Option<Arc<Link>>, Option<&Arc<Slot>>) {
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

    /// Lets go of all connections: each ends when the last question on it is answered.
    pub(super) fn close(&self) {
        for slot in &self.slots {
            *slot.write() = Held {
                link: None,
                closed: true,
            };
        }
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Link>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.link.as_ref().filter(|link| link.is_open()).cloned()
    }

    fn hold(&self, link: &Arc<Link>) {
        let mut held = self.write();
        if !held.closed {
            held.link = Some(link.clone());
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(
    connector: &Connector,
    purpose: Use,
    failed: &mut Option<(Instant, Error)>,
) -> Attempt<Arc<Link>> {
    match connector.connect(purpose).await {
        Ok(client) => {
            *failed = None;
            Ok(Arc::new(Link::new(client)))
        }
        Err(fault) => {
            let error = fault.at(connector.place());
            *failed = Some((Instant::now(), error.again()));
            Err(error.into())
        }
    }
}
