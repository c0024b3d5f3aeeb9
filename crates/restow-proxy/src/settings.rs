//! From the tables `[proxy]` and `[[upstream]]` of a configuration to options and upstreams.

use crate::{
    options::{Options, PrincipalHeader, Tls},
    upstream::Upstream,
};
use ipnet::IpNet;
use restow::{
    Error, ErrorKind, Result,
    config::{PrincipalSettings, ProxySettings, UpstreamSettings},
};
use std::net::IpAddr;

impl Options {
    /// Takes over what a configuration says.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the key whose value is none that it can have.
    pub fn from_settings(settings: &ProxySettings) -> Result<Self> {
        let default = Self::default();
        let most = settings
            .max_connections
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let head = settings
            .max_head
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(Self {
            name: settings.name.clone().unwrap_or(default.name),
            max_connections: most.unwrap_or(default.max_connections).max(1),
            max_head: head.unwrap_or(default.max_head),
            max_body: settings.max_body.unwrap_or(default.max_body),
            max_request_body: settings
                .max_request_body
                .unwrap_or(default.max_request_body),
            head_timeout: settings.head_timeout.unwrap_or(default.head_timeout),
            connect_timeout: settings.connect_timeout.unwrap_or(default.connect_timeout),
            upstream_timeout: settings
                .upstream_timeout
                .unwrap_or(default.upstream_timeout),
            idle_timeout: settings.idle_timeout.unwrap_or(default.idle_timeout),
            drain_timeout: settings.drain_timeout.unwrap_or(default.drain_timeout),
            principal: settings.principal.as_ref().map(principal).transpose()?,
            default_principal: None,
            forward: settings.forward.clone(),
            access_log: settings.access_log.as_deref().map(str::parse).transpose()?,
            encode: settings.encode.unwrap_or(default.encode),
            encode_from: settings.encode_from.unwrap_or(default.encode_from),
            tls: settings.tls.as_ref().map(|tls| Tls {
                certificate: tls.certificate.clone(),
                key: tls.key.clone(),
                client_authority: tls.client_authority.clone(),
            }),
        })
    }
}

impl Upstream {
    /// Makes an upstream of what a configuration says; secrets are read now.
    ///
    /// # Errors
    /// As [`new`](Self::new), [`mount`](Self::mount), [`ca`](Self::ca), [`rewrite_pointers`](Self::rewrite_pointers) and [`header`](Self::header), and where a secret is not there.
    pub fn from_settings(settings: &UpstreamSettings) -> Result<Self> {
        let mut upstream = Self::new(&settings.url)?;
        if let Some(mount) = &settings.mount {
            upstream = upstream.mount(mount)?;
        }
        if let Some(host) = &settings.host {
            upstream = upstream.host(host);
        }
        if settings.rewrite_links {
            upstream = upstream.rewrite_links();
        }
        if let Some(ca) = &settings.ca {
            upstream = upstream.ca(ca)?;
        }
        upstream = upstream.rewrite_pointers(&settings.rewrite_pointers)?;
        for (name, value) in &settings.headers {
            upstream = upstream.header(name, &value.reveal()?)?;
        }
        Ok(upstream)
    }
}

fn principal(settings: &PrincipalSettings) -> Result<PrincipalHeader> {
    let wrong = |message: String| Error::new(ErrorKind::Config, message);
    let header = settings.header.parse().map_err(|_| {
        wrong(format!(
            "principal in [proxy]: {:?} is no header's name",
            settings.header
        ))
    })?;
    if settings.trust.is_empty() {
        return Err(wrong(format!(
            "principal in [proxy]: the header {:?} is believed of nobody; say whose clients may name their principal, such as trust = [\"127.0.0.1/32\"]",
            settings.header
        )));
    }
    let net = |text: &str| {
        let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
        text.parse().ok().or_else(address).ok_or_else(|| {
            wrong(format!(
                "trust of principal in [proxy]: {text:?} is no network; write one such as \"127.0.0.1/32\""
            ))
        })
    };
    Ok(PrincipalHeader {
        header,
        trust: settings
            .trust
            .iter()
            .map(|t| net(t))
            .collect::<Result<_>>()?,
    })
}
