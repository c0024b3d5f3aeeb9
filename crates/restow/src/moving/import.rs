//! Lines of JSON, as `export` wrote them, into a store.

use super::{
    Tally,
    ahead::{Coming, ahead},
    merge::{Batch, Merger},
    ndjson::{Header, Item, Reader},
    target::{self, Digests},
};
use crate::{
    BoxStream, Error, ErrorKind, Millis, Result,
    entry::Entry,
    store::{Store, TableName, TableSpec},
};
use std::{collections::BTreeMap, io::BufRead, sync::Arc};

/// How a file is read in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Changes nothing, and counts what it would do.
    pub dry_run: bool,
    /// Leaves out lines that are not as they were written, instead of ending at the first.
    pub skip_bad: bool,
    /// What becomes of entries that hang on the secret of the cache that the file was made of.
    pub digests: Digests,
}

/// How far the reading is, over all repositories of the file.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// Lines read.
    pub lines: u64,
    /// What became of the entries of each repository.
    pub tables: BTreeMap<TableName, Tally>,
    /// Lines left out.
    pub skipped: u64,
    /// The first of them.
    pub bad: Vec<BadLine>,
    /// Whether it is all.
    pub done: bool,
}

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number; the first is 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

impl Imported {
    /// How many bad lines are named.
    const NAMED: usize = 20;
}

/// Reads a file in the format of [`ndjson`](super::ndjson) into a store, each line verified: repeated, it changes nothing.
///
/// Repositories that the store does not have are made as the file declares them. Each item tells how far it is; the stream has to be read
/// to its end. What was read before an error stays. The file is read on a thread of its own, a few lines ahead.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use futures_util::TryStreamExt;
/// use restow::{Clock, SystemClock, moving::{ExportOptions, ImportOptions, export, import}, store::connect};
/// let (from, to) = (connect("memory:").await?, connect("memory:").await?);
/// let file: Vec<_> = export(from, Vec::new(), ExportOptions::default(), SystemClock.now()).try_collect().await?;
/// let file = std::io::Cursor::new(file.concat());
/// let steps: Vec<_> = import(to, file, ImportOptions::default(), SystemClock.now()).try_collect().await?;
/// assert!(steps.last().unwrap().done);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Reader::next_item`], unless bad lines are left out; a first line that is bad always ends it.
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) where the store has a repository with other fields or columns,
/// [`Unsupported`](ErrorKind::Unsupported) where an entry hangs on a secret that the store does not have and cannot take over,
/// [`Store`](ErrorKind::Store) and its kin where the store fails.
///
/// # Cancel safety
/// Dropped, some entries are read in, each whole.
pub fn import(
    store: Arc<dyn Store>,
    file: impl BufRead + Send + 'static,
    options: ImportOptions,
    now: Millis,
) -> BoxStream<'static, Result<Imported>> {
    Box::pin(async_stream::try_stream! {
        let mut lines = lines(file);
        let mut into = Into { store, options, now, carries: false, tables: BTreeMap::new(), told: Imported::default() };
        let mut begun = false;
        while let Some((line, item)) = lines.next().await {
            into.told.lines = line;
            match item {
                Ok(Item::Header(header)) => {
                    begun = true;
                    into.begin(&header).await?;
                }
                Ok(Item::Entry(spec, entry)) => {
                    if into.take(&spec, entry, line).await? {
                        yield into.told();
                    }
                }
                Ok(Item::End { .. }) => {}
                Err(error) if options.skip_bad && begun && error.kind() == ErrorKind::Corrupt => into.skip(line, &error),
                Err(error) => {
                    // What was read before stays.
                    into.flush().await?;
                    Err(error)?;
                }
            }
        }
        into.flush().await?;
        if !options.dry_run {
            into.store.commit().await?;
        }
        into.told.done = true;
        yield into.told();
    })
}

/// Reads lines on a thread of its own, until nobody wants them any more.
fn lines(file: impl BufRead + Send + 'static) -> Coming<(u64, Result<Item>)> {
    ahead(move |ahead| {
        let mut reader = Reader::new(file);
        loop {
            let item = reader.next_item();
            // What cannot be read now cannot be read the next time.
            let last = matches!(&item, Err(e) if e.kind() == ErrorKind::Store);
            let Some(item) = item.transpose() else { return };
            let bytes = match &item {
                Ok(Item::Entry(_, entry)) => entry.size(),
                _ => 0,
            };
            if !ahead.push((reader.line(), item), bytes) || last {
                return;
            }
        }
    })
}

/// A store that a file is read into.
struct Into {
    store: Arc<dyn Store>,
    options: ImportOptions,
    now: Millis,
    /// Whether the store has the secret of the cache that the file was made of.
    carries: bool,
    tables: BTreeMap<TableName, (Merger, Batch)>,
    told: Imported,
}

impl Into {
    /// Opens the repositories of a file.
    async fn begin(&mut self, header: &Header) -> Result<()> {
        self.flush().await?;
        self.carries = self.carries_secret(header).await?;
        for spec in &header.tables {
            if self.tables.contains_key(&spec.name) {
                target::fitting(&*self.store, spec).await?;
                continue;
            }
            let table = match self.options.dry_run {
                true => super::copy::opened_if_there(&*self.store, spec).await?,
                false => target::open(&*self.store, spec).await?,
            };
            let merger = Merger::new(table, self.now, self.options.dry_run);
            self.tables
                .insert(spec.name.clone(), (merger, Batch::default()));
        }
        Ok(())
    }

    async fn carries_secret(&self, header: &Header) -> Result<bool> {
        if let Some(secret) = &header.secret
            && self.options.digests == Digests::Carry
        {
            return match self.options.dry_run {
                true => {
                    Ok(self.store.tables().await?.is_empty()
                        || self.store.secret().await? == *secret)
                }
                false => self.store.adopt_secret(secret).await,
            };
        }
        Ok(Header::secret_id(&self.store.secret().await?) == header.secret_id)
    }

    /// Takes in an entry; tells whether there is news.
    async fn take(&mut self, spec: &TableSpec, entry: Arc<Entry>, line: u64) -> Result<bool> {
        let Some((merger, batch)) = self.tables.get_mut(&spec.name) else {
            return Ok(false);
        };
        if !self.carries && target::hangs_on_the_secret(&entry.id) {
            if self.options.digests == Digests::Carry {
                self.flush().await?;
                return Err(refused(line).in_repository(spec.name.shared()));
            }
            merger.tally.seen += 1;
            merger.tally.left_out += 1;
            return Ok(false);
        }
        if !batch.push(entry) {
            return Ok(false);
        }
        merger.take(&batch.take()).await?;
        Ok(true)
    }

    async fn flush(&mut self) -> Result<()> {
        for (merger, batch) in self.tables.values_mut() {
            if !batch.entries.is_empty() {
                merger.take(&batch.take()).await?;
            }
        }
        Ok(())
    }

    fn skip(&mut self, line: u64, error: &Error) {
        self.told.skipped += 1;
        if self.told.bad.len() < Imported::NAMED {
            self.told.bad.push(BadLine {
                line,
                why: error.to_string(),
            });
        }
    }

    fn told(&mut self) -> Imported {
        let tallies = self
            .tables
            .iter()
            .map(|(name, (merger, _))| (name.clone(), merger.tally));
        self.told.tables = tallies.collect();
        self.told.clone()
    }
}

fn refused(line: u64) -> Error {
    let message = format!(
        "line {line}: the entry belongs to a credential, or varies by a header, and is found by digests with a secret that this store does not have; leave such \
         entries out with --without-digests (Digests::LeaveOut), or export with --with-secret and import into a store that has no table yet"
    );
    Error::new(ErrorKind::Unsupported, message)
}
