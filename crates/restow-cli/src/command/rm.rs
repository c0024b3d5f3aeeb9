//! `restow rm [REPOSITORY] SELECTION`.

use crate::{
    args::SelectArgs,
    cli::Global,
    exit::Failure,
    output::Out,
    select::select,
    session::{Access, Session},
};
use clap::Args;
use serde_json::json;

/// Removes the entries that a selection covers. Without a selection it asks for --all.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow rm --url https://api.example.com/v1/items/7
  restow rm items --where kind=lamp --until '30 days' --dry-run
  restow rm items --all")]
pub(crate) struct Rm {
    /// The repository; without it, every repository that the selection fits.
    repository: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Removes everything: of the repository, or of all.
    #[arg(long)]
    all: bool,
    /// Only says how many it would remove.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Rm {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        match (self.select.is_everything(), self.all) {
            (true, false) => {
                return Err(Failure::usage(
                    "nothing says which entries; name some by --where, --url, --until and the like, or say --all",
                ));
            }
            (false, true) => {
                return Err(Failure::usage(
                    "--all and a selection say two things; leave one out",
                ));
            }
            _ => {}
        }
        remove(
            global,
            self.repository.as_deref(),
            &self.select,
            self.dry_run,
            out,
        )
        .await
    }
}

/// Removes a selection, or counts it, and says so: one line for each repository that had some.
pub(super) async fn remove(
    global: &Global,
    repository: Option<&str>,
    args: &SelectArgs,
    dry_run: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let session = Session::open(global, Access::Existing, None).await?;
    let mut total = 0;
    let mut by_repository = serde_json::Map::new();
    let verb = if dry_run { "would remove" } else { "removed" };
    for (repository, select) in select(&session, repository, args).await? {
        let count = if dry_run {
            select.count().await?
        } else {
            select.delete().await?
        };
        total += count;
        if count > 0 && !out.is_json() {
            out.line(format!("{verb} {count} from {}", repository.name()))?;
        }
        by_repository.insert(repository.name().to_owned(), count.into());
    }
    session.cache.commit().await?;
    if out.is_json() {
        out.json(&json!({ "removed": total, "dry_run": dry_run, "repositories": by_repository }))?;
    } else if total == 0 {
        out.line(format!("{verb} nothing"))?;
    }
    session.close().await
}
