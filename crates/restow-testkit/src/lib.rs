//! Servers for tests, each on a loopback port of its own and gone with its handle. What has to be awaited is
//! awaited; nothing sleeps but who can only ask a server again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "where a server of a test fails, the test has to"
)]

pub mod cases;
mod certificates;
mod client;
pub mod dropping;
mod environment;
mod files;
mod gate;
pub mod github;
pub mod httpbin;
mod origin;
#[cfg(target_os = "linux")]
mod postgres;
pub mod process;
mod raw;
#[cfg(unix)]
pub mod redis;
mod relay;

pub use certificates::Authority;
pub use client::http_client;
pub use environment::python;
pub use files::allow_files;
pub use gate::Gate;
pub use origin::{Call, Origin, Reply};
#[cfg(target_os = "linux")]
pub use postgres::{PgBouncer, Postgres};
pub use raw::RawOrigin;
pub use relay::Relay;
