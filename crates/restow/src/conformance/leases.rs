//! Leases: one fetch at a time, and nobody overwrites what a later holder wrote.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Millis,
    entry::Entry,
    store::{Fence, Lease, Leases, Write},
};
use futures_util::future::try_join_all;
use std::{sync::Arc, time::Duration};

promises! {
    a_lease_has_one_holder: "A lease that is held is busy for others, until the moment it ends.",
    a_lease_given_back_is_free: "A lease that was given back can be taken at once, with a larger fence.",
    a_lease_ends_by_itself: "A lease that was not given back can be taken when its time is over, with a larger fence.",
    leases_are_of_one_address: "A lease on an address leaves other addresses and partitions free.",
    a_stale_holder_gives_nothing_back: "Giving back a lease that has ended does not free the one that followed.",
    a_stale_holder_writes_nothing: "A write under a lease that somebody else took since is an error of kind Fenced, and writes nothing.",
    the_holder_writes: "A write under the newest lease is written.",
    a_lease_that_has_ended_still_writes: "A write under a lease that has ended, and that nobody took since, is written.",
    a_race_for_a_lease_has_one_winner: "Of 64 tasks that ask for one lease at once, one gets it.",
    fences_grow_without_end: "A lease that is taken and given back again and again has a larger fence each time, also from another handle.",
    one_stale_fence_of_many_writes_nothing: "A bulk write with one stale lease among others is an error of kind Fenced, and writes none of its entries.",
    a_stale_fence_is_of_its_address: "A write under the stale lease of one address is refused, and one of another address beside it is not.",
}

const HOLD: Duration = Duration::from_secs(30);

struct Leased {
    trial: Trial,
    leases: Arc<dyn Leases>,
}

impl Leased {
    async fn start(subject: &dyn Subject) -> Kept<Self> {
        let trial = Trial::start(subject).await?;
        match trial.store.leases() {
            Some(leases) => Ok(Self { trial, leases }),
            None => Err(Broken::NotPromised("leases")),
        }
    }

    async fn ask(&self, id: &str, now: Millis) -> Kept<Lease> {
        let name = &self.trial.table.spec().name;
        Ok(self.leases.acquire(name, &address(id)?, HOLD, now).await?)
    }

    async fn take(&self, id: &str, now: Millis) -> Kept<Fence> {
        match self.ask(id, now).await? {
            Lease::Held(fence) => Ok(fence),
            Lease::Busy { until } => Err(Broken::Because(format!(
                "the lease on {id} is busy until {until}"
            ))),
        }
    }

    async fn release(&self, id: &str, fence: Fence) -> Kept {
        let name = &self.trial.table.spec().name;
        Ok(self.leases.release(name, &address(id)?, fence).await?)
    }

    async fn write(&self, entry: Entry, fence: Fence, now: Millis) -> crate::Result<()> {
        let write = Write {
            entry: Arc::new(entry),
            fence: Some(fence),
        };
        self.trial.table.write(&[write], now).await
    }
}

async fn a_lease_has_one_holder(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    l.take("a", T0).await?;
    let until = T0.plus(HOLD);
    same!(l.ask("a", T0).await?, Lease::Busy { until }, "second lease");
    same!(
        l.ask("a", until.minus(MS)).await?,
        Lease::Busy { until },
        "second lease before the end"
    );
    Ok(())
}

async fn a_lease_given_back_is_free(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    l.release("a", first).await?;
    let second = l.take("a", T0).await?;
    ensure!(second > first, "{second:?} is not larger than {first:?}");
    Ok(())
}

async fn a_lease_ends_by_itself(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    let second = l.take("a", T0.plus(HOLD)).await?;
    ensure!(second > first, "{second:?} is not larger than {first:?}");
    Ok(())
}

async fn leases_are_of_one_address(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    l.take("a", T0).await?;
    l.take("b", T0).await?;
    let elsewhere = crate::entry::Address {
        partition: crate::entry::Partition::principal("alice")?,
        ..address("a")?
    };
    let name = &l.trial.table.spec().name;
    let lease = l.leases.acquire(name, &elsewhere, HOLD, T0).await?;
    ensure!(
        matches!(lease, Lease::Held(_)),
        "the lease of another partition is {lease:?}"
    );
    Ok(())
}

async fn a_stale_holder_gives_nothing_back(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    let later = T0.plus(HOLD);
    l.take("a", later).await?;
    l.release("a", first).await?;
    let third = l.ask("a", later).await?;
    ensure!(
        matches!(third, Lease::Busy { .. }),
        "the third lease is {third:?}"
    );
    Ok(())
}

async fn a_stale_holder_writes_nothing(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    let later = T0.plus(HOLD);
    let second = l.take("a", later).await?;
    l.write(entry("a")?.body("second"), second, later).await?;
    fails(
        l.write(entry("a")?.body("first"), first, later).await,
        ErrorKind::Fenced,
        "write",
    )?;
    same!(
        l.trial.one(&address("a")?, later).await?.body,
        "second",
        "body"
    );
    Ok(())
}

async fn a_lease_that_has_ended_still_writes(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let fence = l.take("a", T0).await?;
    let later = T0.plus(HOLD * 2);
    l.write(entry("a")?, fence, later).await?;
    same_entry(&*l.trial.one(&address("a")?, later).await?, &entry("a")?)
}

async fn a_race_for_a_lease_has_one_winner(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let at = Arc::new(address("a")?);
    let name = Arc::new(l.trial.table.spec().name.clone());
    let tasks = (0..64).map(|_| {
        let (leases, name, at) = (l.leases.clone(), name.clone(), at.clone());
        tokio::spawn(async move { leases.acquire(&name, &at, HOLD, T0).await })
    });
    let mut held = 0;
    for wish in try_join_all(tasks.collect::<Vec<_>>()).await? {
        held += u64::from(matches!(wish?, Lease::Held(_)));
    }
    same!(held, 1, "holders");
    Ok(())
}

async fn fences_grow_without_end(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let other = Leased {
        leases: l.trial.store.leases().unwrap_or_else(|| l.leases.clone()),
        trial: Trial {
            store: l.trial.store.clone(),
            table: l.trial.table.clone(),
        },
    };
    let mut last = l.take("a", T0).await?;
    l.release("a", last).await?;
    for nth in 0..20 {
        let taker = if nth % 2 == 0 { &other } else { &l };
        let fence = taker.take("a", T0).await?;
        ensure!(fence > last, "{fence:?} is not larger than {last:?}");
        l.release("a", fence).await?;
        last = fence;
    }
    Ok(())
}

/// Two writes: of `a` under a lease that was taken over, of `b` under the newest.
async fn stale_and_good(l: &Leased) -> Kept<[Write; 2]> {
    let stale = l.take("a", T0).await?;
    let later = T0.plus(HOLD);
    l.take("a", later).await?;
    let good = l.take("b", later).await?;
    let write = |entry: Entry, fence| Write {
        entry: Arc::new(entry),
        fence: Some(fence),
    };
    Ok([write(entry("a")?, stale), write(entry("b")?, good)])
}

async fn one_stale_fence_of_many_writes_nothing(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let [stale, good] = stale_and_good(&l).await?;
    let later = T0.plus(HOLD);
    for writes in [[good.clone(), stale.clone()], [stale, good]] {
        let written = l.trial.table.write(&writes, later).await;
        fails(written, ErrorKind::Fenced, "write")?;
        same!(l.trial.all(later).await?, 0, "entries");
    }
    Ok(())
}

async fn a_stale_fence_is_of_its_address(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let [stale, good] = stale_and_good(&l).await?;
    let later = T0.plus(HOLD);
    let written = l.trial.table.write(&[stale], later).await;
    fails(written, ErrorKind::Fenced, "write")?;
    l.trial.table.write(&[good], later).await?;
    l.trial.one(&address("b")?, later).await?;
    Ok(())
}

async fn the_holder_writes(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    l.release("a", first).await?;
    let second = l.take("a", T0).await?;
    l.write(entry("a")?, second, T0).await?;
    same_entry(&*l.trial.one(&address("a")?, T0).await?, &entry("a")?)
}
