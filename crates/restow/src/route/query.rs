//! The query of a request: its parameters, and what becomes of those that a template does not name.

use super::percent;
use crate::key::FieldValue;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What an endpoint says of its query beyond the templates of its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryRules {
    /// What becomes of parameters that the template does not name.
    pub undeclared: Undeclared,
    /// Names of undeclared parameters that are as good as absent; `*` stands for any text, as in `utm_*`.
    pub ignore: Vec<Box<str>>,
    /// Values of fields that a request leaves out: absent and default are one key.
    pub defaults: Vec<(Box<str>, FieldValue)>,
    /// Names of parameters that hold a credential: they are in no key, and no template may name them.
    pub secret: Vec<Box<str>>,
}

/// What becomes of query parameters that a template does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Undeclared {
    /// They are part of the key, in canonical form.
    #[default]
    Key,
    /// They are left out of the key: requests that differ only there share an answer.
    Ignore,
    /// A request that has one is not cached.
    Bypass,
}

impl QueryRules {
    /// Tells whether an undeclared parameter is as good as absent.
    pub(super) fn drops(&self, name: &str) -> bool {
        self.secret.iter().any(|secret| **secret == *name)
            || self.ignore.iter().any(|glob| glob_matches(glob, name))
    }

    /// Returns the default of a field.
    pub(super) fn default_of(&self, field: &str) -> Option<&FieldValue> {
        let mut defaults = self.defaults.iter();
        defaults
            .find(|(name, _)| **name == *field)
            .map(|(_, value)| value)
    }
}

/// One parameter of a request: its name decoded, and both parts as sent.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) name: Cow<'a, str>,
    raw_name: &'a str,
    raw_value: Option<&'a str>,
}

/// The parameters of a request, as they come.
pub(super) type Pairs<'a> = SmallVec<[Pair<'a>; 8]>;

impl<'a> Pair<'a> {
    /// Returns the value as sent; `None` where there is no `=`.
    pub(super) fn raw_value(&self) -> Option<&'a str> {
        self.raw_value
    }
}

/// Splits a query, where empty pieces (`a&&b`) mean nothing; `None` where a name cannot be decoded.
pub(super) fn pairs(query: &str) -> Option<Pairs<'_>> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (raw_name, raw_value) = match piece.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (piece, None),
            };
            Some(Pair {
                name: percent::decode_form(raw_name)?,
                raw_name,
                raw_value,
            })
        })
        .collect()
}

/// Writes undeclared parameters in canonical form: sorted by name, repeated names in their order; `None` where one cannot be decoded.
pub(super) fn canonical(mut pairs: SmallVec<[&Pair<'_>; 8]>) -> Option<String> {
    let mut out = String::new();
    // Stable: APIs tell a=1&a=2 from a=2&a=1.
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    for (i, pair) in pairs.iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        percent::canonical(&mut out, pair.raw_name)?;
        if let Some(value) = pair.raw_value {
            out.push('=');
            percent::canonical(&mut out, value)?;
        }
    }
    Some(out)
}

/// Matches a name against a pattern where `*` stands for any text, also none.
fn glob_matches(glob: &str, name: &str) -> bool {
    let Some((head, tail)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, last) = tail.rsplit_once('*').unwrap_or(("", tail));
    // The first place that fits leaves the most for the pieces behind it.
    for piece in middle.split('*') {
        match name.split_once(piece) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("utm_*", "utm_source", true),
            ("utm_*", "utm_", true),
            ("utm_*", "utm", false),
            ("*_id", "click_id", true),
            ("*_id", "click_ids", false),
            ("a*b", "ab", true),
            ("a*b", "aXb", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*bb*b", "abb", false),
            ("*", "", true),
            ("*x*", "axb", true),
            ("*x*", "ab", false),
            ("plain", "plain", true),
            ("plain", "Plain", false),
            ("a**b", "ab", true),
            ("é*", "éa", true),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(glob_matches(glob, name), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn the_canonical_query_sorts_names_and_keeps_what_differs() {
        let cases = [
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=2&a=1"),
            ("b&a", "a&b"),
            ("a=&b", "a=&b"),
            ("&&a=1&", "a=1"),
            ("q=%61%2f", "q=a%2F"),
            ("q=a+b", "q=a+b"),
            ("q=a%20b", "q=a%20b"),
            ("q=a%2Bb", "q=a%2Bb"),
            ("q=ü", "q=%C3%BC"),
            ("q=a=b", "q=a%3Db"),
            ("=1", "=1"),
        ];
        for (query, expected) in cases {
            let pairs = pairs(query).unwrap();
            assert_eq!(
                canonical(pairs.iter().collect()).unwrap(),
                expected,
                "{query}"
            );
        }
        assert!(pairs("%zz=1").is_none());
        assert!(canonical(pairs("a=%ff").unwrap().iter().collect()).is_none());
    }
}
