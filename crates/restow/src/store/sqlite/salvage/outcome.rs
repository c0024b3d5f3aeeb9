//! What was saved of a damaged file.

use crate::store::TableName;

/// What was saved of a damaged file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// What came of each repository that the file declares, ordered by name.
    pub repositories: Vec<Salvaged>,
    /// Tables whose declaration cannot be read any more; nothing of them is saved.
    pub lost: Vec<String>,
    /// Whether the cache's secret was saved. Without it, what belongs to a credential is not found again; what belongs to
    /// a principal or to all is.
    pub secret: bool,
    /// Whether the write-ahead log, if there is one, could be read. Without it, what was saved last is missing.
    pub log: bool,
}

/// What came of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Its name.
    pub name: TableName,
    /// Entries in the new file.
    pub saved: u64,
    /// Entries that could be read and do not verify.
    pub damaged: u64,
    /// Entries that could not be read: as many as an index still knows of, else none.
    pub unreadable: u64,
}
