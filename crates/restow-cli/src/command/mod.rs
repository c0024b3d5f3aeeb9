//! The commands, one a file.

mod completions;
mod man;

use crate::{cli::Global, exit::Failure, output::Out};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes the completions of a shell to stdout.
    Completions(completions::Completions),
    /// Writes the manual pages: the program's to stdout, or all of them into a folder.
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        _ = global;
        match self {
            Self::Completions(c) => c.run(out),
            Self::Man(c) => c.run(out),
        }
    }
}
