//! What a check finds, and what to do about it.

use crate::store::TableName;
use std::{borrow::Cow, fmt};

/// How closely a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Pages, tables and their parts; entries are only counted.
    Quick,
    /// Indexes against their tables too, and the seal of every entry.
    Whole,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many repositories the file declares.
    pub repositories: u64,
    /// How many entries were met, expired and damaged ones too.
    pub entries: u64,
    /// What is wrong; empty where the file is sound.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong in a file. `Display` says what; [`advice`](Self::advice) says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// SQLite's own check names damage.
    Damage(String),
    /// A repository's table cannot be read to its end, and why.
    Unreadable(TableName, String),
    /// A table that no repository declares.
    UndeclaredTable(String),
    /// A repository is declared and has no table.
    MissingTable(TableName),
    /// An index, a view or a trigger of a repository is not there.
    MissingPart {
        /// Whose it is.
        repository: TableName,
        /// `index`, `view` or `trigger`.
        kind: String,
        /// Its name in SQL.
        name: String,
        /// The statement that makes it.
        sql: String,
    },
    /// A column that the repository does not declare.
    OrphanedColumn(TableName, String),
    /// So many entries of a repository do not verify.
    DamagedEntries(TableName, u64),
    /// So many tags belong to entries that are not there.
    StrayTags(u64),
    /// What is counted of a repository is not what it holds.
    WrongCounts {
        /// Whose counts they are.
        repository: TableName,
        /// The statements that count again.
        sql: String,
    },
}

impl Finding {
    /// Returns the kind in a stable word, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Damage(_) => "damage",
            Self::Unreadable(..) => "unreadable",
            Self::UndeclaredTable(_) => "undeclared-table",
            Self::MissingTable(_) => "missing-table",
            Self::MissingPart { .. } => "missing-part",
            Self::OrphanedColumn(..) => "orphaned-column",
            Self::DamagedEntries(..) => "damaged-entries",
            Self::StrayTags(_) => "stray-tags",
            Self::WrongCounts { .. } => "wrong-counts",
        }
    }

    /// Says what to do about it.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Damage(_) | Self::Unreadable(..) => {
                "save what can be read with `restow doctor --salvage NEW.db`, or move the file away, with those that end in -wal and -shm: a new one is made and filled again".into()
            }
            Self::UndeclaredTable(_) => "leave it, or drop it with SQL where nobody needs it".into(),
            Self::MissingTable(_) => "remove the repository from the store; its endpoint makes it anew".into(),
            Self::MissingPart { sql, .. } => format!("make it with SQL: {sql}").into(),
            Self::OrphanedColumn(..) => "drop it with ALTER TABLE .. DROP COLUMN, or leave it: it only takes space".into(),
            Self::DamagedEntries(..) => {
                "nothing has to be done: they count as misses, and the next read removes them".into()
            }
            Self::StrayTags(_) => "nothing has to be done: they only take space".into(),
            Self::WrongCounts { sql, .. } => format!("count again with SQL: {sql}").into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(what) => write!(f, "the file is damaged: {what}"),
            Self::Unreadable(name, why) => {
                write!(f, "repository \"{name}\" cannot be read to its end: {why}")
            }
            Self::UndeclaredTable(table) => write!(f, "no repository declares the table {table:?}"),
            Self::MissingTable(name) => write!(f, "repository \"{name}\" has no table"),
            Self::MissingPart {
                repository,
                kind,
                name,
                ..
            } => write!(
                f,
                "repository \"{repository}\" has lost its {kind} {name:?}"
            ),
            Self::OrphanedColumn(name, column) => {
                write!(
                    f,
                    "repository \"{name}\" does not declare its column {column:?}"
                )
            }
            Self::DamagedEntries(name, count) => {
                write!(f, "repository \"{name}\" has damaged entries: {count}")
            }
            Self::StrayTags(count) => write!(f, "tags of entries that are not there: {count}"),
            Self::WrongCounts { repository, .. } => {
                write!(
                    f,
                    "repository \"{repository}\" does not hold what is counted of it"
                )
            }
        }
    }
}
