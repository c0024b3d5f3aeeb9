//! The path, and what segments and labels have in common.

use super::{
    super::{
        path::is_dots,
        pattern::{Part, Pattern},
        template::{Place, Rest},
    },
    Parser,
    scan::{cut, expression, inside, operator, split},
};
use crate::{Result, key::FieldKind};

impl<'t> Parser<'t> {
    pub(super) fn path(&mut self, path: &'t str) -> Result<(Box<[Pattern]>, Option<Rest>)> {
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

    /// Parses a segment of the path or a label of the host.
    pub(super) fn pattern(&mut self, text: &'t str, place: Place) -> Result<Pattern> {
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
}
