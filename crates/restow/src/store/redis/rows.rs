//! The entries of a repository, address by address.

use super::{
    core::{Core, Going},
    error,
    keys::{self, Digest, Place},
    link::Lost,
    metas::{self, BEGINNING, Fields},
    schema::from,
    script::{CHECK, Call, REMOVE, RENEW, WRITE},
};
use crate::{
    Error, ErrorKind, Millis, Result,
    entry::{Address, Entry, EntryId, Found, Generation, Meta, Seal, Variant},
    store::{Change, Fence, Parts, Renewal, TableSpec, Write},
};
use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, Value};
use std::{collections::BTreeMap, sync::Arc};

/// So many addresses are asked for at once; while they are read, the server looks up the next.
const CHUNK: usize = 128;
/// So many entries are removed by one script: others wait for it.
const REMOVALS: usize = 128;

/// No time to live is longer: 100 years, so that every entry has one.
const LONGEST: i64 = 3_153_600_000_000;

/// A repository's entries; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) core: Arc<Core>,
    pub(super) place: Place,
    pub(super) spec: Arc<TableSpec>,
}

/// An entry to remove, and under which condition.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) digest: Digest,
    pub(super) variant: Variant,
    pub(super) when: When,
}

/// When an entry is removed. What is not there any more goes out of the index in any case.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Its generation is this one.
    Read(u64),
    /// It expired after the first moment, and not after the second.
    Past(Millis, Millis),
    /// In any case.
    Any,
    /// It is not there any more.
    Missing,
}

/// What came of removals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    pub(super) removed: u64,
    /// Entries that only the index still named.
    pub(super) missed: u64,
}

/// An entry to write, with the generation it gets where it is new.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) entry: Arc<Entry>,
    pub(super) fence: Option<Fence>,
    pub(super) generation: Generation,
}

impl Rows {
    /// Tells whether the order of use matters.
    pub(super) fn is_ranked(&self) -> bool {
        self.spec.ranked || self.spec.budget.is_bounded()
    }

    pub(super) fn keep(&self) -> i64 {
        Millis(0).plus(self.spec.keep).0
    }

    pub(super) fn named(&self, error: Error) -> Error {
        error.in_repository(self.spec.name.shared())
    }

    pub(super) async fn read(&self, at: &Address, parts: Parts, now: Millis) -> Result<Found> {
        self.core.ready().await?;
        self.spec.check_key(&at.key)?;
        let digest = Digest::of(at);
        let fields = self.fetch(&digest, parts).await?;
        Ok(self.found(at, digest, &fields, parts, now))
    }

    pub(super) async fn read_many(
        &self,
        at: &[Address],
        parts: Parts,
        now: Millis,
    ) -> Result<Vec<Found>> {
        self.core.ready().await?;
        for address in at {
            self.spec.check_key(&address.key)?;
        }
        // In a cluster a chunk would be cut into as many parts as there are slots in it.
        let chunk = if self.core.link.is_cluster() {
            4_096
        } else {
            CHUNK
        };
        let chunks = at.chunks(chunk).map(|at| async move {
            let digests: Vec<_> = at.iter().map(Digest::of).collect();
            let all = self.fetch_all(&digests, parts).await?;
            let found = at.iter().zip(digests).zip(all);
            let found =
                found.map(|((at, digest), fields)| self.found(at, digest, &fields, parts, now));
            Ok::<_, Error>(found.collect::<Vec<_>>())
        });
        let found: Vec<Vec<Found>> = try_join_all(chunks).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn fetch(&self, digest: &Digest, parts: Parts) -> Result<Fields> {
        let key = self.place.entry(digest);
        let link = &self.core.link;
        if parts == Parts::Meta {
            let fields = self.fields(link.ask(&beginning(&key), Lost::Again).await?)?;
            if !fields.is_cut() {
                return Ok(fields);
            }
        }
        let fields = self.fields(link.get(key).await?)?;
        if parts == Parts::Meta {
            return Ok(fields);
        }
        self.with_bodies(digest, fields).await
    }

    /// Reads the fields of many addresses.
    pub(super) async fn fetch_all(&self, digests: &[Digest], parts: Parts) -> Result<Vec<Fields>> {
        if parts != Parts::Meta {
            let mut all = self.values(digests).await?;
            // Few have any beside; they are asked for at once.
            let beside = digests.iter().zip(&mut all);
            let beside = beside.filter(|(_, fields)| fields.is_torn());
            try_join_all(beside.map(|(digest, fields)| async move {
                *fields = self.with_bodies(digest, std::mem::take(fields)).await?;
                Ok::<_, Error>(())
            }))
            .await?;
            return Ok(all);
        }
        let asks = digests.iter().map(|digest| {
            let ask = beginning(&self.place.entry(digest));
            (self.place.bucket(digest), ask)
        });
        let answers = self.core.link.ask_all(asks.collect()).await?;
        let answers = answers.into_iter().map(|answer| self.fields(answer));
        let mut all = answers.collect::<Result<Vec<_>>>()?;
        let cut = all.iter_mut().zip(digests);
        let (mut cut, again): (Vec<_>, Vec<_>) = cut.filter(|(fields, _)| fields.is_cut()).unzip();
        if !cut.is_empty() {
            for (fields, whole) in cut.iter_mut().zip(self.values(&again).await?) {
                **fields = whole;
            }
        }
        Ok(all)
    }

    /// Reads the values of many addresses.
    async fn values(&self, digests: &[Digest]) -> Result<Vec<Fields>> {
        // In a cluster, what is asked for at once has to be in one slot.
        let mut groups = BTreeMap::<u32, Vec<usize>>::new();
        for (i, digest) in digests.iter().enumerate() {
            let bucket = match self.core.link.is_cluster() {
                true => self.place.bucket(digest),
                false => 0,
            };
            groups.entry(bucket).or_default().push(i);
        }
        let asks = groups.iter().map(|(bucket, group)| {
            let mut ask = Cmd::with_capacity(1 + group.len(), 4 + 48 * group.len());
            ask.arg("MGET");
            for digest in group.iter().filter_map(|i| digests.get(*i)) {
                ask.arg(self.place.entry(digest));
            }
            (*bucket, ask)
        });
        let answers = self.core.link.ask_all(asks.collect()).await?;
        let mut all = Vec::new();
        all.resize_with(digests.len(), Fields::default);
        for (answer, group) in answers.into_iter().zip(groups.into_values()) {
            let Value::Array(values) = answer else {
                return Err(error::strange(self.core.link.place(), "MGET"));
            };
            for (value, i) in values.into_iter().zip(group) {
                if let Some(fields) = all.get_mut(i) {
                    *fields = self.fields(value)?;
                }
            }
        }
        Ok(all)
    }

    fn fields(&self, answer: Value) -> Result<Fields> {
        match answer {
            Value::Nil => Ok(Fields::default()),
            Value::BulkString(value) => Ok(Fields::of(value)),
            _ => Err(error::strange(self.core.link.place(), "a read")),
        }
    }

    /// Reads the bodies beside a value, where there are any.
    async fn with_bodies(&self, digest: &Digest, mut fields: Fields) -> Result<Fields> {
        let link = &self.core.link;
        loop {
            let apart = fields.apart();
            if apart.is_empty() {
                return Ok(fields);
            }
            let mut ask = redis::cmd("HMGET");
            ask.arg(self.place.beside(digest));
            for variant in &apart {
                ask.arg(keys::suffix(variant));
            }
            let answer = link.ask(&ask, Lost::Again).await?;
            let bodies: Vec<Option<Vec<u8>>> = from(&self.core, answer, "HMGET")?;
            for (variant, body) in apart.into_iter().zip(bodies) {
                if let Some(body) = body {
                    fields.put_body(variant, body);
                }
            }
            if !fields.is_torn() {
                return Ok(fields);
            }
            let now = self.fields(link.get(self.place.entry(digest)).await?)?;
            if now.value() == fields.value() {
                // It is damaged; or the server removed the bodies alone.
                return Ok(fields);
            }
            fields = now;
        }
    }

    /// Reads what is retained at an address, notes its use, and has removed what is damaged.
    pub(super) fn found(
        &self,
        at: &Address,
        digest: Digest,
        fields: &Fields,
        parts: Parts,
        now: Millis,
    ) -> Found {
        if fields.is_empty() || !fields.are_of(at) {
            return Found::default();
        }
        let read = fields.entries(at, &self.spec, parts, now);
        let uses = &self.core.uses;
        let ranked = self.is_ranked();
        for entry in read.found.iter() {
            if uses.note(&self.place, ranked, digest, entry.id.variant, now) {
                self.core.tell_uses_later();
            }
        }
        self.heed(digest, fields, &read);
        read.found
    }

    /// Has removed what is damaged; nobody waits for it.
    pub(super) fn heed(&self, digest: Digest, fields: &Fields, read: &metas::Read) {
        if read.damaged.is_empty() && !read.is_damaged {
            return;
        }
        tracing::warn!(repository = %self.spec.name, "a stored entry is damaged; it counts as a miss and is removed");
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (rows, damaged) = (self.clone(), read.damaged.clone());
        let whole = read.is_damaged.then(|| fields.value().cloned()).flatten();
        runtime.spawn(async move {
            if let Some(value) = whole {
                let mut call = rows.bucket_call(rows.place.bucket(&digest));
                call.arg("0").arg("0");
                call.key(rows.place.entry(&digest)).arg(digest.0);
                call.arg([0; 16]).arg("damaged").arg(value.to_vec()).arg("");
                drop(REMOVE.run(&rows.core.link, &call).await);
            }
            let removals = damaged.into_iter().map(|(variant, generation)| Removal {
                digest,
                variant: Variant(u128::from_be_bytes(variant)),
                when: When::Read(generation),
            });
            drop(rows.remove(removals.collect(), Millis(0)).await);
        });
    }

    fn bucket_call(&self, bucket: u32) -> Call {
        let mut call = Call::default();
        call.key(self.place.index(bucket))
            .key(self.place.counts(bucket))
            .key(self.place.uses(bucket));
        call
    }

    pub(super) async fn write(&self, writes: &[Write], now: Millis) -> Result<()> {
        self.core.ready().await?;
        for write in writes {
            self.spec.check_key(&write.entry.id.address.key)?;
        }
        let puts = writes.iter().map(|write| Put {
            entry: write.entry.clone(),
            fence: write.fence,
            generation: Generation::start(),
        });
        self.put(puts.collect(), now).await
    }

    /// Writes entries, all or none.
    pub(super) async fn put(&self, puts: Vec<Put>, now: Millis) -> Result<()> {
        if puts.is_empty() {
            return Ok(());
        }
        if !self.core.link.is_cluster() {
            let call = self.write_call(&puts, now)?;
            return self.written(WRITE.run(&self.core.link, &call).await?);
        }
        let mut slots = BTreeMap::<u32, Vec<Put>>::new();
        for put in puts {
            let bucket = self.place.bucket(&Digest::of(&put.entry.id.address));
            slots.entry(bucket).or_default().push(put);
        }
        let slots: Vec<_> = slots.into_iter().collect();
        let calls = slots
            .iter()
            .map(|(_, puts)| self.write_call(puts, now))
            .collect::<Result<Vec<_>>>()?;
        if let [call] = calls.as_slice() {
            return self.written(WRITE.run(&self.core.link, call).await?);
        }
        // Over several servers: first whether all may be written, then all of them, whoever still waits for it.
        let checks = slots
            .iter()
            .filter(|(_, puts)| puts.iter().any(|put| put.fence.is_some()))
            .map(|(bucket, puts)| async move {
                let mut call = Call::default();
                call.key(self.place.counts(*bucket));
                for put in puts {
                    if let Some(fence) = put.fence {
                        call.key(self.place.lease(&Digest::of(&put.entry.id.address)));
                        call.number(fence.0);
                    }
                }
                self.written(CHECK.run(&self.core.link, &call).await?)
            });
        try_join_all(checks).await?;
        let rows = self.clone();
        let going = Going::start(self.core.clone(), async move {
            let runs = calls.iter().map(|call| WRITE.run(&rows.core.link, call));
            for answer in join_all(runs).await {
                rows.written(answer?)?;
            }
            Ok(())
        });
        going.end().await
    }

    fn write_call(&self, puts: &[Put], now: Millis) -> Result<Call> {
        let mut sorted: Vec<_> = puts
            .iter()
            .map(|put| {
                let digest = Digest::of(&put.entry.id.address);
                (self.place.bucket(&digest), digest, put)
            })
            .collect();
        // Those of one address stay in their order.
        sorted.sort_by_key(|(bucket, ..)| *bucket);
        let buckets: Vec<_> = sorted.chunk_by(|a, b| a.0 == b.0).collect();
        let leases: Vec<_> = sorted
            .iter()
            .filter_map(|(_, digest, put)| Some((self.place.lease(digest), put.fence?)))
            .collect();
        let mut call = Call::with_capacity(3 * buckets.len() + puts.len(), 8 + 5 * puts.len());
        let changed = puts.iter().map(|put| &put.entry.id.address);
        call.number(now.0)
            .number(self.keep())
            .number(self.spec.max_variants.max(1))
            .arg(if self.is_ranked() { "1" } else { "0" })
            .arg(self.core.names.channel())
            .arg(self.message(changed))
            .count(buckets.len())
            .count(leases.len());
        for of_one in &buckets {
            let Some((bucket, first, _)) = of_one.first() else {
                continue;
            };
            let whose = first.whose();
            let same = of_one.iter().all(|(_, digest, _)| digest.whose() == whose);
            call.key(self.place.index(*bucket))
                .key(self.place.counts(*bucket))
                .key(self.place.uses(*bucket))
                .count(of_one.len())
                .arg(if same { whose.to_vec() } else { b"*".to_vec() });
        }
        for (_, digest, put) in &sorted {
            let entry = &*put.entry;
            let (value, is_apart) = metas::value(entry, put.generation, &self.spec)?;
            let body = if is_apart {
                entry.body.to_vec()
            } else {
                Vec::new()
            };
            call.key(self.place.entry(digest))
                .arg(digest.member(entry.id.variant))
                .arg(metas::score(entry.meta.expires_at))
                .arg(value)
                .number(self.stays(entry.meta.expires_at, now))
                .arg(body);
        }
        for (lease, fence) in leases {
            call.key(lease).number(fence.0);
        }
        Ok(call)
    }

    /// For how many milliseconds an entry stays; none where it is gone on arrival.
    fn stays(&self, expires_at: Millis, now: Millis) -> i64 {
        let end = expires_at.plus(self.spec.keep);
        end.0.saturating_sub(now.0).clamp(0, LONGEST)
    }

    fn written(&self, answer: Value) -> Result<()> {
        match answer {
            Value::BulkString(said) if said == b"ok" => Ok(()),
            Value::BulkString(said) if said == b"gone" => Err(error::gone()),
            Value::BulkString(said) if said == b"fenced" => Err(Error::new(
                ErrorKind::Fenced,
                "somebody else took the lease since, or it ended long ago; what they fetched stays",
            )),
            _ => Err(error::strange(self.core.link.place(), "a write")),
        }
    }

    pub(super) fn message<'a>(&self, changed: impl Iterator<Item = &'a Address>) -> Vec<u8> {
        let name = self.spec.name.shared();
        super::changes::addresses(&self.core.sender, &name, changed)
    }

    pub(super) async fn renew(&self, renewals: &[Renewal], now: Millis) -> Result<u64> {
        self.core.ready().await?;
        for renewal in renewals {
            self.spec.check_key(&renewal.id.address.key)?;
        }
        let mut slots = BTreeMap::<u32, Vec<(&EntryId, Generation, Meta)>>::new();
        for Renewal { id, read, meta } in renewals {
            let bucket = self.place.bucket(&Digest::of(&id.address));
            let slot = slots.entry(bucket).or_default();
            slot.push((id, *read, meta.clone()));
        }
        let done = slots
            .into_iter()
            .map(|(bucket, slot)| self.renew_in(bucket, slot, now));
        Ok(try_join_all(done).await?.into_iter().sum())
    }

    async fn renew_in(
        &self,
        bucket: u32,
        mut renewals: Vec<(&EntryId, Generation, Meta)>,
        now: Millis,
    ) -> Result<u64> {
        let mut renewed = 0;
        // Where the body is another than the meta says, its seal comes back, and the meta is made again for it.
        for _ in 0..2 {
            let mut call = self.bucket_call(bucket);
            let changed = renewals.iter().map(|(id, ..)| &id.address);
            call.number(now.0)
                .number(self.keep())
                .arg(if self.is_ranked() { "1" } else { "0" })
                .arg(self.core.names.channel())
                .arg(self.message(changed));
            for (id, read, meta) in &renewals {
                let digest = Digest::of(&id.address);
                call.key(self.place.entry(&digest))
                    .arg(metas::address_bytes(&id.address))
                    .arg(digest.0)
                    .number(read.0)
                    .arg(metas::block(id, meta, &self.spec)?)
                    .arg(metas::score(meta.expires_at));
            }
            let answer = RENEW.run(&self.core.link, &call).await?;
            let Value::Array(answers) = answer else {
                return Err(error::gone());
            };
            let mut again = Vec::new();
            for (renewal, answer) in renewals.into_iter().zip(answers) {
                match answer {
                    Value::Int(n) => renewed += u64::from(n > 0),
                    Value::BulkString(seal) => {
                        let (id, read, meta) = renewal;
                        let seal = seal_of(&seal)
                            .ok_or_else(|| error::strange(self.core.link.place(), "a renewal"))?;
                        again.push((id, read, Meta { seal, ..meta }));
                    }
                    _ => return Err(error::strange(self.core.link.place(), "a renewal")),
                }
            }
            if again.is_empty() {
                break;
            }
            renewals = again;
        }
        Ok(renewed)
    }

    pub(super) async fn delete(&self, at: &[Address], now: Millis) -> Result<u64> {
        self.core.ready().await?;
        for address in at {
            self.spec.check_key(&address.key)?;
        }
        let mut slots = BTreeMap::<u32, Vec<(Digest, &Address)>>::new();
        for address in at {
            let digest = Digest::of(address);
            let slot = slots.entry(self.place.bucket(&digest)).or_default();
            slot.push((digest, address));
        }
        let calls = slots.into_iter().flat_map(|(bucket, slot)| {
            let chunks = slot.chunks(REMOVALS).map(|chunk| {
                let mut call = self.bucket_call(bucket);
                call.number(now.0).number(self.keep());
                for (digest, address) in chunk {
                    call.key(self.place.entry(digest))
                        .arg(digest.0)
                        .arg([0; 16])
                        .arg("all")
                        .arg(metas::address_bytes(address))
                        .arg("");
                }
                call
            });
            chunks.collect::<Vec<_>>()
        });
        let calls: Vec<_> = calls.collect();
        let removed = self.run_removals(&calls).await?.removed;
        if removed > 0 {
            self.publish(self.message(at.iter())).await;
        }
        Ok(removed)
    }

    /// Removes entries.
    pub(super) async fn remove(&self, removals: Vec<Removal>, now: Millis) -> Result<Removed> {
        let mut slots = BTreeMap::<u32, Vec<Removal>>::new();
        for removal in removals {
            let slot = slots.entry(self.place.bucket(&removal.digest)).or_default();
            slot.push(removal);
        }
        let mut calls = Vec::new();
        for (bucket, slot) in slots {
            for chunk in slot.chunks(REMOVALS) {
                let mut call = self.bucket_call(bucket);
                call.number(now.0).number(self.keep());
                for removal in chunk {
                    let (how, one, two) = match removal.when {
                        When::Read(generation) => ("read", generation.to_string(), String::new()),
                        When::Past(after, until) => {
                            ("past", after.0.to_string(), until.0.to_string())
                        }
                        When::Any => ("any", String::new(), String::new()),
                        // No entry has this generation.
                        When::Missing => ("read", "0".to_owned(), String::new()),
                    };
                    call.key(self.place.entry(&removal.digest))
                        .arg(removal.digest.0)
                        .arg(removal.variant.0.to_be_bytes())
                        .arg(how)
                        .arg(one)
                        .arg(two);
                }
                calls.push(call);
            }
        }
        self.run_removals(&calls).await
    }

    async fn run_removals(&self, calls: &[Call]) -> Result<Removed> {
        let mut sum = Removed::default();
        // A few at a time: others want to be answered as well.
        for some in calls.chunks(32) {
            let runs = some.iter().map(|call| REMOVE.run(&self.core.link, call));
            for answer in join_all(runs).await {
                let (removed, missed): (u64, u64) = from(&self.core, answer?, "a removal")?;
                sum.removed += removed;
                sum.missed += missed;
            }
        }
        Ok(sum)
    }

    /// Tells those who listen that anything in the table may have changed.
    pub(super) async fn publish_table(&self) {
        let message = self.core.message(&Change::Table(self.spec.name.clone()));
        self.publish(message).await;
    }

    /// What was changed is changed, whether others hear of it or not.
    async fn publish(&self, message: Vec<u8>) {
        let mut cmd = redis::cmd("PUBLISH");
        cmd.arg(self.core.names.channel()).arg(message);
        if let Err(error) = self.core.link.ask(&cmd, Lost::Again).await {
            tracing::debug!(%error, "a change could not be published");
        }
    }
}

/// Asks for what a value begins with: all metas, mostly.
fn beginning(key: &[u8]) -> Cmd {
    let mut cmd = Cmd::with_capacity(4, 96);
    cmd.arg("GETRANGE").arg(key).arg(0).arg(BEGINNING - 1);
    cmd
}

fn seal_of(bytes: &[u8]) -> Option<Seal> {
    let (len, sum) = bytes.split_first_chunk()?;
    Some(Seal {
        len: u64::from_be_bytes(*len),
        sum: u64::from_be_bytes(sum.try_into().ok()?),
    })
}
