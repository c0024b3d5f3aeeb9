//! Line by line through an export.

use super::{
    entry::Read,
    header::{EndLine, Header},
    line::{self, MAX_LINE},
};
use crate::{Error, ErrorKind, Result, entry::Entry, store::TableSpec};
use std::{
    io::{BufRead, Read as _},
    sync::Arc,
};

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// What the file says of itself. It comes again where another file begins.
    Header(Header),
    /// An entry, with the declaration of its repository.
    Entry(Arc<TableSpec>, Arc<Entry>),
    /// All was there.
    End {
        /// How many entries the file held.
        entries: u64,
    },
}

/// Reads an export and verifies every line; in memory there is one line.
///
/// ```
/// use restow::{Millis, moving::ndjson::{Header, Item, Reader, end_line}};
/// let header = Header { made_at: Millis(0).to_string(), secret_id: String::new(), secret: None, tables: Vec::new() };
/// let file = [header.line()?, end_line(0)?].concat();
/// let mut reader = Reader::new(&file[..]);
/// assert_eq!(reader.next_item()?, Some(Item::Header(header)));
/// assert_eq!(reader.next_item()?, Some(Item::End { entries: 0 }));
/// assert_eq!(reader.next_item()?, None);
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    line: u64,
    tables: Vec<Arc<TableSpec>>,
    /// Whether a header was read, and not yet its end.
    within: bool,
    /// Entries of this file that were read.
    entries: u64,
}

impl<R: BufRead> Reader<R> {
    /// Starts at the beginning of a file.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            line: 0,
            tables: Vec::new(),
            within: false,
            entries: 0,
        }
    }

    /// Returns the number of the line that was read last; the first is 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line; `None` behind the last one of a file that is whole.
    ///
    /// After an error it goes on with the line behind, so that a bad line can be left out. Of an entry that was left out the end knows, and
    /// fails too.
    ///
    /// # Errors
    /// All name the line. [`ErrorKind::Corrupt`] where it is not as it was written, or the file ends early; [`ErrorKind::Format`] where a newer version
    /// made it; [`ErrorKind::TooLarge`] where it is longer than [`MAX_LINE`]; [`ErrorKind::Store`] where the file cannot be read.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        self.line += 1;
        let item = match self.read_line() {
            Ok(true) => self.item().map(Some),
            Ok(false) if self.within => {
                self.within = false;
                Err(wrong("the file ends before its last line: it was cut off"))
            }
            Ok(false) if self.tables.is_empty() && self.line == 1 => {
                Err(wrong("the file is empty; an export has at least two lines"))
            }
            Ok(false) => return Ok(None),
            Err(error) => Err(error),
        };
        item.map_err(|e| in_line(&e, self.line))
    }

    /// Reads up to the end of a line; `false` where there is none.
    fn read_line(&mut self) -> Result<bool> {
        self.buffer.clear();
        let failed = |e| Error::new(ErrorKind::Store, "the file cannot be read").with_source(e);
        let most = MAX_LINE as u64 + 1;
        let read = (&mut self.input)
            .take(most)
            .read_until(b'\n', &mut self.buffer);
        if read.map_err(failed)? == 0 {
            return Ok(false);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            // As some programs end their lines.
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if self.buffer.len() > MAX_LINE {
            self.buffer.clear();
            self.skip_line().map_err(failed)?;
            let message = format!("it is longer than {} MiB", MAX_LINE >> 20);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(true)
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let held = self.input.fill_buf()?;
            if held.is_empty() {
                return Ok(());
            }
            let end = memchr::memchr(b'\n', held);
            let used = end.map_or(held.len(), |at| at + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn item(&mut self) -> Result<Item> {
        let object = line::open(&mut self.buffer).map_err(wrong)?;
        let is = |kind: &[u8]| object.starts_with(kind);
        match self.within {
            false => {
                let header = Header::read(object)?;
                self.tables = header.tables.iter().cloned().map(Arc::new).collect();
                (self.within, self.entries) = (true, 0);
                Ok(Item::Header(header))
            }
            true if is(b"{\"end\":") => {
                let end: EndLine = serde_json::from_slice(object).map_err(no_entry)?;
                self.within = false;
                if end.end.entries != self.entries {
                    let message = format!(
                        "the file was written with {} entries, and {} were read",
                        end.end.entries, self.entries
                    );
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
                Ok(Item::End {
                    entries: self.entries,
                })
            }
            true => {
                let read: Read<'_> = serde_json::from_slice(object).map_err(no_entry)?;
                let spec = self
                    .tables
                    .iter()
                    .find(|spec| *spec.name.as_str() == *read.repository);
                let spec = spec.cloned().ok_or_else(|| {
                    let message = format!(
                        "its repository {:?} is not one of those of the first line",
                        read.repository
                    );
                    Error::new(ErrorKind::Corrupt, message)
                })?;
                let entry = read.entry(&spec)?;
                self.entries += 1;
                Ok(Item::Entry(spec, Arc::new(entry)))
            }
        }
    }
}

fn no_entry(e: serde_json::Error) -> Error {
    wrong("it is no entry of a restow export").with_source(e)
}

fn wrong(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

/// Says which line an error is about.
fn in_line(error: &Error, line: u64) -> Error {
    let mut named = Error::new(error.kind(), format!("line {line}: {error}"));
    if let Some(source) = std::error::Error::source(error) {
        named = named.with_source(source.to_string());
    }
    named
}
