//! JSON pointers to many places at once, and strings that are replaced in place: every other byte of the body stays.

use serde::{
    Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt};

/// A JSON pointer (RFC 6901) in which `*` stands for each element of a list and each member of an object: `/items/*/href`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointers(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Each,
    /// A member's name, or an element's index.
    One(Box<str>),
}

impl Pointers {
    /// Reads the text; says what is wrong with it where it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(steps) = text.strip_prefix('/') else {
            return Err(format!(
                "{text:?} is not a JSON pointer (RFC 6901); it begins with \"/\", as in \"/next\" or \"/items/*/href\""
            ));
        };
        let step = |step: &str| match step {
            "*" => Ok(Step::Each),
            name if name.replace("~0", "").replace("~1", "").contains('~') => Err(format!(
                "{text:?} is not a JSON pointer (RFC 6901): after \"~\" comes 0 or 1; \"~0\" stands for \"~\", \"~1\" for \"/\""
            )),
            name => Ok(Step::One(name.replace("~1", "/").replace("~0", "~").into())),
        };
        steps
            .split('/')
            .map(step)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Step {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Each => true,
            Self::One(one) => **one == *name,
        }
    }
}

/// Replaces the strings that the pointers point to by what `by` says of them; `None` where nothing is replaced, or the body is no JSON.
pub(crate) fn replace(
    body: &[u8],
    pointers: &[Pointers],
    by: &dyn Fn(&str) -> Option<String>,
) -> Option<Vec<u8>> {
    let root: &RawValue = serde_json::from_slice(body).ok()?;
    let mut edits = Edits {
        start: body.as_ptr().addr(),
        by,
        all: BTreeMap::new(),
    };
    for pointers in pointers {
        // All of it has been read once: it is JSON.
        _ = edits.walk(root, &pointers.0);
    }
    if edits.all.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for (from, (to, text)) in edits.all {
        out.extend_from_slice(body.get(at..from)?);
        out.extend_from_slice(text.as_bytes());
        at = to;
    }
    out.extend_from_slice(body.get(at..)?);
    Some(out)
}

/// What is replaced.
struct Edits<'a> {
    /// The address of the body's first byte.
    start: usize,
    by: &'a dyn Fn(&str) -> Option<String>,
    /// By their first bytes: their ends, and what takes their places.
    all: BTreeMap<usize, (usize, String)>,
}

impl Edits<'_> {
    fn walk(&mut self, value: &RawValue, steps: &[Step]) -> serde_json::Result<()> {
        let text = value.get();
        match (steps, text.as_bytes().first()) {
            ([], Some(b'"')) => self.string(text),
            ([step, rest @ ..], Some(b'{' | b'[')) => {
                let inner = Inner {
                    edits: self,
                    step,
                    rest,
                };
                serde_json::Deserializer::from_str(text).deserialize_any(inner)
            }
            _ => Ok(()),
        }
    }

    fn string(&mut self, text: &str) -> serde_json::Result<()> {
        let string: String = serde_json::from_str(text)?;
        if let Some(other) = (self.by)(&string).filter(|other| *other != string)
            && let Some(from) = text.as_ptr().addr().checked_sub(self.start)
        {
            let other = serde_json::to_string(&other)?;
            self.all.insert(from, (from + text.len(), other));
        }
        Ok(())
    }
}

/// A list or an object, of which some values are walked on into.
struct Inner<'a, 'e> {
    edits: &'a mut Edits<'e>,
    step: &'a Step,
    rest: &'a [Step],
}

impl Inner<'_, '_> {
    fn value<E: serde::de::Error>(&mut self, value: &RawValue) -> Result<(), E> {
        self.edits.walk(value, self.rest).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value: &RawValue = map.next_value()?;
            if self.step.is(&name) {
                self.value(value)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut index: usize = 0;
        while let Some(value) = list.next_element::<&RawValue>()? {
            if self.step.is(&index.to_string()) {
                self.value(value)?;
            }
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(body: &str, pointers: &[&str]) -> Option<String> {
        let pointers: Vec<_> = pointers
            .iter()
            .map(|p| Pointers::parse(p).unwrap())
            .collect();
        let by = |text: &str| {
            text.strip_prefix("http://a/")
                .map(|rest| format!("/b/\"{rest}"))
        };
        replace(body.as_bytes(), &pointers, &by).map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn the_strings_pointed_to_are_replaced_and_every_other_byte_stays() {
        let cases = [
            (r#"{"next":"http://a/2"}"#, "/next", r#"{"next":"/b/\"2"}"#),
            // Numbers, blanks and the order of members are the API's.
            (
                " {\"z\" : 1e5,\n\t\"next\" :\"http:\\/\\/a\\/\\u0032\" , \"a\":1.0} \n",
                "/next",
                " {\"z\" : 1e5,\n\t\"next\" :\"/b/\\\"2\" , \"a\":1.0} \n",
            ),
            (
                r#"{"items":[{"href":"http://a/1"},{"href":"http://c/2"},{"href":7},"http://a/4"]}"#,
                "/items/*/href",
                r#"{"items":[{"href":"/b/\"1"},{"href":"http://c/2"},{"href":7},"http://a/4"]}"#,
            ),
            (
                r#"{"_links":{"self":{"href":"http://a/1"},"next":{"href":"http://a/2"}}}"#,
                "/_links/*/href",
                r#"{"_links":{"self":{"href":"/b/\"1"},"next":{"href":"/b/\"2"}}}"#,
            ),
            (
                r#"["http://a/0","http://a/1"]"#,
                "/1",
                r#"["http://a/0","/b/\"1"]"#,
            ),
            (
                r#"["http://a/0",["http://a/1"]]"#,
                "/*",
                r#"["/b/\"0",["http://a/1"]]"#,
            ),
            (
                r#"[["http://a/0"],["http://a/1"]]"#,
                "/*/*",
                r#"[["/b/\"0"],["/b/\"1"]]"#,
            ),
            (
                r#"{"a/b":{"m~n":"http://a/1"}}"#,
                "/a~1b/m~0n",
                r#"{"a/b":{"m~n":"/b/\"1"}}"#,
            ),
            (r#"{"":"http://a/1"}"#, "/", r#"{"":"/b/\"1"}"#),
            // A member that is there twice is replaced twice: nobody knows which one counts.
            (
                r#"{"n":"http://a/1","n":"http://a/2"}"#,
                "/n",
                r#"{"n":"/b/\"1","n":"/b/\"2"}"#,
            ),
        ];
        for (body, pointer, expected) in cases {
            assert_eq!(
                replaced(body, &[pointer]).as_deref(),
                Some(expected),
                "{pointer}"
            );
        }
        let both = replaced(
            r#"{"a":"http://a/1","b":"http://a/2"}"#,
            &["/b", "/*", "/a"],
        );
        assert_eq!(both.as_deref(), Some(r#"{"a":"/b/\"1","b":"/b/\"2"}"#));
    }

    #[test]
    fn what_is_not_there_or_no_json_stays() {
        for body in [
            "",
            "{",
            "not json",
            r#"{"next":null}"#,
            r#"{"next":{"href":"http://a/1"}}"#,
            r#"{"next":"http://other/"}"#,
            r#""http://a/1""#,
            r#"{"next":"http://a/1"} trailing"#,
        ] {
            assert_eq!(replaced(body, &["/next", "/next/0", "/7"]), None, "{body}");
        }
        assert_eq!(
            replace(b"{\"next\":\"http://a/\xff\"}", &[], &|_| None),
            None
        );
    }

    #[test]
    fn a_pointer_that_is_none_says_why() {
        for (text, why) in [
            ("", "it begins with \"/\""),
            ("next", "it begins with \"/\""),
            ("/a~", "after \"~\" comes 0 or 1"),
            ("/a~2b", "after \"~\" comes 0 or 1"),
        ] {
            let error = Pointers::parse(text).unwrap_err();
            assert!(
                error.contains(why) && error.contains(&format!("{text:?}")),
                "{error}"
            );
        }
        let all = [Step::Each, Step::One("a*".into())];
        assert_eq!(Pointers::parse("/*/a*"), Ok(Pointers(all.into())));
    }
}
