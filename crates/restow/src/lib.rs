//! A response cache for REST APIs: endpoints declared once, every answer kept in a typed repository.

// The derived code says `::restow`; this crate's own unit tests derive keys too.
#[cfg(test)]
extern crate self as restow;

mod answer;
mod cache;
pub mod client;
mod clock;
mod coalesce;
pub mod codec;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
pub mod endpoint;
pub mod entry;
mod error;
pub mod exchange;
mod expiry;
pub mod key;
mod mode;
mod registry;
pub mod repository;
pub mod route;
mod selection;
pub mod store;

pub use answer::{Answer, BoxFuture, BoxStream};
pub use cache::{Cache, CacheBuilder, connect};
pub use client::{Fetch, Fetched, Got};
pub use clock::{Clock, Millis, SystemClock, TestClock};
pub use codec::{Binary, Codec, Json, Text};
pub use config::{Config, Secret};
pub use endpoint::{
    AnyEndpoint, Credentials, Declaration, DeclaredEndpoint, Endpoint, RequestHead, RouteEndpoint,
};
pub use error::{Error, ErrorKind, Result};
pub use expiry::Expiry;
pub use key::{Field, FieldKind, FieldRef, FieldValue, Key, RawKey};
pub use mode::{Mode, Principal};
pub use repository::{AnyRepository, Locate, Lookup, Message, Repository, Select};
pub use restow_derive::Key;
pub use selection::{Condition, Scope, Selection};
