//! `restow copy FROM TO`.

use crate::{
    args::SelectArgs,
    cli::Global,
    exit::{Exit, Failure},
    output::{Out, note},
    progress::bar,
    select::portions,
    session::{Session, file, missing, patient},
    tally,
};
use clap::Args;
use futures_util::TryStreamExt as _;
use restow::{
    Clock as _, SystemClock,
    moving::{Copied, CopyOptions, Digests, copy},
    store::connect,
};
use std::path::Path;

/// Copies entries from one store to another, of whatever kinds, and verifies them: counts, times, and the checksums of every body.
///
/// An entry keeps everything but its generation: key, owner, variant, times, label, tags, columns, status, header lines, body. Nothing newer
/// in the target is replaced; broken off, run it again, and it goes on. A target without repositories takes over the secret of the source,
/// which the entries of credentials and those that vary by a header hang on; one with repositories of its own cannot.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow copy items.db backup.db
  restow copy sqlite://items.db?mode=ro memory: --dry-run
  restow copy items.db other.db --repository items --where kind=lamp")]
pub(crate) struct Copy {
    /// The store that has the entries: a path or a URL.
    from: String,
    /// The store that gets them; a SQLite file is made where there is none.
    to: String,
    /// A repository to copy; may be repeated. Without it, all that the selection fits.
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Vec<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Leaves out entries that belong to a credential or vary by a header, where the target has a secret of its own: nobody would find them there.
    #[arg(long)]
    without_digests: bool,
    /// Only says what it would copy.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Copy {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let target = self.target().await?;
        let session = Session::over(&self.from, global).await?;
        session.note_principal(global);
        let portions = portions(&session, &self.repositories, &self.select).await?;
        let to = connect(&target).await?;
        let options = CopyOptions {
            digests: if self.without_digests {
                Digests::LeaveOut
            } else {
                Digests::Carry
            },
            dry_run: self.dry_run,
        };
        let mut steps = copy(
            session.cache.store().clone(),
            to.clone(),
            portions,
            options,
            SystemClock.now(),
        );
        let mut all: Vec<Copied> = Vec::new();
        let mut shown = bar(global, out, Some(0));
        while let Some(step) = steps.try_next().await? {
            if step.tally.seen == 0 && !step.done {
                shown.finish_and_clear();
                shown = bar(global, out, Some(step.total));
                shown.set_message(step.table.to_string());
            }
            shown.set_position(step.tally.seen);
            if step.done {
                all.push(step);
            }
        }
        shown.finish_and_clear();
        drop(steps);
        let place = to.to_string();
        to.close().await?;
        let from = session.place().to_owned();
        session.close().await?;
        self.tell(&all, &from, &place, out)?;
        verdict(&all, &place)
    }

    /// Finds out where to copy to; a dry run makes no file, and nothing where a server has nothing of ours.
    async fn target(&self) -> Result<String, Failure> {
        let path = file(&self.to);
        if let (Some(from), Some(to)) = (file(&self.from), &path)
            && same(&from, to)
        {
            return Err(Failure::usage(format!(
                "{} is source and target at once; name two",
                to.display()
            )));
        }
        let imagined = self.dry_run && missing(&self.to).await.is_some();
        Ok(if imagined {
            "memory:".to_owned()
        } else {
            patient(self.to.as_str())
        })
    }

    fn tell(&self, all: &[Copied], from: &str, to: &str, out: &mut Out) -> Result<(), Failure> {
        if out.is_json() {
            for copied in all {
                let mut object = tally::object(copied.table.as_str(), &copied.tally);
                object.insert("dry_run".to_owned(), self.dry_run.into());
                if let Some(verified) = &copied.verified {
                    object.insert("compared".to_owned(), verified.compared.into());
                    object.insert("again".to_owned(), verified.again.into());
                    object.insert("missing".to_owned(), verified.missing.into());
                    object.insert("differing".to_owned(), verified.differing.into());
                    object.insert("which".to_owned(), verified.which.clone().into());
                }
                out.json(&object)?;
            }
            return Ok(());
        }
        if all.is_empty() {
            return out.line(format!("{from} is empty"));
        }
        let rows: Vec<_> = all.iter().map(|c| (c.table.to_string(), c.tally)).collect();
        tally::columns(&rows, self.dry_run).write(out)?;
        let left_out: u64 = all.iter().map(|c| c.tally.left_out).sum();
        if left_out > 0 {
            note(format_args!(
                "note: {left_out} entries were left out, which hang on the secret of {from}"
            ));
        }
        if self.dry_run {
            return Ok(());
        }
        let compared: u64 = all
            .iter()
            .filter_map(|c| c.verified.as_ref())
            .map(|v| v.compared)
            .sum();
        out.line(format!("verified {compared} in {}", out.bold(to)))
    }
}

/// Fails where something is not there as it should be.
fn verdict(all: &[Copied], to: &str) -> Result<(), Failure> {
    let verified = || all.iter().filter_map(|c| Some((c, c.verified.as_ref()?)));
    let missing: u64 = verified().map(|(_, v)| v.missing).sum();
    let differing: u64 = verified().map(|(_, v)| v.differing).sum();
    if missing + differing == 0 {
        return Ok(());
    }
    let named =
        verified().flat_map(|(c, v)| v.which.iter().map(move |key| format!("{} {key}", c.table)));
    let named: Vec<String> = named.take(10).collect();
    let mut why = Vec::new();
    if missing > 0 {
        why.push(format!(
            "{missing} are missing: its bounds may be too small for them"
        ));
    }
    if differing > 0 {
        why.push(format!("{differing} were stored at the same moment with another body, and were left as they are"));
    }
    Err(Failure::new(
        Exit::Store,
        format!(
            "not all entries are in {to} as they were; {}; the first: {}",
            why.join("; "),
            named.join(", ")
        ),
    ))
}

fn same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
