//! From one store to another.

use super::{
    Portion, Tally, Verified,
    merge::{Batch, Merger},
    specs,
    target::{self, Digests},
    verify,
};
use crate::{
    BoxStream, Millis, Result,
    endpoint::AnyEndpoint,
    entry::Entry,
    store::{Parts, Store, Table, TableName, TableSpec},
};
use futures_util::StreamExt as _;
use std::sync::Arc;

/// How entries are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// What becomes of entries that hang on the source's secret.
    pub digests: Digests,
    /// Changes nothing, and counts what it would do.
    pub dry_run: bool,
}

/// How far the copying of one table is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Copied {
    /// The table.
    pub table: TableName,
    /// Entries that were to be copied when it began.
    pub total: u64,
    /// What became of them so far.
    pub tally: Tally,
    /// Whether it is all; then it was verified, unless it was a dry run.
    pub done: bool,
    /// What the verification came to.
    pub verified: Option<Verified>,
}

/// Copies entries from one store to another, table by table, and verifies them: counts, times, and the checksums of head and body.
///
/// Tables that the target does not have are made by the source's declarations. Each item tells how far it is, the last one of a table what
/// it came to; the stream has to be read to its end. In memory there is a small part of a table at any time. Broken off, run it again: what is
/// there is not copied twice. What others write to the target meanwhile stays if it is newer, but for what they write in the very moment
/// between a comparison and the write that follows.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use futures_util::TryStreamExt;
/// use restow::{Clock, RouteEndpoint, SystemClock, Text, moving::{CopyOptions, Portion, copy}, store::connect};
/// let cache = restow::connect("memory:").await?;
/// let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{page}")?;
/// cache.create_repository(pages).await?.save("home", &"Welcome".to_string()).await?;
///
/// let (from, to) = (cache.store().clone(), connect("memory:").await?);
/// let everything = Portion::everything(&*from).await?;
/// let steps: Vec<_> = copy(from, to, everything, CopyOptions::default(), SystemClock.now()).try_collect().await?;
/// let last = steps.last().unwrap();
/// assert!(last.done && last.tally.written == 1 && last.verified.as_ref().unwrap().is_clean());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`NoSuchRepository`](crate::ErrorKind::NoSuchRepository) where the source lacks a table, [`Selection`](crate::ErrorKind::Selection) where a selection does not
/// fit it, [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) where the target has it with other fields or columns,
/// [`Unsupported`](crate::ErrorKind::Unsupported) where entries hang on the source's secret and the target has another,
/// [`TooLarge`](crate::ErrorKind::TooLarge) where the target cannot hold an entry, [`Store`](crate::ErrorKind::Store) and its kin where one of the stores fails.
///
/// # Cancel safety
/// Dropped, some entries are copied, each whole.
pub fn copy(
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    portions: Vec<Portion>,
    options: CopyOptions,
    now: Millis,
) -> BoxStream<'static, Result<Copied>> {
    Box::pin(async_stream::try_stream! {
        let specs = specs(&*from, &portions).await?;
        // What cannot be copied is said before anything is.
        for spec in &specs {
            target::fitting(&*to, spec).await?;
        }
        let carries = carries_secret(&*from, &*to, options).await?;
        if !carries && options.digests == Digests::Carry {
            refuse_credentials(&*from, &*to, &specs, &portions, now).await?;
        }
        for (portion, spec) in portions.iter().zip(&specs) {
            let source = from.open(spec).await?;
            let table = match options.dry_run {
                true => opened_if_there(&*to, spec).await?,
                false => target::open(&*to, spec).await?,
            };
            let mut one = One {
                filler: Filler::of(&*source).await?,
                source,
                merger: Merger::new(table, now, options.dry_run),
                carries,
                digests: options.digests,
                to: to.clone(),
            };
            let total = one.source.count(&portion.which, now).await?;
            let mut copied = Copied { table: spec.name.clone(), total, tally: Tally::default(), done: false, verified: None };
            yield copied.clone();
            let source = one.source.clone();
            let mut entries = source.scan(&portion.which, Parts::Whole, now);
            let mut batch = Batch::default();
            while let Some(entry) = entries.next().await {
                if batch.push(entry?) {
                    one.take(batch.take()).await?;
                    copied.tally = one.merger.tally;
                    yield copied.clone();
                }
            }
            drop(entries);
            one.take(batch.take()).await?;
            if !options.dry_run {
                to.commit().await?;
                copied.tally = one.merger.tally;
                copied.verified = Some(verify::verify(&mut one, &portion.which).await?);
            }
            copied.tally = one.merger.tally;
            copied.done = true;
            yield copied;
        }
    })
}

/// One table on its way.
pub(super) struct One {
    pub(super) source: Arc<dyn Table>,
    pub(super) merger: Merger,
    filler: Filler,
    carries: bool,
    digests: Digests,
    to: Arc<dyn Store>,
}

impl One {
    /// Copies a batch.
    pub(super) async fn take(&mut self, batch: Vec<Arc<Entry>>) -> Result<()> {
        let mut entries = Vec::with_capacity(batch.len());
        for entry in batch {
            if self.moves(&entry)? {
                entries.push(self.filler.fill(entry));
            } else {
                self.merger.tally.seen += 1;
                self.merger.tally.left_out += 1;
            }
        }
        self.merger.take(&entries).await
    }

    /// Tells whether an entry is one that is copied.
    pub(super) fn moves(&self, entry: &Entry) -> Result<bool> {
        if self.carries || !target::hangs_on_the_secret(&entry.id) {
            return Ok(true);
        }
        match self.digests {
            Digests::LeaveOut => Ok(false),
            Digests::Carry => {
                let name = self.source.spec().name.shared();
                Err(target::refused(&*self.to).in_repository(name))
            }
        }
    }
}

/// Brings the secret into the target where that can be; tells whether both have one secret.
async fn carries_secret(from: &dyn Store, to: &dyn Store, options: CopyOptions) -> Result<bool> {
    let secret = from.secret().await?;
    if options.dry_run || options.digests == Digests::LeaveOut {
        let empty = options.digests == Digests::Carry && to.tables().await?.is_empty();
        return Ok(empty || to.secret().await? == secret);
    }
    to.adopt_secret(&secret).await
}

/// Fails where a table holds entries of a credential, before anything is copied.
async fn refuse_credentials(
    from: &dyn Store,
    to: &dyn Store,
    specs: &[TableSpec],
    portions: &[Portion],
    now: Millis,
) -> Result<()> {
    for (spec, portion) in specs.iter().zip(portions) {
        let table = from.open(spec).await?;
        for (whose, _) in table.partitions(now).await? {
            if !whose.as_str().starts_with("c:") {
                continue;
            }
            let covered = portion
                .which
                .partition
                .as_ref()
                .is_none_or(|only| *only == whose);
            if covered
                && table
                    .count(&portion.which.clone().within(whose), now)
                    .await?
                    > 0
            {
                return Err(target::refused(to).in_repository(spec.name.shared()));
            }
        }
    }
    Ok(())
}

/// The target's table where it is there; else an empty one in memory to compare with.
pub(super) async fn opened_if_there(to: &dyn Store, spec: &TableSpec) -> Result<Arc<dyn Table>> {
    let there = to.tables().await?.iter().any(|held| held.name == spec.name);
    match there {
        true => target::open(to, spec).await,
        false => crate::store::MemoryStore::default().open(spec).await,
    }
}

/// Fills in the columns that were added to the source after its entries were stored.
struct Filler(Option<Arc<dyn AnyEndpoint>>);

impl Filler {
    async fn of(source: &dyn Table) -> Result<Self> {
        if source.pending_columns().await?.is_empty() {
            return Ok(Self(None));
        }
        let declaration = crate::cache::declared_in(source.spec())?;
        let endpoint = crate::DeclaredEndpoint::from_declaration(declaration, crate::Binary)?;
        Ok(Self(Some(Arc::new(endpoint))))
    }

    fn fill(&self, entry: Arc<Entry>) -> Arc<Entry> {
        let Some(endpoint) = &self.0 else {
            return entry;
        };
        let columns = match entry.meta.head.status().is_success() {
            true => endpoint.inspect(&entry.body).columns,
            false => None,
        };
        let Some(columns) = columns else {
            return entry;
        };
        let mut entry = Arc::unwrap_or_clone(entry);
        entry.meta.columns = columns;
        Arc::new(entry)
    }
}
