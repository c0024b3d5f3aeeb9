//! Thin adapters from HTTP clients to the exchange.
//!
//! | a program that uses | takes | a dropped caller | a stale answer within its window |
//! |---|---|---|---|
//! | reqwest | [`cache.client(inner)`](crate::Cache#method.client), feature `reqwest` | the fetch goes on | is served, and refreshed behind |
//! | `reqwest-middleware` | [`cache.middleware()`](crate::Cache#method.middleware), feature `reqwest` | the fetch goes to one who waits | is validated first |
//! | tower | [`cache.layer()`](crate::Cache#method.layer), feature `tower` | the fetch goes on | is served, and refreshed behind |
//! | another client | [`Fetch`], for [`get_or_fetch`](crate::Repository::get_or_fetch) | the fetch goes to one who waits | is validated first |
//!
//! Each response carries an [`Answered`](crate::exchange::Answered) among its extensions. A body that is stored ends for its reader when
//! it is stored: who has read it to the end finds it in the repository. Of an adapter of your own,
//! [`exchange`](crate::exchange) is the middle; [`land`], [`response`] and [`refusal`] make its responses.

pub mod body;
pub mod fetch;
mod land;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;

pub use body::{Body, BoxError, causes};
pub use fetch::{Fetch, FetchMany, FetchOne, Fetched, Got};
pub use land::{Landed, land, refusal, response, stored_response};
