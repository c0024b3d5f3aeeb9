//! Of processes that wait for each other, one refreshes a stale answer.

use super::{ask, open, pages};
use restow::{
    BoxFuture, Cache, Millis, Result, TestClock,
    entry::Address,
    exchange::{OutcomeKind, Staleness},
    store::{Fence, Lease, Leases, MemoryStore, Store, TableName},
};
use restow_testkit::{Gate, Origin, Reply};
use std::{fmt, sync::Arc, time::Duration};

/// A store whose leases are asked for when a test lets them, and that tells it what became of each.
#[derive(Clone, Debug)]
struct Slow {
    inner: Arc<dyn Store>,
    leases: Arc<dyn Leases>,
    asks: Gate,
    asked: Gate,
    returned: Gate,
}

impl Slow {
    fn over(inner: &Arc<dyn Store>) -> Self {
        let [asks, asked, returned] = std::array::from_fn(|_| Gate::closed());
        for only_counts in [&asked, &returned] {
            only_counts.open();
        }
        Self {
            inner: inner.clone(),
            leases: inner.leases().unwrap(),
            asks,
            asked,
            returned,
        }
    }

    fn shared(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Store for Slow {
    forward!(inner: kind capabilities open tables remove secret adopt_secret changes trim commit health memory_policy close);

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(Arc::new(self.clone()))
    }
}

impl Leases for Slow {
    forward!(leases: renew_lease);

    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            self.asks.pass().await;
            let lease = self.leases.acquire(table, at, hold, now).await;
            self.asked.pass().await;
            lease
        })
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let released = self.leases.release(table, at, fence).await;
            self.returned.pass().await;
            released
        })
    }
}

const STALE: OutcomeKind = OutcomeKind::Stale(Staleness::Window);

/// An API whose first answer is soon stale, and the others when the gate is open; they stay fresh.
async fn api(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| {
        let reply = Reply::ok(call.nth.to_string()).header("date", "Fri, 15 Jan 2027 08:00:00 GMT");
        match call.nth {
            0 => reply.header("cache-control", "max-age=1, stale-while-revalidate=600"),
            _ => reply.header("cache-control", "max-age=600").behind(&gate),
        }
    })
    .await
}

/// Waits until an entry is fresh again.
async fn refreshed(cache: &Cache, url: &str) {
    let hit = async { while ask(cache, url).await.unwrap().1.outcome.kind != OutcomeKind::Hit {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), hit).await;
    ended.unwrap_or_else(|_| panic!("a refresh never ends"));
}

#[tokio::test]
async fn what_another_process_refreshes_is_left_to_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (gate, clock) = (Gate::closed(), TestClock::at(Millis(1_800_000_000_000)));
    let origin = api(&gate).await;
    let url = origin.url("/pages/a");
    let one = open(&store, &clock, pages(&origin).http()).await;
    ask(&one, &url).await.unwrap();
    clock.advance(Duration::from_secs(2));
    let (text, answered) = ask(&one, &url).await.unwrap();
    assert_eq!((&*text, answered.outcome.kind), ("0", STALE));
    gate.reached(1).await;
    for _ in 0..3 {
        let slow = Slow::over(&store);
        slow.asks.open();
        let other = open(&slow.shared(), &clock, pages(&origin).http()).await;
        let (text, answered) = ask(&other, &url).await.unwrap();
        assert_eq!((&*text, answered.outcome.kind), ("0", STALE));
        slow.asked.reached(1).await;
    }
    gate.open();
    refreshed(&one, &url).await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn what_another_process_has_refreshed_meanwhile_is_not_refreshed_again() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (gate, clock) = (Gate::closed(), TestClock::at(Millis(1_800_000_000_000)));
    gate.open();
    let origin = api(&gate).await;
    let url = origin.url("/pages/a");
    let one = open(&store, &clock, pages(&origin).http()).await;
    ask(&one, &url).await.unwrap();
    clock.advance(Duration::from_secs(2));
    let slow = Slow::over(&store);
    let late = open(&slow.shared(), &clock, pages(&origin).http()).await;
    assert_eq!(ask(&late, &url).await.unwrap().1.outcome.kind, STALE);
    slow.asks.reached(1).await;
    refreshed(&one, &url).await;
    slow.asks.open();
    slow.returned.reached(1).await;
    assert_eq!(origin.asked(), 2);
    let (text, answered) = ask(&late, &url).await.unwrap();
    assert_eq!((&*text, answered.outcome.kind), ("1", OutcomeKind::Hit));
}
