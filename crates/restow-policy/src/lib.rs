//! HTTP caching (RFC 9111) as pure functions: no I/O, no clock, no async, no panic.
//!
//! A cache asks this crate four questions, and acts on the answers. Every time is an argument, in UTC milliseconds, and every
//! decision names the [`Rule`] that made it, so that whoever wonders why can be told.
//!
//! 1. *What can this request be answered with?* [`on_request`] looks at the retained entries and says: serve, serve stale and refresh,
//!    revalidate, fetch, or refuse.
//! 2. *May this answer be stored?* [`Facts::parse`] reads its head once, [`may_store`] decides, [`storable`] gives the fields to keep,
//!    [`vary_names`] and [`variant`] say which requests it is for.
//! 3. *What does this 304 change?* [`conditions`] are what to ask with; [`freshens`] says whether the 304 speaks of the entry, and
//!    [`merge_304`] gives the new head.
//! 4. *The origin failed: what now?* [`on_error`] says whether the entry may be served all the same, [`retry_after`] how long to wait.
//!
//! It fails closed: a header that cannot be read, whatever its bytes, restricts and never permits.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
//! use restow_policy::*;
//!
//! let request = HeaderMap::new();
//! let mut answer = HeaderMap::new();
//! answer.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
//! answer.insert(header::VARY, HeaderValue::from_static("Accept"));
//!
//! // The answer arrives: read it once, ask whether it may be stored, and for which requests.
//! let (secret, options) = ([0; 32], Options::default());
//! let facts = Facts::parse(StatusCode::OK, &answer, 1_000, 1_200);
//! let asked = StoreRequest { method: &Method::GET, headers: &request, credential: false };
//! assert_eq!(may_store(&asked, StatusCode::OK, &facts, &options), Ok(()));
//! let vary = vary_names(&answer);
//! let mut select = |names: &str| variant(names, &request, &|_| Role::Selects, &secret);
//!
//! // Stored for a minute. What the store keeps is looked at, never copied or parsed again.
//! let stored = Stored {
//!     status: StatusCode::OK,
//!     facts: &facts,
//!     vary: vary.as_str(),
//!     variant: select(vary.as_str()).ok_or("it varies on everything")?,
//!     etag: Some(b"\"v1\""),
//!     last_modified: None,
//!     expires_at: Some(61_200),
//!     stored_at: 1_200,
//!     keep_until: None,
//! };
//! let ask = Request { method: &Method::GET, headers: &request, credential: false };
//! let mut at = |now| on_request(&ask, [stored].into_iter(), now, &Limits::default(), &options, &mut select);
//! assert_eq!(at(2_000), OnRequest::Serve(0, rule::FRESH));
//! assert_eq!(at(61_200), OnRequest::Revalidate(0, rule::EXPIRED));
//! # Ok::<(), &str>(())
//! ```

mod bytes;
mod control;
mod date;
mod decide;
mod facts;
mod fields;
mod groups;
mod lifetime;
mod range;
pub mod rule;
mod store;
mod targeted;
mod validate;
mod vary;

pub use control::{MAX_SECONDS, RequestControl, no_transform};
pub use decide::{
    CLOCK_SKEW_MS, ErrorKind, Limits, Mode, OnRequest, Request, Stored, on_error, on_request,
};
pub use facts::{Facts, Flags};
pub use fields::{
    HeadUpdate, drop_cookies, drop_hop_by_hop, freshens, head_update, merge_304, storable,
};
pub use groups::{groups, invalidated_groups};
pub use lifetime::{Lifetime, lifetime, was_fresh};
pub use range::{RangeAnswer, range};
pub use rule::Rule;
pub use store::{
    Options, StoreRequest, also_invalidated, invalidates, is_unsafe, may_share, may_store,
    understood,
};
pub use validate::{
    conditions, drop_own_conditions, not_modified, own_conditions_present, retry_after,
};
pub use vary::{Role, VaryNames, variant, vary_names};
