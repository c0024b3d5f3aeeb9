//! Variants: several entries at one address, a bounded number of them.

use super::{Subject, kit::*};
use crate::{Selection, entry::Entry, store::TableSpec};
use std::sync::Arc;

promises! {
    variants_live_together: "All variants at an address are read, each with its own content.",
    a_variant_replaces_only_itself: "Writing a variant leaves the others at its address.",
    any_number_may_name_a_variant: "A variant comes back from the smallest to the largest number.",
    variants_of_addresses_are_apart: "The same variant at another address is another entry.",
    variants_are_entries: "count, scan and clear cover each variant.",
    a_delete_takes_all_variants: "delete removes every variant at an address.",
    the_oldest_variant_makes_room: "Beyond the most variants of an address, the one stored first goes.",
    the_most_variants_may_be_one: "With a most of one, a variant replaces the one before.",
    a_bulk_write_keeps_the_most_too: "Variants written at once are bounded too: those stored last stay.",
    rewriting_a_variant_takes_no_room: "Writing a variant that is held removes no other.",
    the_most_is_for_each_address: "The most variants of one address do not limit another's.",
    variants_expire_one_by_one: "A variant past its keep is gone while the others stay.",
}

async fn variants_live_together(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let of = |i: u128| {
        Ok::<_, Broken>(
            entry("a")?
                .variant(i)
                .label(&i.to_string())
                .body(i.to_string()),
        )
    };
    t.write(T0, [of(0)?, of(2)?]).await?;
    t.write(T0, [of(1)?]).await?;
    let found = t.read(&address("a")?, T0).await?;
    same!(found.len(), 3, "variants read");
    for (got, i) in found.iter().zip(0..) {
        same_entry(got, &of(i)?)?;
    }
    Ok(())
}

async fn a_variant_replaces_only_itself(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.variant(1), entry("a")?.variant(2)])
        .await?;
    let before = t.read(&address("a")?, T0).await?;
    t.write(T0, [entry("a")?.variant(2).body("new")]).await?;
    let after = t.read(&address("a")?, T0).await?;
    same!(after.len(), 2, "variants read");
    same!(after.first(), before.first(), "the other variant");
    same!(
        after.last().map(|e| &e.body[..]),
        Some(&b"new"[..]),
        "body of the variant written"
    );
    Ok(())
}

async fn any_number_may_name_a_variant(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let numbers = [0, 1, u128::from(u64::MAX), 1 << 64, 1 << 127, u128::MAX];
    for n in numbers {
        t.write(T0, [entry("a")?.variant(n).body(n.to_string())])
            .await?;
    }
    let found = t.read(&address("a")?, T0).await?;
    same!(numbers_of(&found), numbers, "variants");
    for e in found {
        same!(e.body, e.id.variant.0.to_string(), "body");
    }
    Ok(())
}

async fn variants_of_addresses_are_apart(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.variant(5), entry("b")?.variant(5)])
        .await?;
    t.write(T0, [entry("a")?.variant(5).body("new")]).await?;
    same_entry(&*t.one(&address("b")?, T0).await?, &entry("b")?.variant(5))
}

async fn variants_are_entries(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(
        T0,
        (0..3)
            .map(|i| Ok(entry("a")?.variant(i)))
            .collect::<Kept<Vec<_>>>()?,
    )
    .await?;
    same!(t.all(T0).await?, 3, "entries counted");
    same!(
        t.scan(&Selection::default(), T0).await?.len(),
        3,
        "entries scanned"
    );
    same!(
        t.table.clear(&Selection::default(), 2, T0).await?,
        2,
        "entries cleared"
    );
    same!(t.read(&address("a")?, T0).await?.len(), 1, "variants left");
    Ok(())
}

async fn a_delete_takes_all_variants(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(
        T0,
        (0..5)
            .map(|i| Ok(entry("a")?.variant(i)))
            .collect::<Kept<Vec<_>>>()?,
    )
    .await?;
    same!(
        t.table.delete(&[address("a")?], T0).await?,
        1,
        "addresses deleted"
    );
    same!(t.all(T0).await?, 0, "entries left");
    Ok(())
}

async fn the_oldest_variant_makes_room(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &most(3)?).await?;
    // Stored in another order than written.
    for (variant, second) in [(1, 20), (2, 10), (3, 30), (4, 40)] {
        t.write(T0, [at_second(variant, second)?]).await?;
    }
    same!(
        numbers_of(&t.read(&address("a")?, T0).await?),
        [1, 3, 4],
        "variants left"
    );
    t.write(T0, [at_second(5, 50)?]).await?;
    same!(
        numbers_of(&t.read(&address("a")?, T0).await?),
        [3, 4, 5],
        "variants left"
    );
    Ok(())
}

async fn the_most_variants_may_be_one(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &most(1)?).await?;
    t.write(T0, [at_second(1, 1)?]).await?;
    t.write(T0, [at_second(2, 2)?]).await?;
    same!(
        numbers_of(&t.read(&address("a")?, T0).await?),
        [2],
        "variants left"
    );
    Ok(())
}

async fn a_bulk_write_keeps_the_most_too(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &most(3)?).await?;
    let many = (1..=9).map(|i| at_second(u128::from(i), i));
    t.write(T0, many.collect::<Kept<Vec<_>>>()?).await?;
    same!(
        numbers_of(&t.read(&address("a")?, T0).await?),
        [7, 8, 9],
        "variants left"
    );
    Ok(())
}

async fn rewriting_a_variant_takes_no_room(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &most(2)?).await?;
    t.write(T0, [at_second(1, 1)?, at_second(2, 2)?]).await?;
    t.write(T0, [at_second(2, 3)?]).await?;
    same!(
        numbers_of(&t.read(&address("a")?, T0).await?),
        [1, 2],
        "variants left"
    );
    Ok(())
}

async fn the_most_is_for_each_address(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &most(1)?).await?;
    let other = crate::entry::Partition::principal("alice")?;
    t.write(T0, [entry("a")?, entry("b")?, entry("a")?.within(other)])
        .await?;
    same!(t.all(T0).await?, 3, "entries held");
    Ok(())
}

async fn variants_expire_one_by_one(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let (early, late) = (
        entry("a")?.variant(1),
        entry("a")?.variant(2).expires(T0.plus(2 * DAY)),
    );
    t.write(T0, [early, late]).await?;
    let now = T0.plus(DAY).plus(KEEP);
    same!(
        numbers_of(&t.read(&address("a")?, now).await?),
        [2],
        "variants left"
    );
    same!(t.table.sweep(10, now).await?, 1, "entries swept");
    same!(
        numbers_of(&t.read(&address("a")?, now).await?),
        [2],
        "variants left after a sweep"
    );
    Ok(())
}

fn most(max_variants: u16) -> Kept<TableSpec> {
    Ok(TableSpec {
        max_variants,
        ..spec()?
    })
}

fn at_second(variant: u128, second: u64) -> Kept<Entry> {
    let at = T0.plus(std::time::Duration::from_secs(second));
    Ok(entry("a")?.variant(variant).stored(at))
}

fn numbers_of(found: &[Arc<Entry>]) -> Vec<u128> {
    found.iter().map(|e| e.id.variant.0).collect()
}
