//! The servers of the stores on a network, one like the other.

use crate::report::Report;
use restow_testkit::{Postgres, redis::Redis};

/// The stores, by the names that works have for them.
const STORES: [&str; 2] = ["redis", "postgres"];

/// What all works on a network have in their names.
pub(crate) const NETWORKED: &str = "networked";

/// A server, which ends with this.
pub(super) enum Server {
    Redis(Redis),
    Postgres(Postgres),
}

impl Server {
    /// The stores of which a work is wanted, by this name or with all others on a network.
    pub(super) fn wanted(report: &Report, work: fn(&str) -> String) -> Vec<&'static str> {
        let wanted = |store: &&str| report.wants_any(&[&work(store), NETWORKED]);
        STORES.into_iter().filter(wanted).collect()
    }

    pub(super) fn start(store: &str) -> Self {
        match store {
            "redis" => Self::Redis(Redis::start()),
            _ => Self::Postgres(Postgres::start()),
        }
    }

    /// The URL of an empty store.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Postgres(server) => server.fresh(),
        }
    }

    /// It stands still: it holds its connections and answers nothing.
    pub(super) fn stop(&self) {
        match self {
            Self::Redis(server) => server.pause(),
            Self::Postgres(server) => server.freeze(),
        }
    }

    pub(super) fn go_on(&self) {
        match self {
            Self::Redis(server) => server.resume(),
            Self::Postgres(server) => server.thaw(),
        }
    }

    pub(super) fn kill(&mut self) {
        match self {
            Self::Redis(server) => server.kill(),
            Self::Postgres(server) => server.kill(),
        }
    }

    pub(super) fn start_again(&mut self) {
        match self {
            Self::Redis(server) => server.restart(),
            Self::Postgres(server) => server.restart(),
        }
    }
}
