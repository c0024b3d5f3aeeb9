//! Time as a value: [`Millis`] everywhere, and the only place that reads the system's clock.

use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use restow::Millis;
/// assert_eq!(Millis(86_400_000).to_string(), "1970-01-02T00:00:00Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// The latest moment: what never comes.
    pub const MAX: Self = Self(i64::MAX);

    /// Returns the moment `by` later, at most [`Millis::MAX`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the moment `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns how long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads a moment as people write it: a length of time before `now`, a date or a time of day (in UTC), or a moment with its zone.
    ///
    /// ```
    /// use restow::Millis;
    /// let now = Millis::written("2026-08-10T12:00:00Z", Millis(0))?;
    /// assert_eq!(Millis::written("2 days", now)?.to_string(), "2026-08-08T12:00:00Z");
    /// assert_eq!(Millis::written("2026-08-01", now)?.to_string(), "2026-08-01T00:00:00Z");
    /// # Ok::<(), restow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Selection`] where it is none of these.
    pub fn written(text: &str, now: Self) -> Result<Self> {
        let text = text.trim();
        let wrong = || {
            let message =
                format!("{text:?} is no time; write '2 days', 2026-08-01 or 2026-08-01T12:00:00Z");
            Error::new(ErrorKind::Selection, message)
        };
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(at.into());
        }
        if let Ok(date) = text.parse::<jiff::civil::DateTime>() {
            let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
            return Ok(zoned.map_err(|_| wrong())?.timestamp().into());
        }
        let length = text.trim_end_matches("ago").trim();
        let length: jiff::Span = length.parse().map_err(|_| wrong())?;
        let now = now.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        let before = now.checked_sub(length.abs()).map_err(|_| wrong())?;
        Ok(before.timestamp().into())
    }

    /// Returns the moment as a timestamp; the ends of what a timestamp can hold where it is beyond them.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for Millis {
    fn from(at: Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.timestamp(), f)
    }
}

/// Tells the time. The system's by default; a [`TestClock`] where a test moves it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> Millis;
}

/// The system's clock, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Millis::default().plus(since),
            Err(before) => Millis::default().minus(before.duration()),
        }
    }
}

/// A clock that stands still until it is told to move; its clones are one clock.
///
/// ```
/// use restow::{Clock, Millis, TestClock};
/// let clock = TestClock::at(Millis(1_000));
/// clock.advance(std::time::Duration::from_secs(1));
/// assert_eq!(clock.now(), Millis(2_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Makes a clock that shows `at`.
    pub fn at(at: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets it, forward or back.
    pub fn set(&self, to: Millis) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}
