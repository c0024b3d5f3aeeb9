//! Modes: how the network and the store may be used.

use crate::{Error, ErrorKind, Result, entry::Partition};
use std::{fmt, str::FromStr, sync::Arc};

/// How the network and the store may be used: of a whole cache, or of one request, attached to it as an extension.
///
/// ```
/// use restow::Mode;
/// assert_eq!("read-only".parse::<Mode>()?, Mode::ReadOnly);
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Serves what is fresh, asks for the rest, stores.
    #[default]
    Live,
    /// Always asks, with a condition where the stored answer has a validator.
    Revalidate,
    /// Always asks, without a condition.
    Refresh,
    /// Serves and fetches, and writes nothing.
    ReadOnly,
    /// Serves whatever is retained and never asks, for what no endpoint declares either; what is not held is [`ErrorKind::Offline`].
    Offline,
    /// Neither serves nor stores. What an unsafe request changes is invalid all the same.
    Bypass,
}

impl Mode {
    /// The environment variable that sets the mode of a cache whose program does not; it wins over a configuration file.
    pub const ENV: &'static str = "RESTOW_MODE";

    /// All modes.
    pub const ALL: [Self; 6] = [
        Self::Live,
        Self::Revalidate,
        Self::Refresh,
        Self::ReadOnly,
        Self::Offline,
        Self::Bypass,
    ];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revalidate => "revalidate",
            Self::Refresh => "refresh",
            Self::ReadOnly => "read-only",
            Self::Offline => "offline",
            Self::Bypass => "bypass",
        }
    }

    /// Tells whether answers are stored.
    pub const fn stores(self) -> bool {
        !matches!(self, Self::ReadOnly | Self::Offline | Self::Bypass)
    }

    pub(crate) const fn policy(self) -> restow_policy::Mode {
        match self {
            Self::Revalidate => restow_policy::Mode::Revalidate,
            Self::Refresh => restow_policy::Mode::Refresh,
            Self::Offline => restow_policy::Mode::Offline,
            Self::Live | Self::ReadOnly | Self::Bypass => restow_policy::Mode::Live,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|m| m.as_str() == text)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                Error::new(
                    ErrorKind::Config,
                    format!("{text:?} is not a mode; the modes are {all}"),
                )
            })
    }
}

/// Whose request it is: attached to a request as an extension, it wins over the credential that the request shows.
///
/// ```
/// use restow::Principal;
/// let mut request = http::Request::get("https://api.example.com/me").body(())?;
/// request.extensions_mut().insert(Principal::new("alice")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    name: Arc<str>,
    partition: Partition,
}

impl Principal {
    /// Names a principal.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where the name is empty, longer than 200 bytes, or holds a control character.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            partition: Partition::principal(name)?,
            name: name.into(),
        })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the partition of its entries.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }
}
