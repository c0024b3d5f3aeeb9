//! The flow of one request through lookup, decision, coalescing, fetch and save; it knows no HTTP client.
//!
//! An adapter asks [`Exchange::begin`] with the head of a request and acts on what it says:
//!
//! | [`Begin`] | what the adapter does |
//! |---|---|
//! | `Answer` | makes a response of the entry; where a ticket comes with it, refreshes behind |
//! | `Fetch` | makes the request of the [`Ticket`] and gives it the head of the answer, or the failure; also for a head or a part alone |
//! | `Refuse` | answers 504: nothing may be served, and nobody asked |
//! | `Failed` | fails: the fetch that this request waited for did |
//! | `Bypass` | sends the request past the cache, and carries out the invalidation if there is one |
//!
//! A ticket is the right and the duty to make one fetch. Dropped, it hands the fetch to a request that waits. Given a head, it says what to
//! do ([`Landing`]): answer with the stored entry, collect the body to be stored, let it pass, or ask again.

mod asked;
mod begin;
mod flow;
mod gather;
mod inquiry;
mod invalidate;
mod lease;
mod outcome;
mod part;
pub(crate) mod partition;
mod renew;
pub(crate) mod save;
mod stored;
mod ticket;

pub(crate) use asked::{Asked, origin};
pub use begin::{Background, Begin};
pub use flow::Exchange;
#[cfg(feature = "reqwest")]
pub(crate) use flow::FromCache;
pub(crate) use gather::Reader;
pub use invalidate::Invalidation;
pub use outcome::{Answered, Bypassed, Missed, Outcome, OutcomeKind, Saved, Staleness};
pub use part::Part;
pub use ticket::{Collector, Landing, Ticket};
