//! Parts of a whole answer (RFC 9110 14).

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

use crate::control::trim;
use crate::date;
use crate::decide::Stored;

/// What a request for a part is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeAnswer {
    /// The whole answer: no part is asked for, or none that has to be given.
    Whole,
    /// The bytes from `first` to `last`, both included (206).
    Part {
        /// The first byte, counted from 0.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing: the part lies beyond the end (416).
    Unsatisfiable,
}

/// Says which part of a stored answer of `len` bytes a request is given.
///
/// One range of bytes, out of a 200 alone. Several ranges, another unit and what cannot be read are answered with the whole, which is
/// always allowed (RFC 9110 14.2); so is a range whose `If-Range` is not the stored answer's strong `ETag`, or its `Last-Modified` to the
/// byte where that is strong (13.1.5). For `GET` only: another method knows no ranges.
pub fn range(request: &HeaderMap, stored: &Stored<'_>, len: u64) -> RangeAnswer {
    if stored.status != http::StatusCode::OK {
        return RangeAnswer::Whole;
    }
    let mut lines = request.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return RangeAnswer::Whole;
    };
    if !same_version(request, stored) {
        return RangeAnswer::Whole;
    }
    one_range(trim(line.as_bytes()), len).unwrap_or(RangeAnswer::Whole)
}

/// `If-Range` names exactly what is stored, or is not there.
fn same_version(request: &HeaderMap, stored: &Stored<'_>) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(line) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    let value = trim(line.as_bytes());
    if value.starts_with(b"\"") {
        return stored.etag.is_some_and(|etag| trim(etag) == value);
    }
    let same = stored.last_modified.is_some_and(|at| trim(at) == value);
    same && date::parse(value).is_some_and(|modified| is_strong(modified, stored))
}

/// A date tells two versions apart only where the answer was made later than the second in which it was modified (RFC 9110 8.8.2.2).
fn is_strong(modified: i64, stored: &Stored<'_>) -> bool {
    let made = stored.facts.date;
    made.is_some_and(|made| made.saturating_sub(modified) >= 1_000)
}

/// Reads `bytes=1-2`, `bytes=1-` or `bytes=-2`.
fn one_range(value: &[u8], len: u64) -> Option<RangeAnswer> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let set = trim(set);
    let dash = set.iter().position(|byte| *byte == b'-')?;
    let (first, rest) = set.split_at_checked(dash)?;
    let last = rest.get(1..)?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match len.checked_sub(1) {
            Some(end) if suffix > 0 => RangeAnswer::Part {
                first: len.saturating_sub(suffix),
                last: end,
            },
            _ => RangeAnswer::Unsatisfiable,
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some(if first < len {
        RangeAnswer::Part {
            first,
            last: last.min(len - 1),
        }
    } else {
        RangeAnswer::Unsatisfiable
    })
}

/// Digits alone; what is too large for a number is the largest one.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |total, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(total.saturating_mul(10).saturating_add(digit))
    })
}
