//! What a memory tier may hold, and for how long it is believed.

use crate::{
    Error, ErrorKind, Result,
    store::{MemoryOptions, parameters},
};
use bytesize::ByteSize;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// The bounds of a [`TieredStore`](super::TieredStore).
///
/// ```
/// use restow::store::TierOptions;
/// let options = TierOptions::new(64 << 20);
/// assert_eq!(options.max_entry, 1 << 20);
/// assert_eq!(options.recheck, std::time::Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierOptions {
    /// The most bytes it holds: bodies, header lines, keys, and [`MemoryOptions::OVERHEAD`] for each address.
    pub max_bytes: u64,
    /// The most bytes that the answers at one address may have to be held; default 1 MiB.
    pub max_entry: u64,
    /// How long an entry is believed before the store is asked whether it is still the one: what another process
    /// changes is seen within this time, or sooner where the store tells it. Default 1 second.
    pub recheck: Duration,
}

impl TierOptions {
    /// Makes the options of a tier of this many bytes.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            max_entry: 1 << 20,
            recheck: Duration::from_secs(1),
        }
    }

    /// Sets the most bytes that the answers at one address may have to be held.
    #[must_use]
    pub fn max_entry(mut self, bytes: u64) -> Self {
        self.max_entry = bytes;
        self
    }

    /// Sets how long an entry is believed.
    #[must_use]
    pub fn recheck(mut self, after: Duration) -> Self {
        self.recheck = after;
        self
    }

    /// Refuses a tier that could hold nothing.
    pub(in crate::store) fn check(self) -> Result<Self> {
        if self.max_bytes <= MemoryOptions::OVERHEAD {
            let message = format!(
                "a memory tier of {} bytes holds nothing; write memory=64MiB, or leave it out",
                self.max_bytes
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(self)
    }

    /// Takes `memory=` out of a store's URL. A bare path has no parameters.
    pub(in crate::store) fn split(url: &str) -> Result<(String, Option<Self>)> {
        let mut tier = None;
        let inner = parameters::take(url, |name, value| {
            let is_own = name == "memory";
            if is_own {
                tier = Some(Self::read(value)?);
            }
            Ok(is_own)
        })?;
        Ok((inner, tier))
    }

    fn read(value: &str) -> Result<Self> {
        let text = percent_decode_str(value).decode_utf8_lossy();
        let size = text.trim().parse::<ByteSize>().map_err(|_| {
            let message = format!("memory={value} is no size; write it like memory=64MiB");
            Error::new(ErrorKind::Config, message)
        })?;
        Self::new(size.as_u64()).check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_out_of_the_url_wherever_it_stands() {
        for (url, inner, bytes) in [
            ("sqlite://a.db", "sqlite://a.db", None),
            (
                "sqlite://a.db?memory=64MiB",
                "sqlite://a.db",
                Some(64 << 20),
            ),
            (
                "sqlite://a.db?memory=1%20GiB&mode=ro",
                "sqlite://a.db?mode=ro",
                Some(1 << 30),
            ),
            (
                "sqlite://a.db?mode=ro&memory=65536",
                "sqlite://a.db?mode=ro",
                Some(65_536),
            ),
        ] {
            let (rest, tier) = TierOptions::split(url).unwrap();
            assert_eq!((&*rest, tier.map(|t| t.max_bytes)), (inner, bytes), "{url}");
        }
    }

    #[test]
    fn a_tier_that_holds_nothing_is_refused() {
        for value in ["", "much", "0", "-1", "100"] {
            let error = TierOptions::split(&format!("sqlite://a.db?memory={value}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{value}");
            assert!(error.to_string().contains("memory=64MiB"), "{error}");
        }
    }
}
