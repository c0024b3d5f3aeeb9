//! `restow import FILE`, and `restow import PROGRAM FILE` for the files of other programs.

mod aiorequestful;
mod foreign;
mod own;
mod requests_cache;

use crate::{cli::Global, exit::Failure, output::Out};
use clap::{Args, Subcommand};

/// Reads a file that `restow export` wrote, or that another program keeps its cache in, into the cache.
///
/// Each line is verified before it is stored. Nothing newer is replaced, and once more it changes nothing. Repositories that are not there are made as
/// the file declares them.
#[derive(Debug, Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "Examples:
  restow import items.ndjson
  restow export --cache old.db | restow import --cache new.db -
  restow import aiorequestful music.sqlite --timezone Europe/Berlin --dry-run
  restow import requests-cache http_cache.sqlite"
)]
pub(crate) struct Import {
    #[command(subcommand)]
    foreign: Option<Foreign>,
    #[command(flatten)]
    own: own::Own,
}

#[derive(Debug, Subcommand)]
enum Foreign {
    Aiorequestful(aiorequestful::Aiorequestful),
    RequestsCache(requests_cache::RequestsCache),
}

impl Import {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        if self.foreign.is_some() && self.own.is_used() {
            return Err(Failure::usage(
                "a file stands before the name of another program, or an option of `restow import FILE`; write them behind the name",
            ));
        }
        match self.foreign {
            None => self.own.run(global, out).await,
            Some(Foreign::Aiorequestful(c)) => c.run(global, out).await,
            Some(Foreign::RequestsCache(c)) => c.run(global, out).await,
        }
    }
}
