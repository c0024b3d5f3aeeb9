//! How long a store is waited for, and when it is left alone.

use crate::{Error, ErrorKind, Result, store::parameters};
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// The patience of a [`GuardedStore`](super::GuardedStore).
///
/// ```
/// use restow::store::BreakerOptions;
/// use std::time::Duration;
/// let options = BreakerOptions::default();
/// assert_eq!((options.timeout, options.failures), (Duration::from_millis(50), 5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerOptions {
    /// How long a call about one entry may take; default 50 ms. It counts from the call or, as long as the store answers others in time, from
    /// the last such answer; twice as long is the most. The other bounds are multiples of it:
    ///
    /// | call | bound | by default |
    /// |---|---|---|
    /// | one entry read, written, renewed or deleted; a lease | `timeout` | 50 ms |
    /// | each further entry of the call | + `timeout` / 50 | + 1 ms |
    /// | each MiB of bodies: those written, or as large as what the table answered lately | + `timeout` | + 50 ms |
    /// | opening a store or a table | `timeout` x 100 | 5 s |
    /// | what may go over a whole table: count, clear, sweep, stats, each item of a scan | `timeout` x 600 | 30 s |
    /// | opening a table that may be migrated | `timeout` x 72,000 | 1 h |
    /// | how long a call that finds out whether the store is back keeps the next one from it | `timeout` x 25 | 1.25 s |
    pub timeout: Duration,
    /// So many failures in a row open the breaker; so do half of at least 20 calls within a few seconds. Default 5.
    pub failures: u32,
    /// How long the store is left alone before it is tried again, at first; each try that fails doubles it. Default 200 ms.
    pub pause: Duration,
    /// The longest that it is left alone; default 1 second.
    pub most_pause: Duration,
    /// Whether there is a breaker; without one there are the timeouts alone. Default true.
    pub breaker: bool,
}

impl BreakerOptions {
    /// Sets how long a call about one entry may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many failures in a row open the breaker.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets how long the store is left alone before it is tried again: at first, and at most.
    #[must_use]
    pub fn pause(mut self, first: Duration, most: Duration) -> Self {
        (self.pause, self.most_pause) = (first, most);
        self
    }

    /// Sets whether there is a breaker.
    #[must_use]
    pub fn breaker(mut self, breaker: bool) -> Self {
        self.breaker = breaker;
        self
    }

    /// Takes `timeout=` and `breaker=` out of a store's URL, whose other parameters stay. A bare path has none.
    ///
    /// `timeout=250ms` sets [`timeout`](Self::timeout); `breaker=off` leaves the breaker out, `breaker=on` does not, and `breaker=10` opens it
    /// after ten failures in a row. `None` where neither is there.
    ///
    /// ```
    /// use restow::store::BreakerOptions;
    /// let (url, options) = BreakerOptions::split("postgres://db/x?timeout=100ms&pool=4")?;
    /// assert_eq!(url, "postgres://db/x?pool=4");
    /// assert_eq!(options.unwrap_or_default().timeout.as_millis(), 100);
    /// # Ok::<(), restow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a value that is no length of time, or no breaker.
    pub fn split(url: &str) -> Result<(String, Option<Self>)> {
        let mut options: Option<Self> = None;
        let inner = parameters::take(url, |name, value| {
            let mut asked = options.unwrap_or_default();
            match name {
                "timeout" => asked.timeout = time(value)?,
                "breaker" => asked.read_breaker(value)?,
                _ => return Ok(false),
            }
            options = Some(asked);
            Ok(true)
        })?;
        Ok((inner, options))
    }

    fn read_breaker(&mut self, value: &str) -> Result<()> {
        match (value, value.parse()) {
            ("off", _) => self.breaker = false,
            ("on", _) => self.breaker = true,
            (_, Ok(failures @ 1..)) => (self.breaker, self.failures) = (true, failures),
            _ => {
                let message = format!(
                    "breaker={value} is no breaker; write breaker=off, or a number of failures such as breaker=5"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(())
    }

    /// How long a call about so many entries, of so many bytes together, may take.
    pub(super) fn bound(&self, entries: usize, bytes: u64) -> Duration {
        let timeout = self.timeout.as_secs_f64() * 1_000.0;
        let entries = entries.saturating_sub(1) as f64 / 50.0;
        let bytes = bytes as f64 / f64::from(1 << 20);
        // Whole milliseconds, as timers count, and never less than the timeout itself.
        let bound = (timeout * (1.0 + entries + bytes)).round() / 1_000.0;
        let bound = Duration::try_from_secs_f64(bound).unwrap_or(Duration::MAX);
        bound.max(self.timeout)
    }

    /// How long an opening may take.
    pub(super) fn opening(&self, may_migrate: bool) -> Duration {
        self.timeout
            .saturating_mul(if may_migrate { 72_000 } else { 100 })
    }

    /// How long a probe is the only one: a little longer than one about a single entry may take.
    pub(super) fn patience(&self) -> Duration {
        self.timeout.saturating_mul(25)
    }

    /// How long what may go over a whole table may take.
    pub(super) fn slow(&self) -> Duration {
        self.timeout.saturating_mul(600)
    }
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(50),
            failures: 5,
            pause: Duration::from_millis(200),
            most_pause: Duration::from_secs(1),
            breaker: true,
        }
    }
}

fn time(value: &str) -> Result<Duration> {
    let text = percent_decode_str(value).decode_utf8_lossy();
    let time = text.trim().parse::<jiff::SignedDuration>().ok();
    let time = time.and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| {
        let message = format!(
            "timeout={value} is no length of time; write it like timeout=50ms or timeout=2s"
        );
        Error::new(ErrorKind::Config, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_taken_out_of_the_url_wherever_it_stands() {
        let none = BreakerOptions::default();
        for (url, inner, options) in [
            ("redis://r/0", "redis://r/0", None),
            ("redis://r/0?db=1", "redis://r/0?db=1", None),
            (
                "redis://r/0?timeout=1s",
                "redis://r/0",
                Some(none.timeout(Duration::from_secs(1))),
            ),
            (
                "redis://r?a=b&breaker=off&c=d&timeout=20%20ms",
                "redis://r?a=b&c=d",
                Some(none.timeout(Duration::from_millis(20)).breaker(false)),
            ),
            ("redis://r?breaker=9", "redis://r", Some(none.failures(9))),
            ("redis://r?breaker=on", "redis://r", Some(none)),
        ] {
            let split = BreakerOptions::split(url).unwrap();
            assert_eq!(split, (inner.to_owned(), options), "{url}");
        }
    }

    #[test]
    fn what_is_no_time_and_no_breaker_is_refused() {
        for value in [
            "timeout=",
            "timeout=50",
            "timeout=0s",
            "timeout=-1s",
            "timeout=soon",
            "breaker=",
            "breaker=0",
            "breaker=maybe",
        ] {
            let error = BreakerOptions::split(&format!("redis://r?{value}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{value}");
            assert!(error.to_string().contains(value), "{error}");
        }
    }

    #[test]
    fn bounds_grow_with_the_work() {
        let options = BreakerOptions::default();
        let ms = |entries, bytes| options.bound(entries, bytes).as_millis();
        assert_eq!(ms(0, 0), 50);
        assert_eq!(ms(1, 0), 50);
        assert_eq!(ms(1_001, 0), 1_050);
        assert_eq!(ms(1, 16 << 20), 850);
        assert_eq!(options.opening(false).as_secs(), 5);
        assert_eq!(options.slow().as_secs(), 30);
        assert_eq!(options.opening(true).as_secs(), 3_600);
    }
}
