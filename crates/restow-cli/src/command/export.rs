//! `restow export [REPOSITORY] SELECTION`.

mod csv;
mod sink;

use crate::{
    args::SelectArgs,
    cli::Global,
    exit::Failure,
    output::{Out, note},
    progress::bar,
    select::{portions, select},
    session::{Access, Session},
};
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt as _;
use restow::{
    Clock as _, SystemClock,
    moving::{ExportOptions, export},
};
use serde_json::json;
use sink::Sink;
use std::path::PathBuf;

/// Writes the entries that a selection covers: as lines of JSON that `restow import` reads, or as a table.
///
/// The JSON holds everything without loss, and checksums; `restow import` puts it into any cache. It holds what the answers held, the cookies that
/// an API set for its user too, but no credential of a request: those are nowhere stored. A file that is made is for its owner only.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow export -o items.ndjson
  restow export items --where kind=lamp --live | jq -c .body.json
  restow export items --since '7 days' --format csv -o items.csv")]
pub(crate) struct Export {
    /// The repository; without it, every repository that the selection fits.
    repository: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// The form: `ndjson` for programs and for import, `csv` for people, without bodies.
    #[arg(long, value_enum, default_value_t = Form::Ndjson)]
    format: Form,
    /// The file to write; without it, the standard output. It appears when it is whole.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With csv: adds the bodies, in hexadecimal where they are no text.
    #[arg(long)]
    bodies: bool,
    /// With ndjson: adds the secret of the cache, so that an empty cache can take over entries that belong to a credential. Keep such a file to yourself.
    #[arg(long)]
    with_secret: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Ndjson,
    Csv,
}

impl Export {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        match self.format {
            Form::Csv if self.with_secret => {
                return Err(Failure::usage("--with-secret is of --format ndjson"));
            }
            Form::Ndjson if self.bodies => {
                return Err(Failure::usage(
                    "--bodies is of --format csv; ndjson has them always",
                ));
            }
            _ => {}
        }
        let session = Session::open(global, Access::Existing, None).await?;
        session.note_principal(global);
        let mut sink = Sink::open(self.output.as_deref())?;
        let count = match self.format {
            Form::Ndjson => self.lines(&session, &mut sink, global, out).await?,
            Form::Csv => {
                let selected = select(&session, self.repository.as_deref(), &self.select).await?;
                csv::write(&selected, self.bodies, &mut sink).await?
            }
        };
        let bytes = sink.finish()?;
        session.close().await?;
        let Some(path) = &self.output else {
            if !global.quiet {
                note(format_args!("exported {count} entries"));
            }
            return Ok(());
        };
        let path = path.display().to_string();
        if out.is_json() {
            return out.json(&json!({ "file": path, "entries": count, "bytes": bytes }));
        }
        out.line(format!(
            "exported {count} entries to {path}, {}",
            crate::output::size(bytes)
        ))
    }

    async fn lines(
        &self,
        session: &Session,
        sink: &mut Sink,
        global: &Global,
        out: &Out,
    ) -> Result<u64, Failure> {
        let names: Vec<String> = self.repository.iter().cloned().collect();
        let portions = portions(session, &names, &self.select).await?;
        let options = ExportOptions {
            with_secret: self.with_secret,
        };
        let mut lines = export(
            session.cache.store().clone(),
            portions,
            options,
            SystemClock.now(),
        );
        let shown = match &self.output {
            Some(_) => bar(global, out, None),
            None => indicatif::ProgressBar::hidden(),
        };
        let mut count: u64 = 0;
        while let Some(line) = lines.try_next().await? {
            sink.write(&line)?;
            count += 1;
            shown.inc(1);
        }
        shown.finish_and_clear();
        // The first line and the last are none.
        Ok(count.saturating_sub(2))
    }
}
