//! Leases: one fetch at a time, and nobody overwrites what a later holder wrote.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Millis,
    entry::Entry,
    store::{Fence, Lease, Leases, Write},
};
use std::{sync::Arc, time::Duration};

promises! {
    a_lease_has_one_holder: "A lease that is held is busy for others, until the moment it ends.",
    a_lease_given_back_is_free: "A lease that was given back can be taken at once, with a larger fence.",
    a_lease_ends_by_itself: "A lease that was not given back can be taken when its time is over, with a larger fence.",
    leases_are_of_one_address: "A lease on an address leaves other addresses and partitions free.",
    a_stale_holder_gives_nothing_back: "Giving back a lease that has ended does not free the one that followed.",
    a_stale_holder_writes_nothing: "A write under a lease that somebody else took since is an error of kind Fenced, and writes nothing.",
    the_holder_writes: "A write under the newest lease is written.",
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

async fn the_holder_writes(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    l.release("a", first).await?;
    let second = l.take("a", T0).await?;
    l.write(entry("a")?, second, T0).await?;
    same_entry(&*l.trial.one(&address("a")?, T0).await?, &entry("a")?)
}
