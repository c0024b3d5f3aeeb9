//! One segment of a path, or one label of a host: literals and variables in a row.

use crate::key::{FieldKind, FieldRef};
use smallvec::SmallVec;
use std::{borrow::Cow, collections::HashSet};

/// Literals (decoded) and variables in a row, no two variables side by side. Empty, it matches the empty segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pattern {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    Literal(Box<str>),
    Variable(FieldKind),
}

/// How specific a pattern is; the greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Variable,
    Typed,
    Mixed { literal: usize, typed: usize },
    Literal,
}

/// The value a variable took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Captured<'a> {
    Absent,
    Text(Cow<'a, str>),
    Integer(i64),
}

/// The values that variables took, in the order of the template.
pub(super) type Captures<'a> = SmallVec<[Captured<'a>; 8]>;

/// How many readings of one segment are tried. Without a bound, a hostile URL could make a segment of many variables slow.
const READINGS: usize = 1 << 14;

impl Pattern {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self {
            parts: parts.into(),
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the text where there is no variable.
    pub(super) fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Gives the variables, in order, the kinds that `kinds` yields.
    pub(super) fn retype(&mut self, kinds: &mut impl Iterator<Item = FieldKind>) {
        for part in &mut self.parts {
            if let Part::Variable(kind) = part {
                *kind = kinds.next().unwrap_or(*kind);
            }
        }
    }

    pub(super) fn rank(&self) -> Rank {
        match &*self.parts {
            [] | [Part::Literal(_)] => Rank::Literal,
            [Part::Variable(FieldKind::Integer)] => Rank::Typed,
            [Part::Variable(_)] => Rank::Variable,
            parts => {
                let (mut literal, mut typed) = (0, 0);
                for part in parts {
                    match part {
                        Part::Literal(text) => literal += text.len(),
                        Part::Variable(FieldKind::Integer) => typed += 1,
                        Part::Variable(_) => {}
                    }
                }
                Rank::Mixed { literal, typed }
            }
        }
    }

    /// Matches a decoded text and adds the values of the variables; adds nothing where it does not match.
    pub(super) fn capture<'a>(&self, text: &'a str, out: &mut Captures<'a>) -> bool {
        let (mut parts, mut text) = (&*self.parts, text);
        if let [Part::Literal(literal), rest @ ..] = parts {
            let Some(after) = text.strip_prefix(&**literal) else {
                return false;
            };
            (parts, text) = (rest, after);
        }
        if let [rest @ .., Part::Literal(literal)] = parts {
            let Some(before) = text.strip_suffix(&**literal) else {
                return false;
            };
            (parts, text) = (rest, before);
        }
        if parts.is_empty() {
            return text.is_empty();
        }
        let mut readings = READINGS;
        capture_inner(parts, text, out, &mut readings)
    }

    /// Tells whether some text matches both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.items(), other.items());
        let (mut open, mut seen) = (vec![(0, 0)], HashSet::new());
        while let Some((i, j)) = open.pop() {
            if !seen.insert((i, j)) {
                continue;
            }
            match (ours.get(i), theirs.get(j)) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.shares(*b) => {
                    for next_i in a.next(i) {
                        open.extend(b.next(j).map(|next_j| (next_i, next_j)));
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => items.extend(text.chars().map(Item::Char)),
                Part::Variable(kind) => items.push(Item::Variable(*kind)),
            }
        }
        items
    }
}

impl Part {
    pub(super) fn variable(&self) -> Option<FieldKind> {
        match self {
            Self::Variable(kind) => Some(*kind),
            Self::Literal(_) => None,
        }
    }
}

impl Captured<'_> {
    pub(super) fn as_field(&self) -> FieldRef<'_> {
        match self {
            Self::Absent => FieldRef::Absent,
            Self::Text(text) => FieldRef::Text(text),
            Self::Integer(i) => FieldRef::Integer(*i),
        }
    }
}

/// Reads a text as a value of `kind`; `None` where it is not one in canonical form.
pub(super) fn value(kind: FieldKind, text: Cow<'_, str>) -> Option<Captured<'_>> {
    match kind {
        FieldKind::Integer => integer(&text).map(Captured::Integer),
        FieldKind::Text => Some(Captured::Text(text)),
    }
}

/// Reads canonical decimal: no plus, no leading zero, no `-0`; two texts of one number would be two URLs of one key.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

/// Matches `variable (literal variable)*`, right to left, so that the leftmost variable takes the most.
fn capture_inner<'a>(
    parts: &[Part],
    text: &'a str,
    out: &mut Captures<'a>,
    readings: &mut usize,
) -> bool {
    match parts {
        [Part::Variable(kind)] => taken(*kind, text).map(|v| out.push(v)).is_some(),
        [head @ .., Part::Literal(literal), Part::Variable(kind)] => {
            let mut upto = text.len();
            while let Some(start) = text.get(..upto).and_then(|t| t.rfind(&**literal)) {
                let Some(left) = readings.checked_sub(1) else {
                    return false;
                };
                *readings = left;
                let end = start.saturating_add(literal.len());
                let (Some(before), Some(after)) = (text.get(..start), text.get(end..)) else {
                    return false;
                };
                if let Some(taken) = taken(*kind, after)
                    && capture_inner(head, before, out, readings)
                {
                    out.push(taken);
                    return true;
                }
                upto = text.floor_char_boundary(end.saturating_sub(1));
            }
            false
        }
        _ => false,
    }
}

fn taken(kind: FieldKind, text: &str) -> Option<Captured<'_>> {
    if text.is_empty() {
        return None;
    }
    value(kind, Cow::Borrowed(text))
}

/// A step of a pattern, read as an automaton.
#[derive(Clone, Copy)]
enum Item {
    Char(char),
    Variable(FieldKind),
}

impl Item {
    /// Tells whether one character does for both. Any row of digits and signs passes for an integer here, which errs towards overlap.
    fn shares(self, other: Self) -> bool {
        match (self, other) {
            (Self::Char(a), Self::Char(b)) => a == b,
            (Self::Char(c), Self::Variable(FieldKind::Integer))
            | (Self::Variable(FieldKind::Integer), Self::Char(c)) => c == '-' || c.is_ascii_digit(),
            _ => true,
        }
    }

    /// Returns the states after one character taken at `at`.
    fn next(self, at: usize) -> impl Iterator<Item = usize> {
        let stays = matches!(self, Self::Variable(_)).then_some(at);
        stays.into_iter().chain([at.saturating_add(1)])
    }
}
