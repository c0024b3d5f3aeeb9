//! `restow refresh [REPOSITORY] SELECTION`.

use crate::{
    args::{RequestArgs, SelectArgs},
    cli::Global,
    exit::{Exit, Failure},
    http::{builder, client, reason},
    output::{Out, note},
    rate::{Pace, Rate},
    redact::redact,
    select::select,
    session::{Access, Session},
};
use clap::Args;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, Method, Request};
use reqwest_middleware::ClientWithMiddleware;
use restow::{
    AnyRepository, Mode, RequestHead,
    entry::{Entry, EntryId},
    exchange::{Answered, Background, Begin, Exchange, OutcomeKind},
};
use serde_json::json;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Asks the API whether what is held is still right, what was checked longest ago first: with a condition where there is a validator, so
/// that an answer which has not changed costs no body.
///
/// An API that asks to be left alone (Retry-After) is. Entries of other users, and of other variants than the request's headers select, are left.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow refresh --expired
  restow refresh items --until '7 days' --budget 500 --rate 5/s
  restow refresh --tag news --dry-run")]
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

/// An entry in the order of its turn.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    checked_at: i64,
    repository: usize,
    id: EntryId,
    url: String,
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
        let mut report = Report::default();
        let mut turns = BinaryHeap::new();
        for (nth, (repository, select)) in selected.iter().enumerate() {
            let mut entries = select.entries();
            while let Some(entry) = entries.try_next().await? {
                match url(repository, &entry) {
                    Some(url) => turns.push(Reverse(Turn {
                        checked_at: entry.meta.checked_at.0,
                        repository: nth,
                        id: entry.id.clone(),
                        url,
                    })),
                    None => report.left += 1,
                }
            }
        }
        if self.dry_run {
            return dry(turns.len(), report.left, session, out).await;
        }
        let asker = Asker {
            exchange: session.cache.exchange(),
            client: session
                .cache
                .client(client(builder(), Pace::new(self.rate))?),
            headers,
        };
        let stop = tokio::signal::ctrl_c();
        let mut stop = std::pin::pin!(stop);
        while let Some(Reverse(turn)) = turns.pop() {
            if self.budget.is_some_and(|most| report.asked >= most) {
                report.over_budget += 1 + turns.len() as u64;
                break;
            }
            let ended = tokio::select! {
                ended = asker.ask(&turn) => ended,
                _ = &mut stop => break,
            };
            if let Some(why) = report.take(&ended)
                && !global.quiet
            {
                note(format_args!(
                    "{}: {why}",
                    redact(&turn.url, &session.secrets)
                ));
            }
        }
        drop(asker);
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

/// The URL of an entry: where it came from, else what its route makes of its key.
fn url(repository: &AnyRepository, entry: &Entry) -> Option<String> {
    let endpoint = repository.endpoint().inner();
    if endpoint.declaration().method != Method::GET {
        return None;
    }
    let made = endpoint.request(&entry.id.address.key).ok();
    made.map(|request| request.uri().to_string())
        .or_else(|| entry.meta.head.url().map(str::to_owned))
}

/// What came of one request.
enum Ended {
    Confirmed,
    Changed,
    Failed(String),
    Left,
    Resting,
}

struct Asker {
    exchange: Exchange,
    client: ClientWithMiddleware,
    headers: HeaderMap,
}

impl Asker {
    async fn ask(&self, turn: &Turn) -> Ended {
        let Ok(uri) = turn.url.parse::<http::Uri>() else {
            return Ended::Left;
        };
        if uri.host().is_some_and(|host| self.exchange.rests(host)) {
            return Ended::Resting;
        }
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        let (parts, ()) = request.into_parts();
        // Whose entry such a request finds; the ticket is dropped, and nothing is asked.
        match self
            .exchange
            .begin(RequestHead::from(&parts), Background::Impossible)
            .await
        {
            Begin::Fetch(ticket) if ticket.held().is_some_and(|held| held.id == turn.id) => {}
            _ => return Ended::Left,
        }
        let sent = self
            .client
            .get(turn.url.as_str())
            .headers(self.headers.clone())
            .send()
            .await;
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
                    "left, for they are of another user, variant or method",
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
