//! The commands, one a file.

mod completions;
mod copy;
mod demo;
mod doctor;
mod explain;
mod export;
mod fetch;
mod get;
mod import;
mod ls;
mod man;
mod migrate;
mod proxy;
mod purge;
mod refresh;
mod rm;
mod routes;
mod schema;
mod show;
mod sql;
mod stats;
mod train;

use crate::{cli::Global, exit::Failure, output::Out};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Fetch(fetch::Fetch),
    Get(get::Get),
    Show(show::Show),
    Ls(ls::Ls),
    Rm(rm::Rm),
    Purge(purge::Purge),
    Refresh(refresh::Refresh),
    Stats(stats::StatsCommand),
    Sql(sql::Sql),
    Train(train::Train),
    Doctor(doctor::Doctor),
    Migrate(migrate::Migrate),
    Copy(copy::Copy),
    Export(export::Export),
    Import(import::Import),
    Schema(schema::Schema),
    Explain(explain::Explain),
    Proxy(proxy::Proxy),
    Routes(routes::Routes),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Returns how many threads it is to have; `None` for one each core.
    pub(crate) fn workers(&self) -> Option<usize> {
        match self {
            Self::Proxy(c) => c.workers.map(Into::into),
            _ => None,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Demo(c) => c.run(global, out).await,
            Self::Fetch(c) => c.run(global, out).await,
            Self::Get(c) => c.run(global, out).await,
            Self::Show(c) => c.run(global, out).await,
            Self::Ls(c) => c.run(global, out).await,
            Self::Rm(c) => c.run(global, out).await,
            Self::Purge(c) => c.run(global, out).await,
            Self::Refresh(c) => c.run(global, out).await,
            Self::Stats(c) => c.run(global, out).await,
            Self::Sql(c) => c.run(global, out).await,
            Self::Train(c) => c.run(global, out).await,
            Self::Doctor(c) => c.run(global, out).await,
            Self::Migrate(c) => c.run(global, out).await,
            Self::Copy(c) => c.run(global, out).await,
            Self::Export(c) => c.run(global, out).await,
            Self::Import(c) => c.run(global, out).await,
            Self::Schema(c) => c.run(global, out).await,
            Self::Explain(c) => c.run(global, out).await,
            Self::Proxy(c) => c.run(global, out).await,
            Self::Routes(c) => c.run(global, out).await,
            Self::Completions(c) => c.run(out),
            Self::Man(c) => c.run(out),
        }
    }
}
