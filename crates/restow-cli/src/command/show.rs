//! `restow show URL` and `restow show REPOSITORY KEY...`.

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
use serde_json::{Value, json};

/// Shows what is stored beside the body: status, headers, times, label, whose it is, what validates it.
///
/// All variants are shown, expired ones too, the newest first; with --json one on each line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow show https://api.example.com/v1/items/7
  restow show items 7 --json | jq .expires_at")]
pub(crate) struct Show {
    #[command(flatten)]
    target: TargetArgs,
}

impl Show {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Existing, None).await?;
        let held = self.target.find(&session).await?;
        if held.entries.is_empty() {
            return Err(held.missing("nothing"));
        }
        let now = SystemClock.now();
        let declaration = held.repository.endpoint().inner().declaration();
        for (i, entry) in held.entries.iter().enumerate() {
            let head = &entry.meta.head;
            if out.is_json() {
                let mut object = entries::json(&held.repository, entry, now);
                let text =
                    |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
                let facts = head.facts();
                let more = json!({
                    "etag": text(head.etag()),
                    "last_modified": text(head.last_modified()),
                    "vary": Some(head.vary()).filter(|v| !v.is_empty()),
                    "took_ms": facts.received_at - facts.requested_at,
                    "headers": entries::headers(entry),
                });
                if let Value::Object(more) = more {
                    object.extend(more);
                }
                out.json(&object)?;
                continue;
            }
            if i > 0 {
                out.line("")?;
            }
            let name = out.bold(format!(
                "{} {}",
                held.repository.name(),
                entries::key(declaration, &held.key)
            ));
            let state = if entry.is_live(now) {
                "live"
            } else {
                "expired"
            };
            out.line(format!("{name}  {}  {state}", head.status()))?;
            for line in entries::facts(out, &held.repository, entry, now) {
                out.line(line)?;
            }
            out.line("")?;
            for (name, value) in entries::headers(entry) {
                let name = out.dim(format!("{name}:"));
                out.line(format!("  {name} {value}"))?;
            }
        }
        session.close().await
    }
}
