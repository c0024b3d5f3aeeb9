//! Numbers of what was served: counted without a lock, and without a line of memory that all cores write.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use restow::{
    entry::Partition,
    exchange::{Bypassed, Missed, OutcomeKind, Staleness},
    store::{BreakerState, Health, SideHealth, Stats},
};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// All outcomes, and last what the proxy answered itself: the indexes of the counters.
const OUTCOMES: [Option<OutcomeKind>; 21] = [
    Some(OutcomeKind::Hit),
    Some(OutcomeKind::Stale(Staleness::Window)),
    Some(OutcomeKind::Stale(Staleness::Error)),
    Some(OutcomeKind::Stale(Staleness::Offline)),
    Some(OutcomeKind::Validated),
    Some(OutcomeKind::Coalesced),
    Some(OutcomeKind::Miss(Missed::Absent)),
    Some(OutcomeKind::Miss(Missed::Expired)),
    Some(OutcomeKind::Miss(Missed::OtherPartition)),
    Some(OutcomeKind::Miss(Missed::OtherVariant)),
    Some(OutcomeKind::Miss(Missed::Evicted)),
    Some(OutcomeKind::Miss(Missed::StoreDown)),
    Some(OutcomeKind::Bypass(Bypassed::NotRouted)),
    Some(OutcomeKind::Bypass(Bypassed::NoKey)),
    Some(OutcomeKind::Bypass(Bypassed::Mode)),
    Some(OutcomeKind::Bypass(Bypassed::Method)),
    Some(OutcomeKind::Bypass(Bypassed::Range)),
    Some(OutcomeKind::Bypass(Bypassed::TooLarge)),
    Some(OutcomeKind::Bypass(Bypassed::Unfit)),
    Some(OutcomeKind::Refused),
    None,
];

/// Upper bounds of the latency histogram, in microseconds; what is above all of them is in one more.
const BOUNDS: [u64; 13] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
];

/// The counters of one or a few threads, on lines of memory of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    outcomes: [Counts; OUTCOMES.len()],
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    micros: AtomicU64,
    /// How many took up to each bound, and how many longer.
    times: [AtomicU64; BOUNDS.len() + 1],
}

/// Numbers of what was served since the proxy was made.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    shards: [Shard; 16],
    /// Client connections that are open.
    pub(crate) connections: AtomicU64,
    pub(crate) reloads: Reloads,
    /// Lines of the access log that were not written.
    pub(crate) dropped: AtomicU64,
}

/// How often the settings were to be replaced.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
}

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed)
    };
}

impl Metrics {
    /// Notes an answer: what it came to (`None`: the proxy's own), how long its head took, and how long its body is, where that is known.
    pub(crate) fn note(&self, outcome: Option<OutcomeKind>, time: Duration, bytes: u64) {
        let Some(counts) = self.counts(outcome) else {
            return;
        };
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        counts.bytes.fetch_add(bytes, Relaxed);
        counts.micros.fetch_add(micros, Relaxed);
        if let Some(times) = counts.times.get(bucket) {
            times.fetch_add(1, Relaxed);
        }
    }

    /// Notes bytes that were sent of a body whose length was not known with its head.
    pub(crate) fn sent(&self, outcome: Option<OutcomeKind>, bytes: u64) {
        if let Some(counts) = self.counts(outcome) {
            counts.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// The counters of an outcome on this thread.
    fn counts(&self, outcome: Option<OutcomeKind>) -> Option<&Counts> {
        let index = OUTCOMES
            .iter()
            .position(|o| *o == outcome)
            .unwrap_or(OUTCOMES.len() - 1);
        let shard = self.shards.get(SHARD.with(|nth| nth % self.shards.len()));
        shard.and_then(|s| s.outcomes.get(index))
    }

    fn sum(&self, outcome: usize, of: impl Fn(&Counts) -> u64) -> u64 {
        let all = self.shards.iter().filter_map(|s| s.outcomes.get(outcome));
        all.map(of).sum()
    }
}

/// What a repository holds.
#[derive(Debug)]
struct Held {
    repository: Box<str>,
    stats: Stats,
    /// Whose entries they are.
    partitions: Vec<(Partition, u64)>,
}

/// The most principals that have a series of their own; the others share one. Series cost whoever keeps them, and names are the clients'.
const MOST_PRINCIPALS: usize = 20;

/// Writes all numbers in the text format that Prometheus reads.
pub(crate) async fn page(
    metrics: &Arc<Metrics>,
    cache: &restow::Cache,
) -> Result<String, fmt::Error> {
    let mut held = Vec::new();
    for repository in cache.iter() {
        // A store that is down has no numbers; the others are still worth reading.
        if let Ok(stats) = repository.everyone().stats().await {
            held.push(Held {
                repository: repository.name().into(),
                stats,
                partitions: repository.partitions().await.unwrap_or_default(),
            });
        }
    }
    let mut registry = Registry::with_prefix("restow");
    registry.register_collector(Box::new(Page {
        metrics: metrics.clone(),
        health: cache.health(),
        held,
    }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    metrics: Arc<Metrics>,
    /// How the store does, where that is watched.
    health: Option<Health>,
    held: Vec<Held>,
}

impl Page {
    /// Encodes one number for each outcome that ever happened.
    fn each(
        &self,
        mut into: MetricEncoder<'_>,
        encode: impl Fn(usize, MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        for (index, outcome) in OUTCOMES.iter().enumerate() {
            let happened = self
                .metrics
                .sum(index, |c| c.times.iter().map(|t| t.load(Relaxed)).sum());
            if happened == 0 {
                continue;
            }
            let (word, detail) = outcome.map_or(("error", None), OutcomeKind::as_strs);
            let labels = [("outcome", word), ("detail", detail.unwrap_or(""))];
            encode(index, into.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn held(
        &self,
        into: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        of: impl Fn(&Stats) -> u64,
    ) -> fmt::Result {
        let gauge = ConstGauge::new(0_u64);
        let mut into = into.encode_descriptor(name, help, unit, gauge.metric_type())?;
        for held in &self.held {
            let labels = [("repository", &*held.repository)];
            ConstGauge::new(of(&held.stats)).encode(into.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Encodes how a store does that is watched.
    fn store(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(health) = &self.health else {
            return Ok(());
        };
        let sides = [("reads", &health.reads), ("changes", &health.changes)];
        let gauge = ConstGauge::new(0_u64);
        let mut states = into.encode_descriptor(
            "store_breaker",
            "1 for the state that the breaker before the store is in: closed while calls are made, open while the store is down",
            None,
            gauge.metric_type(),
        )?;
        for (calls, side) in sides {
            for state in BreakerState::ALL {
                let labels = [("calls", calls), ("state", state.as_str())];
                let is = u64::from(state == side.state);
                ConstGauge::new(is).encode(states.encode_family(&labels)?)?;
            }
        }
        type Of = fn(&SideHealth) -> u64;
        let counts: [(&str, &str, Of); 4] = [
            (
                "store_breaker_opens",
                "How often the breaker before the store opened",
                |s| s.opens,
            ),
            (
                "store_failures",
                "Calls of the store that failed by its own doing, those that took too long too",
                |s| s.failures,
            ),
            (
                "store_timeouts",
                "Calls of the store that were given up because they took too long",
                |s| s.timeouts,
            ),
            (
                "store_refused",
                "Calls of the store that were not made because the breaker was open",
                |s| s.refused,
            ),
        ];
        for (name, help, of) in counts {
            let counter = ConstCounter::new(0_u64);
            let mut into = into.encode_descriptor(name, help, None, counter.metric_type())?;
            for (calls, side) in sides {
                let labels = [("calls", calls)];
                ConstCounter::new(of(side)).encode(into.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// Encodes how many entries each kind of user has, and each of the principals that have the most.
    fn whose(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let gauge = ConstGauge::new(0_u64);
        let help = "Entries of everyone, of credentials together, of the principals that have the most, and of all other principals";
        let mut into =
            into.encode_descriptor("entries_by_user", help, None, gauge.metric_type())?;
        let named = most_held(&self.held);
        for held in &self.held {
            let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for (partition, count) in &held.partitions {
                let user = match partition.as_principal() {
                    None if partition.is_public() => ("public", ""),
                    None => ("credential", ""),
                    Some(name) if named.contains(&name) => ("principal", name),
                    Some(_) => ("other", ""),
                };
                *counts.entry(user).or_default() += count;
            }
            for ((user, principal), count) in counts {
                let labels = [
                    ("repository", &*held.repository),
                    ("user", user),
                    ("principal", principal),
                ];
                ConstGauge::new(count).encode(into.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Collector for Page {
    fn encode(&self, mut into: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let counter = ConstCounter::new(0_u64);
        let bytes = into.encode_descriptor(
            "response_body",
            "Bytes of bodies that were answered: their length where it was known with the head, else what was sent",
            Some(&Unit::Bytes),
            counter.metric_type(),
        )?;
        self.each(bytes, |outcome, into| {
            ConstCounter::new(metrics.sum(outcome, |c| c.bytes.load(Relaxed))).encode(into)
        })?;
        let times = into.encode_descriptor(
            "request_duration",
            "Time from a request's head to the head of its answer; its count is that of requests",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        self.each(times, |outcome, mut into| {
            let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
            let counts = |nth: usize| {
                metrics.sum(outcome, |c| c.times.get(nth).map_or(0, |t| t.load(Relaxed)))
            };
            let mut buckets: Vec<(f64, u64)> = BOUNDS
                .iter()
                .enumerate()
                .map(|(nth, bound)| (seconds(*bound), counts(nth)))
                .collect();
            buckets.push((f64::INFINITY, counts(BOUNDS.len())));
            let all = buckets.iter().map(|(_, count)| count).sum();
            let time = seconds(metrics.sum(outcome, |c| c.micros.load(Relaxed)));
            into.encode_histogram::<NoLabelSet>(time, all, &buckets, None)
        })?;
        let open = ConstGauge::new(metrics.connections.load(Relaxed));
        let connections = into.encode_descriptor(
            "connections",
            "Client connections that are open",
            None,
            open.metric_type(),
        )?;
        open.encode(connections)?;
        let dropped = ConstCounter::new(metrics.dropped.load(Relaxed));
        let lines = into.encode_descriptor(
            "access_log_dropped",
            "Lines of the access log that were not written, since nobody read those before fast enough",
            None,
            dropped.metric_type(),
        )?;
        dropped.encode(lines)?;
        let mut reloads = into.encode_descriptor(
            "reloads",
            "Reloads of the settings; those that failed changed nothing",
            None,
            counter.metric_type(),
        )?;
        for (result, count) in [
            ("success", &metrics.reloads.succeeded),
            ("failure", &metrics.reloads.failed),
        ] {
            let labels = [("result", result)];
            ConstCounter::new(count.load(Relaxed)).encode(reloads.encode_family(&labels)?)?;
        }
        self.store(&mut into)?;
        self.held(&mut into, "entries", "Entries that are held", None, |h| {
            h.entries
        })?;
        self.whose(&mut into)?;
        self.held(
            &mut into,
            "entries_expired",
            "Entries that have expired and are kept",
            None,
            |h| h.expired,
        )?;
        self.held(
            &mut into,
            "entries_size",
            "Header lines, URLs and bodies of entries",
            Some(&Unit::Bytes),
            |h| h.bytes,
        )
    }
}

/// The principals that have the most entries in all repositories together.
fn most_held(held: &[Held]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (partition, count) in held.iter().flat_map(|h| &h.partitions) {
        if let Some(name) = partition.as_principal() {
            *counts.entry(name).or_default() += count;
        }
    }
    let mut all: Vec<_> = counts.into_iter().collect();
    // By name where they have the same, so that a series does not come and go.
    all.sort_by_key(|(name, count)| (Reverse(*count), *name));
    all.truncate(MOST_PRINCIPALS);
    all.into_iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use restow::{DeclaredEndpoint, Text};

    #[tokio::test]
    async fn entries_are_counted_by_user_and_no_more_series_than_the_fullest_have() {
        let cache = restow::connect("memory:").await.unwrap();
        let endpoint = DeclaredEndpoint::get("pages", "https://api.example.com/{id}").unwrap();
        cache.create_repository(endpoint).await.unwrap();
        let save = async |whose: &str, count: usize| {
            let of = match whose {
                "" => cache.clone(),
                name => cache.principal(name).unwrap(),
            };
            let pages = of.typed::<String, Text>("pages").unwrap();
            for id in 0..count {
                pages.save(&id.to_string(), &"a".to_owned()).await.unwrap();
            }
        };
        save("", 3).await;
        for nth in 0..MOST_PRINCIPALS {
            save(&format!("tenant-{nth:02}"), 2).await;
        }
        // They have less than those, but one has more.
        for nth in 0..5 {
            save(&format!("a-{nth}"), 1).await;
        }
        save("c:\"quoted\"", 4).await;
        let page = page(&Arc::default(), &cache).await.unwrap();
        let name = "restow_entries_by_user{repository=\"pages\",";
        let lines: Vec<_> = page.lines().filter_map(|l| l.strip_prefix(name)).collect();
        for line in [
            r#"user="public",principal=""} 3"#,
            r#"user="principal",principal="tenant-00"} 2"#,
            r#"user="principal",principal="c:\"quoted\""} 4"#,
            // Five with one entry, and the last of those with two.
            r#"user="other",principal=""} 7"#,
        ] {
            assert!(lines.contains(&line), "{line}: {lines:#?}");
        }
        assert_eq!(lines.len(), MOST_PRINCIPALS + 2, "{lines:#?}");
        assert!(!page.contains("tenant-19"), "it is one of the others");
    }

    #[tokio::test]
    async fn what_was_noted_is_on_the_page() {
        let cache = restow::connect("memory:").await.unwrap();
        let metrics = Arc::new(Metrics::default());
        metrics.note(Some(OutcomeKind::Hit), Duration::from_micros(60), 100);
        metrics.note(Some(OutcomeKind::Hit), Duration::from_secs(60), 1);
        metrics.note(None, Duration::ZERO, 0);
        let page = page(&metrics, &cache).await.unwrap();
        for line in [
            r#"restow_request_duration_seconds_count{outcome="hit",detail=""} 2"#,
            r#"restow_request_duration_seconds_bucket{le="0.00005",outcome="hit",detail=""} 0"#,
            r#"restow_request_duration_seconds_bucket{le="0.0001",outcome="hit",detail=""} 1"#,
            r#"restow_request_duration_seconds_bucket{le="+Inf",outcome="hit",detail=""} 2"#,
            r#"restow_response_body_bytes_total{outcome="hit",detail=""} 101"#,
            r#"restow_request_duration_seconds_count{outcome="error",detail=""} 1"#,
            "restow_connections 0",
            r#"restow_reloads_total{result="success"} 0"#,
            r#"restow_reloads_total{result="failure"} 0"#,
        ] {
            assert!(page.lines().any(|l| l == line), "{line}: {page}");
        }
        assert!(!page.contains("validated"));
    }
}
