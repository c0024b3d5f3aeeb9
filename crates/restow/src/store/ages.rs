//! How old entries are, and how soon they expire.

use crate::Millis;
use std::time::Duration;

/// How entries spread over time: one share for each span of [`SPANS`](Self::SPANS), and the last for what is beyond them.
///
/// ```
/// use restow::{Millis, store::Ages};
/// let mut ages = Ages::default();
/// let now = Millis(10 * 86_400_000);
/// // Stored two days ago, fresh for another half an hour.
/// ages.note(Millis(8 * 86_400_000), Millis(now.0 + 1_800_000), 2_200, now);
/// assert_eq!((ages.stored[2].entries, ages.expires[0].bytes), (1, 2_200));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ages {
    /// Retained entries by the time since they were stored: within the last hour; longer ago, but within the last day; and so on.
    pub stored: [Share; 5],
    /// Live entries by the time until they expire, in the same way; the last share holds those that never do, too.
    pub expires: [Share; 5],
    /// Whether they were counted one by one, not estimated from a sample.
    pub exact: bool,
}

/// Some of the entries, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub entries: u64,
    /// Bytes of their header lines, URLs and bodies.
    pub bytes: u64,
}

impl Ages {
    /// Where the spans end: an hour, a day, a week, 30 days.
    pub const SPANS: [Duration; 4] = [
        Duration::from_secs(3_600),
        Duration::from_secs(86_400),
        Duration::from_secs(7 * 86_400),
        Duration::from_secs(30 * 86_400),
    ];

    /// Counts an entry.
    pub fn note(&mut self, stored_at: Millis, expires_at: Millis, bytes: u64, now: Millis) {
        add(&mut self.stored, now.since(stored_at), bytes);
        if expires_at > now {
            add(&mut self.expires, expires_at.since(now), bytes);
        }
    }

    /// Adds what another table holds.
    pub fn merge(&mut self, other: &Self) {
        self.exact &= other.exact;
        let all = self.stored.iter_mut().chain(&mut self.expires);
        for (share, more) in all.zip(other.stored.iter().chain(&other.expires)) {
            share.entries += more.entries;
            share.bytes += more.bytes;
        }
    }

    /// Makes of a sample the estimate of a table with this many entries and bytes.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(crate) fn scaled(mut self, entries: u64, bytes: u64) -> Self {
        let sample = self.stored.iter().fold((0, 0), |(n, size), share| {
            (n + share.entries, size + share.bytes)
        });
        let scale = |part: u64, sample: u64, whole: u64| {
            let scaled = u128::from(part) * u128::from(whole) / u128::from(sample.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        for share in self.stored.iter_mut().chain(&mut self.expires) {
            share.entries = scale(share.entries, sample.0, entries);
            share.bytes = scale(share.bytes, sample.1, bytes);
        }
        self.exact = false;
        self
    }
}

fn add(shares: &mut [Share; 5], distance: Duration, bytes: u64) {
    let spans = Ages::SPANS.iter();
    // A whole span away is within it no more.
    let beyond = spans.filter(|span| distance >= **span).count();
    if let Some(share) = shares.get_mut(beyond) {
        share.entries += 1;
        share.bytes += bytes;
    }
}
