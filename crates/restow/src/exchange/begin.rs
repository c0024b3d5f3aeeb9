//! What a request comes to.

use super::{invalidate::Invalidation, outcome::Answered, part::Part, ticket::Ticket};
use crate::entry::Entry;
use std::sync::Arc;

/// Whether a refresh can outlive the request that started it. An adapter that only borrows its client says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// A refresh runs in a task of its own.
    Possible,
    /// What has to be asked is asked while the caller waits.
    Impossible,
}

/// What a request comes to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Begin {
    /// Answer with this entry, and make the refresh behind it if there is one.
    Answer {
        /// What to answer with.
        entry: Arc<Entry>,
        /// How much of it the caller gets, by its own conditions and range.
        part: Part,
        /// Why.
        answered: Answered,
        /// The right to refresh it, by the ticket's own [`method`](Ticket::method).
        refresh: Option<Box<Ticket>>,
    },
    /// Make the request; where it asks for a head or a part alone, its answer is not stored. Boxed, for a hit carries the room of what it is not.
    Fetch(Box<Ticket>),
    /// Answer with 504: nothing may be served, and nobody may be asked.
    Refuse(Answered),
    /// The fetch that this request waited for failed.
    Failed(Arc<str>),
    /// Make the request past the cache. Where there is an invalidation, tell it the answer, or that none came: though the caller goes, for what the
    /// API carries out is done.
    Bypass(Answered, Option<Invalidation>),
}
