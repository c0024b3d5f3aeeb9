//! How header lines and bodies are stored: as they came, or as frames of zstd.
//!
//! The column `coding` of a row says which: 0 for as they came, the number of a dictionary, or -1 for frames without one. Body and
//! head are a frame each, so that a read of the head alone decompresses no body. Checksums are those of what came.

mod consider;
mod dictionary;
mod frame;
mod rewrite;
mod train;

pub(super) use consider::consider;
pub use rewrite::Rewritten;
pub(super) use rewrite::rewrite;
pub use train::Trained;
pub(super) use train::{Turn, train};

use super::{error::Attempt, rows::readable};
use crate::store::{Compression, TableSpec};
use bytes::Bytes;
use dictionary::Dictionary;
use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use train::Watch;

/// Stored as it came.
pub(super) const PLAIN: i64 = 0;
/// A frame without a dictionary.
const BARE: i64 = -1;
/// Longer header lines stay as they came, for nothing but this bounds what a stored frame may claim to hold.
const HEAD_LIMIT: usize = 1 << 20;
/// Less is not worth a try.
const WORTHWHILE: usize = 64;

/// Codes the rows of one table.
#[derive(Debug)]
pub(super) struct Coder {
    repository: Arc<str>,
    compression: Compression,
    /// Those that were met, digested once.
    known: RwLock<Vec<Arc<Dictionary>>>,
    watch: Mutex<Watch>,
}

/// What a row holds of an entry.
#[derive(Debug)]
pub(super) struct Coded<'a> {
    pub(super) coding: i64,
    pub(super) head: Cow<'a, [u8]>,
    pub(super) body: Cow<'a, [u8]>,
}

/// How new rows are coded, as of one transaction.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    coder: &'a Coder,
    with: With,
}

#[derive(Clone, Debug)]
enum With {
    Nothing,
    Bare,
    Dictionary(Arc<Dictionary>),
}

/// How long what a frame holds may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// A body: its seal says it.
    Exactly(u64),
    /// Header lines: nothing says it.
    Head,
}

/// What is stored, as a value: text where SQL can read it.
pub(super) fn value(coding: i64, stored: &[u8]) -> ToSqlOutput<'_> {
    if coding == PLAIN {
        readable(stored)
    } else {
        ToSqlOutput::Borrowed(ValueRef::Blob(stored))
    }
}

impl Coder {
    pub(super) fn new(spec: &TableSpec) -> Self {
        Self {
            repository: spec.name.shared(),
            compression: spec.compression,
            known: RwLock::default(),
            watch: Mutex::default(),
        }
    }

    /// Prepares to code new rows; within the transaction that writes them, so that no dictionary is removed in between.
    pub(super) fn encoder(&self, conn: &Connection) -> Attempt<Encoder<'_>> {
        let with = match self.compression {
            Compression::None => With::Nothing,
            Compression::Zstd => match dictionary::newest(conn, &self.repository)? {
                Some(id) => self
                    .dictionary(conn, id)?
                    .map_or(With::Bare, With::Dictionary),
                None => With::Bare,
            },
        };
        Ok(Encoder { coder: self, with })
    }

    /// Codes new header lines for a row whose body stays; `None` where that cannot be.
    pub(super) fn head_again<'a>(
        &self,
        conn: &Connection,
        coding: i64,
        lines: &'a [u8],
    ) -> Attempt<Option<Cow<'a, [u8]>>> {
        let dictionary = match coding {
            PLAIN => return Ok(Some(lines.into())),
            _ if lines.len() > HEAD_LIMIT => return Ok(None),
            BARE => None,
            id => match self.dictionary(conn, id)? {
                None => return Ok(None),
                held => held,
            },
        };
        let digested = dictionary.as_deref().map(|d| &d.digested);
        Ok(frame::compress(lines, digested).map(Cow::Owned))
    }

    /// Returns what came; `None` where what is stored is damaged, or longer than it may be.
    pub(super) fn decode(
        &self,
        conn: &Connection,
        coding: i64,
        stored: &[u8],
        length: Length,
    ) -> Option<Bytes> {
        let dictionary = match coding {
            PLAIN => return Some(Bytes::copy_from_slice(stored)),
            BARE => None,
            // A failure to look is told by the next statement.
            id => Some(self.dictionary(conn, id).ok()??),
        };
        let digested = dictionary.as_deref().map(|d| &d.digested);
        let len = match length {
            Length::Exactly(len) => usize::try_from(len).ok()?,
            Length::Head => frame::content_size(stored).filter(|len| *len <= HEAD_LIMIT)?,
        };
        frame::decompress(stored, len, digested).map(Bytes::from)
    }

    /// Returns a dictionary; it is looked up once.
    fn dictionary(&self, conn: &Connection, id: i64) -> Attempt<Option<Arc<Dictionary>>> {
        let held = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.iter().find(|d| d.id == id) {
            return Ok(Some(found.clone()));
        }
        drop(held);
        let Some(found) = dictionary::load(conn, id)?.map(Arc::new) else {
            return Ok(None);
        };
        let mut held = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // The newest first: most rows use it.
        let at = held.partition_point(|d| d.id > id);
        if held.get(at).is_none_or(|d| d.id != id) {
            held.insert(at, found.clone());
        }
        Ok(Some(found))
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes rows of any table, as of one snapshot.
#[derive(Debug)]
pub(super) struct Decoder(Vec<Dictionary>);

impl Decoder {
    pub(super) fn load(conn: &Connection) -> Attempt<Self> {
        Ok(Self(dictionary::all(conn)?))
    }

    /// Returns what came; `None` where what is stored is damaged, or longer than it may be.
    pub(super) fn decode(&self, coding: i64, stored: &[u8], most: usize) -> Option<Vec<u8>> {
        let digested = match coding {
            BARE => None,
            id => Some(&self.0.iter().find(|d| d.id == id)?.digested),
        };
        let len = frame::content_size(stored).filter(|len| *len <= most)?;
        frame::decompress(stored, len, digested)
    }
}

impl Encoder<'_> {
    /// Codes an entry; what does not get smaller stays as it came.
    pub(super) fn encode<'a>(&self, head: &'a [u8], body: &'a [u8]) -> Coded<'a> {
        let plain = Coded {
            coding: PLAIN,
            head: head.into(),
            body: body.into(),
        };
        let (coding, digested) = match &self.with {
            With::Nothing => return plain,
            With::Bare => (BARE, None),
            With::Dictionary(held) => (held.id, Some(&held.digested)),
        };
        let came = head.len() + body.len();
        let coded = match head.len() {
            0..=HEAD_LIMIT if came >= WORTHWHILE => {
                frame::compress(head, digested).zip(frame::compress(body, digested))
            }
            _ => None,
        };
        let coded = coded.filter(|(head, body)| head.len() + body.len() < came);
        let stored = coded.as_ref().map_or(came, |(h, b)| h.len() + b.len());
        self.coder.watched().note(coding, came, stored);
        coded.map_or(plain, |(head, body)| Coded {
            coding,
            head: head.into(),
            body: body.into(),
        })
    }

    /// The value that `coding` has in rows that get smaller.
    fn target(&self) -> i64 {
        match &self.with {
            With::Nothing => PLAIN,
            With::Bare => BARE,
            With::Dictionary(held) => held.id,
        }
    }
}
