//! `restow train [REPOSITORY]`.

use crate::{
    cli::Global,
    exit::Failure,
    output::{Columns, Out, size, stderr_is_terminal},
    session::{Access, Session, path_of},
};
use clap::Args;
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use restow::{
    Clock as _, SystemClock,
    store::{
        Compression, Store as _, TableName, TableSpec,
        sqlite::{Rewritten, SqliteOptions, SqliteStore, Trained},
    },
};
use serde_json::{Value, json};

/// Makes a dictionary that compresses new entries, of those that are held. This happens by itself once a repository holds 500.
#[derive(Debug, Args)]
#[command(
    after_help = "Compression is an option of an endpoint: compression = \"zstd\" in the configuration.

Examples:
  restow train
  restow train items --rewrite"
)]
pub(crate) struct Train {
    /// The repository; without it, all that are compressed.
    repository: Option<String>,
    /// Stores the entries that are there anew: compressed like new ones, or as they came where compression is off.
    #[arg(long)]
    rewrite: bool,
}

/// What was done to one repository.
#[derive(Debug)]
struct Done {
    name: TableName,
    compressed: bool,
    trained: Option<Trained>,
    rewritten: Option<Rewritten>,
}

impl Train {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let path = path_of(
            None,
            global,
            "dictionaries are in SQLite files; name one with --cache",
        )?;
        // What the configuration says of compression is remembered by opening its endpoints.
        let session = Session::open(global, Access::Existing, None).await?;
        if let Some(name) = &self.repository {
            session.repository(name)?;
        }
        let place = session.place().to_owned();
        if session.cache.store().capabilities().read_only {
            return Err(Failure::usage(format!(
                "{place} is open for reading only; leave out mode=ro"
            )));
        }
        session.close().await?;
        let store = SqliteStore::open(SqliteOptions::file(path)).await?;
        let mut specs = store.tables().await?;
        match &self.repository {
            Some(name) => specs.retain(|spec| spec.name.as_str() == name),
            None => specs.retain(|spec| self.rewrite || spec.compression != Compression::None),
        }
        if let Some(spec) = specs.iter().find(|s| s.compression == Compression::None)
            && !self.rewrite
        {
            return Err(Failure::usage(format!(
                "repository {:?} is not compressed; say compression = \"zstd\" in its [[endpoint]], or take --rewrite to store its entries as they came",
                spec.name.as_str()
            )));
        }
        if specs.is_empty() {
            return Err(Failure::usage(format!(
                "no repository in {place} is compressed; say compression = \"zstd\" in an [[endpoint]]"
            )));
        }
        let mut all = Vec::new();
        for spec in &specs {
            all.push(self.one(&store, spec, global).await?);
        }
        store.close().await?;
        tell(&all, out)
    }

    async fn one(
        &self,
        store: &SqliteStore,
        spec: &TableSpec,
        global: &Global,
    ) -> Result<Done, Failure> {
        let compressed = spec.compression != Compression::None;
        let trained = if compressed {
            store.train(&spec.name, SystemClock.now()).await?
        } else {
            None
        };
        let rewritten = if self.rewrite {
            Some(rewrite(store, &spec.name, global.quiet).await?)
        } else {
            None
        };
        Ok(Done {
            name: spec.name.clone(),
            compressed,
            trained,
            rewritten,
        })
    }
}

async fn rewrite(store: &SqliteStore, name: &TableName, quiet: bool) -> Result<Rewritten, Failure> {
    let bar = if quiet || !stderr_is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(name.to_string());
    let mut steps = store.rewrite(name);
    let mut last = Rewritten::default();
    while let Some(now) = steps.try_next().await? {
        bar.set_length(now.entries);
        bar.set_position(now.seen);
        last = now;
    }
    bar.finish_and_clear();
    Ok(last)
}

fn tell(all: &[Done], out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return all.iter().try_for_each(|done| out.json(&object(done)));
    }
    let mut columns = Columns::new(&[
        "REPOSITORY",
        ">SAMPLES",
        ">DICTIONARY",
        ">BEFORE",
        ">AFTER",
        "",
    ]);
    for done in all {
        columns.row(cells(done));
    }
    columns.write(out)?;
    for done in all {
        if let Some(r) = done.rewritten {
            out.line(format!(
                "{}: {} of {} entries are stored otherwise now: {} instead of {}",
                out.bold(&done.name),
                r.changed,
                r.seen,
                size(r.after),
                size(r.before)
            ))?;
        }
    }
    Ok(())
}

fn cells(done: &Done) -> [String; 6] {
    let ratio = |part: u64, whole: u64| format!("{:.3}", part as f64 / whole.max(1) as f64);
    let none = || "-".to_owned();
    match done.trained {
        Some(t) => [
            done.name.to_string(),
            t.samples.to_string(),
            size(t.size),
            ratio(t.before, t.plain),
            ratio(t.after, t.plain),
            match t.dictionary {
                Some(_) => String::new(),
                None => "the one that is there is as good, and stays".to_owned(),
            },
        ],
        None => [
            done.name.to_string(),
            none(),
            none(),
            none(),
            none(),
            if done.compressed {
                "too few entries, or nothing in common".to_owned()
            } else {
                "not compressed".to_owned()
            },
        ],
    }
}

fn object(done: &Done) -> Value {
    let t = done.trained;
    let ratio = |part: fn(&Trained) -> u64| t.map(|t| part(&t) as f64 / t.plain.max(1) as f64);
    json!({
        "repository": done.name.as_str(),
        "compressed": done.compressed,
        "dictionary": t.and_then(|t| t.dictionary),
        "dictionary_bytes": t.map(|t| t.size),
        "samples": t.map(|t| t.samples),
        "measured": t.map(|t| t.measured),
        "ratio_before": ratio(|t| t.before),
        "ratio_after": ratio(|t| t.after),
        "rewritten": done.rewritten.map(|r| json!({
            "entries": r.seen,
            "changed": r.changed,
            "bytes_before": r.before,
            "bytes_after": r.after,
        })),
    })
}
