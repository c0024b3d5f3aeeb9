//! `restow migrate [FILE]`.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
    session::{config, path_of},
};
use clap::Args;
use restow::{
    Binary, Config, Declaration, DeclaredEndpoint, Mode,
    store::{
        FieldSource, Migration, OnSchemaChange, SchemaChange, Store as _, TableSpec,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use serde_json::{Value, json};
use std::path::Path;

/// Brings a SQLite file up to this version and to the configuration: its format, and the fields and columns of its tables.
///
/// Added fields get the default that the configuration has for them, added columns are filled in from the stored bodies. It does so
/// where an endpoint says on_schema_change = "refuse", too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow migrate --check
  restow migrate music.db")]
pub(crate) struct Migrate {
    /// The file, a path or a URL; without it, the cache.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// Only says what it would change, and fails where there is something.
    #[arg(long)]
    check: bool,
}

impl Migrate {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let path = path_of(self.file, global, "migrate works on SQLite files; name one")?;
        let config = config(global)?;
        let plan = Plan::of(&path, config.as_ref()).await?;
        if !self.check {
            plan.carry_out(&path, config.as_ref()).await?;
        }
        plan.show(&path, !self.check, out)?;
        plan.end(&path, self.check)
    }
}

/// What is to be done to a file.
#[derive(Debug, Default)]
struct Plan {
    format: i32,
    changes: Vec<Change>,
    /// Endpoints whose tables are to be changed, as the configuration has them.
    migrated: Vec<Declaration>,
}

/// One change.
#[derive(Debug)]
struct Change {
    /// None where it is of the whole file.
    repository: Option<String>,
    kind: &'static str,
    what: String,
}

/// The kind of what cannot be done.
const IMPOSSIBLE: &str = "impossible";

impl Plan {
    /// Compares a file with this version and with a configuration; changes nothing.
    async fn of(path: &Path, config: Option<&Config>) -> Result<Self, Failure> {
        let format = SqliteStore::format(SqliteOptions::file(path)).await?;
        let mut plan = Self {
            format,
            ..Self::default()
        };
        if format != SqliteStore::FORMAT {
            plan.changes.push(Change {
                repository: None,
                kind: "format",
                what: format!("format {format} becomes {}", SqliteStore::FORMAT),
            });
        }
        let store = SqliteStore::open(SqliteOptions::file(path).read_only()).await?;
        let held = store.tables().await?;
        store.close().await?;
        for declaration in config.iter().flat_map(|c| c.endpoints()) {
            if let Some(held) = held.iter().find(|spec| spec.name == declaration.name) {
                plan.compare(declaration, held)?;
            }
        }
        Ok(plan)
    }

    /// Compares a table with its declaration.
    fn compare(&mut self, declaration: &Declaration, held: &TableSpec) -> Result<(), Failure> {
        let wanted = migrating(declaration).spec("", held.keep)?;
        let mut add = |kind, what| {
            self.changes.push(Change {
                repository: Some(held.name.to_string()),
                kind,
                what,
            });
        };
        match wanted.change_from(held) {
            Ok(SchemaChange::Migrate(migration)) => {
                steps(&wanted, held, &migration, add);
                self.migrated.push(declaration.clone());
            }
            Ok(_) => {}
            Err(error) => add(IMPOSSIBLE, error.message().to_owned()),
        }
        Ok(())
    }

    async fn carry_out(&self, path: &Path, config: Option<&Config>) -> Result<(), Failure> {
        if self.changes.iter().all(|c| c.kind == IMPOSSIBLE) {
            return Ok(());
        }
        let Some(config) = config else {
            // To open it is all that the format needs.
            let store = SqliteStore::open(SqliteOptions::file(path)).await?;
            return Ok(store.close().await?);
        };
        let changed = self.migrated.iter().map(migrating);
        open_all(path, config, changed).await?;
        // What is remembered is what the configuration says, not what was needed to get there.
        open_all(path, config, self.migrated.iter().cloned()).await
    }

    fn show(&self, path: &Path, done: bool, out: &mut Out) -> Result<(), Failure> {
        let place = path.display().to_string();
        if out.is_json() {
            let changes: Vec<_> = self.changes.iter().map(Change::object).collect();
            return out.json(&json!({
                "cache": place,
                "format": self.format,
                "newest_format": SqliteStore::FORMAT,
                "changes": changes,
                "done": done,
            }));
        }
        for change in &self.changes {
            let whose = change.repository.as_deref().map_or_else(
                || "the file".to_owned(),
                |name| format!("repository {name:?}"),
            );
            out.line(format!("{whose}: {}", change.what))?;
        }
        let possible = self.changes.iter().filter(|c| c.kind != IMPOSSIBLE).count();
        let word = if done {
            "changes made"
        } else {
            "changes to make"
        };
        out.line(format!(
            "{}: format {}; {word}: {possible}",
            out.bold(&place),
            if done {
                SqliteStore::FORMAT
            } else {
                self.format
            },
        ))
    }

    /// Fails where something is left to be done.
    fn end(&self, path: &Path, check: bool) -> Result<(), Failure> {
        let impossible = self.changes.iter().filter(|c| c.kind == IMPOSSIBLE).count();
        let place = path.display();
        if impossible > 0 {
            return Err(Failure::new(
                Exit::Store,
                format!(
                    "{place} cannot become what is configured; tables to set aside or to declare as before: {impossible}"
                ),
            ));
        }
        if check && !self.changes.is_empty() {
            return Err(Failure::new(
                Exit::Store,
                format!(
                    "{place} is not what is configured; `restow migrate` makes the changes: {}",
                    self.changes.len()
                ),
            ));
        }
        Ok(())
    }
}

impl Change {
    fn object(&self) -> Value {
        json!({ "repository": self.repository, "kind": self.kind, "what": self.what })
    }
}

/// An endpoint that lets its table be changed.
fn migrating(declaration: &Declaration) -> Declaration {
    let mut declaration = declaration.clone();
    declaration.rules.on_schema_change = OnSchemaChange::Migrate;
    declaration
}

/// Names the parts of a migration.
fn steps(
    wanted: &TableSpec,
    held: &TableSpec,
    migration: &Migration,
    mut add: impl FnMut(&'static str, String),
) {
    for (field, source) in wanted.fields.iter().zip(&migration.fields) {
        if let FieldSource::Added(value) = source {
            let what =
                format!("the field {field} is added; the entries that are there get {value}");
            add("add-field", what);
        }
    }
    for column in held.columns.iter().filter(|c| !wanted.columns.contains(c)) {
        let what = format!("the column {} = {} is dropped", column.name, column.pointer);
        add("drop-column", what);
    }
    for (column, source) in wanted.columns.iter().zip(&migration.columns) {
        if source.is_none() {
            let what = format!(
                "the column {} = {} is added and filled in",
                column.name, column.pointer
            );
            add("add-column", what);
        }
    }
}

/// Opens endpoints in the file, whatever mode the configuration is for, and lets go of it.
async fn open_all(
    path: &Path,
    config: &Config,
    declarations: impl Iterator<Item = Declaration>,
) -> Result<(), Failure> {
    let path = path.display().to_string();
    let url = format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F"));
    let cache = config.builder()?.url(url).mode(Mode::Live).build().await?;
    for declaration in declarations {
        let endpoint = DeclaredEndpoint::from_declaration(declaration, Binary)?;
        cache.create_repository(endpoint).await?;
    }
    Ok(cache.close().await?)
}
