//! The proxy over real connections, in front of APIs whose answers the tests write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod accounts;
mod admin;
mod bounds;
mod cells;
mod changes;
mod clients;
mod dropped;
mod encoding;
mod endpoints;
mod everything;
mod failure;
mod framing;
mod github;
mod herd;
mod interim;
mod kit;
mod limits;
mod links;
mod poison;
mod principals;
mod reload;
mod secure;
mod sessions;
mod slow;
mod stop;
mod streams;
mod targets;
mod under_way;
mod varying;
