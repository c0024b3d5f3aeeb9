//! Host and port.

use super::{
    super::{
        pattern::Pattern,
        template::{Host, Place},
    },
    Parser,
    scan::{cut, is_host_byte, split},
};
use crate::Result;
use std::net::Ipv6Addr;

impl<'t> Parser<'t> {
    pub(super) fn authority(&mut self, authority: &'t str) -> Result<(Host, Option<u16>)> {
        if split(authority, '@').len() > 1 {
            let what = "leave the user and password out; a credential belongs to the client";
            return Err(self.fail(authority, what));
        }
        let (host, port) = match authority.find(']') {
            Some(end) => authority
                .split_at_checked(end + 1)
                .unwrap_or((authority, "")),
            None => cut(authority, |s| s.starts_with(':')),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(self.fail(port, "only :port may follow the address")),
            Some(digits) => Some(digits.parse().map_err(|_| {
                self.fail(digits, "a port is a number from 0 to 65535, not a variable")
            })?),
        };
        if host.is_empty() {
            return Err(self.fail(
                authority,
                "a route begins with https:// or http:// and a host",
            ));
        }
        Ok((self.host(host)?, port))
    }

    fn host(&mut self, host: &'t str) -> Result<Host> {
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').unwrap_or(address);
            let address: Ipv6Addr = address
                .parse()
                .map_err(|_| self.fail(host, "this is not an IPv6 address"))?;
            return Ok(Host::Literal(format!("[{address}]").into()));
        }
        let mut labels = Vec::new();
        for label in split(host, '.') {
            if label.is_empty() {
                return Err(self.fail(host, "a label of the host is empty; drop the extra dot"));
            }
            labels.push(self.pattern(label, Place::Host)?);
        }
        match labels
            .iter()
            .map(Pattern::literal)
            .collect::<Option<Vec<_>>>()
        {
            Some(literals) => Ok(Host::Literal(literals.join(".").into())),
            None => Ok(Host::Labels(labels.into())),
        }
    }

    pub(super) fn host_literal(&self, text: &'t str) -> Result<Box<str>> {
        if text.bytes().all(is_host_byte) {
            return Ok(text.to_ascii_lowercase().into());
        }
        let what = "a host holds letters, digits, - and _; write other scripts in their xn-- form";
        Err(self.fail(text, what))
    }
}
