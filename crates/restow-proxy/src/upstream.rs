//! The APIs behind the proxy, and which of them a request is for.

use crate::{pointers::Pointers, refusal::Refusal, tls::Ca};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header::HOST, request::Parts, uri::Authority,
};
use percent_encoding::percent_decode_str;
use restow::{Error, ErrorKind, Result, endpoint::Account, route::Target};
use std::{borrow::Cow, path::Path, str::FromStr, sync::Arc};

/// An API behind the proxy.
///
/// ```
/// use restow_proxy::Upstream;
/// let music = Upstream::new("https://api.example.com/v1")?.mount("/music")?;
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it appears below the proxy: empty for all of it, else `/music`.
    mount: Box<str>,
    /// The host name under which it appears, in lower case; `None` for any.
    host: Option<Box<str>>,
    scheme: Box<str>,
    authority: Authority,
    /// The authority as a header.
    host_header: HeaderValue,
    /// The path before every path: empty, or `/v1`.
    base: Box<str>,
    account: Account,
    ca: Option<Ca>,
    rewrites_links: bool,
    pointers: Vec<Pointers>,
}

impl Upstream {
    /// An API at this URL: `http` or `https`, a host, perhaps a port and a path.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it is no such URL, or has a query, a user or a password.
    pub fn new(url: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(
                ErrorKind::Config,
                format!("the upstream {what}; write one such as \"https://api.example.com\""),
            )
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .filter(|s| matches!(s.as_str(), "http" | "https"))
            .ok_or_else(|| wrong("has neither http nor https for its scheme"))?;
        let authority = parts.authority.ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "has a user in its URL; give it a header Authorization instead, from the environment or a file",
            ));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|p| p.query().is_some()) {
            return Err(wrong("has a query"));
        }
        let base = path.as_ref().map_or("", |p| p.path()).trim_end_matches('/');
        let host_header = HeaderValue::from_str(authority.as_str())
            .map_err(|_| wrong("has a host that no header can hold"))?;
        Ok(Self {
            mount: "".into(),
            host: None,
            scheme: scheme.as_str().into(),
            base: base.into(),
            authority,
            host_header,
            account: Account::default(),
            ca: None,
            rewrites_links: false,
            pointers: Vec::new(),
        })
    }

    /// Lets it appear below a path, such as `/music`, which is taken off before routing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the path does not begin with `/`.
    pub fn mount(mut self, path: &str) -> Result<Self> {
        let path = path.trim_end_matches('/');
        if !path.is_empty() && !path.starts_with('/') {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the mount {path:?} does not begin with \"/\"; write \"/{path}\""),
            ));
        }
        self.mount = path.into();
        Ok(self)
    }

    /// Lets it appear under a host name alone, as `Host` says it, without the port.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_ascii_lowercase().into());
        self
    }

    /// Gives each of its requests a header, in place of what the client sent; a secret is not logged.
    ///
    /// What the API answers to the headers of an upstream is for all who come through it, and for no one who comes by other headers; with
    /// another value it is fetched anew. Principals, and endpoints without `credentials`, have their answers whatever the headers are.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where name or value is none that a header can have.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(
                ErrorKind::Config,
                format!("the upstream's header {name:?} has {what} that no header can have"),
            )
        };
        let header: HeaderName = name.parse().map_err(|_| wrong("a name"))?;
        let value = HeaderValue::from_str(value).map_err(|_| wrong("a value"))?;
        let headers = self.account.headers().iter().cloned();
        self.account = Account::new(headers.chain([(header, value)]));
        Ok(self)
    }

    /// Trusts the authorities of this PEM file to vouch for the API, in place of those of the system: for a certificate of one's own authority.
    /// The file is read now.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it cannot be read, or holds no certificate of an authority, and where the API is not asked by https.
    pub fn ca(mut self, file: impl AsRef<Path>) -> Result<Self> {
        if &*self.scheme != "https" {
            let message = format!(
                "the upstream http://{} has a ca, which vouches for nobody where there is no https; write its url with https, or leave the ca out",
                self.authority
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.ca = Some(Ca::read(file.as_ref())?);
        Ok(self)
    }

    /// Makes `Location`, `Content-Location` and `Link` of its answers lead through the proxy.
    #[must_use]
    pub fn rewrite_links(mut self) -> Self {
        self.rewrites_links = true;
        self
    }

    /// Makes the URLs of this API lead through the proxy that stand in its JSON bodies where these JSON pointers (RFC 6901) point; `*` stands
    /// for each element of a list and each member of an object, as in `/items/*/href`.
    ///
    /// What is stored stays as the API sent it. Bodies longer than [`Options::max_body`](crate::Options), and parts of bodies, are left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where one is no such pointer.
    pub fn rewrite_pointers<P: AsRef<str>>(
        mut self,
        pointers: impl IntoIterator<Item = P>,
    ) -> Result<Self> {
        for pointer in pointers {
            let pointer = Pointers::parse(pointer.as_ref()).map_err(|why| {
                let message = format!("rewrite_pointers of the upstream {}: {why}", self.authority);
                Error::new(ErrorKind::Config, message)
            })?;
            self.pointers.push(pointer);
        }
        Ok(self)
    }

    /// Returns the headers that each of its requests gets.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Returns the path of its URL: empty, or such as `/v1`.
    pub fn path(&self) -> &str {
        &self.base
    }

    /// Tells whether a URL is one of this API: its scheme, host and port, and below the path of its URL.
    ///
    /// ```
    /// let api = restow_proxy::Upstream::new("https://api.example.com/v1")?;
    /// assert!(api.covers(&"https://api.example.com/v1/tracks/7".parse().unwrap()));
    /// assert!(!api.covers(&"https://api.example.com/v10".parse().unwrap()));
    /// assert!(!api.covers(&"https://api.example.com/v1/../v2".parse().unwrap()));
    /// # Ok::<(), restow::Error>(())
    /// ```
    pub fn covers(&self, url: &Uri) -> bool {
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return false;
        };
        !authority.as_str().contains('@')
            && self.holds(scheme, authority, url.path())
            && !self.is_left_by(url.path())
    }

    /// Tells whether a URL begins as this API's, whatever its segments lead to.
    fn holds(&self, scheme: &str, authority: &Authority, path: &str) -> bool {
        let port = |of: &Authority| {
            let default = if &*self.scheme == "https" { 443 } else { 80 };
            of.port_u16().unwrap_or(default)
        };
        self.scheme.eq_ignore_ascii_case(scheme)
            && self.authority.host().eq_ignore_ascii_case(authority.host())
            && port(&self.authority) == port(authority)
            && below(&self.base, path).is_some()
    }

    /// Tells whether a path that begins as this API's could lead out of it.
    fn is_left_by(&self, path: &str) -> bool {
        !self.base.is_empty() && has_dots(path)
    }

    /// Who vouches for the API; `None` where it is whom the system trusts.
    pub(crate) fn trusts(&self) -> Option<&Ca> {
        self.ca.as_ref()
    }

    pub(crate) fn pointers(&self) -> &[Pointers] {
        &self.pointers
    }

    pub(crate) fn rewrites_links(&self) -> bool {
        self.rewrites_links
    }

    /// The path of the proxy that leads to a URL of this API; `None` for another's, and for one that is relative to its page.
    pub(crate) fn through(&self, url: &str) -> Option<String> {
        let path = if let Some((scheme, rest)) = url.split_once("://") {
            scheme.eq_ignore_ascii_case(&self.scheme).then_some(())?;
            self.after_authority(rest)?
        } else if let Some(rest) = url.strip_prefix("//") {
            self.after_authority(rest)?
        } else {
            url.starts_with('/').then_some(url)?
        };
        let rest = path.strip_prefix(&*self.base)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let whole = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        whole.then(|| format!("{}{slash}{rest}", self.mount))
    }

    /// What follows this API's host and port.
    fn after_authority<'u>(&self, rest: &'u str) -> Option<&'u str> {
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(at)?;
        authority
            .eq_ignore_ascii_case(self.authority.as_str())
            .then_some(path)
    }

    /// Puts the headers of its requests in: `Host`, and its own.
    pub(crate) fn prepare(&self, headers: &mut HeaderMap) {
        headers.insert(HOST, self.host_header.clone());
        self.account.put_into(headers);
    }
}

impl FromStr for Upstream {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::new(url)
    }
}

/// The APIs behind the proxy.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// The more specific first: those with a host, then by the length of the mount.
    all: Vec<Arc<Upstream>>,
    /// The hosts that clients may name themselves, in lower case.
    forward: Vec<Box<str>>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) upstream: Arc<Upstream>,
    path: Cow<'a, str>,
    query: Option<&'a str>,
}

impl Upstreams {
    /// # Errors
    /// [`ErrorKind::Config`] where there are none, two are in one place, or a host that clients may name is none.
    pub(crate) fn new(all: Vec<Upstream>, forward: &[Box<str>]) -> Result<Self> {
        if all.is_empty() && forward.is_empty() {
            let message = "there is no upstream; name the API that the proxy stands before, such as --upstream https://api.example.com";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut all: Vec<Arc<Upstream>> = all.into_iter().map(Arc::new).collect();
        all.sort_by_key(|u| (u.host.is_none(), std::cmp::Reverse(u.mount.len())));
        for pair in all.windows(2) {
            if let [one, other] = pair
                && (&one.host, &one.mount) == (&other.host, &other.mount)
            {
                let message = format!(
                    "two upstreams have the mount {:?}, {}://{} and {}://{}; give one of them another mount or host",
                    one.mount, one.scheme, one.authority, other.scheme, other.authority
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(Self {
            all,
            forward: forward
                .iter()
                .map(|host| named_host(host))
                .collect::<Result<_>>()?,
        })
    }

    /// Tells whether any of them is asked by https, and whom the system trusts vouches for it.
    pub(crate) fn need_system(&self) -> bool {
        let mut all = self.all.iter();
        all.any(|u| &*u.scheme == "https" && u.ca.is_none())
    }

    /// The authorities of those that have one of their own.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = &Ca> {
        self.all.iter().filter_map(|u| u.trusts())
    }

    /// Finds where a request goes.
    pub(crate) fn find<'a>(
        &self,
        parts: &'a Parts,
    ) -> std::result::Result<Destination<'a>, Refusal> {
        let uri = &parts.uri;
        // HTTP/2 names scheme and host with every request; in HTTP/1.1 only a forward proxy's clients do.
        if parts.version < Version::HTTP_2
            && let Some(authority) = uri.authority()
        {
            return self.named(uri, authority);
        }
        let host = host(parts)?;
        let path = uri.path();
        if !path.starts_with('/') {
            return Err(Refusal::Target);
        }
        let found = self.all.iter().find_map(|upstream| {
            if upstream
                .host
                .as_deref()
                .is_some_and(|h| !h.eq_ignore_ascii_case(host))
            {
                return None;
            }
            below(&upstream.mount, path).map(|rest| (upstream, rest))
        });
        let Some((upstream, rest)) = found else {
            return Err(Refusal::NoUpstream);
        };
        let rest = if rest.is_empty() { "/" } else { rest };
        if !(upstream.mount.is_empty() && upstream.base.is_empty()) && has_dots(rest) {
            return Err(Refusal::Dots);
        }
        Ok(Destination {
            upstream: upstream.clone(),
            path: if upstream.base.is_empty() {
                Cow::Borrowed(rest)
            } else {
                Cow::Owned(format!("{}{rest}", upstream.base))
            },
            query: uri.query(),
        })
    }

    /// A URL that the client names whole: an upstream's, or one of a host that is allowed.
    fn named<'a>(
        &self,
        uri: &'a Uri,
        authority: &Authority,
    ) -> std::result::Result<Destination<'a>, Refusal> {
        // An authority alone is what CONNECT asks for (RFC 9112 section 3.2.3).
        let scheme = uri.scheme_str().ok_or(Refusal::Target)?;
        if authority.as_str().contains('@') {
            return Err(Refusal::Target);
        }
        let path = uri.path();
        // What is not below an upstream's base path is not that upstream's: its headers do not go there.
        let known = self.all.iter();
        let known = known.filter(|u| u.holds(scheme, authority, path));
        let upstream = match known.min_by_key(|u| std::cmp::Reverse(u.base.len())) {
            Some(upstream) if upstream.is_left_by(path) => return Err(Refusal::Dots),
            Some(upstream) => upstream.clone(),
            None => {
                let allowed = self.forward.iter().any(|allowed| {
                    authority.as_str().eq_ignore_ascii_case(allowed)
                        || authority.port_u16() == Some(80)
                            && authority.host().eq_ignore_ascii_case(allowed)
                });
                if !allowed || !scheme.eq_ignore_ascii_case("http") {
                    return Err(Refusal::Forbidden);
                }
                Arc::new(
                    Upstream::new(&format!(
                        "http://{}",
                        authority.as_str().to_ascii_lowercase()
                    ))
                    .map_err(|_| Refusal::Target)?,
                )
            }
        };
        Ok(Destination {
            upstream,
            path: Cow::Borrowed(path),
            query: uri.query(),
        })
    }
}

/// What follows this path in another, by whole segments.
fn below<'p>(base: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(base)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Tells whether a server could read a segment of this path as `.` or `..` (RFC 3986 section 3.3): encoded too, or with parameters, and
/// between whatever some server takes for a slash.
fn has_dots(path: &str) -> bool {
    // Most paths have none, and cost one look.
    if !path.contains("/.") && !path.contains(['%', '\\']) {
        return false;
    }
    let path: Cow<'_, [u8]> = percent_decode_str(path).into();
    path.split(|b| matches!(b, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|b| *b == b';').next();
        matches!(name, Some(b"." | b".."))
    })
}

/// A host that clients may name, perhaps with a port, in lower case.
fn named_host(text: &str) -> Result<Box<str>> {
    let authority = text.parse::<Authority>().ok();
    let fits = authority.is_some_and(|authority| {
        let host = authority.host();
        let port = match authority.port_u16() {
            Some(port) => format!(":{port}"),
            None => String::new(),
        };
        !host.is_empty() && is_host(host) && !host.contains('*') && text == format!("{host}{port}")
    });
    if fits {
        return Ok(text.to_ascii_lowercase().into());
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or("");
    let rest = rest.rsplit('@').next().unwrap_or("");
    let rest = rest.trim_end_matches(':');
    let right = match rest.parse::<Authority>() {
        Ok(authority) if is_host(authority.host()) && !rest.contains('*') => rest,
        _ => "api.example.com",
    };
    let message = format!(
        "forward has {text:?}, which is no host; write it without scheme and path, with the port where it is not 80, such as {right:?}"
    );
    Err(Error::new(ErrorKind::Config, message))
}

/// The host that the client asked for, without its port.
fn host(parts: &Parts) -> std::result::Result<&str, Refusal> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let host = match (parts.uri.authority(), lines.next()) {
        (Some(authority), _) => authority.host(),
        // RFC 9112 section 3.2: HTTP/1.1 without Host, or with two, is a bad request.
        (None, Some(line)) if lines.next().is_none() => {
            let text = line.to_str().map_err(|_| Refusal::Target)?;
            let host = match text.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
                _ => text,
            };
            // The same for one that is no host and port.
            is_host(host).then_some(host).ok_or(Refusal::Target)?
        }
        (None, None) if parts.version < Version::HTTP_11 => "",
        (None, _) => return Err(Refusal::Target),
    };
    Ok(host)
}

/// Tells whether this can be a host in a URL (RFC 3986 section 3.2.2): an address in brackets, or a name.
fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match address {
        Some(address) => address
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
        None => host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&b)),
    }
}

impl Destination<'_> {
    /// The target as the cache sees it: that of the API, whatever the proxy is called.
    pub(crate) fn target(&self) -> Target<'_> {
        let upstream = &self.upstream;
        Target {
            scheme: &upstream.scheme,
            host: upstream.authority.host(),
            port: upstream.authority.port_u16(),
            path: &self.path,
            query: self.query,
        }
    }

    /// The same as a URL.
    pub(crate) fn uri(&self) -> std::result::Result<Uri, Refusal> {
        let path = match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        };
        Uri::builder()
            .scheme(&*self.upstream.scheme)
            .authority(self.upstream.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| Refusal::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_of_an_api_by_its_origin_and_below_its_path() {
        let api = Upstream::new("https://API.example.com:443/v1").unwrap();
        for (url, is_covered) in [
            ("https://api.example.com/v1/tracks/7", true),
            ("HTTPS://Api.Example.com:443/v1?a=1", true),
            ("https://api.example.com:8443/v1/a", false),
            ("http://api.example.com/v1/a", false),
            ("https://api.example.com.evil.example/v1/a", false),
            ("https://evil.example/v1/a", false),
            ("https://me@api.example.com/v1/a", false),
            ("https://api.example.com/v10", false),
            ("https://api.example.com/", false),
            ("https://api.example.com/v1/%2e%2e/v2", false),
            ("/v1/a", false),
        ] {
            assert_eq!(api.covers(&url.parse().unwrap()), is_covered, "{url}");
        }
    }
}
