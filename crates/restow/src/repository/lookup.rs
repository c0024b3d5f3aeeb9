//! What a lookup tells.

use crate::entry::Entry;
use http::StatusCode;
use std::sync::Arc;

/// What is stored under a key, told apart further than [`get`](super::Repository::get) does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lookup<V> {
    /// A live answer: what `get` returns.
    Hit {
        /// Its value.
        value: V,
        /// The whole entry.
        entry: Arc<Entry>,
    },
    /// An expired answer that is still kept.
    Stale {
        /// Its value.
        value: V,
        /// The whole entry.
        entry: Arc<Entry>,
    },
    /// A live answer that is not a success: the API said that there is nothing.
    Negative {
        /// Its status.
        status: StatusCode,
        /// The whole entry.
        entry: Arc<Entry>,
    },
    /// Nothing.
    Missing,
}

impl<V> Lookup<V> {
    /// Returns the value, live or stale.
    pub fn into_value(self) -> Option<V> {
        match self {
            Self::Hit { value, .. } | Self::Stale { value, .. } => Some(value),
            Self::Negative { .. } | Self::Missing => None,
        }
    }

    /// Returns the entry, where there is one.
    pub fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Hit { entry, .. } | Self::Stale { entry, .. } | Self::Negative { entry, .. } => {
                Some(entry)
            }
            Self::Missing => None,
        }
    }
}
