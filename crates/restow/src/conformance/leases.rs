//! Leases: one fetch at a time, and nobody overwrites what a later holder wrote.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Millis,
    entry::Entry,
    store::{Fence, Lease, Leases, Write},
};
use futures_util::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

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
    a_renewed_lease_ends_later: "A lease that is renewed, also from another handle, is busy past its first end, until the new one, and its fence stays.",
    a_lease_that_has_ended_is_renewed: "A lease that has ended, and that nobody took since, is held again once it is renewed.",
    a_stale_holder_renews_nothing: "A lease that somebody else took since is not renewed, and the one that followed ends when it would have.",
    a_lease_given_back_is_not_renewed: "A lease that was given back is not renewed, and stays free.",
    a_renewal_is_of_its_address: "A lease is renewed at its own address alone, and by its own fence alone.",
    a_race_of_renewal_and_others_has_one_winner: "Of a holder that renews a lease that has ended, and 15 others that ask for it at once, one gets it.",
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

    async fn renew(&self, id: &str, fence: Fence, now: Millis) -> Kept<bool> {
        let name = &self.trial.table.spec().name;
        let at = address(id)?;
        Ok(self.leases.renew(name, &at, fence, HOLD, now).await?)
    }

    /// Another handle of the same store's leases.
    fn other_handle(&self) -> Kept<Self> {
        let Some(leases) = self.trial.store.leases() else {
            return Err(Broken::Because("the store has no leases any more".into()));
        };
        let trial = Trial {
            store: self.trial.store.clone(),
            table: self.trial.table.clone(),
        };
        Ok(Self { trial, leases })
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

async fn a_renewed_lease_ends_later(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let fence = l.take("a", T0).await?;
    let (end, half) = (T0.plus(HOLD), HOLD / 2);
    for (nth, holder) in [&l, &l.other_handle()?].into_iter().enumerate() {
        let now = match nth {
            0 => T0.plus(half),
            _ => end,
        };
        let until = now.plus(HOLD);
        same!(holder.renew("a", fence, now).await?, true, "renewal");
        for then in [now, end, until.minus(MS)] {
            same!(
                l.ask("a", then).await?,
                Lease::Busy { until },
                "the lease at {then}, renewed at {now}"
            );
        }
    }
    l.write(entry("a")?.body("the holder's"), fence, end)
        .await?;
    let second = l.take("a", end.plus(HOLD)).await?;
    ensure!(second > fence, "{second:?} is not larger than {fence:?}");
    Ok(())
}

async fn a_lease_that_has_ended_is_renewed(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let fence = l.take("a", T0).await?;
    let later = T0.plus(HOLD * 2);
    same!(l.renew("a", fence, later).await?, true, "renewal");
    let until = later.plus(HOLD);
    same!(
        l.ask("a", later).await?,
        Lease::Busy { until },
        "second lease"
    );
    Ok(())
}

async fn a_stale_holder_renews_nothing(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    let later = T0.plus(HOLD);
    let second = l.take("a", later).await?;
    let then = later.plus(HOLD / 2);
    same!(l.renew("a", first, then).await?, false, "renewal");
    let until = later.plus(HOLD);
    same!(l.ask("a", then).await?, Lease::Busy { until }, "lease");
    // Nor once the other one has ended.
    same!(l.renew("a", first, until).await?, false, "late renewal");
    l.release("a", second).await?;
    same!(l.renew("a", first, until).await?, false, "last renewal");
    l.take("a", until).await?;
    Ok(())
}

async fn a_lease_given_back_is_not_renewed(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let first = l.take("a", T0).await?;
    l.release("a", first).await?;
    same!(l.renew("a", first, T0).await?, false, "renewal");
    let second = l.take("a", T0).await?;
    ensure!(second > first, "{second:?} is not larger than {first:?}");
    Ok(())
}

async fn a_renewal_is_of_its_address(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let (a, b) = (l.take("a", T0).await?, l.take("b", T0).await?);
    let later = T0.plus(HOLD / 2);
    same!(l.renew("a", a, later).await?, true, "renewal");
    for (id, fence) in [
        ("b", Fence(b.0 + 1)),
        ("b", Fence(b.0 - 1)),
        ("c", a),
        ("c", Fence(0)),
    ] {
        let renewed = l.renew(id, fence, later).await?;
        same!(renewed, false, "renewal of {id:?} by {fence:?}");
    }
    let until = T0.plus(HOLD);
    same!(l.ask("b", later).await?, Lease::Busy { until }, "lease");
    l.take("b", until).await?;
    l.take("c", T0).await?;
    Ok(())
}

async fn a_race_of_renewal_and_others_has_one_winner(subject: &dyn Subject) -> Kept {
    let l = Leased::start(subject).await?;
    let name = Arc::new(l.trial.table.spec().name.clone());
    let end = T0.plus(HOLD);
    for round in 0..16 {
        let id = round.to_string();
        let (fence, at) = (l.take(&id, T0).await?, Arc::new(address(&id)?));
        // Which of them comes last, and so goes on first, is another one in each round.
        let start = Arc::new(Barrier::new(16));
        let tasks = (0..16).map(|nth| {
            let (leases, name, at) = (l.leases.clone(), name.clone(), at.clone());
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                if nth == round {
                    return leases.renew(&name, &at, fence, HOLD, end).await;
                }
                let wish = leases.acquire(&name, &at, HOLD, end).await?;
                Ok(matches!(wish, Lease::Held(_)))
            })
        });
        let mut held = 0;
        for won in try_join_all(tasks.collect::<Vec<_>>()).await? {
            held += u64::from(won?);
        }
        same!(held, 1, "holders in round {round}");
    }
    Ok(())
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
    let other = l.other_handle()?;
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
