//! Writing, renewing and removing entries, and telling others of it.

use super::{
    blocks,
    core::{Core, Going},
    error,
    keys::Digest,
    link::Lost,
    rows::{Put, Removal, Removed, Rows, Told, When},
    schema::{count, from},
    script::{CHECK, Call, REMOVE, RENEW, WRITE},
};
use crate::{
    Error, ErrorKind, Millis, Result,
    entry::{Address, EntryId, Generation, Meta, Seal},
    store::{Change, Renewal, Write},
};
use futures_util::future::{join_all, try_join_all};
use redis::Value;
use std::collections::BTreeMap;

/// So many entries are removed by one script: others wait for it.
const REMOVALS: usize = 128;

/// No time to live is longer: 100 years, so that every entry has one.
const LONGEST: i64 = 3_153_600_000_000;

impl Rows {
    pub(super) fn bucket_call(&self, bucket: u32) -> Call {
        let mut call = Call::default();
        call.key(self.place.index(bucket))
            .key(self.place.counts(bucket))
            .key(self.place.uses(bucket));
        call
    }

    /// Begins a call that removes entries of a bucket.
    pub(super) fn removal_call(&self, bucket: u32, told: Told, now: Millis) -> Call {
        let message = match told {
            Told::Nothing => Vec::new(),
            Told::Addresses => self.message(std::iter::empty()),
            Told::Table => self.core.message(&Change::Table(self.spec.name.clone())),
        };
        let mut call = self.bucket_call(bucket);
        call.number(now.0)
            .number(self.keep())
            .arg(self.core.names.channel())
            .arg(message);
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
            let (value, is_apart) = blocks::value(entry, put.generation, self.repository())?;
            let body = if is_apart {
                entry.body.to_vec()
            } else {
                Vec::new()
            };
            call.key(self.place.entry(digest))
                .arg(digest.member(entry.id.variant))
                .arg(blocks::score(entry.meta.expires_at))
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
            _ => Err(self.core.link.strange("a write")),
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
                    .arg(blocks::address_bytes(&id.address))
                    .arg(digest.0)
                    .number(read.0)
                    .arg(blocks::block(id, meta, self.repository())?)
                    .arg(blocks::score(meta.expires_at));
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
                        let seal =
                            seal_of(&seal).ok_or_else(|| self.core.link.strange("a renewal"))?;
                        again.push((id, read, Meta { seal, ..meta }));
                    }
                    _ => return Err(self.core.link.strange("a renewal")),
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
                let mut call = self.removal_call(bucket, Told::Addresses, now);
                for (digest, address) in chunk {
                    call.key(self.place.entry(digest))
                        .arg(digest.0)
                        .arg([0; 16])
                        .arg("all")
                        .arg(blocks::address_bytes(address))
                        .arg("");
                }
                call
            });
            chunks.collect::<Vec<_>>()
        });
        let calls: Vec<_> = calls.collect();
        Ok(self.run_removals(&calls).await?.removed)
    }

    /// Removes entries; what others hear of it is told by the same script.
    pub(super) async fn remove(
        &self,
        removals: Vec<Removal>,
        told: Told,
        now: Millis,
    ) -> Result<Removed> {
        let mut slots = BTreeMap::<u32, Vec<Removal>>::new();
        for removal in removals {
            let slot = slots.entry(self.place.bucket(&removal.digest)).or_default();
            slot.push(removal);
        }
        let mut calls = Vec::new();
        for (bucket, slot) in slots {
            for chunk in slot.chunks(REMOVALS) {
                let mut call = self.removal_call(bucket, told, now);
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
                let (removed, missed) = from(&self.core, answer?, "a removal")?;
                sum.removed += count(&self.core, removed, "a removal")?;
                sum.missed += count(&self.core, missed, "a removal")?;
            }
        }
        Ok(sum)
    }

    /// Tells those who listen that anything in the table may have changed.
    pub(super) async fn publish_table(&self) {
        let change = Change::Table(self.spec.name.clone());
        self.core.publish(self.core.message(&change)).await;
    }
}

impl Core {
    /// What was changed is changed, whether others hear of it or not.
    pub(super) async fn publish(&self, message: Vec<u8>) {
        let mut cmd = redis::cmd("PUBLISH");
        cmd.arg(self.names.channel()).arg(message);
        if let Err(error) = self.link.ask(&cmd, Lost::Again).await {
            tracing::debug!(%error, "a change could not be published");
        }
    }
}

fn seal_of(bytes: &[u8]) -> Option<Seal> {
    let (len, sum) = bytes.split_first_chunk()?;
    Some(Seal {
        len: u64::from_be_bytes(*len),
        sum: u64::from_be_bytes(sum.try_into().ok()?),
    })
}
