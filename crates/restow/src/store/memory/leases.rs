//! Leases within one process: of use where several caches share the store.

use super::Inner;
use crate::{
    Millis, Result,
    answer::BoxFuture,
    entry::Address,
    store::{
        Fence, Lease, Leases, TableName, Write,
        lease::{REMEMBERED, superseded},
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// Who fetches what.
#[derive(Debug, Default)]
pub(super) struct Held {
    leases: HashMap<(TableName, Address), One>,
    newest: u64,
    /// So many of them are worth looking for old ones.
    crowd: usize,
}

#[derive(Debug)]
struct One {
    fence: u64,
    until: Millis,
    free: bool,
}

impl Held {
    fn acquire(&mut self, table: &TableName, at: &Address, hold: Duration, now: Millis) -> Lease {
        let place = (table.clone(), at.clone());
        if let Some(one) = self.leases.get(&place)
            && !one.free
            && one.until > now
        {
            return Lease::Busy { until: one.until };
        }
        if self.leases.len() > self.crowd.max(1_024) {
            self.leases
                .retain(|_, one| one.until.plus(REMEMBERED) > now);
            self.crowd = self.leases.len() * 2;
        }
        self.newest += 1;
        let one = One {
            fence: self.newest,
            until: now.plus(hold),
            free: false,
        };
        self.leases.insert(place, one);
        Lease::Held(Fence(self.newest))
    }

    fn renew(
        &mut self,
        table: &TableName,
        at: &Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> bool {
        match self.leases.get_mut(&(table.clone(), at.clone())) {
            Some(one) if one.fence == fence.0 && !one.free => {
                one.until = now.plus(hold);
                true
            }
            _ => false,
        }
    }

    fn release(&mut self, table: &TableName, at: &Address, fence: Fence) {
        if let Some(one) = self.leases.get_mut(&(table.clone(), at.clone()))
            && one.fence == fence.0
        {
            one.free = true;
        }
    }

    /// Refuses writes under a lease that somebody else took since.
    pub(super) fn check(&self, table: &TableName, entries: &[Write]) -> Result<()> {
        let fenced = entries
            .iter()
            .filter_map(|write| Some((write, write.fence?)));
        for (write, fence) in fenced {
            let place = (table.clone(), write.entry.id.address.clone());
            let newest = self.leases.get(&place).map(|one| one.fence);
            if newest > Some(fence.0) {
                return Err(superseded());
            }
        }
        Ok(())
    }
}

/// The leases of a store.
#[derive(Debug)]
pub(super) struct MemoryLeases(pub(super) Arc<Inner>);

impl Leases for MemoryLeases {
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            drop(self.0.open_registry()?);
            let mut held = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(held.acquire(table, at, hold, now))
        })
    }

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            drop(self.0.open_registry()?);
            let mut held = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(held.renew(table, at, fence, hold, now))
        })
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            drop(self.0.open_registry()?);
            let mut held = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
            held.release(table, at, fence);
            Ok(())
        })
    }
}
