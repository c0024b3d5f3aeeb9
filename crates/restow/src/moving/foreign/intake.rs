//! Rows that become entries, repository by repository.

use super::{
    super::{
        Tally, copy,
        merge::{Batch, Merger},
    },
    ForeignOptions,
};
use crate::{Cache, Millis, Result, entry::Entry, repository::AnyRepository};
use std::{collections::BTreeMap, sync::Arc};

/// How far the taking over is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Foreign {
    /// What became of the rows of each repository.
    pub repositories: BTreeMap<String, ForeignTally>,
    /// Rows that belong to no repository, by why.
    pub left: BTreeMap<String, u64>,
    /// Whether it is all.
    pub done: bool,
}

/// What became of the rows of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignTally {
    /// Rows read.
    pub rows: u64,
    /// What became of those that are entries.
    pub tally: Tally,
    /// The others, by why they are none.
    pub left: BTreeMap<String, u64>,
}

/// Takes entries into the repositories of a cache.
pub(super) struct Intake {
    pub(super) cache: Cache,
    pub(super) options: ForeignOptions,
    pub(super) now: Millis,
    tables: BTreeMap<String, (Merger, Batch)>,
    told: Foreign,
}

impl Intake {
    pub(super) fn new(cache: &Cache, options: ForeignOptions, now: Millis) -> Self {
        Self {
            cache: cache.clone(),
            options,
            now,
            tables: BTreeMap::new(),
            told: Foreign::default(),
        }
    }

    /// Makes room for the rows of a repository.
    pub(super) async fn open(&mut self, repository: &AnyRepository) -> Result<()> {
        if !self.tables.contains_key(repository.name()) {
            let table = match self.options.dry_run {
                true => {
                    let spec = repository.mount().table.spec();
                    copy::opened_if_there(&**self.cache.store(), spec).await?
                }
                false => repository.mount().table.clone(),
            };
            let merger = Merger::new(table, self.now, self.options.dry_run);
            let name = repository.name().to_owned();
            self.told.repositories.entry(name.clone()).or_default();
            self.tables.insert(name, (merger, Batch::default()));
        }
        Ok(())
    }

    /// Takes in an entry; tells whether there is news.
    pub(super) async fn take(&mut self, repository: &str, entry: Entry) -> Result<bool> {
        self.row(repository);
        let Some((merger, batch)) = self.tables.get_mut(repository) else {
            return Ok(false);
        };
        let full = batch.push(Arc::new(entry));
        if full {
            merger.take(&batch.take()).await?;
        }
        Ok(full)
    }

    /// Notes a row that is no entry.
    pub(super) fn leave(&mut self, repository: Option<&str>, why: impl Into<String>) {
        let left = match repository {
            Some(name) => &mut self.row(name).left,
            None => &mut self.told.left,
        };
        *left.entry(why.into()).or_default() += 1;
    }

    fn row(&mut self, repository: &str) -> &mut ForeignTally {
        let told = self
            .told
            .repositories
            .entry(repository.to_owned())
            .or_default();
        told.rows += 1;
        told
    }

    /// Returns how far it is.
    pub(super) fn told(&mut self) -> Foreign {
        for (name, (merger, _)) in &self.tables {
            self.told
                .repositories
                .entry(name.clone())
                .or_default()
                .tally = merger.tally;
        }
        self.told.clone()
    }

    /// Takes in what is left, and returns what all came to.
    pub(super) async fn end(mut self) -> Result<Foreign> {
        for (merger, batch) in self.tables.values_mut() {
            merger.take(&batch.take()).await?;
        }
        if !self.options.dry_run {
            self.cache.commit().await?;
        }
        self.told.done = true;
        Ok(self.told())
    }
}
