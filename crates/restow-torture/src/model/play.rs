//! Does operations to a cache and to the map, and compares.

use super::{
    Backend, Op, Who,
    expected::{Expected, Held, Id, lifetime, same_field},
    op::Answer,
    world::{World, key, nth, nth_of, number, value},
};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use restow::{
    Clock, ErrorKind, FieldValue, Lookup, Millis, Mode, Scope,
    endpoint::RequestHead,
    entry::{Entry, Partition, Variant},
    exchange::{Background, Begin, Landing, OutcomeKind, Saved, Ticket},
};
use std::{collections::BTreeMap, time::Duration};

/// How often all that is stored is compared.
const EVERY: usize = 8;
/// Between two operations, so that none are at the same moment.
const TICK: Duration = Duration::from_millis(1);

/// Does all of them.
pub(super) async fn play(backend: Backend, ops: &[Op]) -> Result<()> {
    let mut world = World::open(backend).await?;
    let mut expected = Expected::default();
    for (nth, op) in ops.iter().enumerate() {
        world.turn();
        world.clock.advance(TICK);
        let now = world.clock.now();
        expected.pass(now);
        let step = step(&mut world, &mut expected, op, now).await;
        step.with_context(|| format!("operation {nth}, {op:?}"))?;
        if nth % EVERY == EVERY - 1 {
            let whole = whole(&world, &mut expected).await;
            whole.with_context(|| format!("all that is stored after operation {nth}, {op:?}"))?;
        }
    }
    whole(&world, &mut expected)
        .await
        .context("all that is stored in the end")?;
    world.close().await
}

async fn step(world: &mut World, expected: &mut Expected, op: &Op, now: Millis) -> Result<()> {
    match op {
        Op::Get(who, at) => {
            let got = world.items(*who)?.get(&key(*at)?).await?;
            let got = got.as_ref().map(number).transpose()?;
            same(got, expected.get(*who, *at, now))
        }
        Op::GetMany(who, at) => {
            let keys = at.iter().map(|at| key(*at)).collect::<Result<Vec<_>>>()?;
            let got = world.items(*who)?.get_many(&keys).await?;
            let got = got.iter().map(|v| v.as_ref().map(number).transpose());
            let wanted = at.iter().map(|at| expected.get(*who, *at, now));
            same(got.collect::<Result<Vec<_>>>()?, wanted.collect())
        }
        Op::Lookup(who, at) => lookup(world, expected, *who, *at, now).await,
        Op::Save(Who::Everyone, at, body) => {
            let saved = world
                .items(Who::Everyone)?
                .save(&key(*at)?, &value(*body))
                .await;
            same(saved.map_err(|e| e.kind()), Err(ErrorKind::Unsupported))
        }
        Op::Save(who, at, body) => {
            let saved = world.items(*who)?.save(&key(*at)?, &value(*body)).await?;
            expected.save(*who, *at, *body, now);
            same(saved, Saved::Stored)
        }
        Op::SaveMany(who, all) => {
            let pairs = all.iter().map(|(at, body)| Ok((key(*at)?, value(*body))));
            let pairs = pairs.collect::<Result<Vec<_>>>()?;
            let saved = world.items(*who)?.save_many(&pairs).await?;
            // Of several with one key the last stays, and what it is compared with is the one before.
            for (at, body) in all {
                expected.save(*who, *at, *body, now);
            }
            same(saved, vec![Saved::Stored; all.len()])
        }
        Op::Answer(who, at, answer) => {
            let saved = arrive(world, *who, *at, *answer).await?;
            expected.store(*who, *at, *answer, now);
            same(saved, Saved::Stored)
        }
        Op::Renew(who, at, accepts) => renew(world, expected, *who, *at, *accepts, now).await,
        Op::Delete(who, at) => {
            let deleted = world.items(*who)?.delete(&key(*at)?).await?;
            same(deleted, expected.delete(*who, *at))
        }
        Op::DeleteMany(who, at) => {
            let keys = at.iter().map(|at| key(*at)).collect::<Result<Vec<_>>>()?;
            let deleted = world.items(*who)?.delete_many(&keys).await?;
            let wanted = at.iter().filter(|at| expected.delete(*who, **at)).count();
            same(deleted, wanted as u64)
        }
        Op::Count(who, scope) => {
            let counted = world.items(*who)?.count(*scope).await?;
            same(counted, expected.count(*who, *scope, now))
        }
        Op::Clear(who, scope) => {
            let cleared = world.items(*who)?.clear(*scope).await?;
            same(cleared, expected.clear(*who, *scope, now))
        }
        Op::Column(who, kind, delete) => {
            let wanted = kind.map_or(FieldValue::Absent, FieldValue::from);
            let selected = world.items(*who)?.select().eq("kind", wanted);
            let which = |_: &Id, held: &Held| held.kind() == *kind;
            if *delete {
                same(selected.delete().await?, expected.remove(*who, which))
            } else {
                let wanted = expected.seen(*who).filter(|(id, held)| which(id, held));
                same(selected.count().await?, wanted.count() as u64)
            }
        }
        Op::Field(who, at, delete) => {
            let selected = world.items(*who)?.select().eq("id", key(*at)?.0);
            let which = |id: &Id, _: &Held| same_field(id.0, *at);
            if *delete {
                same(selected.delete().await?, expected.remove(*who, which))
            } else {
                let wanted = expected.seen(*who).filter(|(id, held)| which(id, held));
                same(selected.count().await?, wanted.count() as u64)
            }
        }
        Op::Stream(who, scope) => {
            let pairs: Vec<_> = world.items(*who)?.stream(*scope).try_collect().await?;
            let pairs = pairs.iter().map(|(key, v)| Ok((nth_of(key)?, number(v)?)));
            let mut pairs = pairs.collect::<Result<Vec<_>>>()?;
            pairs.sort_unstable();
            same(pairs, expected.stream(*who, *scope, now))
        }
        Op::Stats => {
            let stats = world.items(Who::Public)?.stats().await?;
            let count = |scope| expected.count(Who::Everyone, scope, now);
            same(
                (stats.entries, stats.expired),
                (count(Scope::All), count(Scope::Expired)),
            )
        }
        Op::Sweep => {
            let items = world.items(Who::Public)?;
            let removed = items.sweep().await?;
            let most = std::mem::take(&mut expected.gone).len() as u64;
            ensure!(
                removed <= most,
                "{removed} were removed where {most} could be gone"
            );
            same(items.sweep().await?, 0)
        }
        Op::Advance(by) => {
            world.clock.advance(*by);
            Ok(())
        }
        Op::Reopen => world.reopen().await,
    }
}

async fn lookup(
    world: &World,
    expected: &Expected,
    who: Who,
    at: usize,
    now: Millis,
) -> Result<()> {
    let (items, key) = (world.items(who)?, key(at)?);
    let found = expected.at(who, at);
    let first = |live: bool, negative: bool| {
        let fits = |held: &Held| held.is_live(now) == live && held.negative == negative;
        found
            .iter()
            .find(|(_, held)| fits(held))
            .map(|(_, held)| held.body)
    };
    let (hit, negative, stale) = (first(true, false), first(true, true), first(false, false));
    let wanted = match (hit, negative, stale) {
        (Some(body), ..) => ("hit", Some(body)),
        (None, Some(_), _) => ("negative", None),
        (None, None, Some(body)) => ("stale", Some(body)),
        (None, None, None) => ("missing", None),
    };
    let got = match items.lookup(&key).await? {
        Lookup::Hit { value, .. } => ("hit", Some(number(&value)?)),
        Lookup::Negative { .. } => ("negative", None),
        Lookup::Stale { value, .. } => ("stale", Some(number(&value)?)),
        Lookup::Missing => ("missing", None),
        other => bail!("{other:?} is unknown"),
    };
    same(got, wanted)?;
    same(items.contains(&key).await?, hit.is_some())?;
    let newest = found
        .iter()
        .max_by_key(|(_, held)| (held.is_live(now), held.stored));
    let entry = items.entry(&key).await?;
    same(
        entry.map(|entry| entry.meta.stored_at),
        newest.map(|(_, held)| held.stored),
    )?;
    same(items.variants(&key).await?.len(), found.len())
}

/// Has an answer arrive, as it would from the API or from the program.
async fn arrive(world: &World, who: Who, at: usize, answer: Answer) -> Result<Saved> {
    let mut parts = world.request(at, answer.accepts)?;
    let body = Bytes::from(value(answer.body).to_string());
    let status = if answer.negative {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    let headers = headers(answer.tagged.then_some(answer.body), answer.accepts)?;
    if !answer.fetched {
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        return Ok(world.items(who)?.save_response(&parts, &response).await?);
    }
    parts.extensions.insert(Mode::Refresh);
    let ticket = begin(world, who, &parts).await?;
    match ticket.head(status, headers, None).await {
        Landing::Collect(mut collector, _) => {
            ensure!(collector.push(&body), "a small body is too large");
            Ok(collector.finish().await)
        }
        other => bail!("the answer came to {other:?}"),
    }
}

/// Asks whether what is held still holds.
async fn renew(
    world: &World,
    expected: &mut Expected,
    who: Who,
    at: usize,
    accepts: u8,
    now: Millis,
) -> Result<()> {
    let mut parts = world.request(at, accepts)?;
    parts.extensions.insert(Mode::Revalidate);
    let ticket = begin(world, who, &parts).await?;
    let held = expected.selected(who, at, accepts);
    let Some(held) = held.filter(|held| held.tagged) else {
        ensure!(!ticket.is_conditional(), "there is nothing to be confirmed");
        return Ok(());
    };
    let mut asked = HeaderMap::new();
    ticket.prepare(&mut asked);
    let tag = headers(Some(held.body), 0)?.remove(header::ETAG);
    same(asked.remove(header::IF_NONE_MATCH), tag.clone())?;
    let mut confirms = HeaderMap::new();
    confirms.extend(tag.map(|tag| (header::ETAG, tag)));
    match ticket.head(StatusCode::NOT_MODIFIED, confirms, None).await {
        Landing::Answer(entry, _, answered) => {
            same(answered.outcome.kind, OutcomeKind::Validated)?;
            same(entry.body.clone(), value(held.body).to_string().into())?;
        }
        other => bail!("the confirmation came to {other:?}"),
    }
    held.checked = now;
    held.expires = now.plus(lifetime(held.negative));
    held.generation = None;
    Ok(())
}

async fn begin(world: &World, who: Who, parts: &Parts) -> Result<Ticket> {
    let exchange = world.cache(who)?.exchange();
    match exchange
        .begin(RequestHead::from(parts), Background::Impossible)
        .await
    {
        Begin::Fetch(ticket) => Ok(*ticket),
        other => bail!("the request came to {other:?}"),
    }
}

fn headers(tag: Option<u8>, accepts: u8) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(body) = tag {
        headers.insert(header::ETAG, HeaderValue::try_from(format!("\"{body}\""))?);
    }
    if accepts > 0 {
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        headers.insert("x-accepts", HeaderValue::from(u16::from(accepts)));
    }
    Ok(headers)
}

/// Compares all that is stored, field by field.
async fn whole(world: &World, expected: &mut Expected) -> Result<()> {
    expected.pass(world.clock.now());
    let items = world.items(Who::Everyone)?;
    let entries: Vec<_> = items.select().whole_entries().try_collect().await?;
    let mut stored = BTreeMap::new();
    for entry in entries {
        let (id, held) = seen(&entry)?;
        ensure!(stored.insert(id, held).is_none(), "{id:?} is there twice");
    }
    for (id, held) in &mut expected.held {
        let Some(found) = stored.remove(id) else {
            bail!("{id:?} is not there: {held:?}");
        };
        // Generations are the store's own: they stay until the entry changes.
        held.generation = held.generation.or(found.generation);
        ensure!(
            found == *held,
            "{id:?} is {found:?}, and should be {held:?}"
        );
    }
    ensure!(stored.is_empty(), "{stored:?} should not be there");
    Ok(())
}

/// Reads what an entry says of itself.
fn seen(entry: &Entry) -> Result<(Id, Held)> {
    ensure!(
        entry.is_intact(),
        "a body is not what was stored: {entry:?}"
    );
    let (meta, headers) = (&entry.meta, entry.meta.head.headers());
    let accepts = headers.get("x-accepts").map(|v| v.to_str()).transpose()?;
    let accepts: u8 = accepts.map_or(Ok(0), str::parse)?;
    ensure!(
        (accepts == 0) == (entry.id.variant == Variant::NONE),
        "{:?} of what accepts {accepts}",
        entry.id.variant
    );
    let owner = match entry.id.address.partition.as_str() {
        "" => Who::Public,
        "p:alice" => Who::Alice,
        "p:bob" => Who::Bob,
        _ => bail!(
            "{:?} is nobody",
            Partition::clone(&entry.id.address.partition)
        ),
    };
    let body = number(&serde_json::from_slice(&entry.body)?)?;
    let held = Held {
        body,
        negative: meta.head.status() == StatusCode::NOT_FOUND,
        tagged: meta.head.etag().is_some(),
        stored: meta.stored_at,
        checked: meta.checked_at,
        changed: meta.changed_at,
        expires: meta.expires_at,
        generation: Some(entry.generation.0),
    };
    let kind = meta.columns.first().cloned().unwrap_or(FieldValue::Absent);
    same(
        kind,
        held.kind().map_or(FieldValue::Absent, FieldValue::from),
    )?;
    Ok(((nth(&entry.id.address.key)?, owner, accepts), held))
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "answers are made to be compared"
)]
fn same<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<()> {
    ensure!(
        got == wanted,
        "it answered {got:?}, and should have answered {wanted:?}"
    );
    Ok(())
}
