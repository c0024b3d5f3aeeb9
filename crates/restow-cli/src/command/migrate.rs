//! `restow migrate [FILE]`.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
    session::{Settings, config, file, no_cache, patient},
};
use clap::Args;
use restow::{
    Binary, Config, Declaration, DeclaredEndpoint, Mode,
    store::{
        FieldSource, Format, Migration, OnSchemaChange, SchemaChange, TableSpec, connect, format,
    },
};
use serde_json::{Value, json};

/// Brings a store up to this version and to the configuration: the format of a SQLite file, and the fields and columns of its tables.
///
/// Added fields get the default that the configuration has for them, added columns are filled in from the stored bodies. It does so
/// where an endpoint says on_schema_change = "refuse", too. A store on a network, which programs of several versions may use at once, counts as
/// down to those that do not read its format: they notice within a second, and fetch meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow migrate --check
  restow migrate music.db
  restow migrate --check postgres://me@db.example.com/api")]
pub(crate) struct Migrate {
    /// The store, a path or a URL; without it, the cache.
    #[arg(value_name = "STORE")]
    store: Option<String>,
    /// Only says what it would change, and fails where there is something.
    #[arg(long)]
    check: bool,
}

impl Migrate {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let config = config(global)?;
        let url = match self.store {
            Some(url) => url,
            None => Settings::of(config.as_ref(), global)?.url,
        };
        let path = file(&url);
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            return Err(no_cache(&path.display().to_string()));
        }
        let of = Of {
            // By its path in full: what is special in it stands for itself.
            url: path.as_ref().map_or_else(
                || patient(url),
                |path| {
                    let path = path.display().to_string();
                    format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F"))
                },
            ),
            path: path.map(|path| path.display().to_string()),
        };
        let mut plan = Plan::of(&of, config.as_ref()).await?;
        if !self.check {
            plan.carry_out(&of, config.as_ref()).await?;
            if of.path.is_none() && plan.is_possible() {
                // A server that was lost meanwhile has a cache opened later, and nothing changed.
                let left = Plan::of(&of, config.as_ref()).await?;
                plan.left = left.changes.len();
            }
        }
        plan.show(!self.check, out)?;
        plan.end(self.check)
    }
}

/// Whose plan it is.
#[derive(Debug)]
struct Of {
    url: String,
    /// Of a file.
    path: Option<String>,
}

/// What is to be done to a store.
#[derive(Debug)]
struct Plan {
    format: Format,
    /// What it was before.
    stored: i64,
    is_file: bool,
    changes: Vec<Change>,
    /// Changes that were not made although they could have been.
    left: usize,
    /// Endpoints whose tables are to be changed, as the configuration has them.
    migrated: Vec<Declaration>,
}

/// One change.
#[derive(Debug)]
struct Change {
    /// None where it is of the whole store.
    repository: Option<String>,
    kind: &'static str,
    what: String,
}

/// The kind of what cannot be done.
const IMPOSSIBLE: &str = "impossible";

impl Plan {
    /// Compares a store with this version and with a configuration; changes nothing.
    async fn of(of: &Of, config: Option<&Config>) -> Result<Self, Failure> {
        let mut format = format(&of.url).await?;
        if let Some(path) = &of.path {
            format.place = path.clone();
        }
        let Some(stored) = format.stored else {
            return Err(Failure::not_held(format!(
                "there is no cache at {}; `restow fetch URL` makes one, and --cache names another",
                format.place
            )));
        };
        let mut plan = Self {
            stored,
            format,
            is_file: of.path.is_some(),
            changes: Vec::new(),
            left: 0,
            migrated: Vec::new(),
        };
        if stored != plan.format.own {
            plan.add_format();
            if !plan.is_file {
                // Who does not read its format does not know what its tables mean.
                return Ok(plan);
            }
        }
        // It is only read: nothing of it changes, not even its format.
        let store = connect(&match of.path {
            Some(_) => format!("{}?mode=ro", of.url),
            None => of.url.clone(),
        })
        .await?;
        let held = store.tables().await?;
        store.close().await?;
        for declaration in config.iter().flat_map(|c| c.endpoints()) {
            if let Some(held) = held.iter().find(|spec| spec.name == declaration.name) {
                plan.compare(declaration, held)?;
            }
        }
        Ok(plan)
    }

    /// Notes that the format is another one, and whether it can be changed.
    fn add_format(&mut self) {
        let (stored, own) = (self.stored, self.format.own);
        let (kind, what) = match self.is_file {
            true => ("format", format!("format {stored} becomes {own}")),
            false if stored > own => (
                IMPOSSIBLE,
                format!(
                    "format {stored} is newer than {own}, the newest that this program reads and writes; it takes a newer program"
                ),
            ),
            // A later version that can has to mark the store first, and then to wait: see "Formats of stores on a network" in docs/FORMAT.md.
            false => (
                IMPOSSIBLE,
                format!(
                    "format {stored} is none that this program can bring to {own}; use the program that wrote it, or begin at another place (schema= or prefix=)"
                ),
            ),
        };
        self.changes.push(Change {
            repository: None,
            kind,
            what,
        });
    }

    /// Tells whether there is something that can be changed.
    fn is_possible(&self) -> bool {
        self.changes.iter().any(|c| c.kind != IMPOSSIBLE)
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

    async fn carry_out(&self, of: &Of, config: Option<&Config>) -> Result<(), Failure> {
        if !self.is_possible() {
            return Ok(());
        }
        let Some(config) = config else {
            // To open it is all that the format needs.
            return Ok(connect(&of.url).await?.close().await?);
        };
        let changed = self.migrated.iter().map(migrating);
        open_all(&of.url, config, changed).await?;
        // What is remembered is what the configuration says, not what was needed to get there.
        open_all(&of.url, config, self.migrated.iter().cloned()).await
    }

    fn show(&self, done: bool, out: &mut Out) -> Result<(), Failure> {
        let place = &self.format.place;
        if out.is_json() {
            let changes: Vec<_> = self.changes.iter().map(Change::object).collect();
            return out.json(&json!({
                "cache": place,
                "format": self.stored,
                "newest_format": self.format.own,
                "changes": changes,
                "done": done,
            }));
        }
        let whole = if self.is_file {
            "the file"
        } else {
            "the store"
        };
        for change in &self.changes {
            let whose = change
                .repository
                .as_deref()
                .map_or_else(|| whole.to_owned(), |name| format!("repository {name:?}"));
            out.line(format!("{whose}: {}", change.what))?;
        }
        let possible = self.changes.iter().filter(|c| c.kind != IMPOSSIBLE).count();
        let word = if done {
            "changes made"
        } else {
            "changes to make"
        };
        let format = match done && self.is_file {
            true => self.format.own,
            false => self.stored,
        };
        out.line(format!(
            "{}: format {format}; {word}: {}",
            out.bold(place),
            possible - self.left.min(possible)
        ))
    }

    /// Fails where something is left to be done.
    fn end(&self, check: bool) -> Result<(), Failure> {
        let place = &self.format.place;
        let of_format = self
            .changes
            .iter()
            .any(|c| c.kind == IMPOSSIBLE && c.repository.is_none());
        if of_format {
            return Err(Failure::new(
                Exit::Store,
                format!(
                    "{place} has a format that this program neither reads nor changes; to programs of this version it counts as down"
                ),
            ));
        }
        let impossible = self.changes.iter().filter(|c| c.kind == IMPOSSIBLE).count();
        if impossible > 0 {
            return Err(Failure::new(
                Exit::Store,
                format!(
                    "{place} cannot become what is configured; tables to set aside or to declare as before: {impossible}"
                ),
            ));
        }
        if self.left > 0 {
            return Err(Failure::new(
                Exit::Store,
                format!(
                    "{place} was lost before all was done; run it again; changes that are left: {}",
                    self.left
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

/// Opens endpoints in the store, whatever mode the configuration is for, and lets go of it.
async fn open_all(
    url: &str,
    config: &Config,
    declarations: impl Iterator<Item = Declaration>,
) -> Result<(), Failure> {
    let cache = config.builder()?.url(url).mode(Mode::Live).build().await?;
    for declaration in declarations {
        let endpoint = DeclaredEndpoint::from_declaration(declaration, Binary)?;
        cache.create_repository(endpoint).await?;
    }
    Ok(cache.close().await?)
}
