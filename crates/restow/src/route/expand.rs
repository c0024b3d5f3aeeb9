//! From a key to its request.

use super::{
    bound::Route,
    parse::is_host_byte,
    path::is_dots,
    pattern::{Captured, Captures, Part, Pattern},
    percent,
    query::{canonical, pairs},
    template::{Expected, Host, Rest, Variable, encoded},
};
use crate::{
    Error, ErrorKind, Result,
    key::{FieldRef, RawKey},
};
use smallvec::SmallVec;
use std::{borrow::Cow, fmt};

/// Writes the absolute URL of a key in canonical form.
pub(super) fn expand(route: &Route, key: &RawKey) -> Result<String> {
    route.check_fields(key)?;
    let fields: SmallVec<[FieldRef<'_>; 8]> = key.fields().collect();
    let variables = route.template.variables.iter().enumerate();
    let values: Values<'_> = variables
        .map(|(index, variable)| {
            let mut bindings = route.bindings.iter();
            let at = bindings.position(|b| b.variable == Some(index));
            let field = at.and_then(|at| fields.get(at).copied());
            (variable, field.unwrap_or(FieldRef::Absent))
        })
        .collect();
    let mut values = values.into_iter();
    let mut out = String::with_capacity(96);
    route.expand_origin(&mut out, &mut values)?;
    route.expand_path(&mut out, &mut values)?;
    route.expand_query(&mut out, &mut values, key.query())?;
    Ok(out)
}

/// The variables of a template with their values.
type Values<'v> = SmallVec<[(&'v Variable, FieldRef<'v>); 8]>;
type Left<'v> = smallvec::IntoIter<[(&'v Variable, FieldRef<'v>); 8]>;

impl Route {
    fn check_fields(&self, key: &RawKey) -> Result<()> {
        let count = key.fields().count();
        if count != self.bindings.len() {
            let fields = self.bindings.len();
            return Err(self.refuse(format_args!(
                "the key has {count} values for {fields} fields"
            )));
        }
        for (binding, value) in self.bindings.iter().zip(key.fields()) {
            if value
                .kind()
                .is_some_and(|kind| kind != binding.field.kind())
            {
                let what = format_args!(
                    "the value of {:?} is not {}",
                    binding.field.name(),
                    binding.field.kind()
                );
                return Err(self.refuse(what));
            }
            // Without a place in the template, nothing but the default would come back.
            if binding.variable.is_none() && value != binding.default_field() {
                let what = format_args!(
                    "it has no place for {:?}, which is not its default",
                    binding.field.name()
                );
                return Err(self.refuse(what));
            }
        }
        Ok(())
    }

    fn expand_origin(&self, out: &mut String, values: &mut Left<'_>) -> Result<()> {
        out.push_str(self.template.scheme.as_str());
        out.push_str("://");
        match &self.template.host {
            Host::Literal(host) => out.push_str(host),
            Host::Labels(labels) => {
                for (i, label) in labels.iter().enumerate() {
                    if i > 0 {
                        out.push('.');
                    }
                    let text = self.fill(label, out, values)?;
                    if !text.bytes().all(is_host_byte) {
                        return Err(self.refuse(format_args!("{text:?} is not a label of a host")));
                    }
                }
            }
        }
        if let Some(port) = self.template.port {
            out.push(':');
            out.push_str(&port.to_string());
        }
        Ok(())
    }

    fn expand_path(&self, out: &mut String, values: &mut Left<'_>) -> Result<()> {
        for segment in &self.template.segments {
            out.push('/');
            let text = self.fill(segment, out, values)?;
            if is_dots(&text) {
                return Err(self.refuse(format_args!("clients resolve a segment {text:?} away")));
            }
        }
        let Some((rest, _)) = self.template.rest_variable() else {
            return Ok(());
        };
        match values.next() {
            Some((_, FieldRef::Text(text))) => {
                if text.split('/').any(is_dots) {
                    return Err(
                        self.refuse(format_args!("clients resolve . and .. in {text:?} away"))
                    );
                }
                out.push('/');
                percent::encode(out, text, percent::REST);
                Ok(())
            }
            Some((variable, _)) if rest == Rest::AfterSlash || variable.required => {
                Err(self.refuse(format_args!("{:?} is absent", variable.name)))
            }
            _ => Ok(()),
        }
    }

    fn expand_query(&self, out: &mut String, values: &mut Left<'_>, hidden: &str) -> Result<()> {
        let mut lead = '?';
        for parameter in &self.template.query {
            let text = match &parameter.value {
                Expected::Bare => None,
                Expected::Literal(text) => Some(encoded(text)),
                Expected::Named(_) | Expected::Listed(_) => match values.next() {
                    Some((_, FieldRef::Text(text))) => {
                        let mut value = String::new();
                        percent::encode(&mut value, text, percent::VALUE);
                        Some(value)
                    }
                    Some((_, FieldRef::Integer(i))) => Some(i.to_string()),
                    Some((variable, FieldRef::Absent)) if variable.required => {
                        return Err(self.refuse(format_args!("{:?} is absent", variable.name)));
                    }
                    _ => continue,
                },
            };
            out.push(lead);
            out.push_str(&parameter.encoded_name());
            if let Some(text) = text {
                out.push('=');
                out.push_str(&text);
            }
            lead = '&';
        }
        if !hidden.is_empty() {
            self.check_hidden(hidden)?;
            out.push(lead);
            out.push_str(hidden);
        }
        Ok(())
    }

    /// Makes sure that a request with these undeclared parameters would have this very key.
    fn check_hidden(&self, query: &str) -> Result<()> {
        let pairs = pairs(query).unwrap_or_default();
        let sorted = self.sort_out(&pairs);
        let undeclared = sorted.declared.iter().all(Option::is_none) && sorted.problem.is_none();
        if undeclared && canonical(sorted.hidden).as_deref() == Some(query) {
            return Ok(());
        }
        Err(self.refuse(format_args!(
            "its undeclared query {query:?} is not in canonical form"
        )))
    }

    /// Writes a segment or label, encoded, and returns it decoded.
    fn fill(&self, pattern: &Pattern, out: &mut String, values: &mut Left<'_>) -> Result<String> {
        let mut plain = String::new();
        let mut written: SmallVec<[FieldRef<'_>; 4]> = SmallVec::new();
        for part in pattern.parts() {
            if let Part::Literal(text) = part {
                percent::encode(out, text, percent::LITERAL);
                plain.push_str(text);
                continue;
            }
            let Some((variable, value)) = values.next() else {
                continue;
            };
            let text: Cow<'_, str> = match value {
                FieldRef::Text(text) => text.into(),
                FieldRef::Integer(i) => i.to_string().into(),
                FieldRef::Absent => {
                    return Err(self.refuse(format_args!("{:?} is absent", variable.name)));
                }
            };
            if text.is_empty() {
                return Err(self.refuse(format_args!("{:?} is empty", variable.name)));
            }
            percent::encode(out, &text, percent::VALUE);
            plain.push_str(&text);
            written.push(value);
        }
        if written.len() > 1 && !reads_as(pattern, &plain, &written) {
            let what = format_args!("{plain:?} would be read back as other values");
            return Err(self.refuse(what));
        }
        Ok(plain)
    }

    fn refuse(&self, what: fmt::Arguments<'_>) -> Error {
        let message = format!("the route {} cannot write this key: {what}", self.template);
        Error::new(ErrorKind::Key, message)
    }
}

fn reads_as(pattern: &Pattern, text: &str, written: &[FieldRef<'_>]) -> bool {
    let mut read = Captures::new();
    let matched = pattern.capture(text, &mut read);
    matched
        && read
            .iter()
            .map(Captured::as_field)
            .eq(written.iter().copied())
}
