//! Sweeping and numbers: what is gone is removed, then what the budget does not allow.
//!
//! A store may note the use of an entry in samples, so the uses here are a day apart, and committed before they count.

use super::{Subject, kit::*};
use crate::{
    Millis, Selection,
    store::{Budget, TableSpec},
};

promises! {
    a_sweep_removes_what_is_gone: "sweep removes what is past its keep, returns how many, and leaves the rest.",
    a_sweep_stops_at_its_limit: "sweep removes up to its limit; called until it returns 0, it removes all that is gone.",
    a_sweep_without_cause_removes_nothing: "sweep removes nothing where nothing is gone and the budget is kept.",
    a_budget_of_entries_is_kept: "Beyond the budget of entries, those used least recently are swept.",
    a_budget_of_bytes_is_kept: "Beyond the budget of bytes, those used least recently are swept.",
    being_read_is_being_used: "An entry that was read lately is not the first to go.",
    a_budget_is_of_one_table: "A table's budget does not concern the others.",
    what_is_gone_goes_before_the_budget: "What is past its keep is swept first, and does not count for the budget afterwards.",
    numbers_are_of_what_is_retained: "stats counts retained entries, expired ones, and when the oldest and the newest were stored.",
    bytes_are_counted: "stats counts the bytes of header lines, URLs and bodies, within a tenth where it says that it is exact.",
    ages_are_those_of_retained_entries: "stats tells how long ago entries were stored and how soon they expire, in spans of an hour, a day, a week and 30 days.",
    an_empty_table_has_no_numbers: "stats of an empty table are zeros, without an oldest or newest.",
}

fn day(n: u32) -> Millis {
    T0.plus(n * DAY)
}

fn with_budget(entries: Option<u64>, bytes: Option<u64>) -> Kept<TableSpec> {
    Ok(TableSpec {
        budget: Budget { bytes, entries },
        ..spec()?
    })
}

/// Writes five entries, a day apart, that never expire.
async fn a_day_apart(t: &Trial, body: &'static [u8]) -> Kept {
    for (n, id) in (0..).zip(["a", "b", "c", "d", "e"]) {
        let entry = entry(id)?.stored(day(n)).expires(Millis::MAX).body(body);
        t.write(day(n), [entry]).await?;
    }
    Ok(())
}

/// Sweeps until nothing is left to sweep, and returns which entries of [`a_day_apart`] are held.
async fn swept(t: &Trial, now: Millis) -> Kept<String> {
    t.store.commit().await?;
    while t.table.sweep(100, now).await? > 0 {}
    let left = t.scan(&Selection::default(), now).await?;
    let mut ids = String::new();
    for entry in left {
        if let Some(crate::FieldRef::Text(id)) = entry.id.address.key.fields().next() {
            ids.push_str(id);
        }
    }
    Ok(ids)
}

async fn a_sweep_removes_what_is_gone(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let now = T0.plus(DAY).plus(KEEP);
    t.write(T0, [entry("gone")?, entry("gone too")?]).await?;
    t.write(
        T0,
        [
            entry("expired")?.expires(day(2)),
            entry("live")?.expires(day(60)),
        ],
    )
    .await?;
    same!(t.table.sweep(100, now).await?, 2, "entries swept");
    same!(t.table.sweep(100, now).await?, 0, "entries swept again");
    same!(t.all(now).await?, 2, "entries left");
    // Nothing of them is left behind for an earlier time to see.
    same!(t.all(T0).await?, 2, "entries left, seen from before");
    Ok(())
}

async fn a_sweep_stops_at_its_limit(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(
        T0,
        (0..10)
            .map(|i| entry(&i.to_string()))
            .collect::<Kept<Vec<_>>>()?,
    )
    .await?;
    let now = T0.plus(DAY).plus(KEEP);
    same!(
        t.table.sweep(0, now).await?,
        0,
        "entries swept with a limit of 0"
    );
    let mut swept = Vec::new();
    loop {
        match t.table.sweep(4, now).await? {
            0 => break,
            n => swept.push(n),
        }
        ensure!(swept.len() < 20, "it does not come to an end: {swept:?}");
    }
    ensure!(
        swept.iter().all(|n| *n <= 4),
        "more than the limit of 4 was swept: {swept:?}"
    );
    same!(swept.iter().sum::<u64>(), 10, "entries swept");
    Ok(())
}

async fn a_sweep_without_cause_removes_nothing(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &with_budget(Some(5), Some(1 << 20))?).await?;
    a_day_apart(&t, b"body").await?;
    same!(swept(&t, day(5)).await?, "abcde", "entries left");
    Ok(())
}

async fn a_budget_of_entries_is_kept(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &with_budget(Some(3), None)?).await?;
    a_day_apart(&t, b"body").await?;
    same!(swept(&t, day(5)).await?, "cde", "entries left");
    Ok(())
}

async fn a_budget_of_bytes_is_kept(subject: &dyn Subject) -> Kept {
    static BODY: [u8; 10_000] = [b'x'; 10_000];
    let t = Trial::with(subject, &with_budget(None, Some(25_000))?).await?;
    a_day_apart(&t, &BODY).await?;
    same!(swept(&t, day(5)).await?, "de", "entries left");
    Ok(())
}

async fn being_read_is_being_used(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &with_budget(Some(3), None)?).await?;
    a_day_apart(&t, b"body").await?;
    t.one(&address("a")?, day(10)).await?;
    t.one(&address("c")?, day(11)).await?;
    same!(swept(&t, day(12)).await?, "ace", "entries left");
    Ok(())
}

async fn a_budget_is_of_one_table(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &with_budget(Some(1), None)?).await?;
    let roomy = TableSpec {
        budget: Budget::default(),
        name: crate::store::TableName::new("roomy")?,
        ..spec()?
    };
    let other = Trial {
        table: t.store.open(&roomy).await?,
        store: t.store.clone(),
    };
    a_day_apart(&other, b"body").await?;
    a_day_apart(&t, b"body").await?;
    same!(swept(&t, day(5)).await?, "e", "entries left");
    same!(
        swept(&other, day(5)).await?,
        "abcde",
        "entries left in the other table"
    );
    Ok(())
}

async fn what_is_gone_goes_before_the_budget(subject: &dyn Subject) -> Kept {
    let t = Trial::with(subject, &with_budget(Some(3), None)?).await?;
    a_day_apart(&t, b"body").await?;
    // The two used last are the ones that are gone.
    for id in ["d", "e"] {
        t.write(day(5), [entry(id)?.expires(T0.minus(KEEP))])
            .await?;
    }
    same!(swept(&t, day(6)).await?, "abc", "entries left");
    Ok(())
}

async fn numbers_are_of_what_is_retained(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(
        T0,
        [entry("gone")?
            .stored(T0.minus(2 * KEEP))
            .expires(T0.minus(KEEP))],
    )
    .await?;
    t.write(
        T0,
        [
            entry("old")?.stored(T0.minus(3 * DAY)),
            entry("new")?.stored(T0),
        ],
    )
    .await?;
    t.write(T0, [entry("mid")?.stored(T0.minus(2 * DAY)).variant(4)])
        .await?;
    let stats = t.table.stats(T0).await?;
    if stats.exact {
        same!(
            (stats.entries, stats.expired),
            (3, 2),
            "entries and expired ones"
        );
        same!(stats.oldest, Some(T0.minus(3 * DAY)), "oldest");
        same!(stats.newest, Some(T0), "newest");
    }
    Ok(())
}

async fn bytes_are_counted(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let mut wanted = 0;
    for id in ["a", "b"] {
        let entry = entry(id)?
            .body(vec![0; 30_000])
            .head(head(200, &[("x", &[b'x'; 5000])])?);
        wanted += entry.size();
        t.write(T0, [entry]).await?;
    }
    // What is replaced does not count.
    t.write(
        T0,
        [entry("a")?
            .body(vec![1; 30_000])
            .head(head(200, &[("x", &[b'x'; 5000])])?)],
    )
    .await?;
    let stats = t.table.stats(T0).await?;
    if stats.exact {
        let near = stats.bytes.abs_diff(wanted) <= wanted / 10;
        ensure!(
            near,
            "stats says {} bytes, written were {wanted}",
            stats.bytes
        );
    }
    t.table.clear(&Selection::default(), 10, T0).await?;
    let stats = t.table.stats(T0).await?;
    ensure!(
        !stats.exact || stats.bytes == 0,
        "an empty table has {} bytes",
        stats.bytes
    );
    Ok(())
}

async fn ages_are_those_of_retained_entries(subject: &dyn Subject) -> Kept {
    let hour = std::time::Duration::from_secs(3_600);
    let t = Trial::start(subject).await?;
    let now = T0.plus(100 * DAY);
    let ago = |by| now.minus(by);
    t.write(
        T0,
        [
            entry("gone")?.stored(T0).expires(now.minus(KEEP)),
            entry("expired")?.stored(ago(40 * DAY)).expires(now),
            entry("never")?.stored(ago(2 * DAY)).expires(Millis::MAX),
            entry("soon")?.stored(ago(hour)).expires(now.plus(MS)),
            entry("new")?.stored(now).expires(now.plus(30 * DAY)),
            entry("later")?
                .stored(ago(hour - MS))
                .expires(now.plus(8 * DAY)),
        ],
    )
    .await?;
    let size = t.one(&address("new")?, now).await?.size();
    let ages = t.table.stats(now).await?.ages;
    if ages.exact {
        let entries = |shares: [crate::store::Share; 5]| shares.map(|share| share.entries);
        same!(
            entries(ages.stored),
            [2, 1, 1, 0, 1],
            "stored within each span"
        );
        same!(
            entries(ages.expires),
            [1, 0, 0, 1, 2],
            "that expire within each span"
        );
        let bytes = ages.expires.map(|share| share.bytes);
        ensure!(
            bytes.iter().sum::<u64>() > 3 * size && bytes[1] == 0,
            "bytes that expire within each span: {bytes:?}"
        );
    }
    Ok(())
}

async fn an_empty_table_has_no_numbers(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let stats = t.table.stats(T0).await?;
    same!(
        (stats.entries, stats.expired, stats.bytes),
        (0, 0, 0),
        "entries, expired, bytes"
    );
    same!(
        (stats.oldest, stats.newest),
        (None, None),
        "oldest and newest"
    );
    Ok(())
}
