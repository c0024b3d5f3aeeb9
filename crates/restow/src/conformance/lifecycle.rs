//! The life of a store: its secret, commit, close, and what it is when it is opened again.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Millis, Selection,
    entry::{Entry, Partition},
    store::{Parts, TableName},
};
use futures_util::{StreamExt, future::try_join_all};

promises! {
    a_store_says_what_it_is: "kind() is a word, and Display is not empty.",
    stores_are_apart: "Two fresh stores share no table and no entry.",
    the_secret_stays: "secret() gives the same every time, and is not all zeros.",
    the_secret_is_made_once: "Concurrent first calls of secret() all give the same.",
    secrets_differ: "Two fresh stores have different secrets.",
    an_empty_store_adopts_a_secret: "adopt_secret() in a store without tables gives it that secret, asked for its own before or not; once more is the same.",
    a_store_in_use_keeps_its_secret: "adopt_secret() in a store that has a table changes nothing, and is true only for the secret it has.",
    a_secret_is_adopted_once: "Of concurrent calls of adopt_secret() and open(), one of those asked for stays, and everybody who opened a table sees it.",
    commit_waits_for_what_was_written: "commit() succeeds, with and without something to commit, and leaves what was written.",
    a_closed_store_says_so: "After close(), every call of the store is an error of kind Closed.",
    a_table_of_a_closed_store_says_so: "After close(), every call of a table is an error of kind Closed.",
    closing_twice_does_nothing: "A second close() succeeds.",
    closing_one_store_leaves_others: "Closing a store leaves another one open.",
    entries_outlive_a_close: "Reopened, a durable store has its entries, whole, with their generations.",
    tables_outlive_a_close: "Reopened, a durable store lists its tables with their specs before any of them is opened.",
    the_secret_outlives_a_close: "Reopened, a durable store has the same secret.",
    an_adopted_secret_outlives_a_close: "Reopened, a durable store has the secret that it adopted.",
    removals_outlive_a_close: "Reopened, a durable store does not have what was deleted, cleared, swept or removed.",
    renewals_outlive_a_close: "Reopened, a durable store has the renewed meta, and takes a renewal of the generation read before.",
    a_store_may_be_reopened_many_times: "A durable store that is reopened again and again keeps what each life wrote.",
}

async fn a_store_says_what_it_is(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let kind = store.kind();
    let is_word = !kind.is_empty()
        && kind
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ensure!(is_word, "{kind:?} is not a word in lower case");
    ensure!(!store.to_string().is_empty(), "Display is empty");
    Ok(())
}

async fn stores_are_apart(subject: &dyn Subject) -> Kept {
    let (one, two) = (Trial::start(subject).await?, Trial::start(subject).await?);
    one.write(T0, [entry("a")?]).await?;
    same!(two.all(T0).await?, 0, "entries in the other store");
    one.store.remove(&spec()?.name).await?;
    same!(
        two.store.tables().await?.len(),
        1,
        "tables in the other store"
    );
    Ok(())
}

async fn the_secret_stays(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let secret = store.secret().await?;
    ensure!(secret != [0; 32], "the secret is all zeros");
    same!(
        store.secret().await? == secret,
        true,
        "whether the secret is the same again"
    );
    store.open(&spec()?).await?;
    same!(
        store.secret().await? == secret,
        true,
        "whether the secret is the same with a table"
    );
    Ok(())
}

async fn the_secret_is_made_once(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let tasks = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.secret().await })
    });
    let mut secrets = Vec::new();
    for secret in try_join_all(tasks.collect::<Vec<_>>()).await? {
        secrets.push(secret?);
    }
    secrets.dedup();
    same!(secrets.len(), 1, "different secrets");
    Ok(())
}

async fn secrets_differ(subject: &dyn Subject) -> Kept {
    let (one, two) = (subject.fresh().await?, subject.fresh().await?);
    ensure!(
        one.secret().await? != two.secret().await?,
        "two stores have one secret"
    );
    Ok(())
}

async fn an_empty_store_adopts_a_secret(subject: &dyn Subject) -> Kept {
    let (asked, fresh) = (subject.fresh().await?, subject.fresh().await?);
    asked.secret().await?;
    for store in [asked, fresh] {
        for secret in [[7; 32], [8; 32], [8; 32]] {
            same!(store.adopt_secret(&secret).await?, true, "adopted");
            ensure!(store.secret().await? == secret, "the secret is another");
        }
        store.open(&spec()?).await?;
        ensure!(
            store.secret().await? == [8; 32],
            "with a table, the secret is another"
        );
    }
    Ok(())
}

async fn a_store_in_use_keeps_its_secret(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let secret = t.store.secret().await?;
    same!(t.store.adopt_secret(&[7; 32]).await?, false, "adopted");
    same!(
        t.store.adopt_secret(&secret).await?,
        true,
        "its own, adopted"
    );
    ensure!(t.store.secret().await? == secret, "the secret is another");
    t.store.remove(&spec()?.name).await?;
    same!(
        t.store.adopt_secret(&[7; 32]).await?,
        true,
        "adopted once the table is removed"
    );
    ensure!(t.store.secret().await? == [7; 32], "the secret is another");
    Ok(())
}

async fn a_secret_is_adopted_once(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let tasks = (1..=8_u8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let adopted = store.adopt_secret(&[n; 32]).await?;
            store.open(&spec()?).await?;
            let secret = store.secret().await?;
            Kept::Ok((adopted, secret))
        })
    });
    let mut all = Vec::new();
    for done in try_join_all(tasks.collect::<Vec<_>>()).await? {
        all.push(done?);
    }
    let stays = store.secret().await?;
    ensure!(
        all.iter().all(|(_, secret)| *secret == stays),
        "once there was a table, the secret was not the same for all"
    );
    ensure!(
        all.iter().any(|(adopted, _)| *adopted)
            && stays
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a == b)),
        "nobody's secret was adopted"
    );
    Ok(())
}

async fn commit_waits_for_what_was_written(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.store.commit().await?;
    t.write(T0, [entry("a")?]).await?;
    t.store.commit().await?;
    t.store.commit().await?;
    same_entry(&*t.one(&address("a")?, T0).await?, &entry("a")?)
}

async fn a_closed_store_says_so(subject: &dyn Subject) -> Kept {
    let Trial { store, .. } = Trial::start(subject).await?;
    store.close().await?;
    let closed = ErrorKind::Closed;
    fails(store.open(&spec()?).await, closed, "open")?;
    fails(store.tables().await, closed, "tables")?;
    fails(
        store.remove(&TableName::new("tracks")?).await,
        closed,
        "remove",
    )?;
    fails(store.secret().await, closed, "secret")?;
    fails(store.adopt_secret(&[7; 32]).await, closed, "adopt_secret")?;
    fails(store.commit().await, closed, "commit")?;
    Ok(())
}

async fn a_table_of_a_closed_store_says_so(subject: &dyn Subject) -> Kept {
    let Trial { store, table } = Trial::start(subject).await?;
    let entry = entry("a")?;
    table.write(&writes([entry.clone()]), T0).await?;
    store.close().await?;
    let (closed, which) = (ErrorKind::Closed, Selection::default());
    let at = [address("a")?];
    let [one] = &at;
    fails(table.read(one, Parts::Whole, T0).await, closed, "read")?;
    fails(
        table.read_many(&at, Parts::Meta, T0).await,
        closed,
        "read_many",
    )?;
    fails(
        table.write(&writes([entry.clone()]), T0).await,
        closed,
        "write",
    )?;
    fails(
        table
            .renew(&[renewal(&entry, entry.meta.clone())], T0)
            .await,
        closed,
        "renew",
    )?;
    fails(table.delete(&at, T0).await, closed, "delete")?;
    fails(table.count(&which, T0).await, closed, "count")?;
    fails(table.clear(&which, 10, T0).await, closed, "clear")?;
    fails(table.sweep(10, T0).await, closed, "sweep")?;
    fails(table.pending_columns().await, closed, "pending_columns")?;
    fails(table.columns_filled(&[]).await, closed, "columns_filled")?;
    fails(table.stats(T0).await, closed, "stats")?;
    match table.scan(&which, Parts::Whole, T0).next().await {
        Some(first) => fails(first, closed, "scan").map(drop),
        None => Err(Broken::Because(
            "scan: it ended, it should fail with Closed".to_owned(),
        )),
    }
}

async fn closing_twice_does_nothing(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.store.close().await?;
    t.store.close().await?;
    fails(t.store.tables().await, ErrorKind::Closed, "tables")?;
    Ok(())
}

async fn closing_one_store_leaves_others(subject: &dyn Subject) -> Kept {
    let (one, two) = (Trial::start(subject).await?, Trial::start(subject).await?);
    one.store.close().await?;
    two.comes_back(entry("a")?).await?;
    Ok(())
}

async fn entries_outlive_a_close(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let entries = [
        entry("a")?
            .label("l")
            .columns("x", 1)
            .tags(&["t", "u"])
            .body(vec![0, 255]),
        entry("a")?.variant(7).body(""),
        entry("a")?
            .within(Partition::principal("alice")?)
            .expires(Millis::MAX),
        entry("expired")?
            .expires(T0.minus(DAY))
            .head(head(404, &[])?),
    ];
    t.write(T0, entries).await?;
    let before = t.scan(&Selection::default(), T0).await?;
    let t = t.reopen(subject).await?;
    same!(t.scan(&Selection::default(), T0).await?, before, "entries");
    same!(t.all(T0).await?, 4, "entries held");
    Ok(())
}

async fn tables_outlive_a_close(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let before = t.store.tables().await?;
    let store = t.reopen(subject).await?.store;
    same!(store.tables().await?, before, "tables");
    Ok(())
}

async fn the_secret_outlives_a_close(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let before = t.store.secret().await?;
    let after = t.reopen(subject).await?.store.secret().await?;
    ensure!(before == after, "the secret is another");
    Ok(())
}

async fn an_adopted_secret_outlives_a_close(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    same!(store.adopt_secret(&[7; 32]).await?, true, "adopted");
    let t = Trial {
        table: store.open(&spec()?).await?,
        store,
    };
    let after = t.reopen(subject).await?.store.secret().await?;
    ensure!(after == [7; 32], "the secret is another");
    Ok(())
}

async fn removals_outlive_a_close(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let gone = entry("swept")?.expires(T0.minus(KEEP));
    t.write(
        T0,
        [entry("deleted")?, entry("cleared")?, gone, entry("kept")?],
    )
    .await?;
    t.table.delete(&[address("deleted")?], T0).await?;
    t.table
        .clear(&Selection::default().eq("id", "cleared"), 10, T0)
        .await?;
    t.table.sweep(10, T0).await?;
    let t = t.reopen(subject).await?;
    let left = t.scan(&Selection::default(), T0.minus(KEEP)).await?;
    same!(
        ids(left.iter().map(|e| &**e)),
        ids([&entry("kept")?]),
        "entries left"
    );
    t.store.remove(&spec()?.name).await?;
    let t = t.reopen(subject).await?;
    same!(t.all(T0).await?, 0, "entries of the removed table");
    Ok(())
}

async fn renewals_outlive_a_close(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?, entry("b")?]).await?;
    let (a, b) = (
        t.one(&address("a")?, T0).await?,
        t.one(&address("b")?, T0).await?,
    );
    let renewed = |read: &Entry| {
        let mut meta = read.meta.clone();
        meta.expires_at = T0.plus(2 * DAY);
        meta.label = Some("renewed".into());
        meta
    };
    same!(t.renew(T0, &a, renewed(&a)).await?, 1, "entries renewed");
    let t = t.reopen(subject).await?;
    same!(t.renew(T0, &a, a.meta.clone()).await?, 0, "late renewals");
    same!(
        t.renew(T0, &b, renewed(&b)).await?,
        1,
        "entries renewed after a restart"
    );
    for id in ["a", "b"] {
        let label = t.one(&address(id)?, T0).await?.meta.label.clone();
        same!(label.as_deref(), Some("renewed"), "label of {id}");
    }
    Ok(())
}

async fn a_store_may_be_reopened_many_times(subject: &dyn Subject) -> Kept {
    let mut t = Trial::start(subject).await?;
    for life in 0..5 {
        t.write(T0, [entry(&life.to_string())?]).await?;
        t = t.reopen(subject).await?;
        same!(t.all(T0).await?, life + 1, "entries in life {life}");
    }
    Ok(())
}
