//! URL ranges: `{1..50}`, `{01..10}`, `{0..100..10}` and `{a,b}`, as shells write them.

use crate::exit::Failure;

/// A URL with ranges: the URLs it stands for, each made when it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    len: u64,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    List(Vec<String>),
    Range {
        from: i64,
        step: i64,
        count: u64,
        width: usize,
    },
}

impl Pattern {
    /// Reads a URL with ranges.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        let mut rest = url;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, after)) = after.split_once('}') else {
                return Err(wrong(&format!("{{{after}"), "its { has no }"));
            };
            parts.push(Part::Literal(before.to_owned()));
            parts.push(Part::parse(inside)?);
            rest = after;
        }
        if rest.contains('}') {
            return Err(wrong(rest, "its } has no {"));
        }
        parts.push(Part::Literal(rest.to_owned()));
        let len = parts
            .iter()
            .try_fold(1_u64, |n, part| n.checked_mul(part.len()))
            .ok_or_else(|| wrong(url, "it stands for more URLs than can be counted"))?;
        Ok(Self { parts, len })
    }

    /// Returns how many URLs it stands for.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the URLs; the last range moves fastest.
    pub(crate) fn into_urls(self) -> impl Iterator<Item = String> + Send {
        (0..self.len).map(move |n| self.nth(n))
    }

    fn nth(&self, mut n: u64) -> String {
        let mut pieces: Vec<String> = Vec::with_capacity(self.parts.len());
        for part in self.parts.iter().rev() {
            let len = part.len().max(1);
            pieces.push(part.nth(n % len));
            n /= len;
        }
        pieces.reverse();
        pieces.concat()
    }
}

impl Part {
    fn parse(inside: &str) -> Result<Self, Failure> {
        if inside.contains('{') {
            return Err(wrong(inside, "a range may not hold another"));
        }
        if inside.contains(',') {
            return Ok(Self::List(inside.split(',').map(str::to_owned).collect()));
        }
        let mut numbers = inside.split("..");
        let (Some(from), Some(to)) = (numbers.next(), numbers.next()) else {
            return Err(wrong(inside, "it is neither a range nor a list"));
        };
        let step = numbers.next();
        if numbers.next().is_some() {
            return Err(wrong(
                inside,
                "a range has at most a start, an end and a step",
            ));
        }
        let number = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| wrong(inside, &format!("{text:?} is not a whole number")))
        };
        let (first, last) = (number(from)?, number(to)?);
        let step = step.map_or(Ok(1), number)?.unsigned_abs();
        if step == 0 {
            return Err(wrong(inside, "the step is 0"));
        }
        let count = (first.abs_diff(last) / step)
            .checked_add(1)
            .ok_or_else(|| wrong(inside, "it is too long"))?;
        let step = i64::try_from(step).map_err(|_| wrong(inside, "the step is too large"))?;
        let padded = [from, to].iter().any(|t| {
            t.trim_start_matches('-').len() > 1 && t.trim_start_matches('-').starts_with('0')
        });
        Ok(Self::Range {
            from: first,
            step: if first <= last { step } else { -step },
            count,
            width: if padded { from.len().max(to.len()) } else { 0 },
        })
    }

    fn len(&self) -> u64 {
        match self {
            Self::Literal(_) => 1,
            Self::List(items) => items.len() as u64,
            Self::Range { count, .. } => *count,
        }
    }

    fn nth(&self, n: u64) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::List(items) => usize::try_from(n)
                .ok()
                .and_then(|n| items.get(n))
                .cloned()
                .unwrap_or_default(),
            Self::Range {
                from, step, width, ..
            } => {
                // Within the two ends that were read, so it fits.
                let value = i128::from(*from) + i128::from(*step) * i128::from(n);
                format!("{value:0width$}")
            }
        }
    }
}

fn wrong(what: &str, why: &str) -> Failure {
    Failure::usage(format!(
        "{what:?} in a URL: {why}; write {{1..50}}, {{01..10}}, {{0..100..10}} or {{a,b}}, and %7B and %7D for braces as such"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(pattern: &str) -> Vec<String> {
        Pattern::parse(pattern).unwrap().into_urls().collect()
    }

    #[test]
    fn ranges_and_lists_stand_for_urls() {
        let cases: &[(&str, &[&str])] = &[
            ("/a", &["/a"]),
            ("/{1..3}", &["/1", "/2", "/3"]),
            ("/{3..1}", &["/3", "/2", "/1"]),
            ("/{5..5}", &["/5"]),
            ("/{-1..1}", &["/-1", "/0", "/1"]),
            ("/{0..25..10}", &["/0", "/10", "/20"]),
            ("/{20..0..-10}", &["/20", "/10", "/0"]),
            ("/{08..11}", &["/08", "/09", "/10", "/11"]),
            ("/{8..010}", &["/008", "/009", "/010"]),
            ("/{0..2}", &["/0", "/1", "/2"]),
            ("/{a,b}/x", &["/a/x", "/b/x"]),
            ("/{a,}", &["/a", "/"]),
            ("{x,y}{1..2}", &["x1", "x2", "y1", "y2"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(urls(pattern), *expected, "{pattern}");
            assert_eq!(
                Pattern::parse(pattern).unwrap().len(),
                expected.len() as u64
            );
        }
    }

    #[test]
    fn a_long_range_costs_nothing_until_it_is_walked() {
        let pattern = Pattern::parse("/{1..1000000000}/{1..1000}").unwrap();
        assert_eq!(pattern.len(), 1_000_000_000_000);
        assert_eq!(pattern.into_urls().nth(1000).unwrap(), "/2/1");
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out() {
        for (pattern, names) in [
            ("/{id}", "\"id\" in a URL: it is neither"),
            ("/{1..x}", "\"x\" is not a whole number"),
            ("/{1..9..0}", "the step is 0"),
            ("/{1..2..3..4}", "at most a start"),
            ("/{1..", "has no }"),
            ("/1}", "has no {"),
            ("/{{1..2}}", "may not hold another"),
            (
                "/{0..9223372036854775807}/{0..9223372036854775807}",
                "more URLs",
            ),
            ("/{}", "neither"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(names), "{pattern}: {error}");
            assert!(error.contains("write {1..50}"), "{error}");
        }
    }
}
