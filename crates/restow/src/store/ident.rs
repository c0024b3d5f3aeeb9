//! Identifiers: the only text that gets into SQL without being bound.

use std::fmt::{self, Write as _};

/// An identifier of SQL; `Display` writes it quoted, so that no name can end the quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ident(Box<str>);

impl Ident {
    /// Holds any name without NUL: table names and the names of fields and columns hold no control characters.
    pub(crate) fn new(name: &str) -> Self {
        debug_assert!(!name.contains('\0'), "SQL ends at NUL");
        Self(name.into())
    }

    /// Returns the name without quotes, to be bound as a value.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(f, &self.0, '"')
    }
}

/// A text literal, for the few statements that can bind nothing: triggers and views.
#[derive(Debug)]
pub(crate) struct Literal<'a>(pub(crate) &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(f, self.0, '\'')
    }
}

/// A name keeps unless, without such prefixes, it is one of the `fixed` columns' or begins with `restow_`: then it gets a prefix.
///
/// The rule looks at one name alone, so that a column added later never moves another; and it makes no two names one.
pub(crate) fn column_name(prefix: &str, name: &str, fixed: &[&str]) -> Ident {
    let mut bare = name;
    while let Some(rest) = without(bare, "field_").or_else(|| without(bare, "column_")) {
        bare = rest;
    }
    if fixed.iter().any(|fixed| bare.eq_ignore_ascii_case(fixed))
        || without(bare, "restow_").is_some()
    {
        Ident::new(&format!("{prefix}{name}"))
    } else {
        Ident::new(name)
    }
}

fn without<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str, mark: char) -> fmt::Result {
    f.write_char(mark)?;
    for c in text.chars() {
        if c == mark {
            f.write_char(mark)?;
        }
        f.write_char(c)?;
    }
    f.write_char(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_closed_from_within() {
        assert_eq!(Ident::new("a\"; --").to_string(), "\"a\"\"; --\"");
        assert_eq!(Literal("it's").to_string(), "'it''s'");
    }
}
