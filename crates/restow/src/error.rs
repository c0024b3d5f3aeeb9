//! One error type for the whole library: a kind to act on, a message to read, a source to dig in.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

/// What every fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its [`kind`](Self::kind), the repository and the operation it concerns, and what lies beneath it.
///
/// `Display` says what failed and the way out; [`source`](StdError::source) says why. Neither ever holds a credential.
///
/// ```
/// use restow::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Closed, "the cache is closed").in_repository("tracks");
/// assert_eq!(error.kind(), ErrorKind::Closed);
/// assert_eq!(error.to_string(), "repository \"tracks\": the cache is closed");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    repository: Option<Arc<str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong, to be matched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration value, file or URL is not valid.
    Config,
    /// A name (of a repository, a field, a column) is not one a store can hold.
    Name,
    /// A URI template is not valid, or two routes match the same requests.
    Route,
    /// A key does not fit the fields of its repository, or a request cannot be made from it.
    Key,
    /// A payload cannot be encoded or decoded.
    Codec,
    /// A selection names something the repository does not have, or would need a full scan.
    Selection,
    /// A table's fields or columns are not the ones the endpoint declares.
    SchemaMismatch,
    /// A repository of this name is already open in this cache.
    RepositoryExists,
    /// No repository of this name.
    NoSuchRepository,
    /// The requests of one bulk call belong to several repositories, or to none.
    MixedRepositories,
    /// No endpoint matches this request.
    NotRouted,
    /// The cache or the repository was closed.
    Closed,
    /// The cache may not be written to.
    ReadOnly,
    /// The answer is not held and the mode forbids asking for it.
    Offline,
    /// A newer write or another holder's lease came first.
    Fenced,
    /// Something is larger than its bound.
    TooLarge,
    /// Another program holds the store and did not let go in time.
    Busy,
    /// The store's format is newer than this program, or not one of ours.
    Format,
    /// What is stored is damaged.
    Corrupt,
    /// The store failed.
    Store,
    /// The store failed or did not answer again and again and is not asked for a while, or was not reached since the program began.
    Down,
    /// The request to the API failed.
    Upstream,
    /// This build or backend does not have what was asked for.
    Unsupported,
}

impl Error {
    /// Makes an error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            repository: None,
            source: None,
        }))
    }

    /// Names the repository it concerns; the innermost name stays.
    #[must_use]
    pub fn in_repository(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.repository.get_or_insert_with(|| name.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the repository it concerns, if it concerns one.
    pub fn repository(&self) -> Option<&str> {
        self.0.repository.as_deref()
    }

    /// Returns the message without the repository's name.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The same for another one who has to hear it, without what lies beneath.
    #[cfg(feature = "postgres")]
    pub(crate) fn again(&self) -> Self {
        Self::new(self.kind(), self.message().to_owned())
    }
}

impl ErrorKind {
    /// Tells whether the store is to blame, which may be well again later.
    pub(crate) fn is_of_the_store(self) -> bool {
        matches!(self, Self::Store | Self::Busy | Self::Down)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.0.repository {
            write!(f, "repository {name:?}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("message", &self.0.message);
        if let Some(name) = &self.0.repository {
            out.field("repository", name);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, format!("{kind:?}"))
    }
}
