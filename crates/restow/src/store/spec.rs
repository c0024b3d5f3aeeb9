//! What a table is made of.

use crate::{Error, ErrorKind, Field, FieldValue, RawKey, Result};
use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

/// The name of a repository and of its table: 1 to 48 bytes of any text without control characters.
///
/// ```
/// use restow::store::TableName;
/// for name in ["tracks", "my repo", "order", "tracks-v2", "日本"] {
///     assert_eq!(TableName::new(name)?.as_str(), name);
/// }
/// assert!(TableName::new("restow_x").is_err());
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName(Arc<str>);

impl TableName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where a store could not hold it.
    pub fn new(name: &str) -> Result<Self> {
        const RESERVED: [&str; 3] = ["restow_", "sqlite_", "pg_"];
        let lower = name.to_ascii_lowercase();
        let way_out = if let Some(prefix) = RESERVED.iter().find(|p| lower.starts_with(**p)) {
            format!("names that begin with {prefix} are the store's own")
        } else if name.is_empty() || name.len() > 48 {
            "use 1 to 48 bytes".to_owned()
        } else if name.chars().any(char::is_control) || name.trim() != name {
            "leave out control characters and blanks at the ends".to_owned()
        } else {
            return Ok(Self(name.into()));
        };
        Err(Error::new(
            ErrorKind::Name,
            format!("{name:?} cannot name a repository; {way_out}"),
        ))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name that the table gets when it is set aside for the `n`th time: `tracks (old 1)`, cut to fit.
    pub(crate) fn aside(&self, n: u32) -> Self {
        let suffix = format!(" (old {n})");
        let end = self.0.floor_char_boundary(48 - suffix.len());
        let (kept, _) = self.0.split_at(end.min(self.0.len()));
        Self(format!("{kept}{suffix}").into())
    }

    /// Returns what the name has in common with that of the same table once it is set aside, and with few others: what the records of its entries are
    /// sealed with.
    pub(crate) fn sealed(&self) -> &str {
        let mut kept = &*self.0;
        while let Some((before, n)) = kept.rsplit_once(" (old ")
            && n.strip_suffix(')')
                .is_some_and(|n| n.parse::<u32>().is_ok())
        {
            kept = before;
        }
        kept.get(..kept.floor_char_boundary(36)).unwrap_or(kept)
    }

    /// Returns the name, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A declared column: a value taken out of each JSON body, to select by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name.
    pub name: Box<str>,
    /// Where its value is in a body: a JSON pointer (RFC 6901).
    pub pointer: Box<str>,
}

/// The most that a table may hold; beyond it, what was used least recently goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of header lines, URLs and bodies.
    pub bytes: Option<u64>,
    /// Entries.
    pub entries: Option<u64>,
}

/// What happens where a table's fields or columns are not the ones declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnSchemaChange {
    /// It is not opened, and the error shows both.
    #[default]
    Refuse,
    /// An added field that has a default, and added or dropped columns, are taken over; anything else is refused.
    Migrate,
    /// The old table is renamed and a new one is made.
    SetAside,
}

/// How a store keeps header lines and bodies. It may change at any time: entries stay readable whatever they were kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// As they came.
    #[default]
    None,
    /// Compressed by zstd, with a dictionary that the store makes of the repository's own entries once there are enough.
    ///
    /// A store that has no use for it keeps them as they came: memory does, a SQLite file does not.
    Zstd,
}

/// Everything a store needs to know of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSpec {
    /// Its name.
    pub name: TableName,
    /// The method of the requests it answers.
    pub method: http::Method,
    /// The fields of its keys, in order.
    pub fields: Arc<[Field]>,
    /// The values that older entries get for a field added later, by its name.
    pub defaults: Arc<[(Box<str>, FieldValue)]>,
    /// Its declared columns.
    pub columns: Arc<[Column]>,
    /// The name of its codec.
    pub codec: Arc<str>,
    /// How long an entry is retained after it expired.
    pub keep: Duration,
    /// The most it may hold.
    pub budget: Budget,
    /// Whether the order of use will be asked for although the table has no budget of its own, because the store as a whole has one.
    pub ranked: bool,
    /// How header lines and bodies are kept.
    pub compression: Compression,
    /// The most variants at one address; the oldest goes first.
    pub max_variants: u16,
    /// What to do where the table differs.
    pub on_schema_change: OnSchemaChange,
    /// The endpoint's whole declaration as JSON, without secrets; empty where there is none.
    pub declaration: Arc<str>,
}

impl Budget {
    /// Tells whether there is a bound at all.
    pub fn is_bounded(&self) -> bool {
        self.bytes.is_some() || self.entries.is_some()
    }

    /// Tells whether this many entries and bytes are within it.
    pub fn allows(&self, entries: u64, bytes: u64) -> bool {
        self.entries.is_none_or(|most| entries <= most)
            && self.bytes.is_none_or(|most| bytes <= most)
    }
}

impl TableSpec {
    /// The most variants at one address unless told otherwise.
    pub const MAX_VARIANTS: u16 = 64;
    /// How long an expired entry is retained unless told otherwise: 30 days.
    pub const KEEP: Duration = Duration::from_secs(30 * 86_400);

    /// Makes the spec of a table for `GET` requests with these fields, and defaults for the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where the name or a field's name is not one a store can hold.
    pub fn new(name: &str, fields: impl Into<Arc<[Field]>>) -> Result<Self> {
        let spec = Self {
            name: TableName::new(name)?,
            method: http::Method::GET,
            fields: fields.into(),
            defaults: Arc::new([]),
            columns: Arc::new([]),
            codec: "binary".into(),
            keep: Self::KEEP,
            budget: Budget::default(),
            ranked: false,
            compression: Compression::default(),
            max_variants: Self::MAX_VARIANTS,
            on_schema_change: OnSchemaChange::default(),
            declaration: "".into(),
        };
        spec.check()?;
        Ok(spec)
    }

    /// Checks the names of fields and columns: 1 to 48 bytes without control characters, no two alike but for case.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] naming the one that is wrong.
    pub fn check(&self) -> Result<()> {
        let mut seen = HashSet::new();
        let names = self
            .fields
            .iter()
            .map(|f| ("field", f.name()))
            .chain(self.columns.iter().map(|c| ("column", &*c.name)));
        for (what, name) in names {
            let problem =
                if name.is_empty() || name.len() > 48 || name.chars().any(char::is_control) {
                    "use 1 to 48 bytes without control characters"
                } else if !seen.insert(name.to_lowercase()) {
                    "another field or column has this name, upper and lower case being alike"
                } else {
                    continue;
                };
            return Err(Error::new(
                ErrorKind::Name,
                format!("{name:?} cannot name a {what}; {problem}"),
            )
            .in_repository(self.name.shared()));
        }
        Ok(())
    }

    /// Checks that a key has the fields of this table: their number, kinds, and none absent that may not be.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] naming the first field that differs.
    pub fn check_key(&self, key: &RawKey) -> Result<()> {
        let mut values = key.fields();
        for field in self.fields.iter() {
            let problem = match values.next() {
                None => "has no value".to_owned(),
                Some(value) => match value.kind() {
                    None if field.is_optional() => continue,
                    Some(kind) if kind == field.kind() => continue,
                    None => "may not be absent".to_owned(),
                    Some(kind) => format!("is {}, not {kind}", field.kind()),
                },
            };
            return Err(self.wrong_key(key, &format!("field {:?} {problem}", field.name())));
        }
        if values.next().is_some() {
            return Err(self.wrong_key(key, &format!("there are {} fields", self.fields.len())));
        }
        Ok(())
    }

    fn wrong_key(&self, key: &RawKey, problem: &str) -> Error {
        let message = format!("the key ({key}) does not fit; {problem}");
        Error::new(ErrorKind::Key, message).in_repository(self.name.shared())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_keeps_what_its_entries_are_sealed_with() {
        let long = ["repository"; 4].join(" ");
        for name in [
            "tracks",
            "tracks (old news)",
            "é",
            &long,
            &long[..40],
            &"é".repeat(24),
        ] {
            let name = TableName::new(name).unwrap();
            for n in [1, 10, 9_999] {
                let aside = name.aside(n);
                assert_eq!(aside.sealed(), name.sealed(), "{aside}");
                assert_eq!(aside.aside(2).sealed(), name.sealed(), "{aside} again");
            }
        }
        let sealed = |name| TableName::new(name).unwrap().sealed().to_owned();
        assert_ne!(sealed("tracks"), sealed("albums"));
    }
}
