//! The parser of templates: it refuses what could not be read backwards, and says what to write instead.

mod host;
mod path;
mod query;
mod scan;

use super::{
    percent,
    target::Scheme,
    template::{Place, Template, Variable},
};
use crate::{Error, ErrorKind, Result, key::FieldKind};
use scan::{cut, is_name, operator};
use std::fmt;

pub(super) use scan::is_host_byte;

pub(super) fn template(text: &str) -> Result<Template> {
    let mut parser = Parser {
        text,
        variables: Vec::new(),
    };
    parser.check_braces()?;
    let (scheme, rest) = parser.scheme()?;
    let (authority, rest) = cut(rest, |s| {
        s.starts_with(['/', '?', '#']) || matches!(operator(s), Some('/' | '?' | '&' | '#'))
    });
    let (path, query) = cut(rest, |s| {
        s.starts_with(['?', '#']) || matches!(operator(s), Some('?' | '&' | '#'))
    });
    let (host, port) = parser.authority(authority)?;
    let (segments, rest) = parser.path(path)?;
    let query = parser.query(query)?;
    Ok(Template {
        scheme,
        host,
        port: scheme.canonical_port(port),
        segments,
        rest,
        query,
        variables: parser.variables.into(),
    })
}

/// A template that is being read, with the variables found so far.
struct Parser<'t> {
    text: &'t str,
    variables: Vec<Variable>,
}

/// A variable as it is written.
#[derive(Clone, Copy)]
struct Spec<'t> {
    name: &'t str,
    kind: FieldKind,
    required: bool,
}

impl<'t> Parser<'t> {
    fn check_braces(&self) -> Result<()> {
        let mut open = None;
        for (at, c) in self.text.char_indices() {
            let here = self.text.get(at..).unwrap_or("");
            match (c, open) {
                ('{', None) => open = Some(here),
                ('{', Some(outer)) => {
                    return Err(self.fail(outer, "close this { before the next one"));
                }
                ('}', None) => {
                    return Err(self.fail(here, "no { goes with this }; a literal } is %7D"));
                }
                ('}', Some(_)) => open = None,
                _ => {}
            }
        }
        match open {
            Some(outer) => Err(self.fail(outer, "close this { with }; a literal { is %7B")),
            None => Ok(()),
        }
    }

    fn scheme(&self) -> Result<(Scheme, &'t str)> {
        self.text
            .split_once("://")
            .and_then(|(scheme, rest)| Some((Scheme::named(scheme)?, rest)))
            .ok_or_else(|| {
                let start = cut(self.text, |s| s.starts_with('/')).0;
                self.fail(start, "a route begins with https:// or http:// and a host")
            })
    }
}

/// What all parts of a template share.
impl<'t> Parser<'t> {
    /// Makes an error about `part`, which is a slice of the template.
    pub(super) fn fail(&self, part: &str, what: impl fmt::Display) -> Error {
        let at = part
            .as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr());
        let Self { text, .. } = self;
        let message = format!("route {text:?}: at byte {at}, {part:?}: {what}");
        Error::new(ErrorKind::Route, message)
    }

    /// Decodes a literal of path or query that may hold neither the delimiters of its place nor what a URL may not.
    pub(super) fn literal(&self, text: &'t str, delimiters: &str) -> Result<Box<str>> {
        let bad = |c: char| {
            delimiters.contains(c) || c.is_control() || c.is_whitespace() || "\"<>\\^`|".contains(c)
        };
        if let Some(at) = text.find(bad) {
            let bad = text.get(at..).unwrap_or(text);
            return Err(self.fail(bad, "percent-encode this character"));
        }
        let decoded = if delimiters.contains('=') {
            percent::decode_form(text)
        } else {
            percent::decode(text)
        };
        decoded.map(|decoded| decoded.into()).ok_or_else(|| {
            self.fail(
                text,
                "a % begins two hex digits of UTF-8; a literal % is %25",
            )
        })
    }

    /// Parses `name`, `name:int`, either with `!` behind.
    pub(super) fn spec(&self, text: &'t str) -> Result<Spec<'t>> {
        let (rest, required) = match text.strip_suffix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.ends_with('*') {
            let what = "* stands only in a rest-of-path, {/rest*}; parameters that repeat are kept when the template does not name them";
            return Err(self.fail(text, what));
        }
        let (name, kind) = match rest.split_once(':') {
            None => (rest, FieldKind::Text),
            Some((name, "int")) => (name, FieldKind::Integer),
            Some((name, prefix)) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                let what = format!(
                    "a prefix cannot be read backwards; write {name} for text or {name}:int for integers"
                );
                return Err(self.fail(text, what));
            }
            Some((name, _)) => {
                let what = format!("the only type is int; write {name} for text or {name}:int");
                return Err(self.fail(text, what));
            }
        };
        if is_name(name) {
            return Ok(Spec {
                name,
                kind,
                required,
            });
        }
        let what = if name.is_empty() {
            "an expression names a variable: {id}"
        } else {
            "a name holds letters, digits, _ and ., and begins with a letter or _; a parameter of another name is written ?user-id={user_id}"
        };
        Err(self.fail(text, what))
    }

    /// Adds a variable and returns its index.
    pub(super) fn declare(
        &mut self,
        spec: Spec<'t>,
        place: Place,
        required: bool,
    ) -> Result<usize> {
        if self.variables.iter().any(|v| &*v.name == spec.name) {
            let what = format!("the variable {:?} is there twice; rename one", spec.name);
            return Err(self.fail(spec.name, what));
        }
        self.variables.push(Variable {
            name: spec.name.into(),
            kind: spec.kind,
            place,
            required,
        });
        Ok(self.variables.len() - 1)
    }
}
