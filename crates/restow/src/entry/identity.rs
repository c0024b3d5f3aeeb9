//! What identifies an entry: key, partition, variant; and its generation.

use crate::{Error, ErrorKind, RawKey, Result};
use std::{cell::RefCell, fmt, sync::Arc};

/// Whose entry it is: a named principal's, the holder's of a credential, or everyone's.
///
/// Its text is what a SQL table shows: `p:alice`, `c:` and a keyed digest, or empty for public.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Option<Arc<str>>);

/// What the text of a principal's partition begins with.
const PRINCIPAL: &str = "p:";

impl Partition {
    /// The entries of requests without a credential, and those that an endpoint shares.
    pub const PUBLIC: Self = Self(None);

    /// Returns the partition of the principal that the program names.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where the name is empty, longer than 200 bytes, or holds a control character.
    pub fn principal(name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            let message = format!(
                "{name:?} is not a principal's name; use 1 to 200 bytes without control characters"
            );
            return Err(Error::new(ErrorKind::Name, message));
        }
        Ok(Self(Some(format!("{PRINCIPAL}{name}").into())))
    }

    /// Returns the partition of whoever holds the credential with this keyed digest.
    pub fn credential(digest: u128) -> Self {
        Self(Some(format!("c:{digest:032x}").into()))
    }

    /// Reads the text that [`as_str`](Self::as_str) gives.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where it is not the text of a partition.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text.is_empty() => Ok(Self::PUBLIC),
            Some(("p", name)) if !name.is_empty() => Ok(Self(Some(text.into()))),
            Some(("c", hex))
                if hex.len() == 32
                    && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
            {
                Ok(Self(Some(text.into())))
            }
            _ => Err(Error::new(
                ErrorKind::Corrupt,
                format!("{text:?} is not a partition"),
            )),
        }
    }

    /// Returns its text; empty for public.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Returns the name of the principal whose it is, never a credential or its digest.
    ///
    /// ```
    /// # fn main() -> restow::Result<()> {
    /// use restow::entry::Partition;
    /// assert_eq!(Partition::principal("alice")?.as_principal(), Some("alice"));
    /// assert_eq!(Partition::credential(7).as_principal(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_principal(&self) -> Option<&str> {
        self.as_str().strip_prefix(PRINCIPAL)
    }

    /// Tells whether it is everyone's.
    pub fn is_public(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({self})")
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("public"))
    }
}

/// What an answer's `Vary` selected on: a keyed digest of the field names and the request's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant(pub u128);

impl Variant {
    /// The variant of an answer without `Vary`.
    pub const NONE: Self = Self(0);

    /// Returns it as a database holds it: nothing where there is none.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::NONE => Vec::new(),
            Self(digest) => digest.to_be_bytes().to_vec(),
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => Some(Self::NONE),
            bytes => Some(Self(u128::from_be_bytes(bytes.try_into().ok()?))),
        }
    }
}

/// Where the answers to a request live: every variant of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The key.
    pub key: RawKey,
    /// Whose it is.
    pub partition: Partition,
}

/// What identifies one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// Key and partition.
    pub address: Address,
    /// Which of the answers there.
    pub variant: Variant,
}

/// Tells two states of one entry apart: it grows with every write and renewal, and a renewal names the one it read.
///
/// A store starts an entry that it did not hold at a random number, so that an entry removed and stored again
/// is never mistaken for the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

impl Generation {
    /// Of an entry that no store has given one yet.
    pub const UNKNOWN: Self = Self(0);

    /// Returns a first generation: random, and far from the end.
    pub fn start() -> Self {
        Self((random() >> 16) | 1)
    }

    /// Returns the generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Random numbers of this thread that are left: the system is asked for many at once.
struct Pool {
    numbers: [u8; 512],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { numbers: [0; 512], used: 512 }) };
}

fn random() -> u64 {
    let next = POOL.with_borrow_mut(|pool| {
        if pool.used >= pool.numbers.len() {
            getrandom::fill(&mut pool.numbers).ok()?;
            pool.used = 0;
        }
        let number = pool.numbers.get(pool.used..)?.first_chunk()?;
        pool.used += 8;
        Some(u64::from_le_bytes(*number))
    });
    // Without the system's random numbers the time is still rarely the same twice.
    next.unwrap_or_else(|| {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        u64::from(since.map_or(0, |d| d.subsec_nanos())) << 20
    })
}
