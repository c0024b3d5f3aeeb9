//! Walks over the index: which entries there are, bucket by bucket, and what they are.

use super::{
    keys::{self, Digest, FirstField, Whose},
    link::{Lost, TOGETHER},
    metas::{self, Fields},
    rows::{Removal, Removed, Rows, Told, When},
    schema::{count, from},
};
use crate::{
    Millis, Result, Scope, Selection,
    entry::{Entry, Variant},
    store::Parts,
};
use futures_util::{Stream, StreamExt, TryStreamExt, future::try_join, stream};
use redis::{Cmd, cmd};
use std::{collections::BTreeMap, pin::pin, sync::Arc};

/// So many names of entries are held at once, unless a single bucket has more.
const AT_ONCE: u64 = 20_000;
/// So many entries are looked at at once, or those of a single address.
const PAGE: u64 = 256;
/// So many bytes of bodies beside the values of their addresses are held at once, or the bodies of a single address.
pub(super) const MANY_BYTES: u64 = 4 << 20;

/// The scores that a selection may cover.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    after: String,
    until: String,
}

impl Scores {
    /// Those of a scope.
    pub(super) fn of(scope: Scope, rows: &Rows, now: Millis) -> Self {
        let horizon = now.minus(rows.spec.keep);
        Self {
            after: format!(
                "({}",
                match scope {
                    Scope::Live => now.max(horizon),
                    Scope::All | Scope::Expired => horizon,
                }
                .0
            ),
            until: match scope {
                Scope::Expired => now.0.to_string(),
                Scope::All | Scope::Live => "+inf".to_owned(),
            },
        }
    }

    /// Those below, where these are all from somewhere on.
    fn before(&self) -> Option<Self> {
        let until = self.after.strip_prefix('(')?;
        (self.until == "+inf").then(|| Self {
            after: "-inf".to_owned(),
            until: until.to_owned(),
        })
    }

    /// Those past their keep.
    pub(super) fn gone(rows: &Rows, now: Millis) -> Self {
        Self {
            after: "-inf".to_owned(),
            until: now.minus(rows.spec.keep).0.to_string(),
        }
    }

    pub(super) fn all() -> Self {
        Self {
            after: "-inf".to_owned(),
            until: "+inf".to_owned(),
        }
    }
}

/// What an address may be told from by its digest alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hint {
    whose: Option<Whose>,
    first: Option<FirstField>,
}

impl Hint {
    pub(super) fn of(which: &Selection, rows: &Rows) -> Self {
        let first = rows.spec.fields.first().and_then(|field| {
            let mut conditions = which.conditions.iter();
            conditions.find(|c| *c.name == *field.name())
        });
        Self {
            whose: which.partition.as_ref().map(keys::whose),
            first: first.map(|c| keys::first_field(c.value.as_ref())),
        }
    }

    fn allows(&self, digest: &Digest) -> bool {
        self.whose.is_none_or(|whose| whose == digest.whose())
            && self.first.is_none_or(|first| first == digest.first_field())
    }
}

/// The variants of addresses, as an index names them.
pub(super) type Named = BTreeMap<Digest, Vec<Variant>>;

impl Rows {
    pub(super) fn buckets(&self) -> std::ops::Range<u32> {
        0..self.place.buckets
    }

    /// Counts what an index names, bucket by bucket.
    pub(super) async fn sizes(&self, scores: &Scores) -> Result<Vec<u64>> {
        let buckets: Vec<_> = self.buckets().collect();
        let Some(before) = scores.before() else {
            return self.counts(&buckets, scores).await;
        };
        // Mostly little lies before, which a server counts sooner than what lies after. Where that changed meanwhile, the size is of no moment.
        let asks = buckets.iter().flat_map(|bucket| {
            let before = self.count_of(*bucket, &before);
            let mut all = cmd("ZCARD");
            all.arg(self.place.index(*bucket));
            let asks: [Cmd; TOGETHER] = [before.clone(), all, before];
            asks.map(|ask| (*bucket, ask))
        });
        let answers = self.core.link.ask_all(asks.collect()).await?;
        let number = |answer| count(&self.core, answer, "ZCOUNT");
        let mut answers = answers.into_iter().map(number);
        let (mut sizes, mut moved) = (Vec::with_capacity(buckets.len()), Vec::new());
        while let (Some(before), Some(all), Some(after)) =
            (answers.next(), answers.next(), answers.next())
        {
            let (before, all, after) = (before?, all?, after?);
            if before != after {
                moved.push(sizes.len());
            }
            sizes.push(all.saturating_sub(after));
        }
        if !moved.is_empty() {
            let again: Vec<_> = moved
                .iter()
                .filter_map(|i| buckets.get(*i))
                .copied()
                .collect();
            for (i, size) in moved.into_iter().zip(self.counts(&again, scores).await?) {
                if let Some(moved) = sizes.get_mut(i) {
                    *moved = size;
                }
            }
        }
        Ok(sizes)
    }

    async fn counts(&self, buckets: &[u32], scores: &Scores) -> Result<Vec<u64>> {
        let counts = buckets
            .iter()
            .map(|bucket| (*bucket, self.count_of(*bucket, scores)));
        let answers = self.core.link.ask_all(counts.collect()).await?;
        answers
            .into_iter()
            .map(|answer| count(&self.core, answer, "ZCOUNT"))
            .collect()
    }

    fn count_of(&self, bucket: u32, scores: &Scores) -> Cmd {
        let mut count = cmd("ZCOUNT");
        count
            .arg(self.place.index(bucket))
            .arg(&scores.after)
            .arg(&scores.until);
        count
    }

    pub(super) async fn count(&self, which: &Selection, now: Millis) -> Result<u64> {
        self.core.ready().await?;
        let scores = Scores::of(which.scope, self, now);
        if !which.is_plain() {
            let covered = self.covered(which, Parts::Meta, now);
            return covered
                .try_fold(0, |n, found| async move { Ok(n + found.len() as u64) })
                .await;
        }
        let Some(partition) = &which.partition else {
            return Ok(self.sizes(&scores).await?.into_iter().sum());
        };
        let asks = self.buckets().map(|bucket| {
            let mut whose = cmd("HGET");
            whose.arg(self.place.counts(bucket)).arg("w");
            (bucket, whose)
        });
        let (sizes, owners) =
            try_join(self.sizes(&scores), self.core.link.ask_all(asks.collect())).await?;
        let whose = keys::whose(partition);
        let (mut sum, mut mixed) = (0, Vec::new());
        for ((bucket, size), owner) in self.buckets().zip(sizes).zip(owners) {
            let owner: Option<Vec<u8>> = from(&self.core, owner, "HGET")?;
            match owner.as_deref() {
                Some(owner) if owner == whose => sum += size,
                Some(owner) if owner.len() == whose.len() => {}
                // Several have entries here, or nobody knows who.
                Some(_) | None if size > 0 => mixed.push((bucket, size)),
                Some(_) | None => {}
            }
        }
        for group in named_together(mixed) {
            let named = self.named_in(&group, &scores, None).await?;
            let ours = named.iter().filter(|(digest, _)| digest.whose() == whose);
            sum += ours.map(|(_, variants)| variants.len() as u64).sum::<u64>();
        }
        Ok(sum)
    }

    /// Returns the buckets that have something within these scores, so many together that their names fit into memory.
    pub(super) async fn plan(&self, scores: &Scores) -> Result<Vec<Vec<u32>>> {
        let sizes = self.sizes(scores).await?;
        let filled = self.buckets().zip(sizes).filter(|(_, size)| *size > 0);
        Ok(named_together(filled.collect()))
    }

    /// Returns what the indexes of these buckets name.
    pub(super) async fn named_in(
        &self,
        buckets: &[u32],
        scores: &Scores,
        limit: Option<u64>,
    ) -> Result<Named> {
        let asks = buckets.iter().map(|bucket| {
            let mut range = cmd("ZRANGEBYSCORE");
            range
                .arg(self.place.index(*bucket))
                .arg(&scores.after)
                .arg(&scores.until);
            if let Some(limit) = limit {
                // The server's numbers have a sign.
                range.arg("LIMIT").arg(0).arg(limit.min(i64::MAX as u64));
            }
            (*bucket, range)
        });
        let answers = self.core.link.ask_all(asks.collect()).await?;
        let mut named = Named::new();
        for answer in answers {
            let members: Vec<Vec<u8>> = from(&self.core, answer, "ZRANGEBYSCORE")?;
            for (digest, variant) in members.iter().filter_map(|m| Digest::split(m)) {
                named.entry(digest).or_default().push(variant);
            }
        }
        Ok(named)
    }

    /// Streams the fields of addresses that the index names within these scores, page by page. What is named and not there goes out of the index.
    ///
    /// However large bodies are, few bytes come at once: those within the values of a page are small, and how large the others are the values say.
    pub(super) fn pages(
        &self,
        scores: Scores,
        hint: Hint,
        parts: Parts,
    ) -> impl Stream<Item = Result<Vec<(Digest, Fields)>>> + Send + 'static {
        let rows = self.clone();
        async_stream::try_stream! {
            for group in rows.plan(&scores).await? {
                let named = rows.named_in(&group, &scores, None).await?;
                let named: Vec<_> = named
                    .into_iter()
                    .filter(|(digest, _)| hint.allows(digest))
                    .collect();
                let pages = groups(named, |(_, variants)| variants.len() as u64, PAGE);
                // The next page is asked for while this one is used.
                let pages = stream::iter(pages)
                    .map(|page| rows.page(page, parts))
                    .buffered(2)
                    .map_ok(|page| {
                        let apart = |(_, fields): &(_, Fields)| fields.bytes_apart();
                        stream::iter(groups(page, apart, MANY_BYTES)).map(Ok)
                    })
                    .try_flatten()
                    .map_ok(|page| rows.with_bodies_of(page, parts))
                    .try_buffered(2);
                let mut pages = pin!(pages);
                while let Some(page) = pages.try_next().await? {
                    yield page;
                }
            }
        }
    }

    /// Reads the values of addresses, or what they begin with.
    pub(super) async fn page(
        &self,
        named: Vec<(Digest, Vec<Variant>)>,
        parts: Parts,
    ) -> Result<Vec<(Digest, Fields)>> {
        let digests: Vec<_> = named.iter().map(|(digest, _)| *digest).collect();
        let all = match parts {
            Parts::Meta => self.fetch_all(&digests, parts).await?,
            Parts::Body | Parts::Whole => self.values(&digests).await?,
        };
        let mut missing = Vec::new();
        let mut page = Vec::with_capacity(all.len());
        for ((digest, variants), fields) in named.into_iter().zip(all) {
            let heads = fields.heads().into_iter();
            let held: Vec<_> = heads
                .map(|head| Variant(u128::from_be_bytes(head.variant)))
                .collect();
            let gone = variants.into_iter().filter(|v| !held.contains(v));
            missing.extend(gone.map(|variant| Removal {
                digest,
                variant,
                when: When::Missing,
            }));
            if !fields.is_empty() {
                page.push((digest, fields));
            }
        }
        if !missing.is_empty() {
            self.remove(missing, Told::Nothing, Millis(0)).await?;
        }
        Ok(page)
    }

    /// Streams the entries that a selection covers, page by page.
    pub(super) fn covered<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> impl Stream<Item = Result<Vec<Arc<Entry>>>> + Send + 'a {
        let scores = Scores::of(which.scope, self, now);
        let hint = Hint::of(which, self);
        // What is judged by more than its times needs its meta.
        let whole = match parts {
            Parts::Body => Parts::Whole,
            parts => parts,
        };
        self.pages(scores, hint, whole).map_ok(move |page| {
            let mut covered = Vec::new();
            for (digest, fields) in page {
                let Some(address) = fields.address() else {
                    let read = metas::Read {
                        is_damaged: true,
                        ..metas::Read::default()
                    };
                    self.heed(digest, &fields, &read);
                    continue;
                };
                let read = fields.entries(&address, self.repository(), whole, now);
                self.heed(digest, &fields, &read);
                let found = read.found.into_iter();
                covered.extend(found.filter(|e| which.covers(e, &self.spec, now)));
            }
            covered
        })
    }

    /// Removes up to `limit` of the entries selected.
    pub(super) async fn clear(&self, which: &Selection, limit: u64, now: Millis) -> Result<u64> {
        self.core.ready().await?;
        if !which.is_plain() || which.partition.is_some() {
            return self.clear_covered(which, limit, now).await;
        }
        let scores = Scores::of(which.scope, self, now);
        let horizon = now.minus(self.spec.keep);
        let when = match which.scope {
            Scope::All => When::Past(horizon, Millis::MAX),
            Scope::Live => When::Past(now.max(horizon), Millis::MAX),
            Scope::Expired => When::Past(horizon, now),
        };
        let done = self
            .clear_range(&scores, when, Told::Table, limit, now)
            .await?;
        Ok(done.removed)
    }

    /// Removes up to `limit` entries within these scores.
    pub(super) async fn clear_range(
        &self,
        scores: &Scores,
        when: When,
        told: Told,
        limit: u64,
        now: Millis,
    ) -> Result<Removed> {
        let mut sum = Removed::default();
        if limit == 0 {
            return Ok(sum);
        }
        for group in self.plan(scores).await? {
            let left = limit - (sum.removed + sum.missed).min(limit);
            if left == 0 {
                break;
            }
            let named = self.named_in(&group, scores, Some(left)).await?;
            let all = named.into_iter().flat_map(|(digest, variants)| {
                let variants = variants.into_iter();
                variants.map(move |variant| Removal {
                    digest,
                    variant,
                    when,
                })
            });
            let some = all.take(usize::try_from(left).unwrap_or(usize::MAX));
            let done = self.remove(some.collect(), told, now).await?;
            sum.removed += done.removed;
            sum.missed += done.missed;
        }
        Ok(sum)
    }

    async fn clear_covered(&self, which: &Selection, limit: u64, now: Millis) -> Result<u64> {
        let mut removed = 0;
        if limit == 0 {
            return Ok(0);
        }
        let mut pages = pin!(self.covered(which, Parts::Meta, now));
        while let Some(page) = pages.try_next().await? {
            let left = usize::try_from(limit - removed).unwrap_or(usize::MAX);
            let some = page.iter().take(left).map(|entry| Removal {
                digest: Digest::of(&entry.id.address),
                variant: entry.id.variant,
                when: When::Read(entry.generation.0),
            });
            let done = self.remove(some.collect(), Told::Table, now).await?;
            removed += done.removed;
            if removed >= limit {
                break;
            }
        }
        Ok(removed)
    }

    /// Returns who has entries, and how many.
    pub(super) async fn partitions(
        &self,
        now: Millis,
    ) -> Result<Vec<(crate::entry::Partition, u64)>> {
        self.core.ready().await?;
        let scores = Scores::of(Scope::All, self, now);
        let mut counts = BTreeMap::<Whose, (u64, Vec<Digest>)>::new();
        for group in self.plan(&scores).await? {
            for (digest, variants) in self.named_in(&group, &scores, None).await? {
                let (count, some) = counts.entry(digest.whose()).or_default();
                *count += variants.len() as u64;
                if some.len() < 4 {
                    some.push(digest);
                }
            }
        }
        let (numbers, some): (Vec<_>, Vec<_>) = counts.into_values().unzip();
        let digests: Vec<_> = some.iter().flatten().copied().collect();
        let mut names = self.fetch_all(&digests, Parts::Meta).await?.into_iter();
        let mut partitions = Vec::new();
        for (count, some) in numbers.into_iter().zip(some) {
            let named = names.by_ref().take(some.len()).collect::<Vec<_>>();
            // Where none of a few is there any more, the others have just been removed as well.
            let whose = named.iter().find_map(Fields::address);
            partitions.extend(whose.map(|address| (address.partition, count)));
        }
        Ok(partitions)
    }

    /// Asks one thing.
    pub(super) async fn ask<T: redis::FromRedisValue>(&self, cmd: &Cmd, what: &str) -> Result<T> {
        from(
            &self.core,
            self.core.link.ask(cmd, Lost::Again).await?,
            what,
        )
    }
}

/// Buckets whose names fit into memory together, of buckets with so many each.
fn named_together(sizes: Vec<(u32, u64)>) -> Vec<Vec<u32>> {
    let together = groups(sizes, |(_, size)| *size, AT_ONCE).into_iter();
    together
        .map(|group| group.into_iter().map(|(bucket, _)| bucket).collect())
        .collect()
}

/// Puts together what has no more than that in sum; what has more by itself stays alone.
pub(super) fn groups<T>(all: Vec<T>, size: impl Fn(&T) -> u64, most: u64) -> Vec<Vec<T>> {
    let mut groups = Vec::new();
    let (mut group, mut sum) = (Vec::new(), 0_u64);
    for one in all {
        let size = size(&one);
        if sum > 0 && sum.saturating_add(size) > most {
            groups.push(std::mem::take(&mut group));
            sum = 0;
        }
        group.push(one);
        sum = sum.saturating_add(size);
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}
