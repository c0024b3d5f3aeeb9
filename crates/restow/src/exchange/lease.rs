//! One fetch across processes: the leader of a process asks the store for the lease, and waits for what another process fetches.

use crate::{
    ErrorKind, Millis, Result,
    context::{Context, Mount},
    entry::Address,
    store::{Fence, Lease, Leases},
};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

/// A lease that this process holds. Dropped, it is given back; what could not be given back ends by itself.
pub(crate) struct HeldLease {
    leases: Arc<dyn Leases>,
    mount: Arc<Mount>,
    at: Address,
    fence: Fence,
}

/// What came of the wish for a lease.
#[derive(Debug)]
pub(super) enum Wish {
    Held(HeldLease),
    /// Another process fetches, and has until then.
    Busy(Millis),
    /// There is none: each process fetches for itself.
    Alone,
}

/// Asks for the lease on an address.
pub(super) async fn ask(ctx: &Context, mount: &Arc<Mount>, at: &Address) -> Wish {
    match try_ask(ctx, mount, at).await {
        Ok(wish) => wish,
        Err(error) => {
            let repository = mount.name();
            // Once, and where the store is down somebody has said so already.
            if error.kind() != ErrorKind::Down && !mount.unleased.swap(true, Ordering::Relaxed) {
                tracing::warn!(target: "restow", repository, %error, "the store gives no lease: processes do not wait for each other's fetches");
            } else {
                tracing::debug!(target: "restow", repository, %error, "no lease");
            }
            Wish::Alone
        }
    }
}

async fn try_ask(ctx: &Context, mount: &Arc<Mount>, at: &Address) -> Result<Wish> {
    let leases = ctx.store.leases().ok_or_else(|| {
        let message = format!(
            "{} has no leases; leave out coalesce = \"shared\"",
            ctx.store
        );
        crate::Error::new(ErrorKind::Unsupported, message)
    })?;
    let name = &mount.endpoint.declaration().name;
    let hold = mount.rules().lease;
    Ok(match leases.acquire(name, at, hold, ctx.now()).await? {
        Lease::Held(fence) => Wish::Held(HeldLease {
            leases,
            mount: mount.clone(),
            at: at.clone(),
            fence,
        }),
        Lease::Busy { until } => Wish::Busy(until),
    })
}

impl HeldLease {
    /// Returns what a write under it carries.
    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (leases, mount) = (self.leases.clone(), self.mount.clone());
        let (at, fence) = (self.at.clone(), self.fence);
        runtime.spawn(async move {
            let name = &mount.endpoint.declaration().name;
            if let Err(error) = leases.release(name, &at, fence).await {
                tracing::debug!(target: "restow", repository = mount.name(), %error, "a lease was not given back; it ends by itself");
            }
        });
    }
}

impl fmt::Debug for HeldLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease")
            .field("at", &self.at)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}
