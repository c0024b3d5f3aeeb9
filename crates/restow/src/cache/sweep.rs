//! Removing in the background what is past its keep.

use crate::{context::Context, registry::Registry, repository::keeps_out};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, time};

/// How often.
const EVERY: Duration = Duration::from_secs(300);
/// The most entries that are removed of one repository at a time.
const LIMIT: u64 = 500;
/// The most times in a row, where there is always more.
const ROUNDS: usize = 20;

/// Starts a task that removes what is past its keep, where there is a runtime. It ends with the cache and keeps nothing alive.
pub(super) fn start(ctx: &Arc<Context>, registry: &Arc<Registry>) {
    let capabilities = ctx.store.capabilities();
    if capabilities.read_only || capabilities.native_expiry {
        return;
    }
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let (ctx, registry) = (Arc::downgrade(ctx), Arc::downgrade(registry));
    runtime.spawn(async move {
        loop {
            time::sleep(EVERY).await;
            if !sweep(&ctx, &registry).await {
                return;
            }
        }
    });
}

/// Sweeps every repository once; `false` once there is nothing left to look after.
async fn sweep(ctx: &Weak<Context>, registry: &Weak<Registry>) -> bool {
    let Some((ctx, registry)) = ctx
        .upgrade()
        .zip(registry.upgrade())
        .filter(|(ctx, _)| !ctx.is_closed())
    else {
        return false;
    };
    if keeps_out(ctx.mode()) {
        return true;
    }
    for mount in registry.mounts().iter() {
        for _ in 0..ROUNDS {
            match mount.table.sweep(LIMIT, ctx.now()).await {
                Ok(LIMIT..) => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    if !ctx.is_closed() {
                        tracing::warn!(target: "restow", repository = mount.name(), %error, "expired answers could not be removed; the next try is in a few minutes");
                    }
                    break;
                }
            }
        }
    }
    true
}
