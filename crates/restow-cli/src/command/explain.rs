//! `restow explain URL`.

use crate::{
    args::RequestArgs,
    cli::Global,
    command::routes::{Place, Table, lines, object},
    entries,
    exit::Failure,
    output::{Out, duration, relative},
    redact::redact,
    session::{Access, Session, whole},
    target,
};
use clap::Args;
use http::Method;
use restow::{
    AnyRepository, Clock as _, Declaration, Millis, Mode, RequestHead, SystemClock,
    entry::{Entry, Variant},
    exchange::{Begin, Missed, Outcome, OutcomeKind, Staleness},
    route::Target,
};
use restow_proxy::Everything;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// Says what a request of this URL would come to, and why. A dry run: the API is never asked.
///
/// Shows the endpoint and the key, what is held under it and for whom, the outcome with the rule that decides, and what
/// would make it a hit.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  restow explain --principal me https://api.example.com/v1/items/7")]
pub(crate) struct Explain {
    /// The URL.
    url: String,
    /// In another mode.
    #[arg(long)]
    mode: Option<Mode>,
    #[command(flatten)]
    request: RequestArgs,
}

/// What a request would come to.
struct Verdict {
    outcome: Outcome,
    advice: String,
}

impl Explain {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Imagine, self.mode).await?;
        let request = target::request_of(&session, &self.url, self.request.headers()?)?;
        let (parts, ()) = request.clone().into_parts();
        let repositories: Vec<AnyRepository> = session.cache.iter().collect();
        let declarations: Vec<Declaration> = repositories.iter().map(whole).collect();
        let table = Table::new(&declarations)?;
        let at = Target::from(&parts.uri);
        let place = table.find(&Method::GET, &at);
        let near = table.near(&Method::GET, &at);
        let now = SystemClock.now();

        let view = session.view(&request);
        let held = match view.route(&request) {
            Some(repository) => {
                let own = repository.variants(&request).await?;
                let all = match repository.raw_key(&RequestHead::from(&parts)) {
                    Some(key) => repository.everyone().variants(&key).await?,
                    None => Vec::new(),
                };
                Some((repository, own, all))
            }
            None => None,
        };
        let place = match (place, &held) {
            (Place::Nowhere, Some((repository, ..))) => {
                let key = repository.raw_key(&RequestHead::from(&parts));
                let declaration = declarations.iter().find(|d| Everything::is(d));
                match declaration.zip(key) {
                    Some((declaration, key)) => Place::Everything { declaration, key },
                    None => Place::Nowhere,
                }
            }
            (place, _) => place,
        };
        let begin = view.exchange().foresee(RequestHead::from(&parts)).await;
        let verdict = verdict(begin, held.as_ref(), now, session.config.is_some());

        let url = redact(&self.url, &session.secrets);
        if out.is_json() {
            let mut value = object(&url, &place, &near);
            if let Value::Object(map) = &mut value {
                map.extend(facts(&verdict, held.as_ref(), now));
            }
            out.json(&value)?;
            return session.close().await;
        }
        out.line(out.bold(url))?;
        for line in lines(
            &place,
            if held.is_some() { &[] } else { &near },
            session.place(),
            out,
        ) {
            out.line(line)?;
        }
        let line = |out: &mut Out, name: &str, value: String| {
            let name = out.dim(format!("{name:9}"));
            out.line(format!("  {name}  {value}"))
        };
        if let Some((_, own, all)) = &held {
            if own.is_empty() {
                line(out, "held", "nothing".to_owned())?;
            }
            for entry in own {
                line(out, "held", described(entry, now))?;
            }
            let others = others(own, all);
            if !others.is_empty() {
                line(out, "also for", others.join(", "))?;
            }
        }
        let kind = verdict.outcome.kind;
        let (_, detail) = kind.as_strs();
        let mut outcome = out.outcome(kind, 0);
        if let Some(detail) = detail {
            outcome.push_str(&format!(" ({detail})"));
        }
        line(out, "outcome", outcome)?;
        if let Some(rule) = verdict.outcome.rule {
            line(out, "rule", rule.to_string())?;
        }
        line(out, "advice", verdict.advice)?;
        session.close().await
    }
}

type Held = (AnyRepository, Vec<Arc<Entry>>, Vec<Arc<Entry>>);

/// Takes what the exchange says; a ticket that is dropped fetches nothing.
fn verdict(begin: Begin, held: Option<&Held>, now: Millis, has_config: bool) -> Verdict {
    let (outcome, advice) = match begin {
        Begin::Answer {
            entry, answered, ..
        } => {
            let until = relative(entry.meta.expires_at, now);
            let advice = match answered.outcome.kind {
                OutcomeKind::Stale(Staleness::Window) => {
                    "it is served at once, and refreshed behind".to_owned()
                }
                OutcomeKind::Stale(_) => "it has expired, and is served all the same".to_owned(),
                _ if entry.meta.expires_at == Millis::MAX => {
                    "it is a hit, and stays one".to_owned()
                }
                _ => format!("it is a hit; it expires {until}"),
            };
            (answered.outcome, advice)
        }
        Begin::Refuse(answered) => (
            answered.outcome,
            "nothing is held, and the mode forbids asking; fetch it in the mode live".to_owned(),
        ),
        Begin::Fetch(ticket) => {
            let outcome = ticket.outcome();
            let advice = match outcome.kind {
                OutcomeKind::Bypass(_) => bypass(outcome.kind, has_config),
                _ => miss(outcome, held),
            };
            (outcome, advice)
        }
        Begin::Bypass(answered, _) => (answered.outcome, bypass(answered.outcome.kind, has_config)),
        _ => (
            Outcome::new(OutcomeKind::Miss(Missed::Absent), None),
            String::new(),
        ),
    };
    Verdict { outcome, advice }
}

fn miss(outcome: Outcome, held: Option<&Held>) -> String {
    let validator = |(_, own, _): &Held| {
        own.iter()
            .any(|e| e.meta.head.etag().is_some() || e.meta.head.last_modified().is_some())
    };
    match outcome.kind {
        OutcomeKind::Miss(Missed::Expired) if held.is_some_and(validator) => {
            "the API is asked whether it has changed (its answer is a 304 where it has not); a longer expire_after makes it a hit for longer".to_owned()
        }
        OutcomeKind::Miss(Missed::Expired) => "it has no validator, so it is fetched anew; a longer expire_after makes it a hit for longer".to_owned(),
        OutcomeKind::Miss(Missed::OtherVariant) => "the answer varies on request headers, and was stored for other values of them; send the same by --header".to_owned(),
        OutcomeKind::Miss(Missed::OtherPartition) => other_partition(),
        OutcomeKind::Miss(Missed::StoreDown) => "the store cannot be read; requests go to the API".to_owned(),
        _ if held.is_some_and(|(_, own, all)| own.is_empty() && !all.is_empty()) => other_partition(),
        _ => "it is fetched and kept: `restow fetch URL` makes it a hit".to_owned(),
    }
}

fn other_partition() -> String {
    "it is held for another user: name one by --principal, show the same credential by --header or --bearer-env, or let the endpoint share its answers".to_owned()
}

fn bypass(kind: OutcomeKind, has_config: bool) -> String {
    match kind.as_strs().1 {
        Some("not-routed") if has_config => "no endpoint matches, so it is fetched each time; declare one in the configuration".to_owned(),
        Some("not-routed") => "no repository matches yet: `restow fetch URL` makes one for the host".to_owned(),
        Some("no-key") => "an endpoint matches, but cannot tell this answer from others; `restow routes test URL` tells why".to_owned(),
        Some("mode") => "the mode leaves the cache out".to_owned(),
        _ => "the cache has no part in such a request".to_owned(),
    }
}

fn described(entry: &Entry, now: Millis) -> String {
    let meta = &entry.meta;
    let mut text = format!(
        "{} stored {}",
        meta.head.status(),
        relative(meta.stored_at, now)
    );
    if meta.checked_at != meta.stored_at {
        text.push_str(&format!(", confirmed {}", relative(meta.checked_at, now)));
    }
    text.push_str(&match (meta.is_live(now), meta.expires_at) {
        (true, Millis::MAX) => ", never expires".to_owned(),
        (true, at) => format!(", expires {}", relative(at, now)),
        (false, at) => format!(", expired {} ago", duration(now.since(at))),
    });
    text.push_str(&format!(
        ", for {}",
        entries::owner(&entry.id.address.partition)
    ));
    if entry.id.variant != Variant::NONE {
        text.push_str(&format!(", varies on {}", meta.head.vary()));
    }
    text
}

/// Who else has entries under the key.
fn others(own: &[Arc<Entry>], all: &[Arc<Entry>]) -> Vec<String> {
    let own: BTreeSet<_> = own.iter().map(|e| &e.id.address.partition).collect();
    let others: BTreeSet<_> = all
        .iter()
        .map(|e| &e.id.address.partition)
        .filter(|p| !own.contains(p))
        .collect();
    others.into_iter().map(entries::owner).collect()
}

fn facts(verdict: &Verdict, held: Option<&Held>, now: Millis) -> serde_json::Map<String, Value> {
    let (word, detail) = verdict.outcome.kind.as_strs();
    let entries_of = |(repository, own, _): &Held| {
        own.iter()
            .map(|e| Value::Object(entries::json(repository, e, now)))
            .collect::<Vec<_>>()
    };
    let value = json!({
        "outcome": word,
        "detail": detail,
        "rule": verdict.outcome.rule.map(|r| r.name),
        "rfc": verdict.outcome.rule.map(|r| r.rfc).filter(|r| !r.is_empty()),
        "advice": verdict.advice,
        "held": held.map(entries_of).unwrap_or_default(),
        "held_for_others": held.map(|(_, own, all)| others(own, all)).unwrap_or_default(),
    });
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}
