//! How much of a stored entry a caller is answered with.

use super::stored::stored;
use crate::{context::Mount, entry::Entry};
use http::{HeaderMap, Method, header::RANGE};
use restow_policy::RangeAnswer;

/// How much of an entry the caller is answered with, by the conditions and the range of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Nothing, for the caller has it: 304 (RFC 9111 section 4.3.2).
    NotModified,
    /// The bytes from `first` to `last`, both included: 206 (RFC 9110 section 14).
    Range {
        /// The first byte, counted from 0.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing, for the range lies beyond its end: 416.
    Unsatisfiable,
}

impl Part {
    /// Conditions go before the range (RFC 9110 section 13.2.2).
    pub(super) fn of(entry: &Entry, method: &Method, headers: &HeaderMap, mount: &Mount) -> Self {
        let stored = stored(entry, mount);
        // To other methods such a condition says something else (RFC 9110 section 13.1.2).
        let can_be_304 = matches!(*method, Method::GET | Method::HEAD);
        if can_be_304 && restow_policy::not_modified(headers, &stored) {
            return Self::NotModified;
        }
        if *method != Method::GET || !headers.contains_key(RANGE) {
            return Self::Whole;
        }
        match restow_policy::range(headers, &stored, entry.body.len() as u64) {
            RangeAnswer::Whole => Self::Whole,
            RangeAnswer::Part { first, last } => Self::Range { first, last },
            RangeAnswer::Unsatisfiable => Self::Unsatisfiable,
        }
    }
}
