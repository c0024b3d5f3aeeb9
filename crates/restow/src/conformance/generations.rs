//! Generations and renewals: a late 304 never touches a newer entry.

use super::{Subject, kit::*};
use crate::{
    Millis, Scope, Selection,
    entry::{Entry, Generation, Meta},
};
use std::sync::Arc;

promises! {
    the_store_gives_the_generation: "An entry is given a generation by the store, whatever it was written with.",
    reading_keeps_the_generation: "The generation is the same for every read, scan and part until the entry is written or renewed.",
    every_write_is_a_new_generation: "Writing an entry again makes its generation larger, with the same body too.",
    a_renewal_is_a_new_generation: "Renewing an entry makes its generation larger.",
    a_renewal_puts_the_new_meta: "A renewed entry has the new header lines, status, url, times, label, columns and tags.",
    a_renewal_keeps_the_body: "A renewed entry has its body, and the body fits its seal.",
    a_renewed_entry_is_selected_by_its_new_meta: "Selections find a renewed entry by its new tags, columns and status, and not by its old ones.",
    a_renewal_makes_an_expired_entry_live: "Renewing an expired entry with a later expiry makes it live.",
    a_late_renewal_is_not_applied: "A renewal that names an older generation changes nothing and is not counted.",
    one_of_two_renewals_is_applied: "Of two renewals that name the same generation, one is applied.",
    a_renewal_of_the_unknown_is_not_applied: "A renewal of an address or variant that is not held makes no entry.",
    renewals_are_counted: "renew returns how many were applied, and applies those that fit though others do not.",
    a_deleted_entry_is_another_when_it_returns: "What was deleted and written again never has the generation it had.",
    a_cleared_entry_is_another_when_it_returns: "What was cleared or swept and written again never has the generation it had.",
    a_renewal_is_of_one_variant: "Renewing a variant leaves the others at its address.",
}

/// Writes `a` and reads it.
async fn written(t: &Trial) -> Kept<Arc<Entry>> {
    t.write(
        T0,
        [entry("a")?.label("old").columns("old", 1).tags(&["old"])],
    )
    .await?;
    t.one(&address("a")?, T0).await
}

/// Returns the meta that a 304 makes of the one read.
fn confirmed(read: &Entry, now: Millis) -> Kept<Meta> {
    let mut meta = read.meta.clone();
    meta.head = Arc::new(head_from(
        203,
        &[("etag", b"\"2\""), ("x-new", b"1")],
        Some("https://new.example.com/"),
    )?);
    meta.checked_at = now;
    meta.expires_at = now.plus(2 * DAY);
    meta.label = Some("new".into());
    meta.columns = Arc::new(["new".into(), 2.into()]);
    meta.tags = Arc::new(["new".into(), "newer".into()]);
    Ok(meta)
}

async fn the_store_gives_the_generation(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let mut ours = entry("a")?;
    ours.generation = Generation(7);
    t.write(T0, [ours, entry("b")?]).await?;
    let (a, b) = (
        t.one(&address("a")?, T0).await?,
        t.one(&address("b")?, T0).await?,
    );
    ensure!(
        a.generation != Generation(7),
        "the generation is the one it was written with"
    );
    for e in [&a, &b] {
        ensure!(
            e.generation != Generation::UNKNOWN,
            "there is no generation"
        );
    }
    ensure!(
        a.generation != b.generation,
        "two new entries have one generation"
    );
    Ok(())
}

async fn reading_keeps_the_generation(subject: &dyn Subject) -> Kept {
    use crate::store::Parts;
    let t = Trial::start(subject).await?;
    let first = written(&t).await?.generation;
    for parts in [Parts::Meta, Parts::Body, Parts::Whole] {
        for found in t.table.read(&address("a")?, parts, T0).await? {
            same!(found.generation, first, "generation in {parts:?}");
        }
    }
    for found in t.scan(&Selection::default(), T0).await? {
        same!(found.generation, first, "generation in a scan");
    }
    Ok(())
}

async fn every_write_is_a_new_generation(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let mut before = written(&t).await?.generation;
    for body in ["one", "one", "two"] {
        t.write(T0, [entry("a")?.body(body)]).await?;
        let after = t.one(&address("a")?, T0).await?.generation;
        ensure!(after > before, "{after:?} is not larger than {before:?}");
        before = after;
    }
    Ok(())
}

async fn a_renewal_is_a_new_generation(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let before = written(&t).await?;
    same!(
        t.renew(T0, &before, before.meta.clone()).await?,
        1,
        "entries renewed"
    );
    let after = t.one(&address("a")?, T0).await?;
    ensure!(
        after.generation > before.generation,
        "{:?} is not larger than {:?}",
        after.generation,
        before.generation
    );
    same!(
        t.renew(T0, &after, after.meta.clone()).await?,
        1,
        "entries renewed again"
    );
    Ok(())
}

async fn a_renewal_puts_the_new_meta(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    let now = T0.plus(DAY);
    let meta = confirmed(&read, now)?;
    same!(
        t.renew(now, &read, meta.clone()).await?,
        1,
        "entries renewed"
    );
    same_meta(&t.one(&address("a")?, now).await?.meta, &meta)
}

async fn a_renewal_keeps_the_body(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    same!(
        t.renew(T0, &read, confirmed(&read, T0)?).await?,
        1,
        "entries renewed"
    );
    let renewed = t.one(&address("a")?, T0).await?;
    same!(renewed.body, read.body, "body");
    ensure!(renewed.is_intact(), "the body does not fit its seal");
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn a_renewed_entry_is_selected_by_its_new_meta(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    t.renew(T0, &read, confirmed(&read, T0)?).await?;
    let tag = |tag: &str| Selection {
        tag: Some(tag.into()),
        ..Selection::default()
    };
    let status = |status| {
        Selection {
            status: Some(status),
            ..Selection::default()
        }
        .scan()
    };
    let artist = |artist| Selection::default().eq("artist", artist);
    for (which, wanted) in [
        (tag("old"), 0),
        (tag("new"), 1),
        (tag("newer"), 1),
        (status(200), 0),
        (status(203), 1),
        (artist("old"), 0),
        (artist("new"), 1),
    ] {
        same!(t.count(&which, T0).await?, wanted, "entries in {which:?}");
    }
    Ok(())
}

async fn a_renewal_makes_an_expired_entry_live(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    let now = T0.plus(2 * DAY);
    same!(
        t.count(&Selection::new(Scope::Live), now).await?,
        0,
        "live before"
    );
    same!(
        t.renew(now, &read, confirmed(&read, now)?).await?,
        1,
        "entries renewed"
    );
    same!(
        t.count(&Selection::new(Scope::Live), now).await?,
        1,
        "live afterwards"
    );
    Ok(())
}

async fn a_late_renewal_is_not_applied(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    t.write(T0, [entry("a")?.body("newer")]).await?;
    let newer = t.one(&address("a")?, T0).await?;
    same!(
        t.renew(T0, &read, confirmed(&read, T0)?).await?,
        0,
        "entries renewed"
    );
    same!(
        t.one(&address("a")?, T0).await?,
        newer,
        "entry after a late renewal"
    );
    Ok(())
}

async fn one_of_two_renewals_is_applied(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    same!(
        t.renew(T0, &read, confirmed(&read, T0)?).await?,
        1,
        "entries renewed"
    );
    let renewed = t.one(&address("a")?, T0).await?;
    same!(
        t.renew(T0, &read, read.meta.clone()).await?,
        0,
        "entries renewed again"
    );
    same!(
        t.one(&address("a")?, T0).await?,
        renewed,
        "entry after the second"
    );
    // In one call it is no different.
    let both = [
        renewal(&renewed, renewed.meta.clone()),
        renewal(&renewed, read.meta.clone()),
    ];
    same!(
        t.table.renew(&both, T0).await?,
        1,
        "entries renewed in one call"
    );
    Ok(())
}

async fn a_renewal_of_the_unknown_is_not_applied(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    let mut elsewhere = Entry::clone(&read);
    elsewhere.id.address = address("b")?;
    let variant = Entry::clone(&read).variant(1);
    for unknown in [elsewhere, variant] {
        same!(
            t.renew(T0, &unknown, read.meta.clone()).await?,
            0,
            "entries renewed"
        );
    }
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn renewals_are_counted(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?, entry("b")?, entry("c")?]).await?;
    let mut renewals = Vec::new();
    for id in ["a", "b", "c"] {
        let read = t.one(&address(id)?, T0).await?;
        renewals.push(renewal(&read, confirmed(&read, T0)?));
    }
    t.write(T0, [entry("b")?]).await?;
    same!(t.table.renew(&renewals, T0).await?, 2, "entries renewed");
    for (id, status) in [("a", 203), ("b", 200), ("c", 203)] {
        same!(
            t.one(&address(id)?, T0).await?.meta.head.status().as_u16(),
            status,
            "status of {id}"
        );
    }
    Ok(())
}

async fn a_deleted_entry_is_another_when_it_returns(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let mut seen = Vec::new();
    for round in 0..20 {
        let read = written(&t).await?;
        ensure!(
            !seen.contains(&read.generation),
            "the generation of round {round} was there before"
        );
        seen.push(read.generation);
        t.table.delete(&[address("a")?], T0).await?;
        t.write(T0, [entry("a")?.body("new")]).await?;
        same!(
            t.renew(T0, &read, confirmed(&read, T0)?).await?,
            0,
            "entries renewed"
        );
        same!(
            t.table.delete(&[address("a")?], T0).await?,
            1,
            "addresses deleted"
        );
    }
    Ok(())
}

async fn a_cleared_entry_is_another_when_it_returns(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let read = written(&t).await?;
    t.table.clear(&Selection::default(), 10, T0).await?;
    t.write(T0, [entry("a")?]).await?;
    same!(
        t.renew(T0, &read, confirmed(&read, T0)?).await?,
        0,
        "entries renewed after a clear"
    );
    let read = t.one(&address("a")?, T0).await?;
    let later = T0.plus(DAY).plus(KEEP);
    same!(t.table.sweep(10, later).await?, 1, "entries swept");
    t.write(later, [entry("a")?.stored(later)]).await?;
    same!(
        t.renew(later, &read, confirmed(&read, later)?).await?,
        0,
        "entries renewed after a sweep"
    );
    Ok(())
}

async fn a_renewal_is_of_one_variant(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.variant(1), entry("a")?.variant(2)])
        .await?;
    let before = t.read(&address("a")?, T0).await?;
    let [first, second] = before.as_slice() else {
        return Err(Broken::Because(format!(
            "got {} variants, wanted 2",
            before.len()
        )));
    };
    same!(
        t.renew(T0, first, confirmed(first, T0)?).await?,
        1,
        "entries renewed"
    );
    let after = t.read(&address("a")?, T0).await?;
    same!(after.last(), Some(second), "the other variant");
    Ok(())
}
