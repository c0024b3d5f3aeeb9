//! What the demo tells.

use super::{CACHE, FETCHED, HOST, NAMES, phases::Phase};
use crate::{
    exit::Failure,
    output::{Columns, Out, duration, size},
    sample::{LATENCY, SampleApi},
    session::file,
};
use restow::Cache;
use serde_json::{Value, json};
use std::time::Duration;

/// Says what is about to happen.
pub(super) fn begins(api: &SampleApi, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return Ok(());
    }
    let heading = out.bold(format!(
        "A sample API at {} (here called http://{HOST}), {} a request",
        api.address(),
        duration(LATENCY)
    ));
    out.line(heading)?;
    out.line(format!("Asked for: {FETCHED} items, the pages of their list, and the user of a token; 8 requests at once.\n"))?;
    out.flush()
}

/// Says what happened, what is left, and what to try next.
pub(super) async fn ends(
    phases: &[Phase],
    cache: &Cache,
    url: &str,
    out: &mut Out,
) -> Result<(), Failure> {
    let tables = tables(cache).await?;
    if out.is_json() {
        return out.json(&json!({ "phases": phases, "repositories": tables, "cache": cache.store().to_string() }));
    }
    let mut columns = Columns::new(&[
        "PHASE",
        ">REQUESTS",
        ">REACHED THE API",
        ">BODIES FROM IT",
        ">TIME",
        ">PER REQUEST",
        "ANSWERED",
    ]);
    for phase in phases {
        let outcomes: Vec<String> = phase
            .outcomes
            .iter()
            .rev()
            .map(|(word, n)| format!("{n} {word}"))
            .collect();
        let each = phase.elapsed / u32::try_from(phase.requests.max(1)).unwrap_or(u32::MAX);
        columns.row([
            phase.name.to_owned(),
            phase.requests.to_string(),
            phase.reached_api.to_string(),
            size(phase.api_bytes),
            duration(phase.elapsed),
            precise(each),
            outcomes.join(", "),
        ]);
    }
    columns.write(out)?;
    if !cache.store().capabilities().durable {
        return Ok(());
    }
    // A server's URL may hold a password; the store says where it is without one.
    let place = match file(url) {
        Some(_) => url.to_owned(),
        None => cache.store().to_string(),
    };
    out.line("")?;
    out.line(out.bold(format!("Left in {place}:")))?;
    let mut columns = Columns::new(&["REPOSITORY", ">ENTRIES", ">SIZE", "ROUTE"]);
    for table in &tables {
        let text = |name: &str| {
            table
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |name: &str| table.get(name).and_then(Value::as_u64).unwrap_or_default();
        columns.row([
            text("repository"),
            number("entries").to_string(),
            size(number("bytes")),
            text("route"),
        ]);
    }
    columns.write(out)?;
    out.line("")?;
    out.line(out.bold("Try:"))?;
    for command in commands(&place) {
        out.line(format!("  {command}"))?;
    }
    Ok(())
}

/// The commands to try, as a shell takes them.
fn commands(url: &str) -> Vec<String> {
    let program = std::env::args()
        .next()
        .filter(|p| p.contains('/'))
        .unwrap_or_else(|| "restow".to_owned());
    let program = quoted(&program);
    let cache = quoted(if url.is_empty() { CACHE } else { url });
    [
        "ls".to_owned(),
        "ls items --where kind=lamp --limit 5".to_owned(),
        "get items 7".to_owned(),
        format!("show http://{HOST}/items/7"),
        format!("explain http://{HOST}/items/7"),
        format!("fetch --mode offline 'http://{HOST}/items/{{1..10}}'"),
        "rm pages --all --dry-run".to_owned(),
    ]
    .into_iter()
    .map(|command| format!("{program} {command} --cache {cache}"))
    .collect()
}

async fn tables(cache: &Cache) -> Result<Vec<Value>, Failure> {
    let mut tables = Vec::new();
    for repository in NAMES.iter().filter_map(|name| cache.repository(name)) {
        let stats = repository.stats().await?;
        let route = repository
            .endpoint()
            .inner()
            .declaration()
            .templates
            .first()
            .map(ToString::to_string);
        tables.push(json!({ "repository": repository.name(), "entries": stats.entries, "bytes": stats.bytes, "route": route }));
    }
    Ok(tables)
}

/// A short time with its first digits.
fn precise(d: Duration) -> String {
    match d.as_secs_f64() * 1e3 {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1e3),
        ms => format!("{ms:.1} ms"),
    }
}

/// Quotes a word for a shell where it needs to be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        for (word, written) in [
            ("demo.db", "demo.db"),
            ("a b.db", "'a b.db'"),
            ("it's", "'it'\\''s'"),
            ("x?mode=ro", "'x?mode=ro'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), written);
        }
    }
}
