//! The facts of an entry as bytes: versioned, bounded, checksummed. What cannot be read for certain is not read.

use super::{
    Entry, EntryId, Meta,
    head::{Head, HeadParts, Span},
};
use crate::{Error, ErrorKind, Field, FieldRef, Result};
use bytes::Bytes;
use http::StatusCode;
use restow_policy::Facts;
use smallvec::SmallVec;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const VERSION: u8 = 3;
/// What identifies the entry is sealed without its repository.
const VERSION_2: u8 = 2;
/// Without a seal of what identifies the entry.
const VERSION_1: u8 = 1;
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
/// Layout, version 3, little-endian: version (1 byte), status (2), seal of the body (8 + 8), checksum of the head (8),
/// spans of `ETag` and `Last-Modified` in the header lines (8 + 8), length of the vary names (2) and the names,
/// length of the policy's facts (2) and the facts, number of the key's fields (1), checksum of what identifies the entry (8), checksum of
/// all before (8). In version 2 the repository's name is no part of what identifies the entry; version 1 has no number of fields and no checksum of
/// what identifies the entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    seal: Seal,
    head_sum: u64,
    status: StatusCode,
    vary: Box<str>,
    etag: Option<Span>,
    last_modified: Option<Span>,
    facts: Facts,
    identity: Option<Identity>,
}

/// What identifies an entry, as it was when its record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    fields: u8,
    sum: u64,
    /// Whether the repository's name is in the sum.
    is_named: bool,
}

impl Record {
    /// Writes the record of an entry's meta, for the entry of this identity in the table of a repository: its name, and the fields of its key.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where the names in `Vary` are longer than 65,535 bytes.
    pub fn encode(
        meta: &Meta,
        id: &EntryId,
        repository: &str,
        fields: &[Field],
    ) -> Result<Vec<u8>> {
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
        let mut out = Vec::with_capacity(176 + head.vary().len());
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
        let identity = Identity::of(id, Some(repository), fields);
        out.push(identity.fields);
        out.extend_from_slice(&identity.sum.to_le_bytes());
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
            Some(&(VERSION | VERSION_2 | VERSION_1)) => {
                Self::read(bytes).ok_or_else(|| corrupt("its record is damaged"))
            }
            Some(version) => Err(Error::new(
                ErrorKind::Format,
                format!(
                    "the entry's record has version {version}; this program reads {VERSION_1} to {VERSION}"
                ),
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

    /// Checks that it is the record of this entry: neither its repository, nor its key, nor whose it is, nor its variant is another than when
    /// it was written.
    ///
    /// One of version 1 says nothing of that, nor does one from before a field was added to the key; one of version 2 says nothing of the repository.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where it is another's.
    pub fn verify_id(&self, id: &EntryId, repository: &str, fields: &[Field]) -> Result<()> {
        match self.identity {
            Some(sealed)
                if usize::from(sealed.fields) == fields.len()
                    && sealed
                        != Identity::of(id, sealed.is_named.then_some(repository), fields) =>
            {
                Err(corrupt("its key is not the one it was stored under"))
            }
            Some(_) | None => Ok(()),
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
        let (version, mut rest) = payload.split_first()?;
        let mut record = Self {
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
            identity: None,
        };
        if *version != VERSION_1 {
            let [fields] = *take(&mut rest)?;
            record.identity = Some(Identity {
                fields,
                sum: take_u64(&mut rest)?,
                is_named: *version != VERSION_2,
            });
        }
        rest.is_empty().then_some(record)
    }
}

impl Identity {
    fn of(id: &EntryId, repository: Option<&str>, fields: &[Field]) -> Self {
        let EntryId { address, variant } = id;
        // A sum: a migration may bring the fields into another order.
        let sums = fields
            .iter()
            .zip(address.key.fields())
            .map(|(field, value)| {
                let mut hash = Part::new(field.name());
                match value {
                    FieldRef::Absent => hash.put(b"-"),
                    FieldRef::Integer(i) => hash.put(b"i").put(&i.to_le_bytes()),
                    FieldRef::Text(text) => hash.put(b"t").put(text.as_bytes()),
                };
                hash.sum()
            });
        let rest = [
            Part::new("/query")
                .put(address.key.query().as_bytes())
                .sum(),
            Part::new("/partition")
                .put(address.partition.as_str().as_bytes())
                .sum(),
            Part::new("/variant").put(&variant.0.to_le_bytes()).sum(),
        ];
        let name = repository.map(|name| Part::new("/repository").put(name.as_bytes()).sum());
        Self {
            // A key of more fields is not checked.
            fields: u8::try_from(fields.len()).unwrap_or(u8::MAX),
            sum: sums.chain(rest).chain(name).fold(0, u64::wrapping_add),
            is_named: name.is_some(),
        }
    }
}

/// A part of what identifies an entry, under its name.
struct Part(SmallVec<[u8; 120]>);

impl Part {
    fn new(name: &str) -> Self {
        let mut bytes = SmallVec::from_slice(name.as_bytes());
        bytes.push(0);
        Self(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn sum(&self) -> u64 {
        xxh3_64(&self.0)
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
