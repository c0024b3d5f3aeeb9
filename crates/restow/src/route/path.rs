//! A request's path, decoded segment by segment.

use super::percent;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The decoded segments of a path; `/` is one empty segment.
#[derive(Debug)]
pub(super) struct Path<'a> {
    raw: &'a str,
    segments: SmallVec<[Cow<'a, str>; 12]>,
}

impl<'a> Path<'a> {
    /// Splits and decodes a path; `None` where nothing may match it: a broken escape, or a dot segment.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let raw = if path.is_empty() {
            path
        } else {
            path.strip_prefix('/')?
        };
        let segments = raw
            .split('/')
            .map(|segment| percent::decode(segment).filter(|decoded| !is_dots(decoded)))
            .collect::<Option<_>>()?;
        Some(Self { raw, segments })
    }

    /// Returns the decoded segments.
    pub(super) fn segments(&self) -> &[Cow<'a, str>] {
        &self.segments
    }

    /// Returns all from the segment at `index` on, decoded.
    ///
    /// `None` where a segment holds an encoded slash: decoded, it would be the same as a plain one.
    pub(super) fn rest(&self, index: usize) -> Option<Cow<'_, str>> {
        let segments = self.segments.get(index..)?;
        if segments.iter().any(|segment| segment.contains('/')) {
            return None;
        }
        if segments.iter().all(|s| matches!(s, Cow::Borrowed(_))) {
            let raw = self.raw.splitn(index.saturating_add(1), '/').nth(index)?;
            return Some(Cow::Borrowed(raw));
        }
        Some(Cow::Owned(segments.join("/")))
    }
}

/// Tells whether clients would resolve this decoded segment away (RFC 3986, 5.2.4).
pub(super) fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}
