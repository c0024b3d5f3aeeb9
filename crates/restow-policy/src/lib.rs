//! HTTP caching (RFC 9111) as pure functions: no I/O, no clock, no panic.

mod bytes;
mod control;
mod date;
mod decide;
mod facts;
pub mod rule;
mod store;
mod validate;
mod vary;

pub use control::{MAX_SECONDS, RequestControl};
pub use decide::{
    CLOCK_SKEW_MS, ErrorKind, Limits, Mode, OnRequest, Request, Stored, on_error, on_request,
};
pub use facts::{Facts, Flags};
pub use rule::Rule;
pub use store::{
    Options, StoreRequest, drop_cookies, freshens, is_unsafe, may_share, may_store, merge_304,
    storable, understood,
};
pub use validate::{
    conditions, drop_own_conditions, not_modified, own_conditions_present, retry_after,
};
pub use vary::{Role, VaryNames, variant, vary_names};
