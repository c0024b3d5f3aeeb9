//! Routes, read both ways: what matches, what does not, and what no key may be merged with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

mod errors;
mod matching;
mod naive;
mod precedence;
mod properties;
mod rules;

use restow::{
    FieldRef, RawKey,
    route::{Matched, QueryRules, Route, Target, Template},
};

fn route(template: &str) -> Route {
    with(template, QueryRules::default())
}

fn with(template: &str, rules: QueryRules) -> Route {
    let template = Template::parse(template).unwrap();
    let fields = template.fields();
    Route::new(template, &fields, rules).unwrap()
}

/// Splits a URL without the checks and changes of a URL type.
fn target(url: &str) -> Target<'_> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().unwrap())),
        _ => (authority, None),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Target {
        scheme,
        host,
        port,
        path,
        query,
    }
}

/// Writes what a route says of a URL: `no`, the reason of a bypass, or the key.
fn said(route: &Route, url: &str) -> String {
    match route.key(&target(url)) {
        Matched::No => "no".into(),
        Matched::Bypass(why) => format!("{why:?}"),
        Matched::Key(key) => show(&key),
    }
}

fn show(key: &RawKey) -> String {
    let fields = key.fields().map(|field| match field {
        FieldRef::Text(text) => format!("{text:?}"),
        field => field.to_string(),
    });
    let mut out = fields.collect::<Vec<_>>().join(" ");
    if !key.query().is_empty() {
        out += &format!(" ?{}", key.query());
    }
    out.trim_start().into()
}
