//! What a request asks for, borrowed.

use http::Uri;
use std::{borrow::Cow, fmt};

/// The absolute target of a request, borrowed from whatever type its client has.
///
/// ```
/// use restow::route::Target;
/// let uri: http::Uri = "https://api.example.com/v1/tracks?limit=5".parse()?;
/// let target = Target::from(&uri);
/// assert_eq!((target.host, target.path, target.query), ("api.example.com", "/v1/tracks", Some("limit=5")));
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target<'a> {
    /// The scheme, in any case.
    pub scheme: &'a str,
    /// The host, in any case; an IPv6 address in its brackets.
    pub host: &'a str,
    /// The port where the target names one.
    pub port: Option<u16>,
    /// The path, percent-encoded as it was sent.
    pub path: &'a str,
    /// What follows the `?`, percent-encoded as it was sent.
    pub query: Option<&'a str>,
}

impl Target<'_> {
    /// Returns the origin in canonical form; `None` where its scheme is not one that is routed.
    pub(super) fn origin(&self) -> Option<Origin<'_>> {
        let scheme = Scheme::named(self.scheme)?;
        let host = if self.host.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(self.host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(self.host)
        };
        Some(Origin {
            scheme,
            host,
            port: scheme.canonical_port(self.port),
        })
    }
}

impl<'a> From<&'a Uri> for Target<'a> {
    /// Borrows an absolute URI; one without scheme or host matches no route.
    fn from(uri: &'a Uri) -> Self {
        Self {
            scheme: uri.scheme_str().unwrap_or(""),
            host: uri.host().unwrap_or(""),
            port: uri.port_u16(),
            path: uri.path(),
            query: uri.query(),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path)?;
        match self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// An origin in canonical form: lower case, no default port.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: Cow<'a, str>,
    pub(super) port: Option<u16>,
}

/// The schemes that are routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Returns the scheme of this name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Https, Self::Http]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str()))
    }

    /// Returns the port unless it is the scheme's own.
    pub(super) fn canonical_port(self, port: Option<u16>) -> Option<u16> {
        let own = match self {
            Self::Http => 80,
            Self::Https => 443,
        };
        port.filter(|port| *port != own)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
