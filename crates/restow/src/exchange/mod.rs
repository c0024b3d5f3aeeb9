//! The flow of one request through lookup, decision, coalescing, fetch and save; it knows no HTTP client.

mod flow;
mod outcome;
pub(crate) mod partition;
pub(crate) mod save;
mod ticket;

#[cfg(feature = "reqwest")]
pub(crate) use flow::FromCache;
pub use flow::{Background, Begin, Exchange};
pub use outcome::{Answered, Bypassed, Missed, Outcome, OutcomeKind, Saved, Staleness};
pub(crate) use ticket::{Asked, origin};
pub use ticket::{Collector, Invalidation, Landing, Ticket};
