//! The command line.

use crate::{command, exit};
use clap::{ArgAction, Args, Parser};
use std::path::PathBuf;

/// A response cache for REST APIs: fetch once, keep every answer, ask the API only for what is new.
///
/// Without a configuration file, `restow fetch URL` keeps the answers of each host in a repository of its own, in the file
/// restow.db. A configuration declares endpoints: which requests are the same, how long their answers live, what is selected by.
#[derive(Debug, Parser)]
#[command(name = "restow", version, after_help = exit::HELP, propagate_version = false, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: command::Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The configuration file; otherwise ./restow.toml where there is one.
    #[arg(long, global = true, value_name = "FILE", env = "RESTOW_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where answers are kept: a path or a URL such as sqlite://music.db or memory:. It goes before the configuration's; without either it is restow.db.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "RESTOW_CACHE",
        hide_env_values = true
    )]
    pub(crate) cache: Option<String>,
    /// Whose entries: the name of a user. Without it, requests with a credential have entries of their own, and the others are public.
    #[arg(long, global = true, value_name = "NAME", env = "RESTOW_PRINCIPAL")]
    pub(crate) principal: Option<String>,
    /// Writes JSON: one object, or one on each line. Its keys are stable; times are ISO 8601 in UTC, sizes are bytes.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Says less on stderr, and nothing of each URL.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Says more on stderr; twice, even more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}
