//! The facts of an entry as bytes: versioned, bounded, checksummed. What cannot be read for certain is not read.

use super::{
    Entry, Meta,
    head::{Head, HeadParts, Span},
};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::StatusCode;
use restow_policy::Facts;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const VERSION: u8 = 1;
const NO_SPAN: u64 = u64::MAX;

/// Length and checksum (XXH3, 64 bits) of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seal {
    /// Bytes.
    pub len: u64,
    /// The checksum.
    pub sum: u64,
}

impl Seal {
    /// Seals a body.
    pub fn of(body: &[u8]) -> Self {
        Self {
            len: body.len() as u64,
            sum: xxh3_64(body),
        }
    }
}

/// What a backend stores beside an entry's readable parts, in bytes of its own format.
///
/// Layout, version 1, little-endian: version (1 byte), status (2), seal of the body (8 + 8), checksum of the head (8),
/// spans of `ETag` and `Last-Modified` in the header lines (8 + 8), length of the vary names (2) and the names,
/// length of the policy's facts (2) and the facts, checksum of all before (8).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    seal: Seal,
    head_sum: u64,
    status: StatusCode,
    vary: Box<str>,
    etag: Option<Span>,
    last_modified: Option<Span>,
    facts: Facts,
}

impl Record {
    /// Writes the record of an entry's meta.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where the names in `Vary` are longer than 65,535 bytes.
    pub fn encode(meta: &Meta) -> Result<Vec<u8>> {
        let head = &*meta.head;
        let (etag, last_modified) = head.spans();
        let mut facts = Vec::with_capacity(96);
        head.facts().encode(&mut facts);
        let too_large = || {
            Error::new(
                ErrorKind::TooLarge,
                "the field names in Vary are longer than 65,535 bytes",
            )
        };
        let mut out = Vec::with_capacity(160 + head.vary().len());
        out.push(VERSION);
        out.extend_from_slice(&head.status().as_u16().to_le_bytes());
        out.extend_from_slice(&meta.seal.len.to_le_bytes());
        out.extend_from_slice(&meta.seal.sum.to_le_bytes());
        out.extend_from_slice(&head_sum(head.status(), head.url(), head.lines()).to_le_bytes());
        out.extend_from_slice(&span_bits(etag).to_le_bytes());
        out.extend_from_slice(&span_bits(last_modified).to_le_bytes());
        out.extend_from_slice(
            &u16::try_from(head.vary().len())
                .map_err(|_| too_large())?
                .to_le_bytes(),
        );
        out.extend_from_slice(head.vary().as_bytes());
        out.extend_from_slice(
            &u16::try_from(facts.len())
                .map_err(|_| too_large())?
                .to_le_bytes(),
        );
        out.extend_from_slice(&facts);
        let sum = xxh3_64(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        Ok(out)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a version this program does not know, [`ErrorKind::Corrupt`] for damage.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.first() {
            Some(&VERSION) => Self::read(bytes).ok_or_else(|| corrupt("its record is damaged")),
            Some(version) => Err(Error::new(
                ErrorKind::Format,
                format!("the entry's record has version {version}; this program reads {VERSION}"),
            )),
            None => Err(corrupt("its record is empty")),
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the seal of the body.
    pub fn seal(&self) -> Seal {
        self.seal
    }

    /// Checks a body against its seal.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where it is not the body that was stored.
    pub fn verify_body(&self, body: &[u8]) -> Result<()> {
        if Seal::of(body) == self.seal {
            Ok(())
        } else {
            Err(corrupt("its body is not what was stored"))
        }
    }

    /// Makes the head of this record, the stored status, the URL and the header lines, and checks them against each other.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where they are not what was stored.
    pub fn into_head(self, status: u16, url: Option<Arc<str>>, lines: Bytes) -> Result<Head> {
        if status != self.status.as_u16()
            || head_sum(self.status, url.as_deref(), &lines) != self.head_sum
        {
            return Err(corrupt("its head is not what was stored"));
        }
        Ok(self.head(url, lines))
    }

    /// Makes a head without header lines, for reads that need none.
    pub fn into_bare_head(self) -> Head {
        self.head(None, Bytes::new())
    }

    fn head(self, url: Option<Arc<str>>, lines: Bytes) -> Head {
        let Self {
            status,
            facts,
            vary,
            etag,
            last_modified,
            ..
        } = self;
        Head::from_parts(
            HeadParts {
                status,
                facts,
                vary,
                etag,
                last_modified,
            },
            lines,
            url,
        )
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (payload, sum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(payload) != u64::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = payload.get(1..)?;
        let record = Self {
            status: StatusCode::from_u16(u16::from_le_bytes(*take(&mut rest)?)).ok()?,
            seal: Seal {
                len: take_u64(&mut rest)?,
                sum: take_u64(&mut rest)?,
            },
            head_sum: take_u64(&mut rest)?,
            etag: span(take_u64(&mut rest)?),
            last_modified: span(take_u64(&mut rest)?),
            vary: std::str::from_utf8(take_block(&mut rest)?).ok()?.into(),
            facts: Facts::decode(take_block(&mut rest)?)?,
        };
        rest.is_empty().then_some(record)
    }
}

impl Entry {
    /// Checks the body against the seal it was stored with.
    pub fn is_intact(&self) -> bool {
        Seal::of(&self.body) == self.meta.seal
    }
}

fn head_sum(status: StatusCode, url: Option<&str>, lines: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&status.as_u16().to_le_bytes());
    let url = url.unwrap_or("");
    hash.update(&(url.len() as u64).to_le_bytes());
    hash.update(url.as_bytes());
    hash.update(lines);
    hash.digest()
}

fn span_bits(span: Option<Span>) -> u64 {
    span.map_or(NO_SPAN, |s| u64::from(s.start) << 32 | u64::from(s.end))
}

fn span(bits: u64) -> Option<Span> {
    (bits != NO_SPAN).then_some(Span {
        start: (bits >> 32) as u32,
        end: bits as u32,
    })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(chunk)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(|b| u64::from_le_bytes(*b))
}

fn take_block<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_le_bytes(*take(rest)?);
    let (block, after) = rest.split_at_checked(usize::from(len))?;
    *rest = after;
    Some(block)
}

fn corrupt(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "the entry is damaged: {what}; it counts as a miss and is replaced by the next fetch"
        ),
    )
}
