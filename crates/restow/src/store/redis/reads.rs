//! Reading entries: by one address, or by many together.

use super::{
    keys::{self, Digest},
    link::Lost,
    metas::{self, BEGINNING, Fields},
    rows::{Removal, Rows, Told, When},
    schema::from,
    script::REMOVE,
};
use crate::{
    Error, Millis, Result,
    entry::{Address, Found, Variant},
    store::Parts,
};
use futures_util::future::try_join_all;
use redis::{Cmd, Value};
use std::collections::BTreeMap;

/// So many addresses are asked for at once; while they are read, the server looks up the next.
const CHUNK: usize = 128;
/// So often somebody may write between the reads of a value and of the bodies beside it.
const TORN: usize = 16;

impl Rows {
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
            let all = self.values(digests).await?;
            let all = digests.iter().copied().zip(all).collect();
            let all = self.with_bodies_of(all, parts).await?;
            return Ok(all.into_iter().map(|(_, fields)| fields).collect());
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

    /// Reads the bodies beside the values of many addresses, unless no body is wanted.
    pub(super) async fn with_bodies_of(
        &self,
        mut all: Vec<(Digest, Fields)>,
        parts: Parts,
    ) -> Result<Vec<(Digest, Fields)>> {
        // Few have any beside; they are asked for at once.
        let beside = all.iter_mut();
        let beside = beside.filter(|(_, fields)| parts != Parts::Meta && fields.is_torn());
        try_join_all(beside.map(|(digest, fields)| async move {
            *fields = self.with_bodies(digest, std::mem::take(fields)).await?;
            Ok::<_, Error>(())
        }))
        .await?;
        Ok(all)
    }

    /// Reads the values of many addresses.
    pub(super) async fn values(&self, digests: &[Digest]) -> Result<Vec<Fields>> {
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
                return Err(self.core.link.strange("MGET"));
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
            _ => Err(self.core.link.strange("a read")),
        }
    }

    /// Reads the bodies beside a value, where there are any.
    async fn with_bodies(&self, digest: &Digest, mut fields: Fields) -> Result<Fields> {
        let link = &self.core.link;
        for _ in 0..TORN {
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
        // Whose body is not there is a miss.
        Ok(fields)
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
        if fields.is_empty() {
            return Found::default();
        }
        if !fields.are_of(at) {
            // It may be the answer to another question.
            self.core.link.doubt();
            return Found::default();
        }
        let read = fields.entries(at, self.repository(), parts, now);
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
        // It may be the answer to another question, too.
        self.core.link.doubt();
        tracing::warn!(repository = %self.spec.name, "a stored entry is damaged; it counts as a miss and is removed");
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (rows, damaged) = (self.clone(), read.damaged.clone());
        let whole = read.is_damaged.then(|| fields.value().cloned()).flatten();
        runtime.spawn(async move {
            if let Some(value) = whole {
                let bucket = rows.place.bucket(&digest);
                let mut call = rows.removal_call(bucket, Told::Nothing, Millis(0));
                call.key(rows.place.entry(&digest)).arg(digest.0);
                call.arg([0; 16]).arg("damaged").arg(value.to_vec()).arg("");
                drop(REMOVE.run(&rows.core.link, &call).await);
            }
            let removals = damaged.into_iter().map(|(variant, generation)| Removal {
                digest,
                variant: Variant(u128::from_be_bytes(variant)),
                when: When::Read(generation),
            });
            drop(
                rows.remove(removals.collect(), Told::Nothing, Millis(0))
                    .await,
            );
        });
    }
}

/// Asks for what a value begins with: all metas, mostly.
fn beginning(key: &[u8]) -> Cmd {
    let mut cmd = Cmd::with_capacity(4, 96);
    cmd.arg("GETRANGE").arg(key).arg(0).arg(BEGINNING - 1);
    cmd
}
