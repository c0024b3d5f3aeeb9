//! Which of two routes is the more specific, and whether that is ever in doubt.
//!
//! Segment by segment from the left (labels of the host first), the first difference decides: literal, then mixed (more literal bytes,
//! then more typed variables), typed variable, variable, rest-of-path. Where host and path are alike, the query decides: a parameter that
//! must have a value, then one that must be an integer, then one that must be there.

use super::{
    pattern::{Captured, Pattern, value},
    template::{Expected, Host, Parameter, Rest, Template},
};
use crate::key::FieldKind;
use std::borrow::Cow;

/// Tells whether some request matches both templates with neither more specific.
pub(super) fn clash(a: &Template, b: &Template) -> bool {
    if (a.scheme, a.port) != (b.scheme, b.port) {
        return false;
    }
    let mut alike = true;
    let hosts = match (&a.host, &b.host) {
        (Host::Literal(x), Host::Literal(y)) => x == y,
        (Host::Labels(x), Host::Labels(y)) => x.len() == y.len() && undecided(x, y, &mut alike),
        // A host without variables is above every host that has one.
        _ => false,
    };
    if !hosts || !undecided(&a.segments, &b.segments, &mut alike) {
        return false;
    }
    let (longer, shorter) = if a.segments.len() < b.segments.len() {
        (b, a)
    } else {
        (a, b)
    };
    let ends = if longer.segments.len() > shorter.segments.len() {
        // The shorter one matches the longer's requests only with a rest, the least specific of all.
        shorter.rest.is_some() && !alike
    } else {
        match (longer.rest_variable(), shorter.rest_variable()) {
            (None, None) | (Some(_), Some(_)) => true,
            (Some((rest, variable)), None) | (None, Some((rest, variable))) => {
                rest == Rest::WithSlash && !variable.required && !alike
            }
        }
    };
    ends && match compare_queries(a, b) {
        Queries::Apart => false,
        Queries::Ordered => !alike,
        Queries::Unordered => true,
    }
}

/// Returns how specific a query is; of two that `clash` finds ordered, the more specific has the greater weight.
pub(super) fn weight(template: &Template) -> usize {
    let needs = template.query.iter().map(|p| need(template, p));
    needs.map(Need::weight).sum()
}

/// Tells whether two rows of patterns match one text with none more specific so far; `alike` becomes false at a difference without order.
fn undecided(a: &[Pattern], b: &[Pattern], alike: &mut bool) -> bool {
    a.iter().zip(b).all(|(x, y)| {
        if x == y {
            return true;
        }
        // Overlap last: it takes the longest, and mostly one of the others has decided.
        let both_literal = x.literal().is_some() && y.literal().is_some();
        if both_literal || (*alike && x.rank() != y.rank()) || !x.overlaps(y) {
            return false;
        }
        *alike = false;
        true
    })
}

enum Queries {
    /// No query matches both.
    Apart,
    /// One is the more specific.
    Ordered,
    /// Some query matches both, and neither is more specific.
    Unordered,
}

fn compare_queries(a: &Template, b: &Template) -> Queries {
    let (mut a_has_more, mut b_has_more) = (false, false);
    for parameter in a.query.iter().chain(&b.query) {
        let find = |template: &'_ Template| {
            let mut query = template.query.iter();
            query.position(|p| p.name == parameter.name)
        };
        let in_a = find(a).and_then(|i| a.query.get(i));
        let in_b = find(b).and_then(|i| b.query.get(i));
        let in_a = in_a.map_or(Need::Nothing, |p| need(a, p));
        let in_b = in_b.map_or(Need::Nothing, |p| need(b, p));
        if in_a.excludes(in_b) {
            return Queries::Apart;
        }
        a_has_more |= !in_b.implies(in_a);
        b_has_more |= !in_a.implies(in_b);
    }
    if a_has_more == b_has_more {
        Queries::Unordered
    } else {
        Queries::Ordered
    }
}

/// What a template asks of one parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need<'t> {
    Nothing,
    /// Absent, or an integer.
    MaybeInteger,
    /// There, with any value.
    Present,
    /// There, an integer.
    Integer,
    /// There, with this value or without any.
    Exactly(Option<&'t str>),
}

impl Need<'_> {
    /// Tells whether what meets this also meets `other`.
    fn implies(self, other: Self) -> bool {
        match (self, other) {
            (a, b) if a == b => true,
            (_, Self::Nothing)
            | (Self::Integer, Self::MaybeInteger | Self::Present)
            | (Self::Exactly(_), Self::Present) => true,
            (Self::Exactly(Some(text)), Self::Integer | Self::MaybeInteger) => is_integer(text),
            _ => false,
        }
    }

    /// Tells whether nothing meets both.
    fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Exactly(a), Self::Exactly(b)) => a != b,
            (Self::Exactly(text), Self::Integer | Self::MaybeInteger)
            | (Self::Integer | Self::MaybeInteger, Self::Exactly(text)) => {
                !text.is_some_and(is_integer)
            }
            _ => false,
        }
    }

    fn weight(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::MaybeInteger => 1,
            Self::Present => 2,
            Self::Integer => 4,
            Self::Exactly(_) => 5,
        }
    }
}

fn need<'t>(template: &'t Template, parameter: &'t Parameter) -> Need<'t> {
    let variable = parameter.variable().and_then(|i| template.variables.get(i));
    match (&parameter.value, variable) {
        (Expected::Literal(text), _) => Need::Exactly(Some(text)),
        (Expected::Bare, _) => Need::Exactly(None),
        (_, Some(v)) => match (v.required, v.kind) {
            (true, FieldKind::Integer) => Need::Integer,
            (true, FieldKind::Text) => Need::Present,
            (false, FieldKind::Integer) => Need::MaybeInteger,
            (false, FieldKind::Text) => Need::Nothing,
        },
        (_, None) => Need::Nothing,
    }
}

fn is_integer(text: &str) -> bool {
    let read = value(FieldKind::Integer, Cow::Borrowed(text));
    matches!(read, Some(Captured::Integer(_)))
}
