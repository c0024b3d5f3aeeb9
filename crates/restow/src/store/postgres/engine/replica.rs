//! A server that may be read from in place of the one that is written to. It is never needed, and nobody waits for it.

use super::{
    super::values::Values,
    lane::Lane,
    link::{Link, Query},
};
use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_postgres::Row;

/// Who has not answered by then is raced by the server.
const AHEAD: Duration = Duration::from_millis(15);
/// Who failed, or lost such a race, is left alone for so long.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Replica {
    lane: Lane,
    failed: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            failed: Mutex::default(),
        }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Returns a connection that is there, unless it is left alone; where there is none, one is made behind.
    pub(super) fn link(&self, query: &Query) -> Option<Arc<Link>> {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(at) if at.elapsed() < REST => None,
            _ => self.lane.ready(query),
        }
    }

    /// Reads, and lets the server read as well where this one takes its time or fails: then what that says is returned as the error.
    pub(super) async fn ahead_of<S>(
        &self,
        server: impl Future<Output = S>,
        link: &Arc<Link>,
        query: &Query,
        values: &Values,
    ) -> Result<Vec<Row>, S> {
        let mut rows = Vec::new();
        let asked = {
            let each = &mut |row| rows.push(row);
            let (prepares, mut server) = (self.lane.connector().prepares(), pin!(server));
            let mut asked = pin!(link.ask(query, values, prepares, each));
            let soon = tokio::time::timeout(AHEAD, asked.as_mut()).await;
            let asked = match soon {
                Ok(asked) => asked,
                Err(_) => tokio::select! {
                    biased;
                    asked = asked => asked,
                    said = server.as_mut() => {
                        self.fail();
                        // Where somebody has locked what is read, it would be there for as long as that.
                        link.end(self.lane.connector());
                        return Err(said);
                    }
                },
            };
            match asked {
                Ok(()) => Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "a replica could not be read from; the server is");
                    self.fail();
                    link.give_up();
                    Err(server.await)
                }
            }
        };
        asked.map(|()| rows)
    }

    fn fail(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
