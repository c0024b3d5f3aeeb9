//! What is said of each URL, and of all of them in the end.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    output::{Out, duration, note, size, stderr_is_terminal},
    redact::{Secrets, redact},
};
use http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use restow::exchange::{Answered, Bypassed, OutcomeKind, Saved};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Fewer URLs than this are listed, also where people look on.
const LISTED: u64 = 20;

/// What became of one URL.
#[derive(Debug)]
pub(super) struct Fetched {
    url: String,
    elapsed: Duration,
    end: End,
}

#[derive(Debug)]
enum End {
    Answered {
        status: StatusCode,
        bytes: u64,
        answered: Option<Answered>,
    },
    Refused(Option<Answered>),
    Failed(String),
}

impl Fetched {
    pub(super) fn answered(
        url: String,
        elapsed: Duration,
        status: StatusCode,
        bytes: u64,
        answered: Option<Answered>,
    ) -> Self {
        Self {
            url,
            elapsed,
            end: End::Answered {
                status,
                bytes,
                answered,
            },
        }
    }

    pub(super) fn refused(url: String, elapsed: Duration, answered: Option<Answered>) -> Self {
        Self {
            url,
            elapsed,
            end: End::Refused(answered),
        }
    }

    pub(super) fn failed(url: String, elapsed: Duration, why: impl Into<String>) -> Self {
        Self {
            url,
            elapsed,
            end: End::Failed(why.into()),
        }
    }

    fn is_failed(&self) -> bool {
        match &self.end {
            End::Answered { status, .. } => status.as_u16() >= 400,
            End::Refused(_) | End::Failed(_) => true,
        }
    }

    fn told(&self) -> Option<&Answered> {
        match &self.end {
            End::Answered { answered, .. } | End::Refused(answered) => answered.as_ref(),
            End::Failed(_) => None,
        }
    }
}

/// One URL in JSON.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    url: String,
    outcome: &'a str,
    detail: Option<&'a str>,
    rule: Option<&'a str>,
    rfc: Option<&'a str>,
    status: Option<u16>,
    bytes: Option<u64>,
    ms: f64,
    repository: Option<&'a str>,
    partition: Option<String>,
    saved: Option<String>,
    error: Option<&'a str>,
}

/// The end in JSON.
#[derive(Debug, Default, Serialize)]
struct Summary {
    r#type: &'static str,
    urls: u64,
    hit: u64,
    stale: u64,
    validated: u64,
    coalesced: u64,
    miss: u64,
    bypass: u64,
    refused: u64,
    failed: u64,
    bytes: u64,
    seconds: f64,
    saved_seconds: f64,
}

/// Counts, and says.
#[derive(Debug)]
pub(super) struct Report {
    start: Instant,
    counts: Summary,
    saved: Duration,
    not_routed: u64,
    /// Of the failed: those that were not held and might not be asked for.
    not_held: u64,
    secrets: Secrets,
    lines: bool,
    bar: Option<ProgressBar>,
}

impl Report {
    pub(super) fn new(count: Option<u64>, secrets: &Secrets, global: &Global, out: &Out) -> Self {
        let watched =
            stderr_is_terminal() && !global.quiet && !out.is_json() && global.verbose == 0;
        let bar = (watched && count.is_none_or(|n| n >= LISTED)).then(|| bar(count));
        Self {
            start: Instant::now(),
            counts: Summary {
                r#type: "summary",
                ..Summary::default()
            },
            saved: Duration::ZERO,
            not_routed: 0,
            not_held: 0,
            secrets: secrets.clone(),
            lines: bar.is_none() && !global.quiet,
            bar,
        }
    }

    /// Counts one URL, and says what became of it.
    pub(super) fn one(&mut self, fetched: &Fetched, out: &mut Out) -> Result<(), Failure> {
        self.count(fetched);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if out.is_json() {
            out.json(&line(fetched, &self.secrets))?;
            out.flush()
        } else if self.lines {
            out.line(text(fetched, &self.secrets, out))?;
            out.flush()
        } else {
            match &self.bar {
                Some(bar) if fetched.is_failed() => bar.suspend(|| {
                    out.line(text(fetched, &self.secrets, out))
                        .and_then(|()| out.flush())
                }),
                _ => Ok(()),
            }
        }
    }

    /// Says what became of all.
    pub(super) fn summary(&mut self, config: Option<&str>, out: &mut Out) -> Result<(), Failure> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let elapsed = self.start.elapsed();
        self.counts.seconds = elapsed.as_secs_f64();
        self.counts.saved_seconds = self.saved.as_secs_f64();
        if out.is_json() {
            out.json(&self.counts)?;
        } else {
            out.line(self.sentence(elapsed, out))?;
        }
        if self.not_routed > 0
            && let Some(config) = config
        {
            note(format_args!(
                "note: {} of the URLs match no endpoint of {config} and were not kept; `restow routes test URL` tells why",
                self.not_routed
            ));
        }
        Ok(())
    }

    /// Tells how the program ends.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let Summary { urls, failed, .. } = self.counts;
        let those = match (failed, urls) {
            (1, 1) => "the URL".to_owned(),
            _ if failed == urls => format!("all {urls} URLs"),
            _ => format!("{failed} of {urls} URLs"),
        };
        match failed {
            0 => Ok(()),
            1 if self.not_held == 1 => Err(Failure::not_held(format!("{those} is not held"))),
            _ if failed == self.not_held => Err(Failure::not_held(format!("{those} are not held"))),
            _ if failed == urls => Err(Failure::new(Exit::Upstream, format!("{those} failed"))),
            _ => Err(Failure::new(Exit::SomeFailed, format!("{those} failed"))),
        }
    }

    fn count(&mut self, fetched: &Fetched) {
        let counts = &mut self.counts;
        counts.urls += 1;
        counts.failed += u64::from(fetched.is_failed());
        if let End::Answered { bytes, .. } = &fetched.end {
            counts.bytes += bytes;
        }
        let Some(answered) = fetched.told() else {
            return;
        };
        let counter = match answered.outcome.kind {
            OutcomeKind::Hit => &mut counts.hit,
            OutcomeKind::Stale(_) => &mut counts.stale,
            OutcomeKind::Validated => &mut counts.validated,
            OutcomeKind::Coalesced => &mut counts.coalesced,
            OutcomeKind::Refused => &mut counts.refused,
            OutcomeKind::Bypass(why) => {
                self.not_routed += u64::from(why == Bypassed::NotRouted);
                &mut counts.bypass
            }
            _ => &mut counts.miss,
        };
        *counter += 1;
        self.not_held += u64::from(answered.outcome.kind == OutcomeKind::Refused);
        // What the API took for an answer that it did not have to make again.
        if matches!(
            answered.outcome.kind,
            OutcomeKind::Hit | OutcomeKind::Stale(_) | OutcomeKind::Coalesced
        ) {
            self.saved += answered.took.saturating_sub(fetched.elapsed);
        }
    }

    fn sentence(&self, elapsed: Duration, out: &Out) -> String {
        let c = &self.counts;
        let counted = [
            (c.hit, "hit"),
            (c.stale, "stale"),
            (c.validated, "validated"),
            (c.coalesced, "coalesced"),
            (c.miss, "miss"),
            (c.bypass, "bypass"),
            (c.refused, "refused"),
            (c.failed, "failed"),
        ];
        let counted: Vec<String> = counted
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        let urls = if c.urls == 1 { "URL" } else { "URLs" };
        let mut text = format!(
            "{} {urls}: {}; {} in {}",
            c.urls,
            counted.join(", "),
            size(c.bytes),
            duration(elapsed)
        );
        if !self.saved.is_zero() {
            text.push_str(&format!(", {} saved", duration(self.saved)));
        }
        out.bold(text)
    }
}

fn text(fetched: &Fetched, secrets: &Secrets, out: &Out) -> String {
    const WORD: usize = 9;
    let url = redact(&fetched.url, secrets);
    match &fetched.end {
        End::Failed(why) => format!(
            "{}    -         -  {url}  ({why})",
            out.failed("failed", WORD)
        ),
        End::Refused(_) => format!(
            "{}    -         -  {url}  (not held, and the mode forbids asking)",
            out.failed("refused", WORD)
        ),
        End::Answered {
            status,
            bytes,
            answered,
        } => {
            let kind = answered.as_ref().map(|a| a.outcome.kind);
            let word =
                kind.map_or_else(|| format!("{:WORD$}", "-"), |kind| out.outcome(kind, WORD));
            let status = if status.as_u16() >= 400 {
                out.failed(status.as_str(), 3)
            } else {
                status.as_str().to_owned()
            };
            let why = answered
                .as_ref()
                .and_then(remark)
                .map_or(String::new(), |w| {
                    format!("  {}", out.dim(format!("({w})")))
                });
            format!("{word}  {status}  {:>8}  {url}{why}", size(*bytes))
        }
    }
}

/// What is worth saying of an outcome beside its word.
fn remark(answered: &Answered) -> Option<String> {
    match (answered.outcome.kind.as_strs(), answered.saved()) {
        (_, Some(Saved::Rejected(rule))) => Some(format!("not kept: {rule}")),
        (_, Some(Saved::StoreDown)) => Some("not kept: the store failed".to_owned()),
        (_, Some(Saved::Superseded)) => {
            Some("not kept: it was fetched or removed since".to_owned())
        }
        (("miss", Some("absent" | "expired")), _) => None,
        ((_, detail), _) => detail.map(str::to_owned),
    }
}

fn line<'a>(fetched: &'a Fetched, secrets: &Secrets) -> Line<'a> {
    let told = fetched.told();
    let (word, detail) = match (&fetched.end, told) {
        (End::Failed(_), _) => ("failed", None),
        (_, Some(answered)) => answered.outcome.kind.as_strs(),
        (_, None) => ("unknown", None),
    };
    let (status, bytes) = match &fetched.end {
        End::Answered { status, bytes, .. } => (Some(status.as_u16()), Some(*bytes)),
        _ => (None, None),
    };
    let rule = told.and_then(|a| a.outcome.rule);
    Line {
        r#type: "response",
        url: redact(&fetched.url, secrets),
        outcome: word,
        detail,
        rule: rule.map(|r| r.name),
        rfc: rule.map(|r| r.rfc).filter(|r| !r.is_empty()),
        status,
        bytes,
        ms: fetched.elapsed.as_secs_f64() * 1e3,
        repository: told.and_then(|a| a.repository.as_deref()),
        partition: told
            .and_then(|a| a.key.as_ref())
            .map(|(_, partition)| partition.to_string()),
        saved: told.and_then(Answered::saved).map(saved),
        error: match &fetched.end {
            End::Failed(why) => Some(why),
            End::Refused(_) => Some("not held, and the mode forbids asking"),
            End::Answered { .. } => None,
        },
    }
}

fn saved(saved: &Saved) -> String {
    match saved {
        Saved::Stored => "stored".to_owned(),
        Saved::NotRouted => "not-routed".to_owned(),
        Saved::NoKey => "no-key".to_owned(),
        Saved::StoreDown => "store-down".to_owned(),
        Saved::Superseded => "superseded".to_owned(),
        Saved::Rejected(rule) => format!("rejected: {rule}"),
        _ => "unknown".to_owned(),
    }
}

fn bar(count: Option<u64>) -> ProgressBar {
    let bar = count.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match count {
        Some(_) => "{wide_bar} {pos}/{len}  {per_sec}  {eta} left",
        None => "{spinner} {pos} done  {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
