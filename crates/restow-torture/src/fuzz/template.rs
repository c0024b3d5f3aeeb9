//! URI templates: what is parsed is written the same, a key's URL has that key, and a route reads what a plain search reads.

// The tests of the library compare with the same one.
#[path = "../../../restow/tests/route/naive.rs"]
#[allow(dead_code, reason = "a part is for the precedence of routes")]
mod naive;

use super::{Target, input::Input};
use anyhow::{Context, Result, ensure};
use naive::{Part, Plain};
use restow::{
    FieldKind, FieldValue, RawKey,
    route::{self, Matched, QueryRules, Route, Template, Variable},
};

pub(super) const TARGET: Target = Target {
    name: "template",
    check,
    words: &[
        "https://",
        "http://h/",
        "https://h:8080",
        "{id}",
        "{n:int}",
        "{ids!}",
        "{/path*}",
        "{+rest}",
        "{?q}",
        "{?a,b:int,c!}",
        "{&q}",
        "/",
        "?",
        "&",
        "#",
        "=",
        ":",
        ".",
        "..",
        "%2F",
        "%2f",
        "%",
        "%C3%BC",
        "é",
        "@",
        "[",
        "]",
        "+",
        "-",
        "007",
        "-1",
    ],
};

fn check(data: &[u8]) -> Result<()> {
    let mut input = Input::new(data);
    plain(&mut input)?;
    let mut input = Input::new(data);
    let text = input.text();
    let Ok(template) = Template::parse(&text) else {
        return Ok(());
    };
    let written = template.to_string();
    ensure!(
        Template::parse(&written).is_ok_and(|again| again == template),
        "{text:?} is written as {written:?}, which is another template"
    );
    let route = Route::new(template.clone(), &template.fields(), QueryRules::default())
        .with_context(|| format!("{text:?} does not take its own fields"))?;
    while !input.is_empty() {
        let values: Vec<FieldValue> = template
            .variables()
            .map(|variable| value(&mut input, variable))
            .collect();
        let url = asked(
            &route,
            RawKey::new(values.iter().map(FieldValue::as_ref), "")?,
        )?;
        let (path, query) = (format!("/{}", input.text()), input.text());
        if let Some(url) = url {
            answered(&route, &url, &path, &query)?;
        }
    }
    Ok(())
}

/// A request made of a key has that key. Returns its URL, where it has one.
fn asked(route: &Route, key: RawKey) -> Result<Option<String>> {
    let Ok(url) = route.expand(&key) else {
        return Ok(None);
    };
    let found = route.key(&target(&url)?);
    let canonical = route.canonical(key)?;
    ensure!(
        found == Matched::Key(canonical.clone()),
        "{url:?} was made of {canonical:?}, and read as {found:?}"
    );
    Ok(Some(url))
}

/// A request to the same origin that has a key has the key of that key's own URL.
fn answered(route: &Route, url: &str, path: &str, query: &str) -> Result<()> {
    let origin = target(url)?;
    let request = route::Target {
        path,
        query: Some(query),
        ..origin
    };
    let Matched::Key(key) = route.key(&request) else {
        return Ok(());
    };
    let url = route
        .expand(&key)
        .with_context(|| format!("{path:?} and {query:?} have the key {key}, which has no URL"))?;
    ensure!(
        route.key(&target(&url)?) == Matched::Key(key.clone()),
        "{path:?} and {query:?} have the key {key}, whose URL {url:?} has another"
    );
    Ok(())
}

/// Compares with a search that tries every way to cut a path.
fn plain(input: &mut Input<'_>) -> Result<()> {
    const LITERALS: [&str; 8] = ["a", "b", "-", ".", "--", "a-", "-b", "1"];
    const PIECES: [&str; 14] = [
        "a", "b", "-", ".", "1", "12", "%2D", "%61", "%2F", "é", "%", "/", "//", "%zz",
    ];
    let mut segments = Vec::new();
    for _ in 0..=input.byte() % 3 {
        let mut segment = Vec::new();
        for nth in 0..=input.byte() % 5 {
            // Two variables beside each other are no template.
            segment.push(match (input.byte() % 4, segment.last()) {
                (0, Some(Part::Literal(_))) => Part::Integer,
                (1, Some(Part::Literal(_))) => Part::Text,
                (0 | 1, None) if nth == 0 => Part::Text,
                (_, Some(Part::Literal(_))) => Part::Text,
                _ => Part::Literal(input.choose(&LITERALS, "a")),
            });
        }
        segments.push(segment);
    }
    let plain = Plain {
        segments,
        rest: input.flag(),
    };
    let Ok(template) = Template::parse(&plain.template()) else {
        return Ok(());
    };
    let route = Route::new(template.clone(), &template.fields(), QueryRules::default())?;
    for _ in 0..8 {
        let mut path = String::from("/");
        for _ in 0..input.byte() % 10 {
            path += input.choose(&PIECES, "a");
        }
        let expected = plain.key(&path).map_or(Matched::No, Matched::Key);
        let found = route.key(&route::Target {
            scheme: "https",
            host: "h",
            port: None,
            path: &path,
            query: None,
        });
        ensure!(
            found == expected,
            "{} reads {path:?} as {found:?}, a plain search as {expected:?}",
            plain.template()
        );
    }
    Ok(())
}

fn value(input: &mut Input<'_>, variable: &Variable) -> FieldValue {
    match variable.kind() {
        _ if !variable.is_required() && input.byte().is_multiple_of(4) => FieldValue::Absent,
        FieldKind::Integer => input.number().into(),
        _ => input.text().into(),
    }
}

/// Splits a URL without the checks and changes of a URL type.
fn target(url: &str) -> Result<route::Target<'_>> {
    let (scheme, rest) = url.split_once("://").context("a URL has a scheme")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse()?)),
        _ => (authority, None),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Ok(route::Target {
        scheme,
        host,
        port,
        path,
        query,
    })
}
