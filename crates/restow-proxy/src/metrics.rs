//! Numbers of what was served: counted without a lock, and without a line of memory that all cores write.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use restow::{
    exchange::{Bypassed, Missed, OutcomeKind, Staleness},
    store::Stats,
};
use std::{
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
        let index = OUTCOMES
            .iter()
            .position(|o| *o == outcome)
            .unwrap_or(OUTCOMES.len() - 1);
        let shard = self.shards.get(SHARD.with(|nth| nth % self.shards.len()));
        let Some(counts) = shard.and_then(|s| s.outcomes.get(index)) else {
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

    fn sum(&self, outcome: usize, of: impl Fn(&Counts) -> u64) -> u64 {
        let all = self.shards.iter().filter_map(|s| s.outcomes.get(outcome));
        all.map(of).sum()
    }
}

/// What a repository holds.
type Held = (Box<str>, Stats);

/// Writes all numbers in the text format that Prometheus reads.
pub(crate) async fn page(
    metrics: &Arc<Metrics>,
    cache: &restow::Cache,
) -> Result<String, fmt::Error> {
    let mut held = Vec::new();
    for repository in cache.iter() {
        // A store that is down has no numbers; the others are still worth reading.
        if let Ok(stats) = repository.everyone().stats().await {
            held.push((repository.name().into(), stats));
        }
    }
    let mut registry = Registry::with_prefix("restow");
    registry.register_collector(Box::new(Page {
        metrics: metrics.clone(),
        held,
    }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    metrics: Arc<Metrics>,
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
        for (repository, stats) in &self.held {
            let labels = [("repository", &**repository)];
            ConstGauge::new(of(stats)).encode(into.encode_family(&labels)?)?;
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
            "Bytes of bodies that were answered, where their length was known with the head",
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
        self.held(&mut into, "entries", "Entries that are held", None, |h| {
            h.entries
        })?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(page.lines().any(|l| l == line), "{line}: {page}");
        }
        assert!(!page.contains("validated"));
    }
}
