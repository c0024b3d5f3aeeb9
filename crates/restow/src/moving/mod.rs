//! Moving entries: from one store to another, into a file and back, and out of the caches of other programs.
//!
//! - [`copy`] moves them between any two stores, and verifies what it moved.
//! - [`export`] writes them as lines of JSON ([`ndjson`]), and [`import`] reads such lines.
//! - The module `foreign` (feature `sqlite`) takes over what other caches keep: the SQLite files of aiorequestful and requests-cache.
//!
//! What is moved keeps its key, partition, variant, times, label, tags and columns; its generation is the target's own. Nothing newer is
//! ever replaced: of two entries with one identity the one that was stored or confirmed last stays. So each of them may be run again at
//! any time, and goes on where it was broken off.
//!
//! Two things hang on the secret of a cache: the partition of a request's credential (`c:...`), and the variant of an answer with `Vary`. In
//! a store with another secret nobody finds such entries. [`copy`] therefore brings the secret into a store that has no table yet, and
//! otherwise refuses them, unless it is told to leave them out: see [`Digests`].

mod ahead;
mod copy;
mod export;
#[cfg(feature = "sqlite")]
pub mod foreign;
mod import;
mod merge;
pub mod ndjson;
mod target;
mod verify;

pub use copy::{Copied, CopyOptions, copy};
pub use export::{ExportOptions, export};
pub use import::{BadLine, ImportOptions, Imported, import};
pub use merge::Tally;
pub use target::Digests;
pub use verify::Verified;

use crate::{
    Error, ErrorKind, Result, Selection,
    store::{Store, TableName, TableSpec},
};

/// Entries to move: those of a table that a selection covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Portion {
    /// The table.
    pub table: TableName,
    /// Which of its entries.
    pub which: Selection,
}

impl Portion {
    /// Returns all that a store holds, a portion for each table.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn everything(store: &dyn Store) -> Result<Vec<Self>> {
        let tables = store.tables().await?.into_iter();
        let all = tables.map(|spec| Self {
            table: spec.name,
            which: Selection::default(),
        });
        Ok(all.collect())
    }
}

/// Returns the spec of each portion's table, in their order.
async fn specs(store: &dyn Store, portions: &[Portion]) -> Result<Vec<TableSpec>> {
    let tables = store.tables().await?;
    let find = |portion: &Portion| {
        let spec = tables.iter().find(|spec| spec.name == portion.table);
        let spec = spec.cloned().ok_or_else(|| {
            let message = format!("there is none of this name in {store}");
            Error::new(ErrorKind::NoSuchRepository, message).in_repository(portion.table.shared())
        })?;
        portion.which.check(&spec)?;
        Ok(spec)
    };
    portions.iter().map(find).collect()
}
