//! `restow doctor [FILE]`.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::{Columns, Out},
    session::path_of,
};
use clap::Args;
use restow::store::sqlite::{Depth, Finding, Salvage, SqliteOptions, SqliteStore};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Looks at a whole SQLite file for what is wrong in it: damage, missing parts, entries that do not verify. It changes nothing.
///
/// With --salvage it makes a new file of what can still be read of a damaged one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow doctor
  restow doctor --quick music.db
  restow doctor --salvage saved.db music.db")]
pub(crate) struct Doctor {
    /// The file, a path or a URL; without it, the cache.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// Leaves out the entries' seals and the comparison of indexes with their tables.
    #[arg(long)]
    quick: bool,
    /// Makes this new file, of every entry that can be read and verifies. Close other programs that use the damaged one.
    #[arg(long, value_name = "NEW", conflicts_with = "quick")]
    salvage: Option<PathBuf>,
}

impl Doctor {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let path = path_of(self.file, global, "doctor looks at SQLite files; name one")?;
        if let Some(to) = &self.salvage {
            let salvage = SqliteStore::salvage(&path, to).await?;
            return report(&path, to, &salvage, out);
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

/// Says what was saved.
fn report(from: &Path, to: &Path, salvage: &Salvage, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        let repositories: Vec<_> = salvage
            .repositories
            .iter()
            .map(|r| {
                json!({
                    "repository": r.name.as_str(),
                    "saved": r.saved,
                    "damaged": r.damaged,
                    "unreadable": r.unreadable,
                })
            })
            .collect();
        return out.json(&json!({
            "cache": from.display().to_string(),
            "salvaged": to.display().to_string(),
            "repositories": repositories,
            "lost": salvage.lost,
            "secret": salvage.secret,
            "log": salvage.log,
        }));
    }
    out.line(out.bold(to.display()))?;
    let mut columns = Columns::new(&["REPOSITORY", ">SAVED", ">DAMAGED", ">UNREADABLE"]);
    for r in &salvage.repositories {
        let numbers = [r.saved, r.damaged, r.unreadable].map(|n| n.to_string());
        columns.row([r.name.to_string()].into_iter().chain(numbers));
    }
    columns.write(out)?;
    for table in &salvage.lost {
        out.line(format!(
            "the declaration of {table:?} is lost, and with it the table"
        ))?;
    }
    if !salvage.secret {
        out.line("the secret is lost: what belongs to a credential is not found again")?;
    }
    if !salvage.log {
        out.line("the write-ahead log cannot be read: what was saved last is missing")?;
    }
    Ok(())
}

fn object(finding: &Finding) -> serde_json::Value {
    json!({
        "kind": finding.kind(),
        "what": finding.to_string(),
        "advice": finding.advice(),
    })
}
