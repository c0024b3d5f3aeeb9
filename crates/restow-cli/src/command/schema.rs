//! `restow schema --print`.

use crate::{
    cli::Global,
    exit::Failure,
    output::Out,
    session::{Access, Session, Settings, config},
};
use clap::Args;
use restow::{
    Binary, Config, DeclaredEndpoint, Mode,
    store::{TableSpec, ddl},
};
use restow_proxy::{Everything, Options};
use serde_json::json;

/// Shows the tables that a cache in a database has, as the statements that make them: for whoever looks after the database.
///
/// With a configuration, those of its endpoints and its proxy in the kind of database that its cache is in, or that --cache names; nothing is opened or made. Without one, those of
/// the cache.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow schema --print
  restow schema --print --config restow.toml --cache sqlite://items.db > items.sql")]
pub(crate) struct Schema {
    /// Prints the statements.
    #[arg(long, required = true)]
    print: bool,
}

impl Schema {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let config = config(global)?;
        let url = Settings::of(config.as_ref(), global)?.url;
        let tables = match &config {
            Some(config) => declared(config).await?,
            None => {
                let session = Session::open(global, Access::Existing, None).await?;
                let tables = session.cache.store().tables().await?;
                session.close().await?;
                tables
            }
        };
        let statements = ddl(&url, &tables).await?;
        if out.is_json() {
            let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
            return out.json(&json!({ "repositories": names, "ddl": statements }));
        }
        out.line(statements.trim_end())
    }
}

/// Returns the tables that the endpoints of a configuration have, and its proxy: those of a cache in memory that is made of it.
async fn declared(config: &Config) -> Result<Vec<TableSpec>, Failure> {
    let cache = config
        .builder()?
        .url("sqlite::memory:")
        .mode(Mode::Live)
        .build()
        .await?;
    for declaration in config.endpoints() {
        let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
        cache.create_repository(endpoint).await?;
    }
    if let Some(proxy) = config.proxy() {
        let everything = Everything::new(Options::from_settings(proxy)?.max_body)?;
        cache.create_repository(everything).await?;
    }
    let tables = cache.store().tables().await?;
    cache.close().await?;
    Ok(tables)
}
