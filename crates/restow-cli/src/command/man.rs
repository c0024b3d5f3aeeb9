//! `restow man [DIR]`.

use crate::{
    cli::Cli,
    exit::{Exit, Failure},
    output::Out,
};
use clap::{Args, CommandFactory as _};
use std::path::PathBuf;

/// Writes the manual pages: the program's to stdout, or all of them into a folder.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder, which is made where it is not there; a page for each command.
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            return out.bytes(&page);
        };
        let written = std::fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &dir));
        written.map_err(|e| {
            Failure::new(
                Exit::Store,
                format!("the pages cannot be written into {}", dir.display()),
            )
            .because(e)
        })
    }
}
