//! Trimming: one budget over all tables.
//!
//! A store may note the use of an entry in samples, so the uses here are a day apart, and committed before they count.

use super::{Subject, kit::*};
use crate::{
    Millis, Selection,
    store::{Budget, TableName, TableSpec, Trimmed},
};

promises! {
    a_trim_takes_what_was_used_least_of_all_tables: "trim removes what was used least recently, in whichever table it is.",
    a_trim_keeps_the_budget_of_bytes: "Beyond the budget of bytes, trim removes until all tables together are within it.",
    a_trim_stops_at_its_limit: "trim removes up to its limit; called until it removes nothing, it keeps the budget.",
    a_trim_without_cause_removes_nothing: "trim removes nothing where all tables together are within the budget.",
    a_trim_tells_what_is_held: "trim tells how many entries and bytes all tables hold afterwards.",
    a_trim_covers_tables_that_nobody_has_open: "trim counts and trims tables whose handles are gone.",
    a_trim_leaves_a_tables_own_budget_alone: "trim does not look at the budgets of tables, and a sweep not at that of all.",
}

fn day(n: u32) -> Millis {
    T0.plus(n * DAY)
}

fn entries(n: u64) -> Budget {
    Budget {
        entries: Some(n),
        bytes: None,
    }
}

/// Two tables of one store.
struct Two {
    odd: Trial,
    even: Trial,
}

impl Two {
    /// Writes six entries in turn, a day apart, that never expire: 1, 3, 5 and 2, 4, 6.
    async fn filled(subject: &dyn Subject, body: &'static [u8]) -> Kept<Self> {
        let odd = Trial::with(
            subject,
            &TableSpec {
                ranked: true,
                ..spec()?
            },
        )
        .await?;
        let other = TableSpec {
            name: TableName::new("others")?,
            ..spec()?
        };
        let even = Trial {
            table: odd.store.open(&other).await?,
            store: odd.store.clone(),
        };
        let two = Self { odd, even };
        for n in 1..=6 {
            let t = if n % 2 == 1 { &two.odd } else { &two.even };
            let entry = entry(&n.to_string())?
                .stored(day(n))
                .expires(Millis::MAX)
                .body(body);
            t.write(day(n), [entry]).await?;
        }
        Ok(two)
    }

    async fn trim(&self, most: Budget, limit: u64) -> Kept<Trimmed> {
        self.odd.store.commit().await?;
        Ok(self.odd.store.trim(most, limit).await?)
    }

    /// Returns which entries are held.
    async fn left(&self) -> Kept<String> {
        let mut ids = Vec::new();
        for t in [&self.odd, &self.even] {
            for entry in t.scan(&Selection::default(), day(30)).await? {
                ids.extend(
                    entry
                        .id
                        .address
                        .key
                        .fields()
                        .next()
                        .map(|id| id.to_string()),
                );
            }
        }
        ids.sort();
        Ok(ids.concat().replace('"', ""))
    }
}

async fn a_trim_takes_what_was_used_least_of_all_tables(subject: &dyn Subject) -> Kept {
    let two = Two::filled(subject, b"body").await?;
    two.odd.one(&address("1")?, day(10)).await?;
    let trimmed = two.trim(entries(3), 100).await?;
    same!(trimmed.removed, 3, "entries removed");
    same!(two.left().await?, "156", "entries left");
    Ok(())
}

async fn a_trim_keeps_the_budget_of_bytes(subject: &dyn Subject) -> Kept {
    static BODY: [u8; 10_000] = [b'x'; 10_000];
    let two = Two::filled(subject, &BODY).await?;
    let most = Budget {
        bytes: Some(35_000),
        entries: None,
    };
    same!(two.trim(most, 100).await?.removed, 3, "entries removed");
    same!(two.left().await?, "456", "entries left");
    Ok(())
}

async fn a_trim_stops_at_its_limit(subject: &dyn Subject) -> Kept {
    let two = Two::filled(subject, b"body").await?;
    let removed = two.trim(entries(1), 0).await?.removed;
    same!(removed, 0, "entries removed with a limit of 0");
    let mut trims = Vec::new();
    loop {
        match two.trim(entries(1), 2).await?.removed {
            0 => break,
            n => trims.push(n),
        }
        ensure!(trims.len() < 20, "it does not come to an end: {trims:?}");
    }
    ensure!(
        trims.iter().all(|n| *n <= 2),
        "more than the limit of 2 was removed: {trims:?}"
    );
    same!(two.left().await?, "6", "entries left");
    Ok(())
}

async fn a_trim_without_cause_removes_nothing(subject: &dyn Subject) -> Kept {
    let two = Two::filled(subject, b"body").await?;
    let roomy = Budget {
        bytes: Some(1 << 20),
        entries: Some(6),
    };
    for most in [roomy, Budget::default()] {
        same!(two.trim(most, 100).await?.removed, 0, "entries removed");
    }
    same!(two.left().await?, "123456", "entries left");
    Ok(())
}

async fn a_trim_tells_what_is_held(subject: &dyn Subject) -> Kept {
    let two = Two::filled(subject, b"body").await?;
    let one = two.odd.one(&address("5")?, day(6)).await?.size();
    let held = two.trim(Budget::default(), 100).await?;
    same!((held.entries, held.bytes), (6, 6 * one), "held at first");
    let held = two.trim(entries(4), 100).await?;
    same!(
        (held.entries, held.bytes),
        (4, 4 * one),
        "held after a trim"
    );
    let gone = two
        .even
        .table
        .clear(&Selection::default(), 100, day(6))
        .await?;
    let held = two.trim(Budget::default(), 100).await?;
    same!(held.entries, 4 - gone, "entries held after a clear");
    let replaced = entry("5")?
        .stored(day(7))
        .expires(Millis::MAX)
        .body("longer than before");
    let size = replaced.size();
    two.odd.write(day(7), [replaced]).await?;
    let held = two.trim(entries(1), 100).await?;
    same!(
        (held.entries, held.bytes),
        (1, size),
        "held after a replacement"
    );
    Ok(())
}

async fn a_trim_covers_tables_that_nobody_has_open(subject: &dyn Subject) -> Kept {
    let Two { odd, even } = Two::filled(subject, b"body").await?;
    let spec = even.table.spec().clone();
    drop(even);
    let trimmed = odd.store.trim(entries(2), 100).await?;
    same!(
        (trimmed.removed, trimmed.entries),
        (4, 2),
        "removed and held"
    );
    let even = Trial {
        table: odd.store.open(&spec).await?,
        store: odd.store.clone(),
    };
    same!(Two { odd, even }.left().await?, "56", "entries left");
    Ok(())
}

async fn a_trim_leaves_a_tables_own_budget_alone(subject: &dyn Subject) -> Kept {
    let tight = TableSpec {
        budget: entries(1),
        ..spec()?
    };
    let t = Trial::with(subject, &tight).await?;
    for (n, id) in (0..).zip(["a", "b", "c"]) {
        let entry = entry(id)?.stored(day(n)).expires(Millis::MAX);
        t.write(day(n), [entry]).await?;
    }
    t.store.commit().await?;
    same!(
        t.store.trim(entries(2), 100).await?.removed,
        1,
        "entries trimmed"
    );
    same!(t.table.sweep(100, day(4)).await?, 1, "entries swept");
    same!(t.all(day(4)).await?, 1, "entries left");
    Ok(())
}
