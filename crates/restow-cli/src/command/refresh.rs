//! `restow refresh [REPOSITORY] SELECTION`.

mod finder;

use crate::{
    args::{RequestArgs, SelectArgs},
    asker::Asker,
    cli::Global,
    exit::{Exit, Failure},
    http::reason,
    output::{Out, note},
    rate::Rate,
    redact::redact,
    select::select,
    session::{Access, Session},
};
use clap::Args;
use finder::{Finder, Way};
use futures_util::TryStreamExt as _;
use http::Uri;
use restow::{
    Millis, Mode, RequestHead,
    entry::EntryId,
    exchange::{Answered, Background, Begin, OutcomeKind},
};
use serde_json::json;

/// Asks the API whether what is held is still right, what was checked longest ago first: with a condition where there is a validator, so
/// that an answer which has not changed costs no body.
///
/// An API that asks to be left alone (Retry-After) is. Entries of other users, and of other variants than the request's headers select, are left.
/// Entries below an upstream of the configuration are asked for with its headers, as a proxy does; what a proxy keeps of undeclared requests
/// is in the repository 'everything'.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow refresh --expired
  restow refresh items --until '7 days' --budget 500 --rate 5/s
  restow refresh --tag news --dry-run
  restow refresh everything --budget 500")]
pub(crate) struct Refresh {
    /// The repository; without it, every repository that the selection fits.
    repository: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// The most requests.
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// The most requests per time, evenly spaced: 10/s, 100/m, 5000/h.
    #[arg(long, value_name = "N/UNIT")]
    rate: Option<Rate>,
    /// Only says how many it would ask for.
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    request: RequestArgs,
}

/// An entry, and how to ask for it.
#[derive(Debug)]
struct Turn {
    checked_at: Millis,
    id: EntryId,
    url: Uri,
    way: Way,
}

/// What came of it.
#[derive(Debug, Default)]
struct Report {
    asked: u64,
    confirmed: u64,
    changed: u64,
    failed: u64,
    /// Of another user or variant, or without a URL.
    left: u64,
    /// Not asked, because the API asked to be left alone.
    resting: u64,
    /// Not asked, because the budget was used up.
    over_budget: u64,
}

impl Refresh {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Existing, Some(Mode::Revalidate)).await?;
        let headers = self.request.headers()?;
        let selected = select(&session, self.repository.as_deref(), &self.select).await?;
        let finder = Finder::new(&session, headers);
        let mut report = Report::default();
        let mut turns = Vec::new();
        for (repository, select) in &selected {
            let mut entries = select.entries();
            while let Some(entry) = entries.try_next().await? {
                match finder.find(repository, &entry)? {
                    Some((url, way)) => turns.push(Turn {
                        checked_at: entry.meta.checked_at,
                        id: entry.id.clone(),
                        url,
                        way,
                    }),
                    None => report.left += 1,
                }
            }
        }
        if self.dry_run {
            drop(finder);
            return dry(turns.len(), report.left, session, out).await;
        }
        turns.sort_by(|a, b| (a.checked_at, &a.id).cmp(&(b.checked_at, &b.id)));
        let asking = Asking {
            asker: Asker::new(&session, self.rate)?,
            finder,
        };
        let stop = tokio::signal::ctrl_c();
        let mut stop = std::pin::pin!(stop);
        let mut turns = turns.into_iter();
        while let Some(turn) = turns.next() {
            if self.budget.is_some_and(|most| report.asked >= most) {
                report.over_budget += 1 + turns.len() as u64;
                break;
            }
            let ended = tokio::select! {
                ended = asking.ask(&turn) => ended,
                _ = &mut stop => break,
            };
            if let Some(why) = report.take(&ended)
                && !global.quiet
            {
                note(format_args!(
                    "{}: {why}",
                    redact(&turn.url.to_string(), &session.secrets)
                ));
            }
        }
        drop(asking);
        session.cache.commit().await?;
        session.close().await?;
        report.write(out)
    }
}

async fn dry(count: usize, left: u64, session: Session, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        out.json(&json!({ "dry_run": true, "would_ask": count, "left": left }))?;
    } else {
        out.line(format!("would ask for {count} at most"))?;
    }
    session.close().await
}

/// What came of one request.
enum Ended {
    Confirmed,
    Changed,
    Failed(String),
    Left,
    Resting,
}

struct Asking<'s> {
    asker: Asker<'s>,
    finder: Finder<'s>,
}

impl Asking<'_> {
    async fn ask(&self, turn: &Turn) -> Ended {
        let request = self.finder.request(&turn.url, &turn.way);
        let exchange = self.finder.exchange(&request);
        if turn.url.host().is_some_and(|host| exchange.rests(host)) {
            return Ended::Resting;
        }
        let Ok(url) = reqwest::Url::parse(&turn.url.to_string()) else {
            return Ended::Left;
        };
        let (parts, ()) = request.clone().into_parts();
        // It may be gone, or another one, by now; the ticket is dropped, and nothing is asked.
        match exchange
            .begin(RequestHead::from(&parts), Background::Impossible)
            .await
        {
            Begin::Fetch(ticket) if ticket.held().is_some_and(|held| held.id == turn.id) => {}
            _ => return Ended::Left,
        }
        let sent = self.asker.send(url, &request).await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Ended::Failed(reason(error)),
        };
        let (status, outcome) = (
            response.status(),
            response
                .extensions()
                .get::<Answered>()
                .map(|a| a.outcome.kind),
        );
        // Read to its end, it is stored.
        if let Err(error) = response.bytes().await {
            return Ended::Failed(reason(error.into()));
        }
        match outcome {
            Some(OutcomeKind::Validated) => Ended::Confirmed,
            Some(OutcomeKind::Stale(_)) => {
                Ended::Failed("the API failed; what is held stays".to_owned())
            }
            _ if status.is_success() => Ended::Changed,
            _ => Ended::Failed(format!(
                "the API answers {}; what is held stays",
                status.as_u16()
            )),
        }
    }
}

impl Report {
    /// Counts it, and says why where it failed.
    fn take<'e>(&mut self, ended: &'e Ended) -> Option<&'e str> {
        match ended {
            Ended::Left => self.left += 1,
            Ended::Resting => self.resting += 1,
            Ended::Confirmed => self.confirmed += 1,
            Ended::Changed => self.changed += 1,
            Ended::Failed(_) => self.failed += 1,
        }
        self.asked = self.confirmed + self.changed + self.failed;
        match ended {
            Ended::Failed(why) => Some(why),
            _ => None,
        }
    }

    fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let Self {
            asked,
            confirmed,
            changed,
            failed,
            left,
            resting,
            over_budget,
        } = self;
        if out.is_json() {
            out.json(&json!({
                "asked": asked, "confirmed": confirmed, "changed": changed, "failed": failed,
                "left": left, "resting": resting, "over_budget": over_budget,
            }))?;
        } else {
            out.line(format!(
                "asked for {asked}: {confirmed} confirmed, {changed} fetched anew, {failed} failed"
            ))?;
            for (count, why) in [
                (
                    left,
                    "left, for they are of another user, variant or method (--principal and --header select them)",
                ),
                (resting, "left, for the API asked to be left alone"),
                (over_budget, "left, for the budget was used up"),
            ] {
                if *count > 0 {
                    out.line(format!("{count} {why}"))?;
                }
            }
        }
        if *failed > 0 {
            return Err(Failure::new(
                Exit::SomeFailed,
                "some could not be refreshed; what is held stays",
            ));
        }
        Ok(())
    }
}
