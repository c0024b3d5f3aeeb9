//! `restow stats`.

use crate::{
    cli::Global,
    exit::Failure,
    output::{Columns, Out, relative, size},
    session::{Access, Session},
};
use clap::Args;
use restow::{
    Clock as _, Millis, SystemClock,
    store::{Ages, Health, MemoryPolicy, Share, SideHealth, Stats},
};
use serde_json::{Value, json};

/// Shows how much is held: of each repository, and in all.
#[derive(Debug, Args)]
pub(crate) struct StatsCommand {
    /// The repository; without it, all.
    repository: Option<String>,
}

impl StatsCommand {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let session = Session::open(global, Access::Existing, None).await?;
        let now = SystemClock.now();
        let mut columns = Columns::new(&[
            "REPOSITORY",
            ">ENTRIES",
            ">LIVE",
            ">EXPIRED",
            ">SIZE",
            "OLDEST",
            "NEWEST",
        ]);
        let mut objects = Vec::new();
        let mut total = Stats::default();
        total.exact = true;
        total.ages.exact = true;
        for repository in session.repositories(self.repository.as_deref())? {
            let stats = repository.stats().await?;
            columns.row(cells(repository.name(), &stats, now));
            objects.push(object(Some(repository.name()), &stats));
            total.entries += stats.entries;
            total.expired += stats.expired;
            total.bytes += stats.bytes;
            total.exact &= stats.exact;
            total.ages.merge(&stats.ages);
            total.oldest = [total.oldest, stats.oldest].into_iter().flatten().min();
            total.newest = total.newest.max(stats.newest);
        }
        // Its server may not tell this user; that is no reason to say nothing.
        let memory = session.cache.store().memory_policy().await;
        if out.is_json() {
            let mut all = object(None, &total);
            if let Value::Object(all) = &mut all {
                all.remove("repository");
                all.insert("cache".to_owned(), session.place().into());
                all.insert("kind".to_owned(), session.cache.kind().into());
                all.insert("repositories".to_owned(), objects.into());
                if let Some(health) = session.cache.health() {
                    all.insert("health".to_owned(), health_object(&health));
                }
                if let Ok(Some(policy)) = &memory {
                    all.insert("memory".to_owned(), memory_object(policy));
                }
            }
            out.json(&all)?;
        } else {
            columns.row(cells("total", &total, now));
            out.line(out.bold(session.place()))?;
            if let Some(health) = session.cache.health() {
                out.line(health_line(&health))?;
            }
            match &memory {
                Ok(Some(policy)) => out.line(memory_line(policy))?,
                Ok(None) => {}
                Err(error) => out.line(format!("memory: not known: {error}"))?,
            }
            columns.write(out)?;
            out.line("")?;
            ages(&total.ages).write(out)?;
        }
        session.close().await
    }
}

/// What this run saw of a store that is watched.
fn health_line(health: &Health) -> String {
    let side = |name: &str, side: &SideHealth| {
        format!(
            "{name} {} ({} failed, {} of them too slow)",
            side.state, side.failures, side.timeouts
        )
    };
    let (reads, changes) = (&health.reads, &health.changes);
    format!(
        "breaker: {}, {}",
        side("reads", reads),
        side("changes", changes)
    )
}

fn health_object(health: &Health) -> Value {
    let side = |side: &SideHealth| {
        json!({
            "breaker": side.state.as_str(),
            "opens": side.opens,
            "failures": side.failures,
            "timeouts": side.timeouts,
            "refused": side.refused,
            "last_failure": side.last_failure,
        })
    };
    json!({ "up": health.is_up(), "reads": side(&health.reads), "changes": side(&health.changes) })
}

/// What the server does when its memory is full, and what helps where that is bad for a cache.
fn memory_line(policy: &MemoryPolicy) -> String {
    let used = size(policy.used);
    let Some(most) = policy.most else {
        return format!("memory: {used} used by the server, without a bound (maxmemory)");
    };
    let what = match policy.advice() {
        Some(advice) => advice,
        None if policy.removes_entries() => "when that is full, the server removes entries",
        None => "what it does when that is full it does not tell",
    };
    format!(
        "memory: {used} of {} (maxmemory) used by the server, {}: {what}",
        size(most),
        policy.policy
    )
}

fn memory_object(policy: &MemoryPolicy) -> Value {
    json!({
        "used": policy.used,
        "most": policy.most,
        "policy": policy.policy,
        "removes_entries": policy.removes_entries(),
        "advice": policy.advice(),
    })
}

fn cells(name: &str, stats: &Stats, now: Millis) -> [String; 7] {
    let about = if stats.exact { "" } else { "~" };
    let time = |at: Option<Millis>| at.map_or("-".to_owned(), |at| relative(at, now));
    [
        name.to_owned(),
        format!("{about}{}", stats.entries),
        format!("{about}{}", stats.entries.saturating_sub(stats.expired)),
        format!("{about}{}", stats.expired),
        size(stats.bytes),
        time(stats.oldest),
        time(stats.newest),
    ]
}

fn object(name: Option<&str>, stats: &Stats) -> Value {
    json!({
        "repository": name,
        "entries": stats.entries,
        "expired": stats.expired,
        "bytes": stats.bytes,
        "oldest": stats.oldest.map(|at| at.to_string()),
        "newest": stats.newest.map(|at| at.to_string()),
        "ages": {
            "stored": shares(&stats.ages.stored),
            "expires": shares(&stats.ages.expires),
            "exact": stats.ages.exact,
        },
        "exact": stats.exact,
    })
}

/// Names of the spans of [`Ages`]; within one is beyond those before it.
const SPANS: [&str; 5] = ["1 hour", "1 day", "7 days", "30 days", "beyond"];

/// A table of how old entries are and how soon they expire.
fn ages(ages: &Ages) -> Columns {
    let mut columns = Columns::new(&["WITHIN", ">STORED", ">SIZE", ">EXPIRING", ">SIZE"]);
    let about = if ages.exact { "" } else { "~" };
    for ((span, stored), expires) in SPANS.iter().zip(&ages.stored).zip(&ages.expires) {
        columns.row([
            (*span).to_owned(),
            format!("{about}{}", stored.entries),
            size(stored.bytes),
            format!("{about}{}", expires.entries),
            size(expires.bytes),
        ]);
    }
    columns
}

fn shares(shares: &[Share; 5]) -> Value {
    let spans = SPANS.iter().zip(shares);
    spans
        .map(|(span, share)| json!({ "within": span, "entries": share.entries, "bytes": share.bytes }))
        .collect()
}
