//! The parser of templates: it refuses what could not be read backwards, and says what to write instead.

use super::{
    path::is_dots,
    pattern::{Part, Pattern},
    percent,
    target::Scheme,
    template::{Expected, Host, Parameter, Place, Rest, Template, Variable},
};
use crate::{Error, ErrorKind, Result, key::FieldKind};
use std::{fmt, net::Ipv6Addr};

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

struct Parser<'t> {
    text: &'t str,
    variables: Vec<Variable>,
}

impl<'t> Parser<'t> {
    /// Makes an error about `part`, which is a slice of the template.
    fn fail(&self, part: &str, what: impl fmt::Display) -> Error {
        let at = part
            .as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr());
        let Self { text, .. } = self;
        let message = format!("route {text:?}: at byte {at}, {part:?}: {what}");
        Error::new(ErrorKind::Route, message)
    }

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

    fn authority(&mut self, authority: &'t str) -> Result<(Host, Option<u16>)> {
        if split(authority, '@').len() > 1 {
            let what = "leave the user and password out; a credential belongs to the client";
            return Err(self.fail(authority, what));
        }
        let (host, port) = match authority.find(']') {
            Some(end) => authority
                .split_at_checked(end + 1)
                .unwrap_or((authority, "")),
            None => cut(authority, |s| s.starts_with(':')),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(self.fail(port, "only :port may follow the address")),
            Some(digits) => Some(digits.parse().map_err(|_| {
                self.fail(digits, "a port is a number from 0 to 65535, not a variable")
            })?),
        };
        if host.is_empty() {
            return Err(self.fail(
                authority,
                "a route begins with https:// or http:// and a host",
            ));
        }
        Ok((self.host(host)?, port))
    }

    fn host(&mut self, host: &'t str) -> Result<Host> {
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').unwrap_or(address);
            let address: Ipv6Addr = address
                .parse()
                .map_err(|_| self.fail(host, "this is not an IPv6 address"))?;
            return Ok(Host::Literal(format!("[{address}]").into()));
        }
        let mut labels = Vec::new();
        for label in split(host, '.') {
            if label.is_empty() {
                return Err(self.fail(host, "a label of the host is empty; drop the extra dot"));
            }
            labels.push(self.pattern(label, Place::Host)?);
        }
        match labels
            .iter()
            .map(Pattern::literal)
            .collect::<Option<Vec<_>>>()
        {
            Some(literals) => Ok(Host::Literal(literals.join(".").into())),
            None => Ok(Host::Labels(labels.into())),
        }
    }

    fn path(&mut self, path: &'t str) -> Result<(Box<[Pattern]>, Option<Rest>)> {
        let (plain, rest) = cut(path, |s| operator(s) == Some('/'));
        let mut segments = Vec::new();
        let mut kind = None;
        let mut parts = split(plain, '/').into_iter().skip(1).peekable();
        while let Some(segment) = parts.next() {
            if let Some(body) = segment.strip_prefix("{+").and_then(|s| s.strip_suffix('}'))
                && !body.contains('{')
            {
                if let Some(next) = parts.peek().copied().or((!rest.is_empty()).then_some(rest)) {
                    return Err(self.fail(next, "nothing of the path may follow a rest-of-path"));
                }
                self.rest(body, segment, true)?;
                kind = Some(Rest::AfterSlash);
                break;
            }
            let pattern = self.pattern(segment, Place::Path)?;
            if pattern.literal().is_some_and(is_dots) {
                return Err(self.fail(segment, "clients resolve . and .. away; leave them out"));
            }
            segments.push(pattern);
        }
        if !rest.is_empty() {
            kind = Some(self.slash_rest(rest, &segments)?);
        }
        if segments.is_empty() && kind.is_none() {
            segments.push(Pattern::default());
        }
        Ok((segments.into(), kind))
    }

    /// Parses `{/rest*}` and makes sure that the path ends there.
    fn slash_rest(&mut self, rest: &'t str, segments: &[Pattern]) -> Result<Rest> {
        let (expression, after) = expression(rest);
        let body = expression.trim_start_matches("{/").trim_end_matches('}');
        let Some(name) = body.strip_suffix('*') else {
            let what =
                format!("write /{{{body}}} for one segment, {{/{body}*}} for all that follow");
            return Err(self.fail(expression, what));
        };
        if !after.is_empty() {
            return Err(self.fail(after, "nothing of the path may follow a rest-of-path"));
        }
        if segments
            .last()
            .is_some_and(|last| last.literal() == Some(""))
        {
            let what = format!("it brings its own slash; write {{/{name}*}} without one before it");
            return Err(self.fail(expression, what));
        }
        // Every path begins with a slash, so right behind the host it cannot be absent.
        let kind = if segments.is_empty() {
            Rest::AfterSlash
        } else {
            Rest::WithSlash
        };
        self.rest(name, expression, kind == Rest::AfterSlash)?;
        Ok(kind)
    }

    fn rest(&mut self, name: &'t str, expression: &'t str, required: bool) -> Result<()> {
        let spec = self.spec(name)?;
        if spec.kind != FieldKind::Text {
            return Err(self.fail(expression, "a rest-of-path is text; drop the type"));
        }
        if spec.required {
            return Err(self.fail(
                expression,
                "only a query variable is marked with !; drop it",
            ));
        }
        self.declare(spec, Place::Rest, required)?;
        Ok(())
    }

    /// Parses a segment of the path or a label of the host.
    fn pattern(&mut self, text: &'t str, place: Place) -> Result<Pattern> {
        let (mut parts, mut left) = (Vec::new(), text);
        while !left.is_empty() {
            if left.starts_with('{') {
                let (expression, after) = expression(left);
                if matches!(parts.last(), Some(Part::Variable(_))) {
                    let what = "two variables side by side cannot be told apart; put a literal between them";
                    return Err(self.fail(expression, what));
                }
                parts.push(Part::Variable(self.simple(expression, place)?));
                left = after;
            } else {
                let (literal, after) = cut(left, |s| s.starts_with('{'));
                let literal = match place {
                    Place::Host => self.host_literal(literal)?,
                    _ => self.literal(literal, "/?#")?,
                };
                parts.push(Part::Literal(literal));
                left = after;
            }
        }
        Ok(Pattern::new(parts))
    }

    /// Parses `{variable}` of a path or host, and returns its kind.
    fn simple(&mut self, expression: &'t str, place: Place) -> Result<FieldKind> {
        let body = inside(expression);
        if let Some(operator) = operator(expression) {
            let what = match operator {
                '+' if place == Place::Path => {
                    "a rest-of-path is a whole segment at the end of the path: /{+rest}"
                }
                '?' | '&' => "the query comes after the path",
                _ => {
                    "only {variable} may stand here, and {+rest} or {/rest*} at the end of the path"
                }
            };
            return Err(self.fail(expression, what));
        }
        if body.contains(',') {
            let what = "one variable to an expression: write {a},{b}";
            return Err(self.fail(expression, what));
        }
        let spec = self.spec(body)?;
        if spec.required {
            let what = "host and path are always there; drop the !";
            return Err(self.fail(expression, what));
        }
        let kind = spec.kind;
        self.declare(spec, place, true)?;
        Ok(kind)
    }

    fn host_literal(&self, text: &'t str) -> Result<Box<str>> {
        if text.bytes().all(is_host_byte) {
            return Ok(text.to_ascii_lowercase().into());
        }
        let what = "a host holds letters, digits, - and _; write other scripts in their xn-- form";
        Err(self.fail(text, what))
    }

    /// Decodes a literal of path or query that may hold neither the delimiters of its place nor what a URL may not.
    fn literal(&self, text: &'t str, delimiters: &str) -> Result<Box<str>> {
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

    fn query(&mut self, query: &'t str) -> Result<Box<[Parameter]>> {
        let mut parameters = Vec::new();
        let listed = |s: &str| matches!(operator(s), Some('?' | '&')) || s.starts_with('#');
        let mut left = query;
        if let Some(literals) = query.strip_prefix('?') {
            let (literals, after) = cut(literals, listed);
            if literals.is_empty() {
                return Err(self.fail(query, "write ?name=value or {?name}"));
            }
            for pair in split(literals, '&') {
                let parameter = self.pair(pair)?;
                self.add(&mut parameters, parameter, pair)?;
            }
            left = after;
        }
        while !left.is_empty() {
            let (expression, after) = expression(left);
            match (operator(expression), parameters.is_empty()) {
                (Some('?'), true) | (Some('&'), false) => {}
                (Some('&'), true) => {
                    return Err(self.fail(expression, "the query begins with ?: write {?..}"));
                }
                (Some('?'), false) => {
                    return Err(self.fail(expression, "the query has begun: write {&..}"));
                }
                _ if left.starts_with('#') || operator(left) == Some('#') => {
                    return Err(self.fail(left, "a fragment is never sent; leave it out"));
                }
                _ if left.starts_with('{') => {
                    return Err(self.fail(expression, "more query variables are written {&..}"));
                }
                _ => {
                    let what = "literal parameters come first: ?type=track{&id}";
                    return Err(self.fail(left, what));
                }
            }
            for text in inside(expression).split(',') {
                let text = text.trim_start_matches(['?', '&']);
                let spec = self.spec(text)?;
                let (name, required) = (spec.name.into(), spec.required);
                let value = Expected::Listed(self.declare(spec, Place::Query, required)?);
                self.add(&mut parameters, Parameter { name, value }, text)?;
            }
            left = after;
        }
        Ok(parameters.into())
    }

    /// Parses `name`, `name=value` or `name={variable}`.
    fn pair(&mut self, pair: &'t str) -> Result<Parameter> {
        let (name, value) = match cut(pair, |s| s.starts_with('=')) {
            (name, "") => (name, None),
            (name, value) => (name, value.strip_prefix('=')),
        };
        if name.is_empty() {
            return Err(self.fail(pair, "a parameter has a name: ?name=value"));
        }
        if name.contains('{') {
            return Err(self.fail(name, "only the value may be a variable: ?name={variable}"));
        }
        let name = self.literal(name, "&=#")?;
        let value = match value {
            None => Expected::Bare,
            Some(value) if value.contains('{') => {
                if !value.starts_with('{') || expression(value).0 != value {
                    let what = "a variable takes the whole value: ?name={variable}";
                    return Err(self.fail(value, what));
                }
                let spec = self.spec(inside(value))?;
                Expected::Named(self.declare(spec, Place::Query, true)?)
            }
            Some(value) => Expected::Literal(self.literal(value, "&=#")?),
        };
        Ok(Parameter { name, value })
    }

    fn add(&self, all: &mut Vec<Parameter>, new: Parameter, part: &str) -> Result<()> {
        if all.iter().any(|p| p.name == new.name) {
            let what = format!("the parameter {:?} is there twice; name it once", new.name);
            return Err(self.fail(part, what));
        }
        all.push(new);
        Ok(())
    }

    /// Parses `name`, `name:int`, either with `!` behind.
    fn spec(&self, text: &'t str) -> Result<Spec<'t>> {
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
    fn declare(&mut self, spec: Spec<'t>, place: Place, required: bool) -> Result<usize> {
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

/// A variable as it is written.
#[derive(Clone, Copy)]
struct Spec<'t> {
    name: &'t str,
    kind: FieldKind,
    required: bool,
}

/// Tells whether a label of a host may hold this byte.
pub(super) fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

/// Splits at the first place outside of braces where what follows is a `stop`; the second part begins with it, or is empty.
fn cut(text: &str, stop: impl Fn(&str) -> bool) -> (&str, &str) {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let here = text.split_at_checked(at).unwrap_or((text, ""));
        if !inside && stop(here.1) {
            return here;
        }
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
    }
    text.split_at_checked(text.len()).unwrap_or((text, ""))
}

/// Splits at each `delimiter` outside of braces.
fn split(text: &str, delimiter: char) -> Vec<&str> {
    let (mut pieces, mut left) = (Vec::new(), text);
    loop {
        let (piece, after) = cut(left, |s| s.starts_with(delimiter));
        pieces.push(piece);
        match after.strip_prefix(delimiter) {
            Some(after) => left = after,
            None => return pieces,
        }
    }
}

/// Splits off the expression that `text` begins with.
fn expression(text: &str) -> (&str, &str) {
    match text.find('}') {
        Some(end) => text.split_at_checked(end + 1).unwrap_or((text, "")),
        None => (text, ""),
    }
}

/// Returns what stands between the braces.
fn inside(expression: &str) -> &str {
    expression.trim_start_matches('{').trim_end_matches('}')
}

/// Returns the operator of the expression that `text` begins with (RFC 6570, 2.2), if it has one.
fn operator(text: &str) -> Option<char> {
    let first = text.strip_prefix('{')?.chars().next()?;
    "+#./;?&=,!@|".contains(first).then_some(first)
}
