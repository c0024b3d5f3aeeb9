//! How a store is, as its guard sees it.

use std::fmt;

/// How a store is: whether it is asked, and what came of it. Made by [`Cache::health`](crate::Cache::health).
///
/// Reads and changes have a breaker each: a server that only takes no writes is still read.
///
/// ```
/// use restow::store::{BreakerState, Health};
/// let health = Health::default();
/// assert!(health.is_up());
/// assert_eq!(health.reads.state, BreakerState::Closed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store was reached since the program started.
    pub opened: bool,
    /// Of the calls that read.
    pub reads: SideHealth,
    /// Of the calls that change something, leases too. While reads are down, no change is tried either.
    pub changes: SideHealth,
}

/// How one kind of calls does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideHealth {
    /// Whether calls are made.
    pub state: BreakerState,
    /// How often the breaker opened.
    pub opens: u64,
    /// Calls that failed by the store's own doing, those that timed out too.
    pub failures: u64,
    /// Calls that were given up because they took too long.
    pub timeouts: u64,
    /// Calls that were not made, because the breaker was open or the store was not reached yet.
    pub refused: u64,
    /// What the last failure was.
    pub last_failure: Option<String>,
}

/// Whether calls are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// They are.
    #[default]
    Closed,
    /// They are not; the store is down.
    Open,
    /// One of them is, to find out.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Health {
    /// Tells whether both reads and changes go through.
    pub fn is_up(&self) -> bool {
        [&self.reads, &self.changes]
            .iter()
            .all(|side| side.state == BreakerState::Closed)
    }
}
