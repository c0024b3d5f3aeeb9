//! The entries of a repository: what reading and writing them share.

use super::{
    core::Core,
    keys::{Digest, Place},
};
use crate::{
    Error, Millis,
    entry::{Entry, Generation, Variant},
    store::{Fence, TableSpec},
};
use std::sync::Arc;

/// A repository's entries; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) core: Arc<Core>,
    pub(super) place: Place,
    pub(super) spec: Arc<TableSpec>,
}

/// An entry to remove, and under which condition.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) digest: Digest,
    pub(super) variant: Variant,
    pub(super) when: When,
}

/// When an entry is removed. What is not there any more goes out of the index in any case.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Its generation is this one.
    Read(u64),
    /// It expired after the first moment, and not after the second.
    Past(Millis, Millis),
    /// In any case.
    Any,
    /// It is not there any more.
    Missing,
}

/// What others hear of removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: to them it was gone already.
    Nothing,
    /// Which addresses were removed.
    Addresses,
    /// That anything in the table may have been.
    Table,
}

/// What came of removals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    pub(super) removed: u64,
    /// Entries that only the index still named.
    pub(super) missed: u64,
}

/// An entry to write, with the generation it gets where it is new.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) entry: Arc<Entry>,
    pub(super) fence: Option<Fence>,
    pub(super) generation: Generation,
}

impl Rows {
    /// Tells whether the order of use matters.
    pub(super) fn is_ranked(&self) -> bool {
        self.spec.ranked || self.spec.budget.is_bounded()
    }

    /// What entries are read and written by: the repository and its number.
    pub(super) fn repository(&self) -> (&TableSpec, u64) {
        (&self.spec, self.place.number)
    }

    pub(super) fn keep(&self) -> i64 {
        Millis(0).plus(self.spec.keep).0
    }

    pub(super) fn named(&self, error: Error) -> Error {
        error.in_repository(self.spec.name.shared())
    }
}
