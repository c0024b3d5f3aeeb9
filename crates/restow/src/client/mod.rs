//! Thin adapters from HTTP clients to the exchange.

pub mod body;
pub mod fetch;
mod land;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;

pub use body::{Body, BoxError};
pub use fetch::{Fetch, FetchMany, FetchOne, Fetched, Got};
