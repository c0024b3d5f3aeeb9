//! A lease lasts as long as the fetch of the process that holds it, by the time of a paused runtime: it jumps to the next timer.

use super::{Coalesce, RouteEndpoint, Text};
use restow::{
    BoxFuture, Cache, Clock, Error, ErrorKind, Millis, RequestHead, Result,
    entry::Address,
    exchange::{Background, Begin, Collector, Landing, Saved, Ticket},
    store::{Fence, Leases, MemoryStore, Store, TableName},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

/// The runtime's time, in place of the system's.
#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Millis {
        Millis(1_800_000_000_000).plus(self.0.elapsed())
    }
}

/// A store whose renewals of leases are counted, and fail where a test wants it.
#[derive(Clone, Debug)]
struct Counted {
    inner: Arc<dyn Store>,
    leases: Arc<dyn Leases>,
    renewals: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl Counted {
    fn over(inner: &Arc<dyn Store>) -> Self {
        Self {
            inner: inner.clone(),
            leases: inner.leases().unwrap(),
            renewals: Arc::default(),
            fails: Arc::default(),
        }
    }

    async fn open(&self) -> Cache {
        open(&(Arc::new(self.clone()) as Arc<dyn Store>)).await
    }

    fn renewals(&self) -> usize {
        self.renewals.load(SeqCst)
    }

    /// Passes if nobody renews anything any more.
    async fn is_at_rest(&self) {
        let renewals = self.renewals();
        sleep(3_600 * SECOND).await;
        assert_eq!(self.renewals(), renewals);
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Store for Counted {
    forward!(inner: kind capabilities open tables remove secret adopt_secret changes trim commit health memory_policy close);

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(Arc::new(self.clone()))
    }
}

impl Leases for Counted {
    forward!(leases: acquire release);

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.renewals.fetch_add(1, SeqCst);
            if self.fails.load(SeqCst) {
                return Err(Error::new(ErrorKind::Store, "as the test wants it"));
            }
            self.leases.renew(table, at, fence, hold, now).await
        })
    }
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

/// A cache of its own over a store that others have too: as another process.
async fn open(store: &Arc<dyn Store>) -> Cache {
    let cache = Cache::builder().store(store.clone());
    let cache = cache.clock(RuntimeClock(Instant::now()));
    let cache = cache.build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}");
    let pages = pages.unwrap().coalesce(Coalesce::Shared);
    cache.create_repository(pages).await.unwrap();
    cache
}

async fn begin(cache: &Cache) -> Begin {
    let request = http::Request::get("https://example.com/pages/a").body(());
    let parts = request.unwrap().into_parts().0;
    let head = RequestHead::from(&parts);
    cache.exchange().begin(head, Background::Possible).await
}

async fn fetch(cache: &Cache) -> Box<Ticket> {
    match begin(cache).await {
        Begin::Fetch(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Asks as well, while another process fetches.
async fn wait(cache: &Cache) -> JoinHandle<Begin> {
    let cache = cache.clone();
    let waiting = tokio::spawn(async move { begin(&cache).await });
    sleep(SECOND).await;
    assert!(!waiting.is_finished());
    waiting
}

/// The API answers at last.
async fn arrive(ticket: Box<Ticket>) -> Box<Collector> {
    let head = (http::StatusCode::OK, http::HeaderMap::new());
    match ticket.head(head.0, head.1, None).await {
        Landing::Collect(collector, _) => collector,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_may_take_longer_than_its_lease() {
    let store = store();
    let (one, two) = (open(&store).await, open(&store).await);
    let ticket = fetch(&one).await;
    let waiting = wait(&two).await;
    sleep(15 * SECOND).await;
    let collector = arrive(ticket).await;
    sleep(12 * SECOND).await;
    assert!(!waiting.is_finished());
    let saved = collector.finish_with("the answer".into()).await;
    assert_eq!(saved, Saved::Stored);
    match waiting.await.unwrap() {
        Begin::Answer { entry, .. } => assert_eq!(entry.body, "the answer"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_does_not_keep_its_lease_for_ever() {
    let store = Counted::over(&store());
    let (one, two) = (store.open().await, store.open().await);
    let hangs = fetch(&one).await;
    sleep(25 * SECOND).await;
    let ticket = wait(&two).await.await.unwrap();
    let Begin::Fetch(ticket) = ticket else {
        panic!("{ticket:?}");
    };
    // It did not only lose patience: it has the lease.
    let saved = arrive(ticket).await.finish_with("theirs".into()).await;
    assert_eq!(saved, Saved::Stored);
    store.is_at_rest().await;
    let saved = arrive(hangs).await.finish_with("ours".into()).await;
    assert_eq!(saved, Saved::Superseded);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again() {
    let beneath = store();
    let store = Counted::over(&beneath);
    let (one, two) = (store.open().await, open(&beneath).await);
    let ticket = fetch(&one).await;
    store.fails.store(true, SeqCst);
    let waiting = wait(&two).await;
    sleep(4 * SECOND).await;
    assert_eq!(store.renewals(), 1);
    store.fails.store(false, SeqCst);
    sleep(15 * SECOND).await;
    assert!(!waiting.is_finished());
    drop(ticket);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_process_took_is_renewed_no_more() {
    let beneath = store();
    let store = Counted::over(&beneath);
    let (one, two) = (store.open().await, open(&beneath).await);
    let late = fetch(&one).await;
    store.fails.store(true, SeqCst);
    let ticket = wait(&two).await.await.unwrap();
    store.fails.store(false, SeqCst);
    let renewals = store.renewals();
    sleep(12 * SECOND).await;
    assert_eq!(store.renewals(), renewals + 1);
    let Begin::Fetch(ticket) = ticket else {
        panic!("{ticket:?}");
    };
    let saved = arrive(late).await.finish_with("ours".into()).await;
    assert_eq!(saved, Saved::Superseded);
    let saved = arrive(ticket).await.finish_with("theirs".into()).await;
    assert_eq!(saved, Saved::Stored);
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_a_lease_no_more_renews_it_no_more() {
    let store = Counted::over(&store());
    let cache = store.open().await;
    let ticket = fetch(&cache).await;
    sleep(5 * SECOND).await;
    assert_eq!(store.renewals(), 1);
    drop(ticket);
    store.is_at_rest().await;

    let collector = arrive(fetch(&cache).await).await;
    sleep(5 * SECOND).await;
    assert_eq!(store.renewals(), 2);
    drop(collector);
    store.is_at_rest().await;

    let collector = arrive(fetch(&cache).await).await;
    let saved = collector.finish_with("the answer".into()).await;
    assert_eq!(saved, Saved::Stored);
    store.is_at_rest().await;
    assert_eq!(store.renewals(), 2);
}
