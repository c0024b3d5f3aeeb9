//! Races: many tasks at once, and futures that are dropped halfway.

use super::{Subject, kit::*};
use crate::{
    Selection,
    entry::{Entry, Partition},
    store::{Parts, Table},
};
use futures_util::{future::try_join_all, poll};
use std::{pin::pin, sync::Arc};

promises! {
    tasks_write_side_by_side: "64 tasks that write different entries leave all of them.",
    the_last_write_is_whole: "Of 64 tasks that write one entry, one leaves its head, body, label and tags together.",
    readers_never_see_a_mix: "Readers beside writers find an entry whole: the head of one write with its own body, and never none.",
    one_renewal_wins: "Of 64 tasks that renew one generation, one succeeds.",
    one_delete_counts: "Of 64 tasks that delete one address, one finds something.",
    clears_share_the_work: "Concurrent clears remove each entry once: their numbers add up.",
    variants_are_written_side_by_side: "Tasks that write variants of one address leave all of them.",
    partitions_are_written_side_by_side: "Tasks that write one key in many partitions leave all of them.",
    a_table_is_opened_once: "Concurrent opens of one table all succeed, and are one table.",
    a_dropped_write_is_all_or_none: "A write that is dropped while it waits has written all of its entries or none, for good.",
    dropped_calls_leave_the_store_usable: "Hundreds of calls that are dropped while they wait take nothing away from the calls that follow.",
    a_close_may_meet_calls: "Calls that meet a close succeed or say Closed; none of them hangs.",
}

const TASKS: u64 = 64;

/// Runs a task for each number at once, and returns what they return.
async fn at_once<T, F>(t: &Trial, task: impl Fn(Arc<dyn Table>, u64) -> F) -> Kept<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Kept<T>> + Send + 'static,
{
    let tasks = (0..TASKS).map(|n| tokio::spawn(task(t.table.clone(), n)));
    let results = try_join_all(tasks.collect::<Vec<_>>()).await?;
    results.into_iter().collect()
}

/// An entry of `a` whose every part says `n`.
fn marked(n: u64) -> Kept<Entry> {
    let mark = n.to_string();
    Ok(entry("a")?
        .head(head(200, &[("etag", mark.as_bytes())])?)
        .body(mark.repeat(500))
        .label(&mark)
        .columns(mark.clone(), i64::try_from(n).unwrap_or(0))
        .tags(&[&mark]))
}

/// Checks that all parts of an entry say the same.
fn is_whole(found: &Entry) -> Kept {
    let label = found.meta.label.as_deref().unwrap_or_default();
    let n = label
        .parse()
        .map_err(|_| Broken::Because(format!("the label is {label:?}")))?;
    let wanted = marked(n)?;
    same!(found.body, wanted.body, "body beside the label {label}");
    same!(
        found.meta.head,
        wanted.meta.head,
        "head beside the label {label}"
    );
    same!(
        found.meta.columns,
        wanted.meta.columns,
        "columns beside the label {label}"
    );
    same!(
        found.meta.tags,
        wanted.meta.tags,
        "tags beside the label {label}"
    );
    ensure!(found.is_intact(), "the body does not fit its seal");
    Ok(())
}

async fn tasks_write_side_by_side(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    at_once(&t, |table, n| async move {
        for i in 0..4 {
            table
                .write(&writes([entry(&format!("{n}-{i}"))?]), T0)
                .await?;
        }
        Ok(())
    })
    .await?;
    same!(t.all(T0).await?, 4 * TASKS, "entries held");
    Ok(())
}

async fn the_last_write_is_whole(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    at_once(&t, |table, n| async move {
        Ok(table.write(&writes([marked(n)?]), T0).await?)
    })
    .await?;
    is_whole(&*t.one(&address("a")?, T0).await?)?;
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn readers_never_see_a_mix(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [marked(0)?]).await?;
    at_once(&t, |table, n| async move {
        for i in 0..8 {
            if n % 4 == 0 {
                table.write(&writes([marked(n * 8 + i)?]), T0).await?;
                continue;
            }
            let found = sorted(table.read(&address("a")?, Parts::Whole, T0).await?);
            same!(found.len(), 1, "entries found beside writers");
            for entry in found {
                is_whole(&entry)?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}

async fn one_renewal_wins(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let read = t.one(&address("a")?, T0).await?;
    let won = at_once(&t, |table, n| {
        let read = read.clone();
        async move {
            let mut meta = read.meta.clone();
            meta.label = Some(n.to_string().into());
            Ok((
                table.renew(&[renewal(&read, meta)], T0).await?,
                n.to_string(),
            ))
        }
    })
    .await?;
    let won: Vec<_> = won.into_iter().filter(|(n, _)| *n > 0).collect();
    same!(won.len(), 1, "renewals applied");
    let label = t.one(&address("a")?, T0).await?.meta.label.clone();
    same!(
        label.as_deref(),
        won.first().map(|(_, label)| label.as_str()),
        "label"
    );
    Ok(())
}

async fn one_delete_counts(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let deleted = at_once(&t, |table, _| async move {
        Ok(table.delete(&[address("a")?], T0).await?)
    })
    .await?;
    same!(deleted.iter().sum::<u64>(), 1, "addresses deleted");
    Ok(())
}

async fn clears_share_the_work(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(
        T0,
        (0..500)
            .map(|i| entry(&i.to_string()))
            .collect::<Kept<Vec<_>>>()?,
    )
    .await?;
    let cleared = at_once(&t, |table, _| async move {
        Ok(table.clear(&Selection::default(), 7, T0).await?)
    })
    .await?;
    let cleared: u64 = cleared.iter().sum();
    same!(
        t.all(T0).await?,
        500 - cleared.min(500),
        "entries left after {cleared} were cleared"
    );
    ensure!(cleared > 0, "nothing was cleared");
    Ok(())
}

async fn variants_are_written_side_by_side(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    at_once(&t, |table, n| async move {
        Ok(table
            .write(&writes([entry("a")?.variant(n.into())]), T0)
            .await?)
    })
    .await?;
    same!(
        t.read(&address("a")?, T0).await?.len() as u64,
        TASKS,
        "variants read"
    );
    Ok(())
}

async fn partitions_are_written_side_by_side(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    at_once(&t, |table, n| async move {
        let whose = Partition::credential(n.into());
        Ok(table
            .write(&writes([entry("a")?.within(whose)]), T0)
            .await?)
    })
    .await?;
    same!(t.all(T0).await?, TASKS, "entries held");
    Ok(())
}

async fn a_table_is_opened_once(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let spec = Arc::new(spec()?);
    let tasks = (0..16_u32).map(|n| {
        let (store, spec) = (store.clone(), spec.clone());
        tokio::spawn(async move {
            let table = store.open(&spec).await?;
            table.write(&writes([entry(&n.to_string())?]), T0).await?;
            Ok::<_, Broken>(())
        })
    });
    for result in try_join_all(tasks.collect::<Vec<_>>()).await? {
        result?;
    }
    same!(store.tables().await?.len(), 1, "tables");
    let t = Trial {
        table: store.open(&spec).await?,
        store,
    };
    same!(t.all(T0).await?, 16, "entries held");
    Ok(())
}

async fn a_dropped_write_is_all_or_none(subject: &dyn Subject) -> Kept {
    for polls in 0..6 {
        let t = Trial::start(subject).await?;
        t.write(T0, [entry("0")?.body("before")]).await?;
        let many = (0..50).map(|i| Ok(entry(&i.to_string())?.body("after")));
        let many = writes(many.collect::<Kept<Vec<_>>>()?);
        {
            let mut write = pin!(t.table.write(&many, T0));
            for _ in 0..polls {
                if poll!(&mut write).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Whatever was accepted is over when a later write is.
        t.write(T0, [entry("later")?]).await?;
        let held = t.all(T0).await?;
        let body = t.one(&address("0")?, T0).await?.body.clone();
        let fits = matches!((held, &*body), (2, b"before") | (51, b"after"));
        ensure!(
            fits,
            "after {polls} polls, {held} entries are held, and the first is {body:?}"
        );
    }
    Ok(())
}

async fn dropped_calls_leave_the_store_usable(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let which = Selection::default();
    let at = [address("a")?];
    let [one] = &at;
    for n in 0..300_u32 {
        let write = writes([entry(&n.to_string())?]);
        let _ = poll!(pin!(t.table.write(&write, T0)));
        let _ = poll!(pin!(t.table.read(one, Parts::Whole, T0)));
        let _ = poll!(pin!(t.table.read_many(&at, Parts::Whole, T0)));
        let _ = poll!(pin!(t.table.count(&which, T0)));
        let _ = poll!(pin!(t.table.delete(&at, T0)));
        let _ = poll!(pin!(t.store.tables()));
    }
    t.comes_back(entry("b")?).await?;
    t.store.commit().await?;
    Ok(())
}

async fn a_close_may_meet_calls(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let (store, calls) = (
        t.store.clone(),
        at_once(&t, |table, n| async move {
            for i in 0..10 {
                let done = table
                    .write(&writes([entry(&format!("{n}-{i}"))?]), T0)
                    .await;
                match done {
                    Err(e) if e.kind() == crate::ErrorKind::Closed => break,
                    done => done?,
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        }),
    );
    let closing = tokio::spawn(async move { store.close().await });
    calls.await?;
    closing.await??;
    fails(
        t.table.count(&Selection::default(), T0).await,
        crate::ErrorKind::Closed,
        "count",
    )?;
    Ok(())
}
