//! `restow get URL` and `restow get REPOSITORY KEY...`.

use crate::{
    cli::Global,
    entries,
    exit::Failure,
    output::Out,
    session::{Access, Session},
    target::TargetArgs,
};
use clap::Args;
use restow::{Clock as _, SystemClock};
use serde_json::Value;

/// Writes a stored body to stdout, byte for byte. The API is never asked.
///
/// With --json: the entry as an object, and the body in it: as JSON where it is, else as text.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow get https://api.example.com/v1/items/7 | jq .name
  restow get items 7 --stale")]
pub(crate) struct Get {
    #[command(flatten)]
    target: TargetArgs,
    /// Also writes one that has expired.
    #[arg(long)]
    stale: bool,
}

impl Get {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Existing, None).await?;
        let held = self.target.find(&session).await?;
        let now = SystemClock.now();
        let Some(entry) = held.entries.iter().find(|e| self.stale || e.is_fresh(now)) else {
            return Err(if held.entries.is_empty() {
                held.missing("nothing")
            } else {
                held.missing("only an expired answer (--stale writes it)")
            });
        };
        if out.is_json() {
            let mut object = entries::json(&held.repository, entry, now);
            object.insert("body".to_owned(), body(&entry.body)?);
            out.json(&object)?;
        } else {
            out.bytes(&entry.body)?;
            // A shell's prompt belongs on a line of its own; a pipe gets the body and nothing else.
            if out.is_terminal() && !entry.body.ends_with(b"\n") {
                out.line("")?;
            }
        }
        session.close().await
    }
}

fn body(bytes: &[u8]) -> Result<Value, Failure> {
    if let Ok(json) = serde_json::from_slice(bytes) {
        return Ok(json);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Failure::usage("the body is neither JSON nor text; leave out --json").because(e)
    })?;
    Ok(text.into())
}
