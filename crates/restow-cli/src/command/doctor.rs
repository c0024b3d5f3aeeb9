//! `restow doctor [FILE]`.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
    session::{DEFAULT_CACHE, config, file, no_cache},
};
use clap::Args;
use restow::store::sqlite::{Depth, Finding, SqliteOptions, SqliteStore};
use serde_json::json;

/// Looks at a whole SQLite file for what is wrong in it: damage, missing parts, entries that do not verify. It changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow doctor
  restow doctor --quick music.db")]
pub(crate) struct Doctor {
    /// The file, a path or a URL; without it, the cache.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// Leaves out the entries' seals and the comparison of indexes with their tables.
    #[arg(long)]
    quick: bool,
}

impl Doctor {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let url = match self.file.or_else(|| global.cache.clone()) {
            Some(url) => url,
            None => match config(global)? {
                Some(config) => config.cache_url()?,
                None => None,
            }
            .unwrap_or_else(|| DEFAULT_CACHE.to_owned()),
        };
        let Some(path) = file(&url) else {
            return Err(Failure::usage("doctor looks at SQLite files; name one"));
        };
        if !path.exists() {
            return Err(no_cache(&path));
        }
        let depth = if self.quick {
            Depth::Quick
        } else {
            Depth::Whole
        };
        let report = SqliteStore::check(SqliteOptions::file(&path), depth).await?;
        let place = path.display().to_string();
        if out.is_json() {
            let findings: Vec<_> = report.findings.iter().map(object).collect();
            out.json(&json!({
                "cache": place,
                "ok": report.findings.is_empty(),
                "quick": self.quick,
                "repositories": report.repositories,
                "entries": report.entries,
                "findings": findings,
            }))?;
        } else {
            for finding in &report.findings {
                out.line(finding)?;
                out.line(out.dim(format!("  {}", finding.advice())))?;
            }
            let word = if report.findings.is_empty() {
                "sound"
            } else {
                "not sound"
            };
            out.line(format!(
                "{}: {word}; repositories: {}, entries: {}",
                out.bold(&place),
                report.repositories,
                report.entries
            ))?;
        }
        match report.findings.len() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Store,
                format!("{place} is not sound; findings: {count}"),
            )),
        }
    }
}

fn object(finding: &Finding) -> serde_json::Value {
    json!({
        "kind": finding.kind(),
        "what": finding.to_string(),
        "advice": finding.advice(),
    })
}
