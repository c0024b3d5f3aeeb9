//! Values that are written as text.

use super::{Written, wrong};
use crate::{
    Expiry, Result,
    endpoint::{Coalesce, Coding},
    expiry::{format_duration, parse_duration},
    mode::Mode,
    route::{Template, Undeclared},
    store::{Compression, OnSchemaChange, TableName},
};
use http::Method;
use std::time::Duration;

impl Written for Expiry {
    const EXPECTED: &'static str = "a lifetime such as \"7 days\" or \"never\"";

    fn read(text: &str) -> Result<Self> {
        text.parse()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for Duration {
    const EXPECTED: &'static str = "a length of time such as \"30 days\", or \"forever\"";

    fn read(text: &str) -> Result<Self> {
        if text == FOREVER {
            return Ok(Self::MAX);
        }
        parse_duration(text).map_err(|e| match e.message() {
            // "never" would be a lifetime without an end; here it could be taken for none at all.
            m if m.contains("has no end") => wrong(format!("{m}, or {FOREVER:?}")),
            _ => wrong(format!(
                "{text:?} is not a length of time; write it like \"90 seconds\", \"30 days\" or {FOREVER:?}"
            )),
        })
    }

    fn write(&self) -> String {
        let text = format_duration(*self);
        // Beyond the calendar's end is as good as for ever.
        if parse_duration(&text).is_ok() {
            text
        } else {
            FOREVER.to_owned()
        }
    }
}

const FOREVER: &str = "forever";

impl Written for Mode {
    const EXPECTED: &'static str = "a mode such as \"live\" or \"read-only\"";

    fn read(text: &str) -> Result<Self> {
        text.parse()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for TableName {
    const EXPECTED: &'static str = "a name in quotes";

    fn read(text: &str) -> Result<Self> {
        Self::new(text)
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Written for Method {
    const EXPECTED: &'static str = "\"GET\" or \"POST\"";

    fn read(text: &str) -> Result<Self> {
        match text {
            "GET" => Ok(Self::GET),
            "POST" => Ok(Self::POST),
            "get" | "post" => Err(wrong(format!(
                "the method is written {:?}",
                text.to_ascii_uppercase()
            ))),
            "HEAD" => Err(wrong(
                "HEAD needs no endpoint of its own: one of GET answers it too",
            )),
            other => Err(wrong(format!(
                "the method is {other}; an endpoint has GET (answering HEAD too) or POST, for other methods change what they name: \
                 they pass through, and their success expires it"
            ))),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// A URI template, with the method in front of it where there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteText {
    pub(crate) method: Option<Method>,
    pub(crate) template: Template,
}

impl Written for RouteText {
    const EXPECTED: &'static str = "a route such as \"GET https://api.example.com/tracks/{id}\"";

    fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        Ok(match text.split_once(char::is_whitespace) {
            Some((method, template)) => Self {
                method: Some(Method::read(method)?),
                template: template.trim().parse()?,
            },
            None => Self {
                method: None,
                template: text.parse()?,
            },
        })
    }

    fn write(&self) -> String {
        match &self.method {
            Some(method) => format!("{method} {}", self.template),
            None => self.template.to_string(),
        }
    }
}

/// A JSON pointer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pointer(pub(crate) Box<str>);

impl Written for Pointer {
    const EXPECTED: &'static str = "a JSON pointer such as \"/artists/0/id\"";

    fn read(text: &str) -> Result<Self> {
        if text.is_empty() || text.starts_with('/') {
            return Ok(Self(text.into()));
        }
        Err(wrong(format!(
            "{text:?} is not a JSON pointer (RFC 6901); it begins with \"/\", as in \"/artists/0/id\""
        )))
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Scheme, host and port of a URL, in one spelling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Origin(pub(crate) Box<str>);

impl Written for Origin {
    const EXPECTED: &'static str = "an origin such as \"https://cdn.example.com\"";

    fn read(text: &str) -> Result<Self> {
        // A template without variables, path and query: its canonical form is the origin's.
        let form = text
            .parse::<Template>()
            .map(|t| t.to_string())
            .unwrap_or_default();
        let origin = form.strip_suffix('/').unwrap_or(&form);
        match origin.split_once("://") {
            Some((_, host)) if !host.contains(['/', '?', '{']) => Ok(Self(origin.into())),
            _ => Err(wrong(format!(
                "{text:?} is not an origin; write scheme, host and port alone, as in \"https://cdn.example.com\""
            ))),
        }
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

impl Written for OnSchemaChange {
    const EXPECTED: &'static str = "\"refuse\", \"migrate\" or \"set-aside\"";

    fn read(text: &str) -> Result<Self> {
        choice(&SCHEMA_CHANGES, text)
    }

    fn write(&self) -> String {
        named(&SCHEMA_CHANGES, self)
    }
}

const SCHEMA_CHANGES: [(&str, OnSchemaChange); 3] = [
    ("refuse", OnSchemaChange::Refuse),
    ("migrate", OnSchemaChange::Migrate),
    ("set-aside", OnSchemaChange::SetAside),
];

impl Written for Compression {
    const EXPECTED: &'static str = "\"none\" or \"zstd\"";

    fn read(text: &str) -> Result<Self> {
        choice(&COMPRESSIONS, text)
    }

    fn write(&self) -> String {
        named(&COMPRESSIONS, self)
    }
}

const COMPRESSIONS: [(&str, Compression); 2] =
    [("none", Compression::None), ("zstd", Compression::Zstd)];

impl Written for Coalesce {
    const EXPECTED: &'static str = "\"local\" or \"shared\"";

    fn read(text: &str) -> Result<Self> {
        choice(&COALESCE, text)
    }

    fn write(&self) -> String {
        named(&COALESCE, self)
    }
}

const COALESCE: [(&str, Coalesce); 2] = [("local", Coalesce::Local), ("shared", Coalesce::Shared)];

impl Written for Undeclared {
    const EXPECTED: &'static str = "\"key\", \"ignore\" or \"bypass\"";

    fn read(text: &str) -> Result<Self> {
        choice(&UNDECLARED, text)
    }

    fn write(&self) -> String {
        named(&UNDECLARED, self)
    }
}

const UNDECLARED: [(&str, Undeclared); 3] = [
    ("key", Undeclared::Key),
    ("ignore", Undeclared::Ignore),
    ("bypass", Undeclared::Bypass),
];

impl Written for Option<Coding> {
    const EXPECTED: &'static str = "\"identity\", \"gzip\", \"br\", \"zstd\" or \"client\"";

    fn read(text: &str) -> Result<Self> {
        choice(&CODINGS, text)
    }

    fn write(&self) -> String {
        named(&CODINGS, self)
    }
}

const CODINGS: [(&str, Option<Coding>); 5] = [
    ("identity", Some(Coding::Identity)),
    ("gzip", Some(Coding::Gzip)),
    ("br", Some(Coding::Brotli)),
    ("zstd", Some(Coding::Zstd)),
    ("client", None),
];

fn choice<T: Copy>(all: &[(&str, T)], text: &str) -> Result<T> {
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| format!("{name:?}")).collect();
        wrong(format!("{text:?} is not one of {}", names.join(", ")))
    })
}

fn named<T: PartialEq>(all: &[(&str, T)], value: &T) -> String {
    all.iter()
        .find(|(_, v)| v == value)
        .map_or("", |(name, _)| name)
        .to_owned()
}
