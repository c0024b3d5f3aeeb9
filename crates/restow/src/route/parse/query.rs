//! The query.

use super::{
    super::template::{Expected, Parameter, Place},
    Parser,
    scan::{cut, expression, inside, operator, split},
};
use crate::Result;

impl<'t> Parser<'t> {
    pub(super) fn query(&mut self, query: &'t str) -> Result<Box<[Parameter]>> {
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
}
