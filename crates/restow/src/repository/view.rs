//! Whose entries a handle sees.

use crate::{Result, Selection, entry::Partition, selection::Scope};

/// Whose entries a handle sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Nobody is named: a key is the public's, a request is its credential's.
    #[default]
    Unnamed,
    /// A principal's.
    Principal(Partition),
    /// Everyone's.
    Everyone,
}

impl Whose {
    pub(crate) fn principal(name: &str) -> Result<Self> {
        Partition::principal(name).map(Self::Principal)
    }

    /// The partition of the principal that is named, if one is.
    pub(crate) fn named(&self) -> Option<&Partition> {
        match self {
            Self::Principal(partition) => Some(partition),
            Self::Unnamed | Self::Everyone => None,
        }
    }

    /// The partition of a typed key.
    pub(crate) fn of_a_key(&self, share: bool) -> Partition {
        self.named()
            .filter(|_| !share)
            .cloned()
            .unwrap_or(Partition::PUBLIC)
    }

    /// All that the handle sees in `scope`.
    pub(crate) fn selection(&self, scope: Scope, share: bool) -> Selection {
        match self {
            Self::Everyone => Selection::new(scope),
            Self::Unnamed | Self::Principal(_) => {
                Selection::new(scope).within(self.of_a_key(share))
            }
        }
    }
}
