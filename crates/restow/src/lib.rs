//! A response cache for REST APIs: endpoints declared once, every answer kept in a typed repository.

// The derived code says `::restow`; this crate's own unit tests derive keys too.
#[cfg(test)]
extern crate self as restow;

mod answer;
mod clock;
pub mod codec;
pub mod entry;
mod error;
mod expiry;
pub mod key;
pub mod route;
mod selection;
pub mod store;

pub use answer::{Answer, BoxFuture, BoxStream};
pub use clock::{Clock, Millis, SystemClock, TestClock};
pub use codec::Codec;
pub use error::{Error, ErrorKind, Result};
pub use expiry::Expiry;
pub use key::{Field, FieldKind, FieldRef, FieldValue, Key, RawKey};
pub use restow_derive::Key;
pub use selection::{Condition, Scope, Selection};
