//! What keeps a repository small and its index right: sweeping, budgets, numbers that are counted again.

use super::{
    core::Core,
    keys::Digest,
    metas,
    rows::{Removal, Rows, Told, When},
    schema::{self, MOST, from},
    script::{Call, RECOUNT},
    walk::{Hint, Named, Scores},
};
use crate::{
    Millis, Result, Scope,
    entry::Variant,
    store::{Ages, Budget, Parts, Stats, TableSpec, Trimmed},
};
use futures_util::TryStreamExt;
use redis::cmd;
use std::{
    collections::BTreeMap,
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Up to so many entries are counted one by one.
const FEW: u64 = 2_000;
/// More are estimated by so many of them.
const SOME: u32 = 512;
/// So many entries of one bucket are looked for at each sweep.
const SAMPLE: u32 = 128;
/// So many entries are counted again at each sweep, and the rest of their bucket.
const RECOUNTED: u64 = 5_000;
/// Where those buckets that are not blank have so many entries in the mean, none is blank by chance.
const FILLED: u64 = 32;
/// So many of a bucket are asked for at least, where those used least recently are looked for.
const LEAST: u64 = 8;

/// What a bucket says of itself.
#[derive(Clone, Debug, Default)]
struct Said {
    indexed: u64,
    entries: Option<String>,
    bytes: Option<String>,
    guessed: bool,
}

impl Said {
    fn bytes(&self) -> u64 {
        let bytes = self.bytes.as_deref().and_then(|b| b.parse::<i64>().ok());
        let bytes = u64::try_from(bytes.unwrap_or_default());
        bytes.unwrap_or_default().min(MOST)
    }

    fn agrees(&self) -> bool {
        let entries = self.entries.as_deref().and_then(|n| n.parse().ok());
        entries.unwrap_or(0_i64) == i64::try_from(self.indexed).unwrap_or(i64::MAX)
    }

    /// Tells whether nobody ever wrote there, as it seems: or the server removed its index together with its numbers.
    fn is_blank(&self) -> bool {
        self.indexed == 0 && self.entries.is_none()
    }
}

impl Rows {
    /// Removes up to `limit` entries: past their keep, then beyond the budget.
    pub(super) async fn sweep(&self, limit: u64, now: Millis) -> Result<u64> {
        self.core.ready().await?;
        if limit == 0 {
            return Ok(0);
        }
        let horizon = now.minus(self.spec.keep);
        let gone = Scores::gone(self, now);
        let when = When::Past(Millis(i64::MIN), horizon);
        let done = self
            .clear_range(&gone, when, Told::Nothing, limit, now)
            .await?;
        let removed = done.removed + done.missed;
        if removed >= limit {
            return Ok(removed);
        }
        self.look_after().await?;
        if !self.spec.budget.is_bounded() {
            return Ok(removed);
        }
        self.core.tell_uses().await?;
        let trimmed = trim_to(
            std::slice::from_ref(self),
            self.spec.budget,
            limit - removed,
            now,
        )
        .await?;
        Ok(removed + trimmed.removed)
    }

    async fn said(&self, buckets: Range<u32>) -> Result<Vec<Said>> {
        let asks = buckets.flat_map(|bucket| {
            let (mut card, mut counts) = (cmd("ZCARD"), cmd("HMGET"));
            card.arg(self.place.index(bucket));
            counts
                .arg(self.place.counts(bucket))
                .arg("n")
                .arg("b")
                .arg("s");
            [(bucket, card), (bucket, counts)]
        });
        let mut answers = self.core.link.ask_all(asks.collect()).await?.into_iter();
        let mut all = Vec::new();
        while let (Some(card), Some(counts)) = (answers.next(), answers.next()) {
            let (entries, bytes, guessed): (_, _, Option<String>) =
                from(&self.core, counts, "HMGET")?;
            all.push(Said {
                indexed: schema::count(&self.core, card, "ZCARD")?,
                entries,
                bytes,
                guessed: guessed.is_some(),
            });
        }
        Ok(all)
    }

    /// Looks whether an index names what is there: of one bucket a sample, of those whose numbers do not agree all.
    async fn look_after(&self) -> Result<()> {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let said = self.said(self.buckets()).await?;
        let (mut wrong, mut counted) = (Vec::new(), 0);
        let written = said.iter().filter(|said| !said.is_blank());
        let (buckets, entries) = written.fold((0, 0), |(n, sum), said| (n + 1, sum + said.indexed));
        // Where few have entries, theirs are the variants of a few addresses.
        let is_filled = 2 * buckets >= said.len() as u64 && entries >= FILLED * buckets;
        for (bucket, said) in self.buckets().zip(&said) {
            if !said.agrees() || (is_filled && said.is_blank()) {
                wrong.push(bucket);
            } else if said.guessed && counted < RECOUNTED {
                counted += said.indexed;
                self.recount(bucket).await?;
            }
        }
        self.repair(&wrong).await?;
        let filled: Vec<_> = self
            .buckets()
            .zip(said)
            .filter(|(_, said)| said.indexed > 0)
            .collect();
        let turn = TURN.fetch_add(1, Ordering::Relaxed) as usize;
        let Some((bucket, _)) = filled.get(turn % filled.len().max(1)) else {
            return Ok(());
        };
        let mut pick = cmd("ZRANDMEMBER");
        pick.arg(self.place.index(*bucket)).arg(SAMPLE);
        let members: Vec<Vec<u8>> = self.ask(&pick, "ZRANDMEMBER").await?;
        let sample: Vec<_> = members.iter().filter_map(|m| Digest::split(m)).collect();
        let digests: Vec<_> = sample.iter().map(|(digest, _)| *digest).collect();
        let there = self.fetch_all(&digests, Parts::Meta).await?;
        // What has gone by its own time is no sign of anything: the next sweep takes it out.
        if there.iter().any(metas::Fields::is_empty) {
            self.recount(*bucket).await?;
        }
        Ok(())
    }

    /// Makes the indexes of buckets, in their order, anew of the entries that are there: they were removed by the server, or their numbers were.
    ///
    /// That is the only time that the server's keys are walked over: once for all buckets, or in a cluster, where they are on several servers, for each.
    async fn repair(&self, buckets: &[u32]) -> Result<()> {
        if buckets.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            repository = %self.spec.name,
            buckets = buckets.len(),
            "the index of some entries is not what it was, which a maxmemory-policy of allkeys-* does; it is made anew"
        );
        let at_once = match self.core.link.is_cluster() {
            true => 1,
            false => buckets.len(),
        };
        for some in buckets.chunks(at_once) {
            self.index_anew(some).await?;
            // At once: who has no time for all of them has these behind him.
            for bucket in some {
                self.recount(*bucket).await?;
            }
        }
        Ok(())
    }

    /// Walks over the server's keys, and puts into their index the entries of these buckets.
    async fn index_anew(&self, buckets: &[u32]) -> Result<()> {
        let before = match buckets {
            [one] => self.place.entries(*one),
            _ => self.place.all(),
        };
        let mut cursor = "0".to_owned();
        loop {
            let found = self.core.link.scan(&before, &cursor).await?;
            let (next, keys): (String, Vec<Vec<u8>>) = from(&self.core, found, "SCAN")?;
            let digests = keys.iter().filter_map(|key| {
                let digest = Digest(*key.last_chunk()?);
                let bucket = self.place.bucket(&digest);
                let is_wanted = buckets.binary_search(&bucket).is_ok();
                (is_wanted && self.place.entry(&digest) == *key).then_some(digest)
            });
            let digests: Vec<_> = digests.collect();
            let all = self.fetch_all(&digests, Parts::Meta).await?;
            let mut missing = BTreeMap::<u32, Vec<_>>::new();
            for (digest, fields) in digests.into_iter().zip(all) {
                let heads = fields.heads();
                let of_one = missing.entry(self.place.bucket(&digest)).or_default();
                of_one.extend(heads.into_iter().map(|head| {
                    let variant = Variant(u128::from_be_bytes(head.variant));
                    (digest, variant, head.stored_at.max(head.checked_at))
                }));
            }
            for (bucket, missing) in missing {
                self.core
                    .note_in(&self.place, bucket, self.is_ranked(), &missing)
                    .await?;
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Takes out of the index what is not there, and counts the rest.
    async fn recount(&self, bucket: u32) -> Result<()> {
        for _ in 0..3 {
            let named = self.named_in(&[bucket], &Scores::all(), None).await?;
            let digests: Vec<_> = named.keys().copied().collect();
            let (mut missing, mut entries, mut bytes) = (Vec::new(), 0_u64, 0_u64);
            let mut owners: Vec<_> = named.keys().map(Digest::whose).collect();
            owners.dedup();
            let all = self.fetch_all(&digests, Parts::Meta).await?;
            for ((digest, variants), fields) in named.into_iter().zip(all) {
                let heads = fields.heads();
                for variant in variants {
                    let bits = variant.0.to_be_bytes();
                    match heads.iter().find(|head| head.variant == bits) {
                        Some(head) => {
                            entries += 1;
                            bytes += head.size;
                        }
                        None => missing.push(Removal {
                            digest,
                            variant,
                            when: When::Missing,
                        }),
                    }
                }
            }
            if !missing.is_empty() {
                self.remove(missing, Told::Nothing, Millis(0)).await?;
            }
            let said = self.said(bucket..bucket + 1).await?.pop();
            let said = said.unwrap_or_default();
            let whose = match owners.as_slice() {
                [one] => one.to_vec(),
                _ => b"*".to_vec(),
            };
            let mut call = Call::default();
            call.key(self.place.index(bucket))
                .key(self.place.counts(bucket))
                .number(entries)
                .arg(said.entries.unwrap_or_default())
                .arg(said.bytes.unwrap_or_default())
                .number(entries)
                .number(bytes)
                .arg(whose);
            let answer = RECOUNT.run(&self.core.link, &call).await?;
            if from::<u64>(&self.core, answer, "a count")? == 1 {
                break;
            }
            // Somebody writes; the next sweep comes.
        }
        Ok(())
    }

    pub(super) async fn stats(&self, now: Millis) -> Result<Stats> {
        self.core.ready().await?;
        let all = Scores::of(Scope::All, self, now);
        let expired = self.sizes(&Scores::of(Scope::Expired, self, now)).await?;
        let entries: u64 = self.sizes(&all).await?.into_iter().sum();
        let mut stats = Stats {
            entries,
            expired: expired.into_iter().sum(),
            exact: entries <= FEW,
            ..Stats::default()
        };
        let mut ages = Ages {
            exact: true,
            ..Ages::default()
        };
        let mut seen_bytes = 0;
        let mut note = |page: Vec<(Digest, metas::Fields)>| {
            for head in page.iter().flat_map(|(_, fields)| fields.heads()) {
                if head.expires_at.plus(self.spec.keep) <= now {
                    continue;
                }
                let at = head.stored_at;
                seen_bytes += head.size;
                ages.note(at, head.expires_at, head.size, now);
                stats.oldest = Some(stats.oldest.map_or(at, |oldest| oldest.min(at)));
                stats.newest = stats.newest.max(Some(at));
            }
        };
        if entries <= FEW {
            let mut pages = pin!(self.pages(all, Hint::default(), Parts::Meta));
            while let Some(page) = pages.try_next().await? {
                note(page);
            }
            (stats.bytes, stats.ages) = (seen_bytes, ages);
            return Ok(stats);
        }
        note(self.some().await?);
        let said = self.said(self.buckets()).await?;
        stats.bytes = said.iter().map(Said::bytes).sum();
        stats.ages = ages.scaled(stats.entries, stats.bytes);
        Ok(stats)
    }

    /// Reads a sample of all entries: as many at random of each bucket.
    async fn some(&self) -> Result<Vec<(Digest, metas::Fields)>> {
        let each = SOME.div_ceil(self.place.buckets).max(1);
        // Where an entry is follows from its digest: the first buckets are as good a sample as any.
        let picks = self.buckets().take(SOME as usize).map(|bucket| {
            let mut pick = cmd("ZRANDMEMBER");
            pick.arg(self.place.index(bucket)).arg(each);
            (bucket, pick)
        });
        let mut named = Named::new();
        for answer in self.core.link.ask_all(picks.collect()).await? {
            let members: Vec<Vec<u8>> = from(&self.core, answer, "ZRANDMEMBER")?;
            for (digest, variant) in members.iter().filter_map(|m| Digest::split(m)) {
                named.entry(digest).or_default().push(variant);
            }
        }
        // Other variants of an address come with it; which these are is no matter of chance, but few have any.
        self.page(named.into_iter().collect(), Parts::Meta).await
    }

    /// Has the order of use noted from now on; of older entries it is that of when they were stored or confirmed.
    pub(super) async fn rank(&self) -> Result<()> {
        let marks = self.buckets().map(|bucket| {
            let mut mark = cmd("HSET");
            mark.arg(self.place.counts(bucket)).arg("r").arg("1");
            (bucket, mark)
        });
        self.core.link.ask_all(marks.collect()).await?;
        let mut pages = pin!(self.pages(Scores::all(), Hint::default(), Parts::Meta));
        while let Some(page) = pages.try_next().await? {
            let notes = page.iter().flat_map(|(digest, fields)| {
                let heads = fields.heads();
                heads.into_iter().map(|head| {
                    let variant = Variant(u128::from_be_bytes(head.variant));
                    let bucket = self.place.bucket(digest);
                    let mut note = cmd("ZADD");
                    note.arg(self.place.uses(bucket))
                        .arg("NX")
                        .arg(head.stored_at.max(head.checked_at).0)
                        .arg(digest.member(variant));
                    (bucket, note)
                })
            });
            let notes = notes.collect();
            self.core.link.ask_all(notes).await?;
        }
        Ok(())
    }

    /// Returns those used least recently of each bucket: when, and which; and until when they are all there are.
    async fn least(&self, number: u64) -> Result<(Vec<(i64, Digest, Variant)>, i64)> {
        let number = LEAST + 2 * number.div_ceil(u64::from(self.place.buckets));
        let asks = self.buckets().map(|bucket| {
            let mut range = cmd("ZRANGE");
            range
                .arg(self.place.uses(bucket))
                .arg(0)
                .arg(number - 1)
                .arg("WITHSCORES");
            (bucket, range)
        });
        let answers = self.core.link.ask_all(asks.collect()).await?;
        let (mut least, mut until) = (Vec::new(), i64::MAX);
        for answer in answers {
            let members: Vec<(Vec<u8>, f64)> = from(&self.core, answer, "ZRANGE")?;
            if members.len() as u64 == number
                && let Some((_, last)) = members.last()
            {
                until = until.min(*last as i64);
            }
            least.extend(members.iter().filter_map(|(member, at)| {
                let (digest, variant) = Digest::split(member)?;
                Some((*at as i64, digest, variant))
            }));
        }
        Ok((least, until))
    }
}

/// Removes up to `limit` entries of these repositories, least recently used first, until together they are within `most`.
async fn trim_to(all: &[Rows], most: Budget, limit: u64, now: Millis) -> Result<Trimmed> {
    let mut trimmed = Trimmed::default();
    for rows in all {
        let said = rows.said(rows.buckets()).await?;
        trimmed.entries += said.iter().map(|said| said.indexed).sum::<u64>();
        trimmed.bytes += said.iter().map(Said::bytes).sum::<u64>();
    }
    let mut anew = false;
    while trimmed.removed < limit && !most.allows(trimmed.entries, trimmed.bytes) {
        let over = most
            .entries
            .map_or(0, |most| trimmed.entries.saturating_sub(most));
        let (mut least, mut until) = (Vec::new(), i64::MAX);
        for (number, rows) in all.iter().enumerate() {
            let (some, end) = rows.least(over.clamp(1, limit - trimmed.removed)).await?;
            least.extend(some.into_iter().map(|one| (one.0, number, one.1, one.2)));
            until = until.min(end);
        }
        least.retain(|(at, ..)| *at <= until);
        least.sort();
        let before = trimmed.removed;
        let removals = choose(all, &least, &most, limit, &mut trimmed).await?;
        for (number, removals) in removals {
            if let Some(rows) = all.get(number) {
                rows.remove(removals, Told::Addresses, now).await?;
            }
        }
        if trimmed.removed == before {
            // Nobody knows when the rest was used: not noted yet, or removed by the server.
            if std::mem::replace(&mut anew, true) {
                break;
            }
            for rows in all {
                rows.rank().await?;
            }
        }
    }
    Ok(trimmed)
}

async fn choose(
    all: &[Rows],
    least: &[(i64, usize, Digest, Variant)],
    most: &Budget,
    limit: u64,
    trimmed: &mut Trimmed,
) -> Result<BTreeMap<usize, Vec<Removal>>> {
    let mut chosen = BTreeMap::<usize, Vec<Removal>>::new();
    for page in least.chunks(128) {
        let mut sizes = BTreeMap::new();
        for (number, rows) in all.iter().enumerate() {
            let digests = page.iter().filter(|(_, of, ..)| *of == number);
            let digests: Vec<_> = digests.map(|(_, _, digest, _)| *digest).collect();
            for (digest, fields) in digests
                .iter()
                .zip(rows.fetch_all(&digests, Parts::Meta).await?)
            {
                let heads = fields.heads();
                sizes.extend(heads.iter().map(|head| {
                    let variant = Variant(u128::from_be_bytes(head.variant));
                    ((number, *digest, variant), head.size)
                }));
            }
        }
        for (_, number, digest, variant) in page {
            if trimmed.removed >= limit || most.allows(trimmed.entries, trimmed.bytes) {
                return Ok(chosen);
            }
            let size = sizes.get(&(*number, *digest, *variant)).copied();
            chosen.entry(*number).or_default().push(Removal {
                digest: *digest,
                variant: *variant,
                when: When::Any,
            });
            trimmed.removed += 1;
            trimmed.entries = trimmed.entries.saturating_sub(1);
            trimmed.bytes = trimmed.bytes.saturating_sub(size.unwrap_or_default());
        }
    }
    Ok(chosen)
}

/// Keeps all repositories within one budget.
pub(super) async fn trim(core: &Arc<Core>, most: Budget, limit: u64) -> Result<Trimmed> {
    core.ready().await?;
    core.tell_uses().await?;
    let mut all = Vec::new();
    for stored in schema::all(core).await? {
        let mut rows = Rows {
            core: core.clone(),
            place: stored.place.clone(),
            spec: Arc::new(stored.spec.clone()),
        };
        if most.is_bounded() && !rows.is_ranked() {
            let ranked = TableSpec {
                ranked: true,
                ..stored.spec.clone()
            };
            let change = schema::becomes(Some(&stored), &ranked, &stored.place);
            // Where somebody else changes it at this moment, it is ranked the next time.
            if schema::swap(core, vec![change]).await? {
                rows.spec = Arc::new(ranked);
                rows.rank().await?;
            }
        }
        all.push(rows);
    }
    trim_to(&all, most, limit, Millis(0)).await
}
