//! `restow ls [REPOSITORY]`.

use crate::{
    args::SelectArgs,
    cli::Global,
    entries,
    exit::Failure,
    output::{Columns, Out, note, relative, size},
    select::select,
    session::{Access, Session},
};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use restow::{
    AnyRepository, Clock as _, Millis, SystemClock,
    entry::Entry,
    repository::{Select, Untyped},
};
use serde_json::json;
use std::sync::Arc;

/// How many entries people are shown unless they ask for more.
const SHOWN: u64 = 100;

/// Lists the repositories, or the entries of one, or the entries that a selection covers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow ls
  restow ls items --where kind=lamp --live
  restow ls --since '2 days' --json | jq -r .url
  restow ls items --expired --count")]
pub(crate) struct Ls {
    /// The repository.
    repository: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// The most entries to list; 0 for all. Unless told, people see 100, and JSON has all.
    #[arg(long, value_name = "N", conflicts_with = "count")]
    limit: Option<u64>,
    /// Only counts them.
    #[arg(long)]
    count: bool,
}

impl Ls {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Existing, None).await?;
        let overview = self.repository.is_none()
            && self.select.is_everything()
            && !self.count
            && self.limit.is_none();
        if overview {
            repositories(&session, out).await?;
        } else {
            let selected = select(&session, self.repository.as_deref(), &self.select).await?;
            if self.count {
                count(&selected, out).await?;
            } else {
                self.entries(&selected, out).await?;
            }
        }
        session.close().await
    }

    async fn entries(
        &self,
        selected: &[(AnyRepository, Select<Untyped>)],
        out: &mut Out,
    ) -> Result<(), Failure> {
        let now = SystemClock.now();
        let limit = match self.limit {
            Some(0) => usize::MAX,
            Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
            None if out.is_json() => usize::MAX,
            None => usize::try_from(SHOWN).unwrap_or(usize::MAX),
        };
        let mut left = limit;
        let mut more = false;
        for (repository, select) in selected {
            let mut stream = std::pin::pin!(select.entries().take(left.saturating_add(1)));
            let mut rows = Vec::new();
            while let Some(entry) = stream.try_next().await? {
                if left == 0 {
                    more = true;
                    break;
                }
                left -= 1;
                if out.is_json() {
                    out.json(&entries::json(repository, &entry, now))?;
                } else {
                    rows.push(entry);
                }
            }
            if !rows.is_empty() {
                if selected.len() > 1 {
                    out.line(out.bold(repository.name()))?;
                }
                table(repository, rows, now).write(out)?;
            }
        }
        if more && self.limit.is_none() {
            out.flush()?;
            note(format_args!(
                "note: there are more; --limit 0 lists all, --count counts them"
            ));
        }
        Ok(())
    }
}

fn table(repository: &AnyRepository, mut rows: Vec<Arc<Entry>>, now: Millis) -> Columns {
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let declaration = repository.endpoint().inner().declaration();
    let names: Vec<String> = declaration
        .fields
        .iter()
        .map(|f| f.name().to_uppercase())
        .collect();
    let names = if names.is_empty() {
        "KEY".to_owned()
    } else {
        names.join(", ")
    };
    let whose = rows.iter().any(|e| !e.id.address.partition.is_public());
    let mut heading = vec![names.as_str(), "STATUS", ">SIZE", "STORED", "EXPIRES"];
    if whose {
        heading.push("WHOSE");
    }
    heading.push("LABEL");
    let mut columns = Columns::new(&heading);
    for entry in rows {
        let meta = &entry.meta;
        let mut cells = vec![
            entries::key(declaration, &entry.id.address.key),
            meta.head.status().as_str().to_owned(),
            size(meta.seal.len),
            relative(meta.stored_at, now),
            relative(meta.expires_at, now),
        ];
        if whose {
            cells.push(entries::owner(&entry.id.address.partition));
        }
        cells.push(meta.label.as_deref().unwrap_or("").to_owned());
        columns.row(cells);
    }
    columns
}

async fn count(
    selected: &[(AnyRepository, Select<Untyped>)],
    out: &mut Out,
) -> Result<(), Failure> {
    let mut total = 0;
    for (_, select) in selected {
        total += select.count().await?;
    }
    if out.is_json() {
        out.json(&json!({ "count": total }))
    } else {
        out.line(total)
    }
}

async fn repositories(session: &Session, out: &mut Out) -> Result<(), Failure> {
    let now = SystemClock.now();
    let mut columns = Columns::new(&[
        "REPOSITORY",
        ">ENTRIES",
        ">EXPIRED",
        ">SIZE",
        "NEWEST",
        "ROUTE",
    ]);
    let mut any = false;
    for repository in session.cache.iter() {
        any = true;
        let stats = repository.stats().await?;
        let declaration = repository.endpoint().inner().declaration();
        let routes: Vec<String> = declaration
            .templates
            .iter()
            .map(ToString::to_string)
            .collect();
        if out.is_json() {
            let fields: Vec<String> = declaration.fields.iter().map(ToString::to_string).collect();
            out.json(&json!({
                "repository": repository.name(),
                "entries": stats.entries,
                "expired": stats.expired,
                "bytes": stats.bytes,
                "exact": stats.exact,
                "oldest": stats.oldest.map(|at| at.to_string()),
                "newest": stats.newest.map(|at| at.to_string()),
                "method": declaration.method.as_str(),
                "fields": fields,
                "routes": routes,
                "codec": &*declaration.codec,
            }))?;
            continue;
        }
        columns.row([
            repository.name().to_owned(),
            stats.entries.to_string(),
            stats.expired.to_string(),
            size(stats.bytes),
            stats.newest.map_or("-".to_owned(), |at| relative(at, now)),
            routes
                .first()
                .map_or("-".to_owned(), |r| format!("{} {r}", declaration.method)),
        ]);
    }
    match (out.is_json(), any) {
        (true, _) => Ok(()),
        (false, true) => columns.write(out),
        (false, false) => out.line(format!("{} is empty", session.place())),
    }
}
