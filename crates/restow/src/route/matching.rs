//! From a request to its key.

use super::{
    bound::{Matched, NoKey, Route},
    parse::is_host_byte,
    path::Path,
    pattern::{Captured, Captures, Pattern, value},
    percent,
    query::{Pair, Undeclared, canonical, pairs},
    target::Origin,
    template::{Expected, Host, Rest, Template, Variable},
};
use crate::key::{FieldRef, KeyWriter};
use smallvec::SmallVec;

impl Route {
    /// Reads the query and makes the key, once host and path have matched.
    pub(super) fn finish(&self, captures: &[Captured<'_>], query: Option<&str>) -> Matched {
        let Some(pairs) = pairs(query.unwrap_or("")) else {
            return Matched::Bypass(NoKey::Encoding);
        };
        let sorted = self.sort_out(&pairs);
        let mut values: SmallVec<[Captured<'_>; 8]> = SmallVec::new();
        let mut problem = sorted.problem;
        for (parameter, pair) in self.template.query.iter().zip(&sorted.declared) {
            let variable = parameter
                .variable()
                .and_then(|i| self.template.variables.get(i));
            let raw = pair.map(Pair::raw_value);
            match (variable, raw) {
                (Some(variable), None) if variable.required => return Matched::No,
                (Some(_), None) => values.push(Captured::Absent),
                (Some(variable), Some(raw)) => match raw.map(percent::decode_form) {
                    Some(Some(text)) => match value(variable.kind, text) {
                        Some(value) => values.push(value),
                        None => return Matched::No,
                    },
                    broken => {
                        let why = broken.map_or(NoKey::NoValue, |_| NoKey::Encoding);
                        problem = problem.or(Some(why));
                    }
                },
                (None, raw) => {
                    if !raw.is_some_and(|raw| fits(&parameter.value, raw)) {
                        return Matched::No;
                    }
                }
            }
        }
        if let Some(why) = problem {
            return Matched::Bypass(why);
        }
        let Some(hidden) = canonical(sorted.hidden) else {
            return Matched::Bypass(NoKey::Encoding);
        };
        let mut writer = KeyWriter::new();
        for binding in &self.bindings {
            let index = binding.variable.unwrap_or(usize::MAX);
            let value = captures
                .get(index)
                .or_else(|| values.get(index.checked_sub(captures.len())?));
            writer.push(match value.map(Captured::as_field) {
                None | Some(FieldRef::Absent) => binding.default_field(),
                Some(field) => field,
            });
        }
        match writer.finish(&hidden) {
            Ok(key) => Matched::Key(key),
            Err(_) => Matched::Bypass(NoKey::TooLong),
        }
    }

    pub(super) fn captures_origin<'a>(
        &self,
        origin: &'a Origin<'_>,
        out: &mut Captures<'a>,
    ) -> bool {
        let Template {
            scheme, port, host, ..
        } = &self.template;
        (*scheme, *port) == (origin.scheme, origin.port)
            && match host {
                Host::Literal(host) => **host == *origin.host,
                Host::Labels(labels) => capture_labels(labels, &origin.host, out),
            }
    }

    pub(super) fn captures_path<'a>(&self, path: &'a Path<'_>, out: &mut Captures<'a>) -> bool {
        let Template { segments, .. } = &self.template;
        let Some((head, after)) = path.segments().split_at_checked(segments.len()) else {
            return false;
        };
        segments
            .iter()
            .zip(head)
            .all(|(pattern, text)| pattern.capture(text, out))
            && match self.template.rest_variable() {
                None => after.is_empty(),
                Some((rest, variable)) => capture_rest(rest, variable, path, segments.len(), out),
            }
    }

    /// Sorts parameters into declared and hidden.
    pub(super) fn sort_out<'p, 'a>(&self, pairs: &'p [Pair<'a>]) -> Sorted<'p, 'a> {
        let mut sorted = Sorted {
            declared: SmallVec::from_elem(None, self.template.query.len()),
            hidden: SmallVec::new(),
            problem: None,
        };
        for pair in pairs {
            let declared = self
                .template
                .query
                .iter()
                .position(|p| *p.name == *pair.name);
            match declared.and_then(|at| sorted.declared.get_mut(at)) {
                Some(Some(_)) => sorted.problem = Some(NoKey::Repeated),
                Some(slot) => *slot = Some(pair),
                None if self.rules.drops(&pair.name) => {}
                None => match self.rules.undeclared {
                    Undeclared::Key => sorted.hidden.push(pair),
                    Undeclared::Ignore => {}
                    Undeclared::Bypass => {
                        sorted.problem.get_or_insert(NoKey::Undeclared);
                    }
                },
            }
        }
        sorted
    }
}

/// The parameters of a request, sorted by what a route says of them.
pub(super) struct Sorted<'p, 'a> {
    /// One slot for each parameter of the template.
    pub(super) declared: SmallVec<[Option<&'p Pair<'a>>; 8]>,
    pub(super) hidden: SmallVec<[&'p Pair<'a>; 8]>,
    pub(super) problem: Option<NoKey>,
}

/// Matches a host label by label.
pub(super) fn capture_labels<'a>(
    labels: &[Pattern],
    host: &'a str,
    out: &mut Captures<'a>,
) -> bool {
    // What no host may hold could not be written back.
    host.split('.').count() == labels.len()
        && host.bytes().all(|b| b == b'.' || is_host_byte(b))
        && labels
            .iter()
            .zip(host.split('.'))
            .all(|(pattern, label)| pattern.capture(label, out))
}

/// Matches all of the path from the segment at `index` on.
pub(super) fn capture_rest<'a>(
    rest: Rest,
    variable: &Variable,
    path: &'a Path<'_>,
    index: usize,
    out: &mut Captures<'a>,
) -> bool {
    let value = if index < path.segments().len() {
        path.rest(index).map(Captured::Text)
    } else {
        let absent = rest == Rest::WithSlash && !variable.required;
        absent.then_some(Captured::Absent)
    };
    value.map(|v| out.push(v)).is_some()
}

/// Tells whether a parameter that is there is what the template writes.
fn fits(expected: &Expected, raw: Option<&str>) -> bool {
    match (expected, raw) {
        (Expected::Bare, None) => true,
        (Expected::Literal(literal), Some(raw)) => {
            percent::decode_form(raw).is_some_and(|text| *text == **literal)
        }
        _ => false,
    }
}
