//! URLs of stores.

use super::Target;
use anyhow::{Context, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use restow::{
    ErrorKind,
    store::{MemoryOptions, SqliteOptions},
};

pub(super) const TARGET: Target = Target {
    name: "url",
    check,
    words: &[
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite::memory:",
        "sqlite::temp:",
        "memory:",
        "memory://",
        "?",
        "&",
        "=",
        "mode=ro",
        "mode=rw",
        "memory=64MiB",
        "max_bytes=1GiB",
        "max_entries=0",
        "%20",
        "%2F",
        "%00",
        "%ff",
        "%",
        "é",
        "\0",
        "..",
        "C:\\",
        "postgres://",
        "18446744073709551616",
    ],
};

fn check(data: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(data);
    match SqliteOptions::parse(&text) {
        Ok(options) if !text.starts_with("sqlite:") => ensure!(
            options == SqliteOptions::file(&*text),
            "the path {text:?} is read as {options:?}"
        ),
        Ok(_) => {}
        Err(error) => named(&text, &error)?,
    }
    if let Err(error) = MemoryOptions::parse(&text) {
        named(&text, &error)?;
    }
    if let Ok(options) = MemoryOptions::parse(&text) {
        let holds = options.max_bytes > 0 && options.max_entries != Some(0);
        ensure!(holds, "{text:?} is a store that holds nothing");
    }
    // Any path can be written as a URL.
    let path: String = text.chars().filter(|c| *c != '\0').collect();
    if !path.is_empty() {
        let url = format!("sqlite://{}", utf8_percent_encode(&path, NON_ALPHANUMERIC));
        let options = SqliteOptions::parse(&url).with_context(|| format!("{path:?} as {url}"))?;
        ensure!(
            options == SqliteOptions::file(&*path),
            "{url} is read as {options:?}"
        );
        let read = SqliteOptions::parse(&format!("{url}?mode=ro"))?;
        ensure!(
            read == options.read_only(),
            "{url}?mode=ro is read as {read:?}"
        );
    }
    Ok(())
}

fn named(text: &str, error: &restow::Error) -> Result<()> {
    let kind = error.kind();
    ensure!(
        matches!(kind, ErrorKind::Config | ErrorKind::Unsupported) && !error.message().is_empty(),
        "{text:?}: {kind:?}, {error}"
    );
    Ok(())
}
