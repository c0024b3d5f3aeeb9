//! One fetch across processes: the leader of a process asks the store for the lease, and waits for what another process fetches.

use crate::{
    Clock, ErrorKind, Millis, Result,
    context::{Context, Mount},
    entry::Address,
    store::{Fence, Lease, Leases},
};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{runtime::Handle, task::AbortHandle, time::Instant};

/// After so long a lease is given back again where it could not be; each time it is twice as long.
const GIVE_BACK_AGAIN: Duration = Duration::from_millis(25);

/// A lease that this process holds, and renews meanwhile. Dropped, it is given back; what could not be given back ends by itself.
pub(crate) struct HeldLease {
    grant: Arc<Grant>,
    renewing: Option<AbortHandle>,
}

/// What the store gave.
struct Grant {
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
        Lease::Held(fence) => {
            let grant = Grant {
                leases,
                mount: mount.clone(),
                at: at.clone(),
                fence,
            };
            Wish::Held(HeldLease::new(ctx, grant))
        }
        Lease::Busy { until } => Wish::Busy(until),
    })
}

impl HeldLease {
    fn new(ctx: &Context, grant: Grant) -> Self {
        let grant = Arc::new(grant);
        let renewing = Handle::try_current().ok().map(|runtime| {
            let (clock, at_most) = (ctx.clock.clone(), ctx.defaults.wait_at_most);
            let renewing = runtime.spawn(grant.clone().renew(clock, at_most));
            renewing.abort_handle()
        });
        Self { grant, renewing }
    }

    /// Returns what a write under it carries.
    pub(crate) fn fence(&self) -> Fence {
        self.grant.fence
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
        // A renewal that is under way all the same comes before this or finds that it was given back.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.grant.clone().release());
        }
    }
}

impl Grant {
    /// Renews it every third of its length, for `at_most`: others wait no longer than that for one that hangs.
    async fn renew(self: Arc<Self>, clock: Arc<dyn Clock>, at_most: Duration) {
        let name = &self.mount.endpoint.declaration().name;
        let repository = self.mount.name();
        let hold = self.mount.rules().lease;
        let pause = (hold / 3).max(Duration::from_millis(1));
        let begun = Instant::now();
        loop {
            tokio::time::sleep(pause).await;
            if begun.elapsed() >= at_most {
                tracing::debug!(target: "restow", repository, "a fetch takes so long that its lease is renewed no more");
                return;
            }
            let renewed = self
                .leases
                .renew(name, &self.at, self.fence, hold, clock.now());
            match renewed.await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::debug!(target: "restow", repository, "a lease is lost: another process may fetch the same, and then what this one brings is not stored");
                    return;
                }
                Err(error) => {
                    tracing::debug!(target: "restow", repository, %error, "a lease was not renewed; it is tried again");
                }
            }
        }
    }

    /// Gives it back; where the store does not answer, again and again until it ends by itself: others wait for it.
    async fn release(self: Arc<Self>) {
        let name = &self.mount.endpoint.declaration().name;
        let repository = self.mount.name();
        let ends = Instant::now() + self.mount.rules().lease;
        let mut pause = GIVE_BACK_AGAIN;
        loop {
            let Err(error) = self.leases.release(name, &self.at, self.fence).await else {
                return;
            };
            if !error.kind().is_of_the_store() || Instant::now() + pause >= ends {
                tracing::debug!(target: "restow", repository, %error, "a lease was not given back; it ends by itself");
                return;
            }
            tracing::debug!(target: "restow", repository, %error, "a lease was not given back; it is tried again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl fmt::Debug for HeldLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease")
            .field("at", &self.grant.at)
            .field("fence", &self.grant.fence)
            .finish_non_exhaustive()
    }
}
