//! Status, header lines and facts of a stored answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::{memchr, memchr_iter};
use restow_policy::Facts;
use std::{ops::Range, sync::Arc};

/// The head of a stored answer: its status, its header lines as one block of bytes, and what caching needs of them, parsed once.
///
/// ```
/// use http::{HeaderMap, StatusCode, header};
/// use restow::{Millis, entry::Head};
/// let mut headers = HeaderMap::new();
/// headers.insert(header::ETAG, "\"a\"".parse()?);
/// headers.insert(header::CONNECTION, "close".parse()?);
/// let head = Head::new(StatusCode::OK, &headers, Some("https://api.example.com/"), Millis(0), Millis(0));
/// assert_eq!(head.etag(), Some(&b"\"a\""[..]));
/// assert_eq!(head.lines(), "etag: \"a\"\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    status: StatusCode,
    lines: Bytes,
    url: Option<Arc<str>>,
    facts: Facts,
    vary: Box<str>,
    etag: Option<Span>,
    last_modified: Option<Span>,
}

/// A part of the header lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The stored parts of a head, as its record gives them back.
pub(crate) struct HeadParts {
    pub(crate) status: StatusCode,
    pub(crate) facts: Facts,
    pub(crate) vary: Box<str>,
    pub(crate) etag: Option<Span>,
    pub(crate) last_modified: Option<Span>,
}

impl Head {
    /// Makes the head to store of an answer's status and headers: without the fields that concern one connection only
    /// (RFC 9111 section 3.1). `url` is where the answer came from in the end; the times are those of the request and of its answer.
    pub fn new(
        status: StatusCode,
        headers: &HeaderMap,
        url: Option<&str>,
        requested_at: crate::Millis,
        received_at: crate::Millis,
    ) -> Self {
        let facts = Facts::parse(status, headers, requested_at.0, received_at.0);
        Self::with_facts(status, headers, url, facts)
    }

    /// The same of headers whose facts are known.
    pub(crate) fn with_facts(
        status: StatusCode,
        headers: &HeaderMap,
        url: Option<&str>,
        facts: Facts,
    ) -> Self {
        let kept = restow_policy::storable(headers);
        let mut lines = Vec::with_capacity(512);
        let (mut etag, mut last_modified) = (None, None);
        for (name, value) in &kept {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            let start = lines.len();
            lines.extend_from_slice(value.as_bytes());
            let span = u32::try_from(start)
                .ok()
                .zip(u32::try_from(lines.len()).ok())
                .map(|(start, end)| Span { start, end });
            lines.extend_from_slice(b"\r\n");
            match *name {
                http::header::ETAG if etag.is_none() => etag = span,
                http::header::LAST_MODIFIED if last_modified.is_none() => last_modified = span,
                _ => {}
            }
        }
        Self {
            status,
            facts,
            // As received: a `Vary` that `Connection` names is not stored, and selects all the same.
            vary: restow_policy::vary_names(headers).as_str().into(),
            // What is held for long holds no room to spare.
            lines: lines.into_boxed_slice().into(),
            url: url.map(Into::into),
            etag,
            last_modified,
        }
    }

    /// The same head of an answer that came from elsewhere.
    pub(crate) fn at(&self, url: Option<String>) -> Self {
        Self {
            url: url.map(Into::into),
            ..self.clone()
        }
    }

    pub(crate) fn from_parts(parts: HeadParts, lines: Bytes, url: Option<Arc<str>>) -> Self {
        let HeadParts {
            status,
            facts,
            vary,
            etag,
            last_modified,
        } = parts;
        Self {
            status,
            lines,
            url,
            facts,
            vary,
            etag,
            last_modified,
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the header lines as they are stored: `name: value`, each ended by CRLF. Empty where they were not asked for.
    pub fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// Returns where the answer came from in the end.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Returns what caching needs of the headers.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the field names of `Vary`: lower case, sorted, with commas between; `*` alone; empty where there are none.
    pub fn vary(&self) -> &str {
        &self.vary
    }

    /// Returns the entity tag, as it came.
    pub fn etag(&self) -> Option<&[u8]> {
        self.slice(self.etag)
    }

    /// Returns the value of `Last-Modified`, as it came.
    pub fn last_modified(&self) -> Option<&[u8]> {
        self.slice(self.last_modified)
    }

    /// Builds the header map: every line, in order; the values are slices of the stored lines, not copies.
    pub fn headers(&self) -> HeaderMap {
        // One place for each line, and for the few that are added: `Age`, `Via`, `Cache-Status`.
        let lines = memchr_iter(b'\n', &self.lines).count();
        let mut map = HeaderMap::with_capacity(lines + 3);
        for (name, value) in split_lines(&self.lines) {
            let name = self
                .lines
                .get(name)
                .and_then(|n| HeaderName::from_bytes(n).ok());
            let value = HeaderValue::from_maybe_shared(self.lines.slice(value)).ok();
            if let (Some(name), Some(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }

    pub(crate) fn spans(&self) -> (Option<Span>, Option<Span>) {
        (self.etag, self.last_modified)
    }

    pub(crate) fn size(&self) -> u64 {
        (self.lines.len() + self.url.as_deref().map_or(0, str::len)) as u64
    }

    fn slice(&self, span: Option<Span>) -> Option<&[u8]> {
        let Span { start, end } = span?;
        self.lines.get(start as usize..end as usize)
    }
}

/// The ranges of name and value of each line.
fn split_lines(lines: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = lines.get(at..)?;
        // A value holds no CR or LF, a name no colon: the first of each ends it.
        let colon = memchr(b':', rest)?;
        let end = colon + memchr(b'\r', rest.get(colon..)?)?;
        let line = (at..at + colon, (at + colon + 2).min(at + end)..at + end);
        at += end + 2;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Millis;

    fn head(pairs: &[(&str, &[u8])]) -> Head {
        let mut map = HeaderMap::new();
        for (n, v) in pairs {
            map.append(
                HeaderName::from_bytes(n.as_bytes()).unwrap(),
                HeaderValue::from_bytes(v).unwrap(),
            );
        }
        Head::new(StatusCode::OK, &map, None, Millis(0), Millis(0))
    }

    #[test]
    fn every_line_comes_back_in_order_with_its_bytes() {
        let pairs: &[(&str, &[u8])] = &[
            ("link", b"<a>; rel=\"next\""),
            ("x-a", b""),
            ("x-b", b"a: b"),
            ("x-b", b"caf\xe9"),
            ("x-b", b"3"),
        ];
        let head = head(pairs);
        let headers = head.headers();
        let back: Vec<_> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        assert_eq!(back, pairs);
    }

    #[test]
    fn validators_and_vary_are_found_once() {
        let head = head(&[
            ("etag", b"33a64df5"),
            ("last-modified", b"Sat, 01 Aug 2026 00:00:00 GMT"),
            ("vary", b"Accept-Language, ACCEPT"),
        ]);
        assert_eq!(head.etag(), Some(&b"33a64df5"[..]));
        assert_eq!(
            head.last_modified(),
            Some(&b"Sat, 01 Aug 2026 00:00:00 GMT"[..])
        );
        assert_eq!(head.vary(), "accept,accept-language");
    }
}
