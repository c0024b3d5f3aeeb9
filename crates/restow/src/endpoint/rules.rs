//! The rules of an endpoint: how long, what, and for whom.

use super::credentials::Credentials;
use crate::{
    Expiry,
    store::{Budget, Compression, OnSchemaChange, TableSpec},
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

/// Who decides how long an answer is fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// The program: every answer is fresh for [`Rules::expire_after`].
    #[default]
    ExpireAfter,
    /// The answer, as RFC 9111 reads it: `Cache-Control`, `Expires`, and a guess by `Last-Modified`. One that says nothing is fresh for
    /// the endpoint's own [`Rules::expire_after`], where there is one, and else has to be validated each time.
    Http,
}

/// A content coding that an API can be asked for (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// None: the body as it is.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// Returns its name in `Accept-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Who waits for whose fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coalesce {
    /// The requests of one process wait for one fetch; each process makes its own.
    #[default]
    Local,
    /// The processes that share the store wait for one fetch, as far as it has leases: all of this crate's have. However long the fetch takes,
    /// each of them waits for 30 seconds at most, and then makes its own. A process that is killed within its fetch holds the others up for
    /// [`Rules::lease`] at most. Of a stale answer one process makes the refresh behind it.
    Shared,
}

/// How an endpoint's answers are kept. What is `None` is the cache's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// Who decides how long an answer is fresh.
    pub freshness: Freshness,
    /// How long an answer is fresh; with [`Freshness::Http`], one that does not say so itself.
    pub expire_after: Option<Expiry>,
    /// How long an expired answer is retained, to be validated or served stale; default 30 days.
    pub keep: Option<Duration>,
    /// How long after its expiry an answer may be served where the API fails; default 7 days.
    ///
    /// Where the program says it itself, it goes before an answer's `no-cache` or `must-revalidate`; the default does not.
    pub stale_if_error: Option<Duration>,
    /// How long after its expiry an answer is served at once and refreshed behind; default none.
    pub stale_while_revalidate: Option<Duration>,
    /// The statuses that count as a failure of the API; default 429, 500, 502, 503, 504.
    pub error_statuses: Option<Arc<[StatusCode]>>,
    /// The statuses whose answers are stored; default 200, 203 and other 2xx with a body.
    pub statuses: Option<Arc<[StatusCode]>>,
    /// Answers of other statuses that are stored too, each for its own time: `404` for ten minutes.
    pub negative: Vec<(StatusCode, Expiry)>,
    /// JSON pointers that a body must have to be stored.
    pub require: Vec<Box<str>>,
    /// JSON pointers that a body must not have to be stored.
    pub reject: Vec<Box<str>>,
    /// The longest body that is stored, in bytes; default 16 MiB.
    pub max_body: u64,
    /// What names the user of a request.
    pub credentials: Option<Credentials>,
    /// Whether all users share one answer.
    pub share: bool,
    /// Whether answers are stored that say `no-store`.
    pub force: bool,
    /// Other origins on which a redirect may end.
    pub redirect_origins: Vec<Box<str>>,
    /// What happens where the stored table has other fields or columns.
    pub on_schema_change: OnSchemaChange,
    /// The most the repository may hold.
    pub budget: Budget,
    /// How the store keeps header lines and bodies; default as they came.
    pub compression: Compression,
    /// The most variants at one address.
    pub max_variants: u16,
    /// Who waits for whose fetch.
    pub coalesce: Coalesce,
    /// How long others wait for a process that is gone, with [`Coalesce::Shared`]; default 10 seconds. A process that fetches renews its lease
    /// every third of this, for the first 30 seconds of its fetch, so that it ends 30 seconds and this after its begin at the latest. What it brings
    /// later is given to its caller, and stored unless another process has fetched meanwhile.
    pub lease: Duration,
    /// The encoding that a proxy asks the API for, whatever its clients accept, so that all of them share one answer; what comes is decoded
    /// before it is inspected and stored. `None`: each client's own goes through, and answers are stored as they come. Default: identity.
    ///
    /// The library's clients make their own requests, and have no use for it.
    pub upstream_encoding: Option<Coding>,
}

impl Rules {
    /// The longest body that is stored unless told otherwise: 16 MiB.
    pub const MAX_BODY: u64 = 16 * 1024 * 1024;
    /// How long after its expiry an answer may stand in for a failing API unless told otherwise: 7 days.
    pub const STALE_IF_ERROR: Duration = Duration::from_secs(7 * 86_400);
    /// How long others wait for a process that is gone unless told otherwise: 10 seconds.
    pub const LEASE: Duration = Duration::from_secs(10);
    /// The statuses that count as a failure unless told otherwise.
    pub const ERROR_STATUSES: [StatusCode; 5] = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];

    /// Returns how long the answers of this status are fresh where it is stored as a negative answer.
    pub fn negative(&self, status: StatusCode) -> Option<Expiry> {
        self.negative
            .iter()
            .find(|(s, _)| *s == status)
            .map(|(_, e)| *e)
    }

    /// Tells whether an answer of this status is stored as a full answer.
    pub fn stores(&self, status: StatusCode, body_len: u64) -> bool {
        match &self.statuses {
            Some(statuses) => statuses.contains(&status),
            None => matches!(status.as_u16(), 200 | 203) || (status.is_success() && body_len > 0),
        }
    }

    /// Tells whether an answer of this status counts as a failure of the API.
    pub fn is_error(&self, status: StatusCode) -> bool {
        self.error_statuses
            .as_deref()
            .unwrap_or(&Self::ERROR_STATUSES)
            .contains(&status)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            freshness: Freshness::default(),
            expire_after: None,
            keep: None,
            stale_if_error: None,
            stale_while_revalidate: None,
            error_statuses: None,
            statuses: None,
            negative: Vec::new(),
            require: Vec::new(),
            reject: Vec::new(),
            max_body: Self::MAX_BODY,
            credentials: None,
            share: false,
            force: false,
            redirect_origins: Vec::new(),
            on_schema_change: OnSchemaChange::default(),
            budget: Budget::default(),
            compression: Compression::default(),
            max_variants: TableSpec::MAX_VARIANTS,
            coalesce: Coalesce::default(),
            lease: Self::LEASE,
            upstream_encoding: Some(Coding::Identity),
        }
    }
}
