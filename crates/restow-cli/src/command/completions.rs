//! `restow completions SHELL`.

use crate::{cli::Cli, exit::Failure, output::Out};
use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

/// Writes the completions of a shell to stdout.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  restow completions bash > ~/.local/share/bash-completion/completions/restow\n  restow completions fish > ~/.config/fish/completions/restow.fish"
)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, out: &mut Out) -> Result<(), Failure> {
        // In memory first: the generator panics where it cannot write.
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "restow", &mut script);
        out.bytes(&script)
    }
}
