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
    /// Somebody else's, until then at most.
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
pub trait Leases: Debug + Send + Sync + 'static {
    /// Asks for the lease on an address, held for at most `hold`.
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>>;

    /// Gives it back.
    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>>;
}
