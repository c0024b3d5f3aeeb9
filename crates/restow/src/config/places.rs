//! Where things stand in a table of a file.

use std::ops::Range;
use toml::de::DeTable;

/// Where the keys of a table stand, and their values.
pub(super) struct Places {
    keys: Vec<(Box<str>, Range<usize>, Range<usize>)>,
    pub(super) whole: Range<usize>,
}

impl Places {
    pub(super) fn of(table: &DeTable<'_>, whole: Range<usize>) -> Self {
        let mut keys: Vec<_> = table
            .iter()
            .map(|(k, v)| (k.get_ref().as_ref().into(), k.span(), v.span()))
            .collect();
        keys.sort_by_key(|(_, at, _)| at.start);
        Self { keys, whole }
    }

    /// Returns the first key that is not known.
    pub(super) fn unknown(&self, known: &[&str]) -> Option<(&str, Range<usize>)> {
        let mut keys = self.keys.iter();
        keys.find(|(key, ..)| !known.contains(&&**key))
            .map(|(key, at, _)| (&**key, at.clone()))
    }

    /// Returns the place of a key; that of the table where it is missing.
    pub(super) fn key(&self, key: &str) -> Range<usize> {
        let found = self.keys.iter().find(|(k, ..)| **k == *key);
        found.map_or_else(|| self.whole.clone(), |(_, at, _)| at.clone())
    }

    /// Returns the key under which it was written: routes may be under one of two.
    pub(super) fn written(&self, key: &'static str) -> &'static str {
        let plural = self.keys.iter().any(|(k, ..)| **k == *"routes");
        if key == "route" && plural {
            "routes"
        } else {
            key
        }
    }

    /// Returns the key whose value is at a place.
    pub(super) fn around(&self, span: &Range<usize>) -> Option<&str> {
        let holds = |r: &Range<usize>| r.start <= span.start && span.end <= r.end;
        self.keys
            .iter()
            .find(|(_, _, value)| holds(value))
            .map(|(key, ..)| &**key)
    }
}
