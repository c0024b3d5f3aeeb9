//! Where a SQLite store lives, as a value or as a URL.

use crate::{Error, ErrorKind, Result, store::connect};
use bytesize::ByteSize;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// Where a [`SqliteStore`](super::SqliteStore) keeps its entries, whether it may write, and how surely.
///
/// ```
/// use restow::store::sqlite::{Durability, SqliteOptions};
/// let options = SqliteOptions::parse("sqlite://music%20box.db?mode=ro")?;
/// assert_eq!(options, SqliteOptions::file("music box.db").read_only());
/// let options = SqliteOptions::parse("sqlite://music.db?durability=full")?;
/// assert_eq!(options, SqliteOptions::file("music.db").durability(Durability::Full));
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SqliteOptions {
    pub(super) place: Place,
    pub(super) access: Access,
    pub(super) durability: Durability,
    pub(super) damaged: Damaged,
    pub(super) page_cache: u64,
}

/// What an entry survives once it is saved. A kill of the process it survives in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A loss of power may cost the saves of the last moments; the file stays whole. The default.
    #[default]
    Normal,
    /// It survives a loss of power: each save waits for the disk, together with those that come at about the same time.
    Full,
    /// Nothing waits for the disk, ever: a loss of power may damage the file. For what can be fetched again.
    Relaxed,
}

impl Durability {
    /// As SQLite calls it.
    pub(super) fn synchronous(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
            Self::Relaxed => "OFF",
        }
    }
}

/// The three kinds of places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A file that stays.
    File(PathBuf),
    /// Memory of this store alone.
    Memory,
    /// A file of this store alone, removed with it.
    Temporary,
}

/// What may be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// What becomes of a file that is too damaged to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Damaged {
    Refuse,
    Quarantine,
}

impl SqliteOptions {
    /// Keeps the entries in this file; it and its folder are made where they are not there.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::File(path.into()))
    }

    /// Keeps the entries in memory that belongs to the store alone.
    pub fn memory() -> Self {
        Self::at(Place::Memory)
    }

    /// Keeps the entries in a file that belongs to the store alone and is removed with it.
    pub fn temporary() -> Self {
        Self::at(Place::Temporary)
    }

    /// Opens a file that is there, and never writes to it.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Sets what an entry survives once it is saved; [`Durability::Normal`] unless told.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many bytes of pages all connections that read by keys hold in memory together, unless told: 64 MiB.
    pub const PAGE_CACHE: u64 = 64 << 20;

    /// Sets how many bytes of pages all connections that read by keys hold in memory together; [`PAGE_CACHE`](Self::PAGE_CACHE) unless told.
    ///
    /// It is a bound that a small file never reaches. In a file much larger than it a read fetches its pages from the system each time, which
    /// doubles its time at a million entries; 512 MiB make that a third.
    #[must_use]
    pub fn page_cache(mut self, bytes: u64) -> Self {
        self.page_cache = bytes;
        self
    }

    /// Moves a file that is too damaged to be opened, with its `-wal` and `-shm`, to `NAME.corrupt-<time>`, and makes a new one in its place.
    ///
    /// That is for a file whose damage SQLite finds when it opens it, and for a file that is no database at all. A newer format, another
    /// program's database, a lock and missing permissions are refused as ever, and so is a damaged file that another process has
    /// open. A file opened for reading only is never moved. A warning is logged; nothing removes what was moved away.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use restow::store::{Store, sqlite::{SqliteOptions, SqliteStore}};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("music.db");
    /// std::fs::write(&path, "no database")?;
    /// let store = SqliteStore::open(SqliteOptions::file(&path).quarantine()).await?;
    /// assert!(store.tables().await?.is_empty());
    /// # assert_eq!(std::fs::read_dir(folder.path())?.filter(|f| f.as_ref().is_ok_and(|f| f.file_name().to_string_lossy().starts_with("music.db.corrupt-"))).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn quarantine(mut self) -> Self {
        self.damaged = Damaged::Quarantine;
        self
    }

    /// Reads a URL or a path: `sqlite://relative.db`, `sqlite:///absolute.db`, `sqlite::memory:`, `sqlite::temp:`, `music.db`.
    ///
    /// What follows `sqlite://` is percent-decoded. Behind it, `?mode=ro` opens the file for reading only, and `durability=` is one of `normal`,
    /// `full` and `relaxed`; `?damaged=quarantine` is [`quarantine`](Self::quarantine), `?damaged=refuse` the default; `page_cache=512MiB` is
    /// [`page_cache`](Self::page_cache). A bare path is taken as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the part that is wrong; [`ErrorKind::Unsupported`] for `memory=`, which [`connect`](crate::store::connect) takes out of a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return match url.split_once("://") {
                Some((scheme, _)) => Err(config(format!(
                    "{scheme:?} is not the scheme of a SQLite store; write sqlite://path.db"
                ))),
                None if is_server(url) => Err(config(
                    "this is the URL of a server and no path; write it with two slashes, such as postgres://host/database or redis://host".to_owned(),
                )),
                None if url.is_empty() => Err(config("the path of the store is empty".to_owned())),
                None => Ok(Self::file(url)),
            };
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options = match place {
            ":memory:" => Self::memory(),
            ":temp:" => Self::temporary(),
            path => Self::file(decode(url, path.strip_prefix("//").unwrap_or(path))?),
        };
        for parameter in query.split('&').filter(|p| !p.is_empty()) {
            options.set(parameter)?;
        }
        if options.access == Access::ReadOnly && !matches!(options.place, Place::File(_)) {
            return Err(config(format!(
                "{url:?} begins empty, so it cannot be read-only; leave out mode=ro or name a file"
            )));
        }
        if options.access == Access::ReadOnly && options.damaged == Damaged::Quarantine {
            return Err(config(format!(
                "{url:?} may only be read, so nothing can be moved away; leave out mode=ro or damaged=quarantine"
            )));
        }
        Ok(options)
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            access: Access::ReadWrite,
            durability: Durability::Normal,
            damaged: Damaged::Refuse,
            page_cache: Self::PAGE_CACHE,
        }
    }

    fn set(&mut self, parameter: &str) -> Result<()> {
        const KNOWN: [&str; 5] = ["mode", "durability", "damaged", "memory", "page_cache"];
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name, value) {
            ("mode", "ro") => self.access = Access::ReadOnly,
            ("mode", "rw") => self.access = Access::ReadWrite,
            ("mode", other) => {
                return Err(config(format!(
                    "mode={other} is not known; use mode=ro or mode=rw"
                )));
            }
            ("durability", "normal") => self.durability = Durability::Normal,
            ("durability", "full") => self.durability = Durability::Full,
            ("durability", "relaxed") => self.durability = Durability::Relaxed,
            ("durability", other) => {
                return Err(config(format!(
                    "durability={other} is not known; use durability=normal, full or relaxed"
                )));
            }
            ("damaged", "refuse") => self.damaged = Damaged::Refuse,
            ("damaged", "quarantine") => self.damaged = Damaged::Quarantine,
            ("damaged", other) => {
                return Err(config(format!(
                    "damaged={other} is not known; use damaged=refuse or damaged=quarantine"
                )));
            }
            ("page_cache", size) => {
                let size = size.parse::<ByteSize>().map_err(|_| {
                    config(format!(
                        "page_cache={size} is not a size; write it like page_cache=512MiB"
                    ))
                })?;
                self.page_cache = size.as_u64();
            }
            ("memory", _) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "memory= is for restow::connect and the URL of a cache; here, put a TieredStore (the memory tier) around the store",
                ));
            }
            (unknown, _) => {
                let nearest = KNOWN
                    .into_iter()
                    .max_by(|a, b| strsim::jaro(a, unknown).total_cmp(&strsim::jaro(b, unknown)))
                    .unwrap_or("mode");
                return Err(config(format!(
                    "{unknown:?} is not a parameter of a SQLite store; did you mean {nearest:?}?"
                )));
            }
        }
        Ok(())
    }
}

/// Tells whether a text without `//` begins as the URL of a server does. It may hold a password, and is no file.
fn is_server(url: &str) -> bool {
    let scheme = connect::scheme(url).map(str::to_ascii_lowercase);
    scheme.is_some_and(|s| {
        ["postgres", "redis", "valkey"]
            .iter()
            .any(|server| s.starts_with(server))
    })
}

fn decode(url: &str, path: &str) -> Result<PathBuf> {
    let path = percent_decode_str(path).decode_utf8().map_err(|e| {
        config(format!("the path in {url:?} is not UTF-8 once decoded")).with_source(e)
    })?;
    if path.is_empty() || path.contains('\0') {
        return Err(config(format!(
            "{url:?} names no file; write sqlite://relative.db or sqlite:///absolute.db"
        )));
    }
    Ok(PathBuf::from(&*path))
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_name_the_place() {
        for (url, options) in [
            ("sqlite://music.db", SqliteOptions::file("music.db")),
            (
                "sqlite:///var/a%20b%3F.db",
                SqliteOptions::file("/var/a b?.db"),
            ),
            (
                "sqlite://a.db?mode=ro",
                SqliteOptions::file("a.db").read_only(),
            ),
            ("sqlite://a.db?mode=rw", SqliteOptions::file("a.db")),
            (
                "sqlite://a.db?durability=relaxed",
                SqliteOptions::file("a.db").durability(Durability::Relaxed),
            ),
            ("sqlite://a.db?damaged=refuse", SqliteOptions::file("a.db")),
            (
                "sqlite://a.db?damaged=quarantine",
                SqliteOptions::file("a.db").quarantine(),
            ),
            ("sqlite::memory:", SqliteOptions::memory()),
            ("sqlite::temp:", SqliteOptions::temporary()),
            ("music.db", SqliteOptions::file("music.db")),
            ("/var/a%20b?.db", SqliteOptions::file("/var/a%20b?.db")),
        ] {
            assert_eq!(SqliteOptions::parse(url).unwrap(), options, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, kind, names) in [
            (
                "sqlite://a.db?mod=ro",
                ErrorKind::Config,
                "did you mean \"mode\"",
            ),
            ("postgres:/u:pw@h/d", ErrorKind::Config, "postgres://host"),
            ("redis:/:pw@h", ErrorKind::Config, "redis://host"),
            (
                "sqlite://a.db?memry=1",
                ErrorKind::Config,
                "did you mean \"memory\"",
            ),
            ("sqlite://a.db?mode=rx", ErrorKind::Config, "mode=rx"),
            ("sqlite://a.db?damaged=no", ErrorKind::Config, "damaged=no"),
            (
                "sqlite://a.db?mode=ro&damaged=quarantine",
                ErrorKind::Config,
                "may only be read",
            ),
            (
                "sqlite://a.db?durability=none",
                ErrorKind::Config,
                "normal, full or relaxed",
            ),
            (
                "sqlite://a.db?durabilty=full",
                ErrorKind::Config,
                "did you mean \"durability\"",
            ),
            (
                "sqlite://a.db?memory=64MiB",
                ErrorKind::Unsupported,
                "memory tier",
            ),
            ("sqlite://", ErrorKind::Config, "names no file"),
            ("sqlite://%ff.db", ErrorKind::Config, "not UTF-8"),
            ("sqlite::memory:?mode=ro", ErrorKind::Config, "mode=ro"),
            ("postgres://host/db", ErrorKind::Config, "postgres"),
            ("", ErrorKind::Config, "empty"),
        ] {
            let error = SqliteOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(error.to_string().contains(names), "{error}");
        }
    }
}
