//! Opening a repository: as it is, changed to what is declared, or set aside; and removing one.

use super::{
    core::Core,
    keys::Place,
    link::Lost,
    metas::Read,
    rows::{Put, Rows},
    schema::{self, Stored, becomes, ends, forgets},
    script::{Call, END},
    walk::{Hint, MANY_BYTES, Scores, groups},
};
use crate::{
    Error, ErrorKind, Millis, Result,
    entry::Entry,
    store::{Change, Migration, Parts, SchemaChange, TableName, TableSpec},
};
use futures_util::TryStreamExt;
use redis::cmd;
use std::{pin::pin, sync::Arc, time::Duration};

/// So long nobody may write into what was removed: handles to it say that it is gone.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);
/// So often somebody else may come first.
const TRIES: usize = 100;

/// Makes the repository what `wanted` says, and returns it.
pub(super) async fn open(core: &Arc<Core>, wanted: &TableSpec) -> Result<Rows> {
    wanted.check()?;
    core.ready().await?;
    schema::begin(core).await?;
    for _ in 0..TRIES {
        let stored = schema::find(core, &wanted.name).await?;
        if let Some(rows) = open_once(core, wanted, stored).await? {
            core.remember(&wanted.name, &rows.place);
            return Ok(rows);
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        "others change the repository again and again; try again",
    )
    .in_repository(wanted.name.shared()))
}

/// `None` where somebody else came first.
async fn open_once(
    core: &Arc<Core>,
    wanted: &TableSpec,
    stored: Option<Stored>,
) -> Result<Option<Rows>> {
    let rows = |spec: &TableSpec, place: &Place| Rows {
        core: core.clone(),
        place: place.clone(),
        spec: Arc::new(spec.clone()),
    };
    let Some(stored) = stored else {
        let place = schema::new_place(core).await?;
        let made = schema::swap(core, vec![becomes(None, wanted, &place)]).await?;
        return Ok(made.then(|| rows(wanted, &place)));
    };
    if schema::is_ended(core, &stored.place).await? {
        // Nobody can write there: its number was another's, or what was to be removed was told wrongly.
        let place = schema::new_place(core).await?;
        let change = becomes(Some(&stored), &stored.spec, &place);
        schema::swap(core, vec![change]).await?;
        return Ok(None);
    }
    let spec = wanted.taking_over(&stored.spec);
    match spec.change_from(&stored.spec)? {
        SchemaChange::None if spec == stored.spec => Ok(Some(rows(&spec, &stored.place))),
        SchemaChange::None => {
            let change = becomes(Some(&stored), &spec, &stored.place);
            if !schema::swap(core, vec![change]).await? {
                return Ok(None);
            }
            let (before, now) = (
                rows(&stored.spec, &stored.place),
                rows(&spec, &stored.place),
            );
            if now.is_ranked() && !before.is_ranked() {
                now.rank().await?;
            }
            Ok(Some(now))
        }
        SchemaChange::Migrate(migration) => migrate(core, &stored, &spec, &migration).await,
        SchemaChange::SetAside => set_aside(core, &stored, &spec).await,
    }
}

/// Copies the entries to a new place with their new keys and columns; what is written to the old one meanwhile is fetched again.
async fn migrate(
    core: &Arc<Core>,
    stored: &Stored,
    spec: &TableSpec,
    migration: &Migration,
) -> Result<Option<Rows>> {
    let old = Rows {
        core: core.clone(),
        place: stored.place.clone(),
        spec: Arc::new(stored.spec.clone()),
    };
    let new = Rows {
        place: schema::new_place(core).await?,
        spec: Arc::new(spec.clone()),
        ..old.clone()
    };
    let mut pages = pin!(old.pages(Scores::all(), Hint::default(), Parts::Whole));
    while let Some(page) = pages.try_next().await? {
        let mut puts = Vec::new();
        for (_, fields) in page {
            let Some(address) = fields.address() else {
                continue;
            };
            // Whatever is there, however old.
            let Read { found, .. } =
                fields.entries(&address, old.repository(), Parts::Whole, Millis(i64::MIN));
            puts.extend(found.into_iter().filter_map(|e| moved(&e, migration)));
        }
        // Each keeps at least the time it had.
        let times = puts.iter().map(|put| put.entry.meta.checked_at);
        let now = times.min().unwrap_or_default();
        for some in groups(puts, |put| put.entry.size(), MANY_BYTES) {
            new.put(some, now).await?;
        }
    }
    let pending = schema::pending(core, &spec.name).await?;
    let mut columns = pending.columns.clone();
    columns.extend(migration.added_columns(spec));
    columns.retain(|name| spec.columns.iter().any(|c| c.name == *name));
    let swaps = vec![
        becomes(Some(stored), spec, &new.place),
        ends(&old.place),
        pending.becomes(&spec.name, columns),
    ];
    if !schema::swap_told(core, swaps, &spec.name).await? {
        purge(core, &new.place).await?;
        return Ok(None);
    }
    purge(core, &old.place).await?;
    // Meanwhile somebody may have read there again.
    new.publish_table().await;
    Ok(Some(new))
}

/// `None` where the new key is too long, so that nobody can ask for it any more.
fn moved(entry: &Entry, migration: &Migration) -> Option<Put> {
    let mut entry = entry.clone();
    entry.id.address.key = migration.key(&entry.id.address.key).ok()?;
    entry.meta.columns = migration.columns(&entry.meta.columns);
    Some(Put {
        generation: entry.generation,
        entry: Arc::new(entry),
        fence: None,
    })
}

/// Gives what is stored another name; its entries stay where they are.
async fn set_aside(core: &Arc<Core>, stored: &Stored, spec: &TableSpec) -> Result<Option<Rows>> {
    let mut number = 1;
    let aside = loop {
        let name = stored.spec.name.aside(number);
        if schema::find(core, &name).await?.is_none() {
            break TableSpec {
                name,
                ..stored.spec.clone()
            };
        }
        number += 1;
    };
    let place = schema::new_place(core).await?;
    let pending = schema::pending(core, &spec.name).await?;
    let waiting = schema::pending(core, &aside.name).await?;
    let swaps = vec![
        becomes(Some(stored), spec, &place),
        becomes(None, &aside, &stored.place),
        waiting.becomes(&aside.name, pending.columns.clone()),
        pending.becomes(&spec.name, Vec::new()),
    ];
    if !schema::swap_told(core, swaps, &spec.name).await? {
        return Ok(None);
    }
    core.forget(&aside.name);
    Ok(Some(Rows {
        core: core.clone(),
        place,
        spec: Arc::new(spec.clone()),
    }))
}

/// Removes a repository; `false` where there is none.
pub(super) async fn remove(core: &Arc<Core>, name: &TableName) -> Result<bool> {
    core.ready().await?;
    for _ in 0..TRIES {
        let Some(raw) = schema::raw(core, name).await? else {
            return Ok(false);
        };
        // Where the place of one is not known, its entries go when their time comes.
        let place = schema::place(core, name, &raw);
        let pending = schema::pending(core, name).await?;
        let mut swaps = vec![forgets(name, raw), pending.becomes(name, Vec::new())];
        swaps.extend(place.as_ref().map(ends));
        if schema::swap_told(core, swaps, name).await? {
            core.forget(name);
            if let Some(place) = &place {
                purge(core, place).await?;
            }
            // Meanwhile somebody may have read there again.
            core.publish(core.message(&Change::Table(name.clone())))
                .await;
            return Ok(true);
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        "others change it again and again; try again",
    )
    .in_repository(name.shared()))
}

/// Ends what somebody began to remove and did not come to end.
pub(super) async fn clean_up(core: &Core) -> Result<()> {
    for place in schema::ending(core).await? {
        purge(core, &place).await?;
        // Whose it was is not known any more.
        core.publish(core.message(&Change::Everything)).await;
    }
    Ok(())
}

/// Removes all entries of a place; nobody writes into it any more.
async fn purge(core: &Core, place: &Place) -> Result<()> {
    for bucket in 0..place.buckets {
        let mut call = Call::default();
        call.key(place.counts(bucket))
            .number(Millis(0).plus(REMEMBERED).0);
        END.run(&core.link, &call).await?;
    }
    for bucket in 0..place.buckets {
        let mut all = cmd("ZRANGE");
        all.arg(place.index(bucket)).arg(0).arg(-1);
        let answer = core.link.ask(&all, Lost::Again).await?;
        let members: Vec<Vec<u8>> = schema::from(core, answer, "ZRANGE")?;
        let unlinks = members.chunks(256).map(|some| {
            let mut unlink = cmd("UNLINK");
            let digests = some.iter().filter_map(|m| super::keys::Digest::split(m));
            for (digest, _) in digests {
                unlink.arg(place.entry(&digest)).arg(place.beside(&digest));
            }
            (bucket, unlink)
        });
        core.link.ask_all(unlinks.collect()).await?;
        let mut rest = cmd("UNLINK");
        rest.arg(place.index(bucket)).arg(place.uses(bucket));
        core.link.ask(&rest, Lost::Again).await?;
    }
    schema::ended(core, place).await
}
