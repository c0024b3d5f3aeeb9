//! What the imports of other programs' files have in common.

use crate::{
    cli::Global,
    exit::Failure,
    output::{Out, note},
    progress::bar,
    session::{Access, Session},
    tally,
};
use clap::Args;
use futures_util::TryStreamExt as _;
use restow::{
    BoxStream, Mode,
    moving::foreign::{Foreign, ForeignOptions},
};
use serde_json::{Value, json};

/// Options of all of them.
#[derive(Debug, Args)]
pub(super) struct ForeignArgs {
    /// The file. It is opened for reading only.
    pub(super) file: std::path::PathBuf,
    /// Only reads, and says what it would store.
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
}

impl ForeignArgs {
    /// Opens the cache, reads the file, and says what it came to.
    pub(super) async fn run(
        &self,
        global: &Global,
        out: &mut Out,
        begin: impl FnOnce(&Session, ForeignOptions) -> BoxStream<'static, restow::Result<Foreign>>,
    ) -> Result<(), Failure> {
        let access = if self.dry_run {
            Access::Imagine
        } else {
            Access::Fill
        };
        let session = Session::open(global, access, Some(Mode::Live)).await?;
        if session.cache.is_empty() {
            return Err(Failure::usage(
                "no endpoint is declared: the configuration has to say what the keys are made of; see docs/CONFIG.md",
            ));
        }
        // Whose the rows are nobody knows: a principal has to be named here, not for all commands.
        let options = ForeignOptions {
            principal: global.principal.clone(),
            dry_run: self.dry_run,
        };
        if global.principal.is_none() && session.named {
            note(
                "note: rows may be anyone's, and do not go to the principal of the configuration; --principal NAME puts them there",
            );
        }
        let shown = bar(global, out, None);
        shown.set_message("rows");
        let mut steps = begin(&session, options);
        let mut last = Foreign::default();
        while let Some(step) = steps.try_next().await? {
            shown.set_position(step.repositories.values().map(|of| of.rows).sum());
            last = step;
        }
        shown.finish_and_clear();
        drop(steps);
        session.close().await?;
        self.tell(&last, out)
    }

    fn tell(&self, last: &Foreign, out: &mut Out) -> Result<(), Failure> {
        if out.is_json() {
            let repositories = last.repositories.iter().map(|(name, of)| {
                let mut object = tally::object(name, &of.tally);
                object.insert("rows".to_owned(), of.rows.into());
                object.insert("left".to_owned(), json!(of.left));
                Value::Object(object)
            });
            return out.json(&json!({
                "file": self.file.display().to_string(),
                "dry_run": self.dry_run,
                "repositories": repositories.collect::<Value>(),
                "left": last.left,
            }));
        }
        let rows: Vec<_> = last
            .repositories
            .iter()
            .map(|(name, of)| (name.clone(), of.tally))
            .collect();
        tally::columns(&rows, self.dry_run).write(out)?;
        for (name, of) in &last.repositories {
            for (why, count) in &of.left {
                out.line(format!("left {count} of {name}: {why}"))?;
            }
        }
        for (why, count) in &last.left {
            out.line(format!("left {count}: {why}"))?;
        }
        Ok(())
    }
}
