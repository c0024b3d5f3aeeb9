//! What requests see of a store that is down.

use crate::{
    TIMEOUT,
    faulty::{Faulty, Mood},
    settle,
};
use http::{HeaderMap, Request, StatusCode};
use restow::{
    Cache, RequestHead, RouteEndpoint, Text,
    exchange::{Background, Begin, Landing, Missed, OutcomeKind, Saved, Ticket},
    store::{BreakerOptions, GuardedStore},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::Instant;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target() == "restow"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, SeqCst);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Begins a request that goes to the API.
pub async fn fetch(cache: &Cache, id: &str) -> Box<Ticket> {
    let (parts, ()) = Request::get(format!("https://api.example.com/{id}"))
        .body(())
        .unwrap()
        .into_parts();
    let head = RequestHead::from(&parts);
    match cache.exchange().begin(head, Background::Impossible).await {
        Begin::Fetch(ticket) => ticket,
        other => panic!("it is not fetched: {other:?}"),
    }
}

/// Makes one request, whose answer the API gives at once; returns how long it took.
async fn request(cache: &Cache, id: usize) -> Duration {
    let begun = Instant::now();
    let ticket = fetch(cache, &id.to_string()).await;
    let outcome = ticket.outcome().kind;
    assert_eq!(outcome, OutcomeKind::Miss(Missed::StoreDown));
    let landing = ticket.head(StatusCode::OK, HeaderMap::new(), None).await;
    let Landing::Collect(collector, _) = landing else {
        panic!("it is stored");
    };
    assert_eq!(
        collector.finish_with("answer".into()).await,
        Saved::StoreDown
    );
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_store_that_hangs_once_and_later_not_at_all() {
    let warnings = Warnings::default();
    let _logged = tracing::subscriber::set_default(warnings.clone());
    let faulty = Faulty::new(Mood::Well);
    let store = GuardedStore::new(Arc::new(faulty.clone()), BreakerOptions::default());
    let cache = Cache::builder()
        .store(Arc::new(store))
        .build()
        .await
        .unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", "https://api.example.com/{id}");
    cache.create_repository(pages.unwrap()).await.unwrap();
    faulty.set(Mood::Hangs);
    let mut id = 0;
    while cache.health().unwrap().is_up() {
        let took = request(&cache, id).await;
        assert!(took <= TIMEOUT + Duration::from_millis(2), "{took:?}");
        id += 1;
    }
    assert!(id <= 5, "{id} requests waited");
    settle().await;
    let logged = warnings.0.load(SeqCst);
    for id in 0..1_000 {
        assert_eq!(request(&cache, id).await, Duration::ZERO);
    }
    settle().await;
    assert_eq!(
        warnings.0.load(SeqCst),
        logged,
        "no warning for each of them"
    );
    faulty.set(Mood::Well);
    tokio::time::advance(Duration::from_secs(2)).await;
    request(&cache, 0).await;
    settle().await;
    assert!(cache.health().unwrap().is_up());
}
