//! Removing in the background what is past its keep, and what a budget does not allow.

use crate::{
    Result,
    context::{Context, Mount},
    registry::Registry,
    repository::keeps_out,
};
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{self, Instant},
};

/// About when the first round begins. Programs that were started together do not begin together.
const FIRST: Duration = Duration::from_secs(5);
/// About how long it is from one round to the next.
const EVERY: Duration = Duration::from_secs(300);
/// The most entries that are removed at a time: nobody else waits long for the store.
const LIMIT: u64 = 500;
/// The most where a budget is exceeded by more than that, again and again: each look at what is held costs as much as the removal of many entries.
const MOST: u64 = 2_000;
/// How many times as long as it worked a round rests: it takes a tenth of the time.
const REST: u32 = 9;
/// The same where a budget is exceeded: what is written has to go as fast as it comes.
const HURRY: u32 = 1;
/// How long after a failure it is tried again; twice as long after each further one, until the next round comes anyway.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it rests at least between two looks at budgets.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the task, where there is a runtime. It ends with the cache and keeps nothing alive.
pub(super) fn start(ctx: &Arc<Context>, registry: &Arc<Registry>) {
    // One that removes by itself what is past its keep has an index to be looked after, and repositories with budgets of their own.
    if ctx.store.capabilities().read_only {
        return;
    }
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let sweeper = Sweeper {
        crowded: ctx.upkeep.crowded.clone(),
        ctx: Arc::downgrade(ctx),
        registry: Arc::downgrade(registry),
        failures: AtomicU32::new(0),
    };
    runtime.spawn(async move {
        let mut next = about(FIRST);
        while sweeper.wait(next).await.is_some() && sweeper.round().await.is_some() {
            next = about(EVERY);
        }
    });
}

/// Looks after a cache for as long as somebody else has it: every method that does so gives `None` once nobody has.
struct Sweeper {
    crowded: Arc<Notify>,
    ctx: Weak<Context>,
    registry: Weak<Registry>,
    /// How often in a row something failed.
    failures: AtomicU32,
}

impl Sweeper {
    /// Lets time pass, and looks after budgets meanwhile.
    async fn wait(&self, time: Duration) -> Option<()> {
        let end = Instant::now() + time;
        loop {
            let failures = self.failures.load(Relaxed);
            let again = AGAIN * 2_u32.saturating_pow(failures.saturating_sub(1)).min(1_024);
            tokio::select! {
                () = time::sleep_until(end) => return Some(()),
                () = self.crowded.notified() => self.crowded().await?,
                // Where nobody writes any more, nobody else says so.
                () = time::sleep(again), if failures > 0 => self.budgets(|_| true, true).await?,
            }
            time::sleep(PAUSE).await;
        }
    }

    /// Sweeps everything, step by step and with long rests.
    async fn round(&self) -> Option<()> {
        for mount in self.mounts(|_| true)? {
            loop {
                let begun = Instant::now();
                match self.step(&mount, true).await? {
                    LIMIT.. => self.wait(begun.elapsed() * REST).await?,
                    _ => break,
                }
            }
        }
        self.trim().await
    }

    /// Keeps the budgets that may be exceeded, with short rests.
    async fn crowded(&self) -> Option<()> {
        let all = self.ctx.upgrade()?.upkeep.room.is_spent();
        self.budgets(|mount| all || mount.room.is_spent(), all)
            .await
    }

    async fn budgets(&self, of: impl Fn(&Mount) -> bool, all: bool) -> Option<()> {
        let before = self.failures.load(Relaxed);
        // What is past its keep goes before what is good.
        for mount in self.mounts(of)? {
            loop {
                let begun = Instant::now();
                match self.step(&mount, false).await? {
                    LIMIT.. => rest(begun.elapsed() * HURRY).await,
                    _ => break,
                }
            }
        }
        if all {
            self.trim().await?;
        }
        if self.failures.load(Relaxed) == before {
            self.failures.store(0, Relaxed);
        }
        Some(())
    }

    fn mounts(&self, wanted: impl Fn(&Mount) -> bool) -> Option<Vec<Weak<Mount>>> {
        let mounts = self.registry.upgrade()?.mounts();
        let wanted = mounts.iter().filter(|mount| wanted(mount));
        Some(wanted.map(Arc::downgrade).collect())
    }

    /// Removes up to [`LIMIT`] entries of a repository; returns how many.
    async fn step(&self, mount: &Weak<Mount>, measure: bool) -> Option<u64> {
        let ctx = self.working()?;
        let Some(mount) = mount.upgrade().filter(|_| !keeps_out(ctx.mode())) else {
            return Some(0);
        };
        let removed = sweep(&ctx, &mount, measure).await;
        Some(removed.unwrap_or_else(|error| {
            mount.room.leave();
            self.failures.fetch_add(1, Relaxed);
            complain(&ctx, Some(mount.name()), &error);
            0
        }))
    }

    /// Keeps all repositories together within the cache's budget, with short rests.
    async fn trim(&self) -> Option<()> {
        let mut limit = LIMIT;
        loop {
            let begun = Instant::now();
            {
                let ctx = self.working()?;
                let budget = ctx.upkeep.budget;
                if !budget.is_bounded() || keeps_out(ctx.mode()) {
                    return Some(());
                }
                let room = &ctx.upkeep.room;
                let look = room.look();
                match ctx.store.trim(budget, limit).await {
                    Ok(held) => {
                        room.measured(look, budget, held.entries, held.bytes);
                        if held.removed < limit {
                            return Some(());
                        }
                    }
                    Err(error) => {
                        room.leave();
                        self.failures.fetch_add(1, Relaxed);
                        complain(&ctx, None, &error);
                        return Some(());
                    }
                }
            }
            limit = MOST.min(limit * 2);
            rest(begun.elapsed() * HURRY).await;
        }
    }

    /// Returns the cache while it is open. It is not held over a rest, so that nobody who drops it waits.
    fn working(&self) -> Option<Arc<Context>> {
        self.ctx.upgrade().filter(|ctx| !ctx.is_closed())
    }
}

/// Removes up to [`LIMIT`] entries, and estimates what may be written until the next time.
async fn sweep(ctx: &Context, mount: &Mount, measure: bool) -> Result<u64> {
    let now = ctx.now();
    let budget = mount.table.spec().budget;
    let measure = budget.is_bounded() && (measure || mount.room.is_spent());
    let look = mount.room.look();
    let removed = mount.table.sweep(LIMIT, now).await?;
    if !measure || removed >= LIMIT {
        return Ok(removed);
    }
    if removed == 0 {
        let held = mount.table.stats(now).await?;
        mount.room.measured(look, budget, held.entries, held.bytes);
    } else {
        // To count is more work than to look again after the next write.
        mount.room.is_full(look, budget);
    }
    Ok(removed)
}

async fn rest(time: Duration) {
    match time {
        Duration::ZERO => tokio::task::yield_now().await,
        time => time::sleep(time).await,
    }
}

fn complain(ctx: &Context, repository: Option<&str>, error: &crate::Error) {
    if !ctx.is_closed() && error.kind() != crate::ErrorKind::Down {
        tracing::warn!(target: "restow", repository, %error, "the cache could not be tidied up; it is tried again");
    }
}

/// Returns a length of time from half of `middle` to one and a half of it.
fn about(middle: Duration) -> Duration {
    let mut random = [0; 2];
    // Without random numbers all wait equally long, which is no more than impolite.
    let whole = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    };
    middle.mul_f64(0.5 + whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_do_not_wait_equally_long() {
        let waits: Vec<_> = (0..100).map(|_| about(FIRST)).collect();
        assert!(waits.iter().all(|w| *w >= FIRST / 2 && *w <= FIRST * 3 / 2));
        assert!(waits.iter().any(|w| *w < FIRST * 3 / 4));
        assert!(waits.iter().any(|w| *w > FIRST * 5 / 4));
    }
}
