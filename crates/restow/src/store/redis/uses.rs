//! Uses of entries, noted in memory and told the server many at once.

use super::{
    core::{Core, lock},
    keys::{Digest, Place},
    script::{Call, NOTE},
};
use crate::{Millis, Result, entry::Variant};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::xxh3_64;

/// So many are told at once.
const MANY: usize = 1_000;
/// No use is kept to ourselves for longer, where others follow.
const LONG: Duration = Duration::from_secs(5);
/// Where the order of use does not matter, one read in so many is noted, so that what is missing in an index comes back.
const SAMPLE: u64 = 64;

/// Uses that the server does not know of.
#[derive(Debug, Default)]
pub(super) struct Uses {
    reads: AtomicU64,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    since: Option<Instant>,
    places: HashMap<u64, (Place, bool)>,
    uses: HashMap<(u64, Digest, Variant), Millis>,
}

impl Uses {
    /// Notes a use; tells whether it is time to tell the server.
    pub(super) fn note(
        &self,
        place: &Place,
        ranked: bool,
        digest: Digest,
        variant: Variant,
        now: Millis,
    ) -> bool {
        if !ranked && !self.is_picked() {
            return false;
        }
        let mut noted = lock(&self.noted);
        let number = place.number;
        let known = noted.places.entry(number);
        known.or_insert_with(|| (place.clone(), ranked)).1 |= ranked;
        noted.uses.insert((number, digest, variant), now);
        let since = *noted.since.get_or_insert_with(Instant::now);
        noted.uses.len() >= MANY || since.elapsed() >= LONG
    }

    /// Picks one of so many, as if by chance: who reads the same again and again in the same order comes upon all of it.
    fn is_picked(&self) -> bool {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        xxh3_64(&read.to_le_bytes()).is_multiple_of(SAMPLE)
    }

    fn take(&self) -> Noted {
        std::mem::take(&mut *lock(&self.noted))
    }
}

impl Core {
    /// Tells the server all uses.
    pub(super) async fn tell_uses(&self) -> Result<()> {
        self.link.watch().check()?;
        let noted = self.uses.take();
        let mut calls = BTreeMap::<(u64, u32), Vec<(Digest, Variant, Millis)>>::new();
        for ((number, digest, variant), at) in noted.uses {
            if let Some((place, _)) = noted.places.get(&number) {
                let uses = calls.entry((number, place.bucket(&digest))).or_default();
                uses.push((digest, variant, at));
            }
        }
        for ((number, bucket), uses) in calls {
            if let Some((place, ranked)) = noted.places.get(&number) {
                self.note_in(place, bucket, *ranked, &uses).await?;
            }
        }
        Ok(())
    }

    /// Notes uses of entries of a bucket, and puts back into its index what is missing there.
    pub(super) async fn note_in(
        &self,
        place: &Place,
        bucket: u32,
        ranked: bool,
        uses: &[(Digest, Variant, Millis)],
    ) -> Result<()> {
        for some in uses.chunks(MANY) {
            let mut call = Call::default();
            call.key(place.index(bucket))
                .key(place.counts(bucket))
                .key(place.uses(bucket))
                .arg(if ranked { "1" } else { "0" });
            for (digest, variant, at) in some {
                call.key(place.entry(digest))
                    .arg(digest.0)
                    .arg(variant.0.to_be_bytes())
                    .number(at.0);
            }
            NOTE.run(&self.link, &call).await?;
        }
        Ok(())
    }

    /// The same where nobody waits for it.
    pub(super) fn tell_uses_later(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let core = self.clone();
            runtime.spawn(async move {
                if let Err(error) = core.tell_uses().await {
                    tracing::debug!(%error, "uses of entries could not be noted");
                }
            });
        }
    }
}
