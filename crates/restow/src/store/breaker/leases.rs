//! Leases of a store that may be slow or down.

use super::{
    gate::{Pass, Side},
    shared::Shared,
};
use crate::{
    BoxFuture, Error, ErrorKind, Millis, Result,
    entry::Address,
    store::{Fence, Lease, Leases, TableName},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// The leases of the store beneath, as far as it has any.
#[derive(Debug)]
pub(super) struct GuardedLeases(pub(super) Arc<Shared>);

impl GuardedLeases {
    fn enter(&self) -> Result<(Arc<dyn Leases>, Pass)> {
        let shared = &self.0;
        shared.check_open()?;
        let Some(store) = shared.get() else {
            return Err(shared.gate.refuse(Side::Changes));
        };
        let leases = store.leases().ok_or_else(|| {
            let message = format!("{} has no leases", shared.gate.place());
            Error::new(ErrorKind::Unsupported, message)
        })?;
        // Nobody would hold the lease of a probe.
        Ok((leases, shared.gate.pass(Side::Changes, false)?))
    }

    fn bound(&self) -> Duration {
        self.0.gate.options.bound(1, 0)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Leases for GuardedLeases {
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            let (leases, pass) = self.enter()?;
            let (answer, answered) = oneshot::channel();
            let (table, at) = (table.clone(), at.clone());
            // Not given up with its caller: what comes too late would be nobody's, and others would wait for its end.
            tokio::spawn(async move {
                let lease = leases.acquire(&table, &at, hold, now).await;
                if let Err(Ok(Lease::Held(fence))) = answer.send(lease) {
                    _ = leases.release(&table, &at, fence).await;
                }
            });
            let asked = async { answered.await.unwrap_or_else(|_| Err(ended())) };
            pass.within(self.bound(), asked).await
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
            let (leases, pass) = self.enter()?;
            let renewed = leases.renew(table, at, fence, hold, now);
            pass.within(self.bound(), renewed).await
        })
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (leases, pass) = self.enter()?;
            pass.within(self.bound(), leases.release(table, at, fence))
                .await
        })
    }
}

/// The error of a call whose task is gone.
fn ended() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the runtime ended while the store was asked for a lease",
    )
}
