//! The same semantics written the slow and plain way, to compare with.

use percent_encoding::percent_decode_str;
use restow::{FieldRef, RawKey};

/// One part of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Literal(&'static str),
    Text,
    Integer,
}

/// A path template of `https://h`, with an optional rest.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) segments: Vec<Vec<Part>>,
    pub(crate) rest: bool,
}

impl Plain {
    /// Writes the template.
    pub(crate) fn template(&self) -> String {
        let mut out = String::from("https://h");
        let mut variables = 0;
        for segment in &self.segments {
            out.push('/');
            for part in segment {
                variables += 1;
                out += &match part {
                    Part::Literal(text) => (*text).to_owned(),
                    Part::Text => format!("{{v{variables}}}"),
                    Part::Integer => format!("{{v{variables}:int}}"),
                };
            }
        }
        if self.rest {
            out += "/{+rest}";
        }
        out
    }

    /// Reads a path: every way to cut it, the leftmost variable as long as it can be.
    pub(crate) fn key(&self, path: &str) -> Option<RawKey> {
        let raw: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let decoded = |raw: &&str| -> Option<String> {
            let text = percent_decode_str(raw).decode_utf8().ok()?;
            let escapes = raw.matches('%').count();
            let whole = raw
                .match_indices('%')
                .filter(|(i, _)| {
                    raw.get(i + 1..i + 3)
                        .is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
                })
                .count();
            (escapes == whole && text != "." && text != "..").then(|| text.into_owned())
        };
        let segments: Vec<String> = raw.iter().map(decoded).collect::<Option<_>>()?;
        if segments.len() < self.segments.len()
            || (!self.rest && segments.len() > self.segments.len())
        {
            return None;
        }
        let (head, tail) = segments.split_at(self.segments.len());
        let mut values = Vec::new();
        for (parts, text) in self.segments.iter().zip(head) {
            let chars: Vec<char> = text.chars().collect();
            values.extend(cut(parts, &chars)?);
        }
        if self.rest {
            if tail.is_empty() || tail.iter().any(|s| s.contains('/')) {
                return None;
            }
            values.push(Value::Text(tail.join("/")));
        }
        let fields = values.iter().map(|v| match v {
            Value::Text(text) => FieldRef::Text(text),
            Value::Integer(i) => FieldRef::Integer(*i),
        });
        RawKey::new(fields, "").ok()
    }

    /// Tells whether this one is more specific: the first difference decides.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let ranks = |plain: &Self| {
            let mut ranks: Vec<_> = plain.segments.iter().map(|s| rank(s)).collect();
            ranks.extend(plain.rest.then_some((0, 0, 0)));
            ranks
        };
        ranks(self) > ranks(other)
    }
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Integer(i64),
}

fn rank(segment: &[Part]) -> (u8, usize, usize) {
    match segment {
        [] | [Part::Literal(_)] => (4, 0, 0),
        [Part::Integer] => (2, 0, 0),
        [Part::Text] => (1, 0, 0),
        parts => {
            let literal = parts
                .iter()
                .map(|p| if let Part::Literal(l) = p { l.len() } else { 0 });
            let typed = parts.iter().filter(|p| matches!(p, Part::Integer)).count();
            (3, literal.sum(), typed)
        }
    }
}

fn cut(parts: &[Part], text: &[char]) -> Option<Vec<Value>> {
    let Some((first, others)) = parts.split_first() else {
        return text.is_empty().then(Vec::new);
    };
    (0..=text.len()).rev().find_map(|length| {
        let (head, tail) = text.split_at(length);
        let head: String = head.iter().collect();
        let value = match first {
            Part::Literal(literal) => (head == *literal).then(Vec::new)?,
            Part::Text => (!head.is_empty()).then(|| vec![Value::Text(head)])?,
            Part::Integer => {
                let number: i64 = head.parse().ok()?;
                (number.to_string() == head).then(|| vec![Value::Integer(number)])?
            }
        };
        let rest = cut(others, tail)?;
        Some(value.into_iter().chain(rest).collect())
    })
}
