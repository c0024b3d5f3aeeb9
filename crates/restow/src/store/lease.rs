//! Leases: one fetch across processes.

use super::TableName;
use crate::{Error, ErrorKind, Millis, Result, answer::BoxFuture, entry::Address};
use std::{fmt::Debug, time::Duration};

/// Proof of a lease: a newer one has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// The answer to the wish for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is ours.
    Held(Fence),
    /// Somebody else's, until then unless it is renewed or given back.
    Busy {
        /// When it ends by itself.
        until: Millis,
    },
}

/// How long after its end a lease is remembered, so that who held it writes nothing over what a later holder wrote.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The error of a write under a lease that is no longer the newest.
pub(crate) fn superseded() -> Error {
    let message =
        "somebody else took the lease since; what this one fetched is older, and is not written";
    Error::new(ErrorKind::Fenced, message)
}

/// Lets processes that share a store agree on who fetches.
///
/// Each call happens as a whole or not at all, whatever others do at the same moment. What is dropped at an await may still happen.
pub trait Leases: Debug + Send + Sync + 'static {
    /// Asks for the lease on an address, held until `now + hold` unless it is [renewed](Self::renew) or given back; times are in whole
    /// milliseconds.
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>>;

    /// Makes the lease with this fence end at `now + hold`, in place of when it would have; `true` where that was done. A lease that has ended,
    /// and that nobody took since, is renewed too.
    ///
    /// `false`, and nothing is changed, where somebody else took it since, where it was given back, and where it is not remembered any more:
    /// an hour after its end.
    ///
    /// # Errors
    /// Those of the store, such as [`Store`](crate::ErrorKind::Store) where it fails and [`Down`](crate::ErrorKind::Down) where it is not
    /// asked for now; [`Closed`](crate::ErrorKind::Closed) after its end. Whether the lease was renewed is not known then: it may be asked again.
    ///
    /// # Cancel safety
    /// Dropped, the lease is renewed or it is not; to ask again does no harm.
    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Gives it back, so that others need not wait for its end; of a lease that somebody else took since, nothing.
    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>>;
}
