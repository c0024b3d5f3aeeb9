//! Limits and timeouts, and who is whom.

use crate::access_log::AccessLog;
use http::HeaderName;
use ipnet::IpNet;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// How a [`Proxy`](crate::Proxy) treats its clients and the APIs behind it.
///
/// ```
/// use restow_proxy::Options;
/// use std::time::Duration;
/// let options = Options { upstream_timeout: Duration::from_secs(5), ..Options::default() };
/// assert_eq!(options.max_connections, 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The name by which the proxy calls itself in `Via` and `Cache-Status`; default `restow`.
    pub name: Box<str>,
    /// The most client connections at a time; more wait to be accepted. Default 10,000.
    pub max_connections: usize,
    /// The most bytes of a request's head; more are answered with 431. Default 64 KiB.
    pub max_head: usize,
    /// The longest body of an answer that is stored where no endpoint says otherwise, in bytes. Default 16 MiB.
    pub max_body: u64,
    /// The longest body of a request, in bytes; a longer one is answered with 413. Default 64 MiB.
    pub max_request_body: u64,
    /// How long a client may take to send a request's head, from the beginning of its connection for the first, and an idle connection is
    /// kept; in HTTP/2 it may be kept twice as long. Default 60 s.
    pub head_timeout: Duration,
    /// How long connecting to an API may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long an API may take until the head of its answer has arrived. Default 60 s.
    pub upstream_timeout: Duration,
    /// How long a body may stand still, from either side. Default 60 s.
    pub idle_timeout: Duration,
    /// How long requests under way have to end once the proxy is told to stop. Default 10 s.
    pub drain_timeout: Duration,
    /// Whose requests they are, where a header says so.
    pub principal: Option<PrincipalHeader>,
    /// The principal of all requests that no header names one for.
    pub default_principal: Option<Box<str>>,
    /// The hosts that a client may name in an absolute URL, as a forward proxy's clients do (plain `http` only), such as
    /// `api.example.com` or `127.0.0.1:8000`; default none.
    pub forward: Vec<Box<str>>,
    /// How requests are logged on stdout; default not at all.
    pub access_log: Option<AccessLog>,
    /// Whether answers of endpoints are sent encoded to clients that accept it: gzip, br or zstd, of text and its kin. Default yes.
    pub encode: bool,
    /// The shortest body that is encoded, in bytes. Default 1 KiB.
    pub encode_from: u64,
    /// The certificate of the listener; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const TEN_SECONDS: Duration = Duration::from_secs(10);
        Self {
            name: "restow".into(),
            max_connections: 10_000,
            max_head: 64 << 10,
            max_body: 16 << 20,
            max_request_body: 64 << 20,
            head_timeout: MINUTE,
            connect_timeout: TEN_SECONDS,
            upstream_timeout: MINUTE,
            idle_timeout: MINUTE,
            drain_timeout: TEN_SECONDS,
            principal: None,
            default_principal: None,
            forward: Vec::new(),
            access_log: None,
            encode: true,
            encode_from: 1 << 10,
            tls: None,
        }
    }
}

/// A certificate, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those that lead from it to the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that signs the certificates by which clients name their principal: each client must show one then.
    pub client_authority: Option<PathBuf>,
}

/// The request header that names the principal, and whom to believe. It is dropped from all others, and never sent upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalHeader {
    /// The header's name, such as `x-tenant`.
    pub header: HeaderName,
    /// The networks whose clients are believed; no one unless told.
    pub trust: Vec<IpNet>,
}

impl PrincipalHeader {
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trust.iter().any(|net| net.contains(&peer))
    }
}
