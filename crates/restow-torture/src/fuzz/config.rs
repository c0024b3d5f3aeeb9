//! What people and files write: `restow.toml`, stored declarations, lifetimes, modes, partitions, credentials.

use super::Target;
use anyhow::{Context, Result, ensure};
use restow::{Config, Credentials, Declaration, ErrorKind, Expiry, Millis, Mode, entry::Partition};

pub(super) const TARGET: Target = Target {
    name: "config",
    check,
    words: &[
        "[[endpoint]]\n",
        "name = \"a\"\n",
        "route = \"GET https://h/{id}{?q}\"\n",
        "routes = [\"https://h/{id}\"]\n",
        "cache = \"memory:\"\n",
        "fields = [\"id\"]\n",
        "codec = \"json\"\n",
        "columns = { a = \"/a\" }\n",
        "defaults = { q = \"x\" }\n",
        "expire_after = \"2 weeks\"\n",
        "keep = \"0\"\n",
        "negative = { 404 = \"1 minute\" }\n",
        "statuses = [200]\n",
        "label = [\"/a\"]\n",
        "require = \"/id\"\n",
        "credentials = [\"header:x\"]\n",
        "max_bytes = \"1 GiB\"\n",
        "mode = \"live\"\n",
        "undeclared = \"ignore\"\n",
        "ignore = [\"utm_*\"]\n",
        "{ env = \"X\" }",
        "'''",
        "\"\"\"",
        "\n",
        "=",
        "[",
        "]",
        "-1",
        "1979-05-27",
        "nan",
        "9223372036854775807",
        "99999 years",
        "never",
        "P1Y2M",
        "{\"name\":\"a\",\"codec\":\"text\",\"fields\":[\"id\"]}",
        "\"routes\":[",
        "p:",
        "c:0123456789abcdef0123456789abcdef",
    ],
};

fn check(data: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, "restow.toml") {
        Ok(config) => {
            for declaration in config.endpoints() {
                declared(declaration)?;
            }
            let _ = (config.name(), config.mode(), config.credentials());
        }
        Err(error) => {
            let said = error.to_string();
            ensure!(
                said.contains("restow.toml"),
                "{said:?} does not name the file"
            );
        }
    }
    if let Ok(declaration) = Declaration::from_json(&text) {
        let _ = declaration.check();
        written(&declaration)?;
    }
    small(&text)
}

/// What a file declares is whole: it can be opened, and stored with its table.
fn declared(declaration: &Declaration) -> Result<()> {
    let name = &declaration.name;
    declaration
        .check()
        .with_context(|| format!("{name} was read, and is wrong"))?;
    written(declaration)
}

fn written(declaration: &Declaration) -> Result<()> {
    let json = declaration.to_json();
    let back = Declaration::from_json(&json).with_context(|| format!("{json} is not read back"))?;
    // What comes from the credentials is not in it.
    ensure!(
        back.to_json() == json,
        "{json} is written otherwise the second time"
    );
    Ok(())
}

/// The small languages: what is read is written so that it is read as the same.
fn small(text: &str) -> Result<()> {
    if let Ok(expiry) = text.parse::<Expiry>() {
        let said = expiry.to_string();
        let again: Expiry = said
            .parse()
            .with_context(|| format!("{text:?} is written as {said:?}"))?;
        for now in [0, 1_785_585_600_000, i64::MAX, i64::MIN].map(Millis) {
            let end = expiry.after(now);
            ensure!(end == again.after(now), "{text:?} and {said:?} end apart");
            ensure!(
                end >= now.timestamp().into(),
                "{text:?} after {now} is {end}"
            );
        }
    }
    if let Ok(mode) = text.parse::<Mode>() {
        ensure!(
            mode.to_string().parse::<Mode>()? == mode,
            "{mode} is another mode"
        );
    }
    match Partition::parse(text) {
        Ok(partition) => ensure!(partition.as_str() == text, "{text:?} is written otherwise"),
        Err(error) => ensure!(error.kind() == ErrorKind::Corrupt, "{error}"),
    }
    if let Ok(principal) = Partition::principal(text) {
        let back = Partition::parse(principal.as_str())?;
        ensure!(
            back == principal && !back.is_public(),
            "{text:?} is somebody else"
        );
    }
    let _ = Credentials::parse(text.lines());
    Ok(())
}
