//! The tables `[proxy]` and `[[upstream]]`: how a proxy over this cache listens, and what stands behind it.

use super::Secret;
use crate::endpoint::form::{Many, Pairs, Pointer, Size, Text, Whole};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a configuration says of a proxy: its tables `[proxy]` and `[[upstream]]`, as they are written. What is `None` is the proxy's default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProxySettings {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The name in `Via` and `Cache-Status`.
    pub name: Option<Box<str>>,
    /// The listener for operators, which is off without it.
    pub admin: Option<AdminSettings>,
    /// Which header names the principal, and who is believed.
    pub principal: Option<PrincipalSettings>,
    /// The certificate of the listener.
    pub tls: Option<TlsSettings>,
    /// The hosts that clients may name themselves.
    pub forward: Vec<Box<str>>,
    /// The fields of answers that go before `Cache-Control` (RFC 9213).
    pub targeted: Vec<Box<str>>,
    /// How requests are logged: `"common"` or `"json"`.
    pub access_log: Option<Box<str>>,
    /// Whether answers of endpoints are sent encoded to clients that accept it.
    pub encode: Option<bool>,
    /// The shortest body that is encoded.
    pub encode_from: Option<u64>,
    /// The most client connections.
    pub max_connections: Option<u32>,
    /// The most bytes of a request's head.
    pub max_head: Option<u64>,
    /// The longest body of an answer that is stored, where no endpoint says otherwise.
    pub max_body: Option<u64>,
    /// The longest body of a request.
    pub max_request_body: Option<u64>,
    /// How long a client may take for a request's head.
    pub head_timeout: Option<Duration>,
    /// How long connecting to an API may take.
    pub connect_timeout: Option<Duration>,
    /// How long an API may take for the head of its answer.
    pub upstream_timeout: Option<Duration>,
    /// How long a body may stand still.
    pub idle_timeout: Option<Duration>,
    /// How long requests under way have to end.
    pub drain_timeout: Option<Duration>,
    /// The APIs behind it, in the order of the file.
    pub upstreams: Vec<UpstreamSettings>,
}

impl ProxySettings {
    /// The files of certificates and secrets.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let certificates = self.tls.iter().flat_map(|tls| {
            let files = [
                Some(&tls.certificate),
                Some(&tls.key),
                tls.client_authority.as_ref(),
            ];
            files.into_iter().flatten().map(PathBuf::as_path)
        });
        let authorities = self.upstreams.iter().filter_map(|u| u.ca.as_deref());
        let headers = self.upstreams.iter().flat_map(|u| &u.headers);
        let token = self.admin.iter().filter_map(|admin| admin.token.as_ref());
        let secrets = headers.map(|(_, secret)| secret).chain(token);
        let certificates = certificates.chain(authorities);
        certificates.chain(secrets.filter_map(Secret::path))
    }
}

/// The listener for operators.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What its clients show as a bearer token.
    pub token: Option<Secret>,
}

/// The request header that names the principal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrincipalSettings {
    /// The header's name.
    pub header: Box<str>,
    /// The networks whose clients are believed, such as `127.0.0.1/32`.
    #[serde(default)]
    pub trust: Vec<Box<str>>,
}

/// The certificate of a listener, in PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The certificate and those that lead from it to the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority whose client certificates name a principal.
    pub client_authority: Option<PathBuf>,
}

/// An API behind a proxy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamSettings {
    /// Its URL.
    pub url: Box<str>,
    /// The path below which it appears.
    pub mount: Option<Box<str>>,
    /// The host under which it appears.
    pub host: Option<Box<str>>,
    /// The authorities that vouch for it, in place of the system's: a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether links in its answers are made to lead through the proxy.
    pub rewrite_links: bool,
    /// The JSON pointers to links in its bodies that are made to lead through the proxy; `*` stands for each element or member.
    pub rewrite_pointers: Vec<Box<str>>,
    /// The headers that its requests get.
    pub headers: Vec<(Box<str>, Secret)>,
}

/// The table `[proxy]`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ProxyTable {
    listen: Option<SocketAddr>,
    name: Option<Box<str>>,
    admin: Option<AdminSettings>,
    principal: Option<PrincipalSettings>,
    tls: Option<TlsSettings>,
    forward: Many<Box<str>>,
    targeted: Many<Box<str>>,
    access_log: Option<Box<str>>,
    encode: Option<bool>,
    encode_from: Option<Size>,
    max_connections: Option<Whole<u32>>,
    max_head: Option<Size>,
    max_body: Option<Size>,
    max_request_body: Option<Size>,
    head_timeout: Option<Text<Duration>>,
    connect_timeout: Option<Text<Duration>>,
    upstream_timeout: Option<Text<Duration>>,
    idle_timeout: Option<Text<Duration>>,
    drain_timeout: Option<Text<Duration>>,
}

/// A table `[[upstream]]`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpstreamTable {
    url: Option<Box<str>>,
    mount: Option<Box<str>>,
    host: Option<Box<str>>,
    ca: Option<PathBuf>,
    rewrite_links: bool,
    rewrite_pointers: Many<Text<Pointer>>,
    headers: Pairs<Box<str>, Secret>,
}

impl ProxyTable {
    pub(super) fn into_settings(self, upstreams: Vec<UpstreamSettings>) -> ProxySettings {
        ProxySettings {
            listen: self.listen,
            name: self.name,
            admin: self.admin,
            principal: self.principal,
            tls: self.tls,
            forward: self.forward.0,
            targeted: self.targeted.0,
            access_log: self.access_log,
            encode: self.encode,
            encode_from: self.encode_from.map(|s| s.0),
            max_connections: self.max_connections.map(|n| n.0),
            max_head: self.max_head.map(|s| s.0),
            max_body: self.max_body.map(|s| s.0),
            max_request_body: self.max_request_body.map(|s| s.0),
            head_timeout: self.head_timeout.map(|t| t.0),
            connect_timeout: self.connect_timeout.map(|t| t.0),
            upstream_timeout: self.upstream_timeout.map(|t| t.0),
            idle_timeout: self.idle_timeout.map(|t| t.0),
            drain_timeout: self.drain_timeout.map(|t| t.0),
            upstreams,
        }
    }
}

impl UpstreamTable {
    /// `None` where it has no URL.
    pub(super) fn into_settings(self) -> Option<UpstreamSettings> {
        Some(UpstreamSettings {
            url: self.url?,
            mount: self.mount,
            host: self.host,
            ca: self.ca,
            rewrite_links: self.rewrite_links,
            rewrite_pointers: self.rewrite_pointers.0.into_iter().map(|p| p.0.0).collect(),
            headers: self.headers.0,
        })
    }
}
