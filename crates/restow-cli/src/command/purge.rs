//! `restow purge [REPOSITORY]`.

use crate::{args::SelectArgs, cli::Global, exit::Failure, output::Out};
use clap::Args;

/// Removes what has expired, and with --tag all that has the tag, whatever its age. Until then, expired entries are kept to be validated, and for
/// when the API fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow purge --dry-run
  restow purge items --until '30 days'
  restow purge --tag news")]
pub(crate) struct Purge {
    /// The repository; without it, all.
    repository: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Only says how many it would remove.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Purge {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        if self.select.live {
            return Err(Failure::usage(
                "purge removes what has expired; `restow rm --live` removes what has not",
            ));
        }
        let select = SelectArgs {
            expired: self.select.expired || self.select.tag.is_none(),
            ..self.select
        };
        super::rm::remove(
            global,
            self.repository.as_deref(),
            &select,
            self.dry_run,
            out,
        )
        .await
    }
}
