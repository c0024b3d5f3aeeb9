//! What a memory store may hold, and the URL that says so.

use crate::{Error, ErrorKind, Result};
use bytesize::ByteSize;
use percent_encoding::percent_decode_str;
use std::str::FromStr;

/// The most that a [`MemoryStore`](super::MemoryStore) holds, over all its tables.
///
/// ```
/// use restow::store::MemoryOptions;
/// let options = MemoryOptions::parse("memory:?max_bytes=64MiB&max_entries=1000")?;
/// assert_eq!(options, MemoryOptions { max_bytes: 64 << 20, max_entries: Some(1000) });
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes: bodies, header lines, URLs, keys, columns, tags, and [`OVERHEAD`](Self::OVERHEAD) for each entry.
    pub max_bytes: u64,
    /// Entries.
    pub max_entries: Option<u64>,
}

impl MemoryOptions {
    /// Bytes unless told otherwise: 256 MiB.
    pub const MAX_BYTES: u64 = 256 << 20;
    /// What an entry costs beside its own bytes: the structures that hold it.
    pub const OVERHEAD: u64 = 512;

    const KNOWN: [&str; 2] = ["max_bytes", "max_entries"];

    /// Reads a URL: `memory:` with the parameters `max_bytes` (`64MiB`, `1 GB`, `65536`) and `max_entries`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the parameter that is unknown, with the nearest known one, or whose value is not valid.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, query) = url.split_once('?').unwrap_or((url, ""));
        if !matches!(scheme, "memory:" | "memory://") {
            return Err(wrong(format!(
                "{scheme:?} is not the URL of a memory store; write \"memory:\" or \"memory:?max_bytes=64MiB\""
            )));
        }
        let mut options = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "max_bytes" => options.max_bytes = at_least_one::<ByteSize>(name, &value)?.as_u64(),
                "max_entries" => options.max_entries = Some(at_least_one::<u64>(name, &value)?),
                _ => return Err(unknown(name)),
            }
        }
        Ok(options)
    }
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            max_bytes: Self::MAX_BYTES,
            max_entries: None,
        }
    }
}

fn at_least_one<T: FromStr + Default + PartialEq>(name: &str, value: &str) -> Result<T> {
    match value.parse::<T>() {
        Ok(n) if n != T::default() => Ok(n),
        _ => Err(wrong(format!(
            "{name}={value} is not valid; write a number above 0, for bytes also like \"64MiB\""
        ))),
    }
}

fn unknown(name: &str) -> Error {
    let nearest = MemoryOptions::KNOWN
        .into_iter()
        .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    wrong(format!(
        "a memory store has no parameter {name:?}; did you mean {:?}?",
        nearest.unwrap_or_default()
    ))
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_units() {
        for (url, bytes) in [
            ("memory:", MemoryOptions::MAX_BYTES),
            ("memory:?max_bytes=65536", 65_536),
            ("memory:?max_bytes=1GB", 1_000_000_000),
            ("memory:?max_bytes=2%20GiB", 2 << 30),
        ] {
            assert_eq!(MemoryOptions::parse(url).unwrap().max_bytes, bytes, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out() {
        for (url, said) in [
            ("memory:?max_byte=1", "did you mean \"max_bytes\"?"),
            ("memory:?entries=1", "did you mean \"max_entries\"?"),
            ("memory:?max_bytes=much", "max_bytes=much"),
            ("memory:?max_entries=0", "max_entries=0"),
            ("memory:?max_entries", "max_entries="),
            ("sqlite:x", "\"sqlite:x\""),
        ] {
            let error = MemoryOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(said), "{url}: {error}");
        }
    }
}
