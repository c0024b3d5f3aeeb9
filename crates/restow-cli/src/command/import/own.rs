//! `restow import FILE`: what `restow export` wrote.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::Out,
    progress::bar,
    session::{Settings, config, file, patient},
    tally,
};
use clap::Args;
use futures_util::TryStreamExt as _;
use restow::{
    Clock as _, SystemClock,
    moving::{Digests, ImportOptions, Imported, import},
    store::connect,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader},
};

#[derive(Debug, Args)]
pub(super) struct Own {
    /// The file; '-' for the standard input.
    #[arg(value_name = "FILE", required = true)]
    file: Option<String>,
    /// Leaves out lines that are not as they were written, and says which, instead of ending at the first.
    #[arg(long)]
    skip_bad: bool,
    /// Leaves out entries that belong to a credential or vary by a header, where the cache has another secret than the one that the file was made of.
    #[arg(long)]
    without_digests: bool,
    /// Only reads, and says what it would store.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Own {
    /// Tells whether anything of it is on the command line.
    pub(super) fn is_used(&self) -> bool {
        self.file.is_some() || self.skip_bad || self.without_digests || self.dry_run
    }

    pub(super) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let name = self.file.as_deref().unwrap_or("-");
        let read: Box<dyn BufRead + Send> = match name {
            "-" => Box::new(BufReader::new(std::io::stdin())),
            path => {
                let opened = File::open(path)
                    .map_err(|e| Failure::not_held(format!("{path} cannot be read")).because(e))?;
                Box::new(BufReader::with_capacity(1 << 20, opened))
            }
        };
        let url = patient(Settings::of(config(global)?.as_ref(), global)?.url);
        let imagined = self.dry_run && file(&url).is_some_and(|path| !path.exists());
        let store = connect(if imagined { "memory:" } else { &url }).await?;
        let options = ImportOptions {
            dry_run: self.dry_run,
            skip_bad: self.skip_bad,
            digests: if self.without_digests {
                Digests::LeaveOut
            } else {
                Digests::Carry
            },
        };
        let shown = bar(global, out, None);
        shown.set_message("entries");
        let mut steps = import(store.clone(), read, options, SystemClock.now());
        let mut last = Imported::default();
        let ended = loop {
            match steps.try_next().await {
                Ok(Some(step)) => {
                    shown.set_position(step.tables.values().map(|tally| tally.seen).sum());
                    last = step;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        shown.finish_and_clear();
        drop(steps);
        store.close().await?;
        if let Err(error) = ended {
            let mut failure = Failure::from(error);
            failure.name(name);
            return Err(failure);
        }
        self.tell(name, &last, out)?;
        match last.skipped {
            0 => Ok(()),
            skipped => Err(Failure::new(
                Exit::SomeFailed,
                format!("{skipped} lines of {name} were left out"),
            )),
        }
    }

    fn tell(&self, name: &str, last: &Imported, out: &mut Out) -> Result<(), Failure> {
        if out.is_json() {
            let tallies = last
                .tables
                .iter()
                .map(|(name, tally)| Value::Object(tally::object(name.as_str(), tally)));
            let bad = last
                .bad
                .iter()
                .map(|bad| json!({ "line": bad.line, "why": bad.why }));
            return out.json(&json!({
                "file": name,
                "dry_run": self.dry_run,
                "lines": last.lines,
                "repositories": tallies.collect::<Value>(),
                "skipped": last.skipped,
                "bad": bad.collect::<Value>(),
            }));
        }
        let rows: Vec<_> = last
            .tables
            .iter()
            .map(|(name, tally)| (name.to_string(), *tally))
            .collect();
        tally::columns(&rows, self.dry_run).write(out)?;
        for bad in &last.bad {
            out.line(format!("left out: {}", bad.why))?;
        }
        Ok(())
    }
}
