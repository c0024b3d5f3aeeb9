//! Where a request shows whose it is.

use super::form::Many;
use crate::{Error, ErrorKind, Result};

use http::HeaderName;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// The parts of a request that name its user. Their values never get into a key, a table, a log or an error.
///
/// The default: the headers `authorization`, `x-api-key`, `api-key`, `x-auth-token`, `private-token`, `x-goog-api-key` and
/// `ocp-apim-subscription-key`, the whole cookie, and the parameters `access_token`, `api_key`, `apikey`, `token` and `sig`.
///
/// ```
/// use restow::Credentials;
/// let credentials = Credentials::parse(["header:authorization", "cookie:session", "query:access_token"])?;
/// assert!(credentials.is_parameter("access_token"));
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    headers: Vec<HeaderName>,
    cookies: Cookies,
    parameters: Vec<Box<str>>,
}

/// Which cookies are credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    None,
    Named(Vec<Box<str>>),
    Whole,
}

const HEADERS: [&str; 7] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "private-token",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
];
const PARAMETERS: [&str; 5] = ["access_token", "api_key", "apikey", "token", "sig"];

impl Credentials {
    /// Nothing is a credential: every request is the public's.
    pub const fn none() -> Self {
        Self {
            headers: Vec::new(),
            cookies: Cookies::None,
            parameters: Vec::new(),
        }
    }

    /// Reads a list of `header:NAME`, `cookie`, `cookie:NAME` and `query:NAME`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the item that is none of these.
    pub fn parse<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut out = Self::none();
        for item in items {
            let wrong = || {
                let message = format!(
                    "{item:?} is not a credential; write \"header:NAME\", \"cookie\", \"cookie:NAME\" or \"query:NAME\""
                );
                Error::new(ErrorKind::Config, message)
            };
            match item.split_once(':') {
                None if item == "cookie" => out.cookies = Cookies::Whole,
                Some(("header", name)) => out
                    .headers
                    .push(HeaderName::from_str(name).map_err(|_| wrong())?),
                Some(("query", name)) if !name.is_empty() => out.parameters.push(name.into()),
                Some(("cookie", name)) if !name.is_empty() => match &mut out.cookies {
                    Cookies::Whole => {}
                    Cookies::Named(names) => names.push(name.into()),
                    Cookies::None => out.cookies = Cookies::Named(vec![name.into()]),
                },
                _ => return Err(wrong()),
            }
        }
        Ok(out)
    }

    /// Returns the list that [`parse`](Self::parse) reads.
    pub fn items(&self) -> Vec<String> {
        let cookies = match &self.cookies {
            Cookies::None => Vec::new(),
            Cookies::Whole => vec!["cookie".to_owned()],
            Cookies::Named(names) => names.iter().map(|n| format!("cookie:{n}")).collect(),
        };
        let headers = self.headers.iter().map(|h| format!("header:{h}"));
        headers
            .chain(cookies)
            .chain(self.parameters.iter().map(|p| format!("query:{p}")))
            .collect()
    }

    /// Tells whether the value of this header is a credential, or holds one.
    pub fn is_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|h| h.as_str().eq_ignore_ascii_case(name))
            || (self.cookies != Cookies::None && name.eq_ignore_ascii_case("cookie"))
    }

    /// Tells whether the value of this query parameter is a credential.
    pub fn is_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|p| **p == *name)
    }

    /// The same of a name as it stands in a URL.
    fn is_encoded_parameter(&self, name: &str) -> bool {
        self.is_parameter(&percent_decode_str(name).decode_utf8_lossy())
    }

    /// Returns the query parameters that are credentials.
    pub fn parameters(&self) -> &[Box<str>] {
        &self.parameters
    }

    /// Returns a URL without its user, its fragment, and the parameters that are credentials: what may be stored, and shown.
    ///
    /// ```
    /// use restow::Credentials;
    /// let url = Credentials::default().strip("https://me:secret@api.example.com/items?api_key=secret&page=2");
    /// assert_eq!(url, "https://api.example.com/items?page=2");
    /// ```
    pub fn strip(&self, url: &str) -> String {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut out = without_user(place);
        let mut mark = '?';
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !self.is_encoded_parameter(name) {
                out.push(mark);
                out.push_str(pair);
                mark = '&';
            }
        }
        out
    }

    /// Returns a query without the values of the parameters that are credentials, all else byte for byte; `None` where it has none of them.
    pub(crate) fn elide(&self, query: &str) -> Option<String> {
        let kept = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let is_secret = !value.is_empty() && self.is_encoded_parameter(name);
            is_secret.then_some(name.len() + 1)
        };
        if !query.split('&').any(|pair| kept(pair).is_some()) {
            return None;
        }
        let pairs = query.split('&').map(|pair| {
            let most = kept(pair).unwrap_or(pair.len());
            pair.get(..most).unwrap_or(pair)
        });
        Some(pairs.collect::<Vec<_>>().join("&"))
    }

    /// Tells whether a header is one that usually holds a secret.
    pub(crate) fn is_known_secret(name: &str) -> bool {
        HEADERS
            .iter()
            .chain(&["cookie", "proxy-authorization"])
            .any(|h| h.eq_ignore_ascii_case(name))
    }

    pub(crate) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    pub(crate) fn cookies(&self) -> &Cookies {
        &self.cookies
    }
}

fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else {
        return place.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            headers: HEADERS.into_iter().map(HeaderName::from_static).collect(),
            cookies: Cookies::Whole,
            parameters: PARAMETERS.into_iter().map(Into::into).collect(),
        }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.items().join(", "))
    }
}

impl Serialize for Credentials {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items())
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Many::<String>::deserialize(deserializer)?;
        Self::parse(items.0.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back() {
        let default = Credentials::default();
        assert_eq!(
            Credentials::parse(default.items().iter().map(String::as_str)).unwrap(),
            default
        );
        assert!(
            default.is_header("Authorization")
                && default.is_header("cookie")
                && !default.is_header("accept")
        );
    }

    #[test]
    fn a_url_loses_what_is_secret_and_nothing_else() {
        let credentials = Credentials::default();
        for (url, left) in [
            ("https://a.example/x?b=1&a=2", "https://a.example/x?b=1&a=2"),
            ("https://a.example/x?token=s&a=2", "https://a.example/x?a=2"),
            (
                "https://a.example/x?a=2&api%5Fkey=s&b",
                "https://a.example/x?a=2&b",
            ),
            ("https://a.example/x?token=s", "https://a.example/x"),
            (
                "https://me:s@a.example:8080/x@y?a=2",
                "https://a.example:8080/x@y?a=2",
            ),
            ("https://me@a.example", "https://a.example"),
            ("https://a.example/x#access_token=s", "https://a.example/x"),
            ("https://a.example/x?", "https://a.example/x"),
        ] {
            assert_eq!(credentials.strip(url), left, "{url}");
        }
    }

    #[test]
    fn a_query_loses_the_values_that_are_secret() {
        let credentials = Credentials::default();
        for (query, left) in [
            ("a=2&&b", None),
            ("token=&token", None),
            ("tokens=s", None),
            ("token=s", Some("token=")),
            ("a=2&api%5Fkey=s=t&b", Some("a=2&api%5Fkey=&b")),
            ("sig=s&sig=t&", Some("sig=&sig=&")),
        ] {
            assert_eq!(credentials.elide(query).as_deref(), left, "{query}");
        }
    }

    #[test]
    fn a_wrong_item_is_named() {
        for item in [
            "authorization",
            "header:",
            "query:",
            "cookie:",
            "header:a b",
        ] {
            let error = Credentials::parse([item]).unwrap_err();
            assert!(error.to_string().contains(&format!("{item:?}")), "{error}");
        }
    }
}
