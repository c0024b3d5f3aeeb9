//! From the text of a configuration file to its meaning, with the place of every mistake.

use super::{
    Config, Inherited, Placed, ProxySettings, Secret, keys,
    places::Places,
    proxy::{ProxyTable, UpstreamTable},
};
use crate::{
    Credentials, Declaration, Error, ErrorKind, Expiry, Mode, Result,
    endpoint::{
        file::{EndpointFile, Wrong},
        form::{Many, Size, Status, Text, Whole},
    },
    route::Router,
    store::Budget,
};
use http::Method;
use serde::Deserialize;
use std::{collections::HashMap, fmt, ops::Range, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer, ValueDeserializer},
};

/// The keys above the first table.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Top {
    cache: Option<Spanned<Secret>>,
    name: Option<Box<str>>,
    principal: Option<Spanned<Secret>>,
    memory: Option<Size>,
    mode: Option<Text<Mode>>,
    expire_after: Option<Text<Expiry>>,
    keep: Option<Text<Duration>>,
    stale_if_error: Option<Text<Duration>>,
    stale_while_revalidate: Option<Text<Duration>>,
    error_statuses: Option<Many<Status>>,
    credentials: Option<Credentials>,
    max_bytes: Option<Size>,
    max_entries: Option<Whole<u64>>,
}

/// Keys of an endpoint that have a meaning in a later version.
const LATER: [&str; 4] = ["batch", "harvest", "jitter", "refresh_after"];
/// The codecs that a file can name.
const CODECS: [&str; 3] = ["json", "text", "binary"];

pub(super) fn config(text: &str, origin: &str) -> Result<Config> {
    let file = File { text, origin };
    let root = DeTable::parse(text).map_err(|e| file.syntax(&e))?;
    let span = root.span();
    let mut root = root.into_inner();
    let proxy = root.remove_entry("proxy").map(|(_, table)| table);
    let upstreams = root.remove_entry("upstream");
    let proxy = file.proxy(proxy, upstreams.map(|(key, list)| (key.span(), list)))?;
    let endpoints = root.remove_entry("endpoint");
    let (top, places) = file.top(root, span)?;
    let credentials = top.credentials.clone().unwrap_or_default();
    let endpoints = match endpoints {
        Some((key, value)) => file.endpoints(&key.span(), value.into_inner(), &credentials)?,
        None => Vec::new(),
    };
    let placed = |key: &'static str, secret: Option<Spanned<Secret>>| {
        secret.map(|s| Placed {
            key,
            line: file.line(places.key(key).start),
            secret: s.into_inner(),
        })
    };
    Ok(Config {
        origin: origin.into(),
        cache: placed("cache", top.cache),
        name: top.name,
        principal: placed("principal", top.principal),
        memory: top.memory.map(|s| s.0),
        defaults: Inherited {
            expire_after: top.expire_after.map(|t| t.0),
            keep: top.keep.map(|t| t.0),
            stale_if_error: top.stale_if_error.map(|t| t.0),
            stale_while_revalidate: top.stale_while_revalidate.map(|t| t.0),
            error_statuses: top
                .error_statuses
                .map(|s| s.0.iter().map(|s| s.0).collect()),
            credentials: top.credentials,
        },
        mode: top.mode.map(|t| t.0),
        budget: Budget {
            bytes: top.max_bytes.map(|s| s.0),
            entries: top.max_entries.map(|n| n.0),
        },
        endpoints,
        proxy,
    })
}

/// The text that is read, to name places in it.
struct File<'t> {
    text: &'t str,
    origin: &'t str,
}

impl<'t> File<'t> {
    fn top(&self, table: DeTable<'t>, span: Range<usize>) -> Result<(Top, Places)> {
        let places = Places::of(&table, span.clone());
        let other = keys::of::<EndpointFile>();
        if let Some((key, at)) = places.unknown(keys::of::<Top>()) {
            let hint = match other.contains(&key) {
                true => "it belongs in an [[endpoint]]".to_owned(),
                false => hint(
                    key,
                    keys::of::<Top>()
                        .iter()
                        .copied()
                        .chain(["endpoint", "proxy", "upstream"]),
                ),
            };
            return Err(self.at(Some(at), format_args!("unknown key {key:?}; {hint}")));
        }
        let top = Top::deserialize(Deserializer::from(Spanned::new(span, table)));
        let top = top.map_err(|e| self.wrong_value(&places, &e, ""))?;
        Ok((top, places))
    }

    fn endpoints(
        &self,
        key: &Range<usize>,
        value: DeValue<'t>,
        credentials: &Credentials,
    ) -> Result<Vec<Declaration>> {
        let DeValue::Array(tables) = value else {
            let message =
                format_args!("endpoints are a list: write [[endpoint]], with two brackets");
            return Err(self.at(Some(key.clone()), message));
        };
        let mut out = Vec::new();
        let mut names = HashMap::new();
        let mut router = Router::new();
        for (index, table) in tables.into_iter().enumerate() {
            let (endpoint, title, places) = self.endpoint(index, table)?;
            // Names that differ only in case would be one table in some stores.
            let (name, at) = (endpoint.name.as_str().to_lowercase(), places.key("name"));
            if let Some(other) = names.insert(name, self.line(at.start)) {
                let message = format_args!(
                    "name in {title}: the endpoint of line {other} has this name; give this one another"
                );
                return Err(self.at(Some(at), message));
            }
            let credentials = endpoint.rules.credentials.as_ref().unwrap_or(credentials);
            let bound = endpoint
                .routes(credentials.parameters())
                .and_then(|routes| {
                    let mut routes = routes.into_iter();
                    routes.try_for_each(|route| router.insert(endpoint.method.clone(), route, ()))
                });
            bound.map_err(|e| {
                let key = places.written("route");
                let message = format_args!("{key} in {title}: {}", e.message());
                self.at(Some(places.key(key)), message)
            })?;
            out.push(endpoint);
        }
        Ok(out)
    }

    fn proxy(
        &self,
        proxy: Option<Spanned<DeValue<'t>>>,
        upstreams: Option<(Range<usize>, Spanned<DeValue<'t>>)>,
    ) -> Result<Option<ProxySettings>> {
        if proxy.is_none() && upstreams.is_none() {
            return Ok(None);
        }
        let proxy: ProxyTable = match proxy {
            Some(table) => self.table(table, "[proxy]")?.0,
            None => ProxyTable::default(),
        };
        let mut all = Vec::new();
        if let Some((key, list)) = upstreams {
            let DeValue::Array(tables) = list.into_inner() else {
                let message =
                    format_args!("upstreams are a list: write [[upstream]], with two brackets");
                return Err(self.at(Some(key), message));
            };
            for (index, table) in tables.into_iter().enumerate() {
                let title = format!("[[upstream]] number {}", index + 1);
                let (upstream, places) = self.table::<UpstreamTable>(table, &title)?;
                let upstream = upstream.into_settings().ok_or_else(|| {
                    let message = format_args!(
                        "{title} has no url; write one such as url = \"https://api.example.com\""
                    );
                    self.at(Some(places.key("url")), message)
                })?;
                all.push(upstream);
            }
        }
        Ok(Some(proxy.into_settings(all)))
    }

    /// Reads a table all of whose keys its type knows.
    fn table<T: Deserialize<'t>>(
        &self,
        table: Spanned<DeValue<'t>>,
        title: &str,
    ) -> Result<(T, Places)> {
        let span = table.span();
        let DeValue::Table(map) = table.get_ref() else {
            let message = format_args!("{title} is a table; write its keys below it");
            return Err(self.at(Some(span), message));
        };
        let places = Places::of(map, span);
        if let Some((key, at)) = places.unknown(keys::of::<T>()) {
            let hint = hint(key, keys::of::<T>().iter().copied());
            let message = format_args!("unknown key {key:?} in {title}; {hint}");
            return Err(self.at(Some(at), message));
        }
        let value = T::deserialize(ValueDeserializer::from(table))
            .map_err(|e| self.wrong_value(&places, &e, &format!(" in {title}")))?;
        Ok((value, places))
    }

    fn endpoint(
        &self,
        index: usize,
        table: Spanned<DeValue<'t>>,
    ) -> Result<(Declaration, String, Places)> {
        let span = table.span();
        let DeValue::Table(map) = table.get_ref() else {
            let message =
                format_args!("endpoints are tables: write [[endpoint]], with two brackets");
            return Err(self.at(Some(span), message));
        };
        let title = match map.get("name").and_then(|n| n.get_ref().as_str()) {
            Some(name) => format!("[[endpoint]] {name:?}"),
            None => format!("[[endpoint]] number {}", index + 1),
        };
        let places = Places::of(map, span);
        if let Some((key, at)) = places.unknown(keys::of::<EndpointFile>()) {
            if LATER.contains(&key) {
                let message =
                    format_args!("{key:?} in {title} is for a later version; leave it out");
                return Err(self.error(ErrorKind::Unsupported, Some(at), message));
            }
            let hint = match keys::of::<Top>().contains(&key) {
                true => "it belongs above the first [[endpoint]]".to_owned(),
                false => hint(key, keys::of::<EndpointFile>().iter().copied()),
            };
            return Err(self.at(
                Some(at),
                format_args!("unknown key {key:?} in {title}; {hint}"),
            ));
        }
        let within = format!(" in {title}");
        let endpoint = EndpointFile::deserialize(ValueDeserializer::from(table));
        let endpoint = endpoint.map_err(|e| self.wrong_value(&places, &e, &within))?;
        let endpoint = endpoint
            .into_declaration()
            .and_then(complete)
            .map_err(|w| {
                let key = places.written(w.key);
                let message = format_args!("{key}{within}: {}", w.error.message());
                // Names, routes and values alike are wrong configuration here.
                let kind = match w.error.kind() {
                    ErrorKind::Unsupported => ErrorKind::Unsupported,
                    _ => ErrorKind::Config,
                };
                self.error(kind, Some(places.key(key)), message)
            })?;
        Ok((endpoint, title, places))
    }

    /// The error of what is no TOML. The text itself may hold a secret and is not shown, but for the name of a key.
    fn syntax(&self, error: &toml::de::Error) -> Error {
        let message = error.message();
        let key = error
            .span()
            .filter(|_| message == "duplicate key")
            .and_then(|s| self.text.get(s));
        match key {
            Some(key) => self.at(
                error.span(),
                format_args!("{message} {key:?}; leave one of them out"),
            ),
            None => self.at(error.span(), format_args!("{message}")),
        }
    }

    /// The error of a value that its key does not take.
    fn wrong_value(&self, places: &Places, error: &toml::de::Error, within: &str) -> Error {
        let span = error.span().unwrap_or_else(|| places.whole.clone());
        let message = error.message();
        match places.around(&span) {
            Some(key) => self.at(Some(span), format_args!("{key}{within}: {message}")),
            None => self.at(Some(span), format_args!("{message}{within}")),
        }
    }

    fn at(&self, span: Option<Range<usize>>, message: fmt::Arguments<'_>) -> Error {
        self.error(ErrorKind::Config, span, message)
    }

    fn error(
        &self,
        kind: ErrorKind,
        span: Option<Range<usize>>,
        message: fmt::Arguments<'_>,
    ) -> Error {
        let line = span.map_or(1, |s| self.line(s.start));
        Error::new(kind, format!("{}:{line}: {message}", self.origin))
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
    }
}

/// Checks what one table tells of itself, beyond its single values.
fn complete(endpoint: Declaration) -> Result<Declaration, Wrong> {
    let wrong = |key, message: String| {
        Err(Wrong {
            key,
            error: Error::new(ErrorKind::Config, message),
        })
    };
    if endpoint.templates.is_empty() {
        let message = "there is no route; write one, such as route = \"GET https://api.example.com/tracks/{id}\"";
        return wrong("route", message.to_owned());
    }
    if !CODECS.contains(&&*endpoint.codec) && *endpoint.codec != *Declaration::AUTO_CODEC {
        let message = format!(
            "{:?} is no codec of a file; write \"json\", \"text\" or \"binary\", or leave it out: the content type tells",
            endpoint.codec
        );
        return wrong("codec", message);
    }
    if endpoint.method == Method::POST && !endpoint.has_body_field() {
        let message = format!(
            "the fields of a POST endpoint end with {:?}, the digest of the body; add it",
            Declaration::BODY_FIELD
        );
        return wrong("fields", message);
    }
    match endpoint.check() {
        Ok(()) => Ok(endpoint),
        Err(error) => Err(Wrong {
            key: culprit(&endpoint),
            error,
        }),
    }
}

/// The key to look at where the parts of a declaration do not fit together: the one without which they do.
fn culprit(endpoint: &Declaration) -> &'static str {
    let mut without = endpoint.clone();
    without.columns.clear();
    if without.check().is_ok() {
        return "columns";
    }
    without.columns.clone_from(&endpoint.columns);
    without.query.defaults.clear();
    if without.check().is_ok() {
        return "defaults";
    }
    "route"
}

fn hint<'k>(key: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match keys::nearest(key, known.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the keys are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
