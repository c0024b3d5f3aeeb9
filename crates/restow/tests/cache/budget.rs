//! What a cache removes in the background: what budgets do not allow, what is past its keep, and in how much time.

use crate::{
    slow::SlowStore,
    support::{Pages, Tracks, URLS, pages, tracks},
};
use restow::{
    Cache, Millis, Repository, Scope, TestClock,
    store::{Budget, MemoryStore, Store},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const DAY: Duration = Duration::from_secs(86_400);

fn entries(most: u64) -> Budget {
    Budget {
        entries: Some(most),
        bytes: None,
    }
}

/// Two repositories of one cache.
struct Both {
    pages: Repository<Pages>,
    tracks: Repository<Tracks>,
    clock: TestClock,
}

impl Both {
    async fn open(cache: &Cache, clock: &TestClock) -> Self {
        Self {
            pages: cache.create_repository(pages()).await.unwrap(),
            tracks: cache.create_repository(tracks()).await.unwrap(),
            clock: clock.clone(),
        }
    }

    /// Saves an entry in each, a day after the ones before.
    async fn save(&self, id: &str) {
        self.clock.advance(DAY);
        self.pages.save(id, &"x".repeat(1_000)).await.unwrap();
        self.clock.advance(DAY);
        self.tracks.save(id, &json!({ "id": id })).await.unwrap();
    }

    async fn held(&self) -> u64 {
        let pages = self.pages.count(Scope::All).await.unwrap();
        pages + self.tracks.count(Scope::All).await.unwrap()
    }

    /// Waits until no more than this is held, and returns how long that took by the runtime's clock.
    async fn shrinks_to(&self, most: u64) -> Duration {
        let begun = Instant::now();
        while self.held().await > most {
            assert!(begun.elapsed() < DAY, "it never shrinks to {most}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_budget_of_the_cache_goes_what_was_used_least_in_any_repository() {
    for url in URLS {
        let clock = TestClock::at(Millis(1_785_585_600_000));
        let builder = Cache::builder().url(*url).clock(clock.clone());
        let cache = builder.max_entries(4).build().await.unwrap();
        let both = Both::open(&cache, &clock).await;
        both.save("1").await;
        both.save("2").await;
        assert_eq!(both.held().await, 4, "{url}");
        clock.advance(DAY);
        // Used after all that was saved until now.
        both.pages.get("1").await.unwrap().unwrap();
        both.save("3").await;
        both.shrinks_to(4).await;
        let left = [
            both.pages.contains("1").await.unwrap(),
            both.tracks.contains("1").await.unwrap(),
            both.pages.contains("2").await.unwrap(),
            both.tracks.contains("2").await.unwrap(),
        ];
        assert_eq!(left, [true, false, false, true], "{url}");
        cache.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_bytes_is_kept_over_all_repositories() {
    for url in URLS {
        let clock = TestClock::at(Millis(0));
        let builder = Cache::builder().url(*url).clock(clock.clone());
        let cache = builder.max_bytes(10_000).build().await.unwrap();
        let both = Both::open(&cache, &clock).await;
        for id in 0..100 {
            both.save(&id.to_string()).await;
        }
        let held = || async {
            let (a, b) = (
                both.pages.stats().await.unwrap(),
                both.tracks.stats().await.unwrap(),
            );
            a.bytes + b.bytes
        };
        while held().await > 10_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(
            held().await > 7_000,
            "{url}: more was removed than had to be"
        );
        assert!(both.pages.contains("99").await.unwrap(), "{url}");
        cache.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_looked_after_within_a_second_of_a_save() {
    let clock = TestClock::at(Millis(0));
    let builder = Cache::builder().url("memory:").clock(clock.clone());
    let cache = builder.max_entries(10).build().await.unwrap();
    let both = Both::open(&cache, &clock).await;
    for round in 0..50 {
        both.save(&round.to_string()).await;
        assert!(
            both.shrinks_to(10).await < Duration::from_secs(1),
            "{round}"
        );
    }
    assert_eq!(both.held().await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_endpoints_own_budget_stands_beside_that_of_the_cache() {
    let clock = TestClock::at(Millis(0));
    let builder = Cache::builder().url("memory:").clock(clock.clone());
    let cache = builder.max_entries(10).build().await.unwrap();
    let few = cache
        .create_repository(pages().budget(entries(2)))
        .await
        .unwrap();
    let many = cache.create_repository(tracks()).await.unwrap();
    let both = Both {
        pages: few,
        tracks: many,
        clock,
    };
    for id in 0..8 {
        both.save(&id.to_string()).await;
    }
    both.shrinks_to(10).await;
    while both.pages.count(Scope::All).await.unwrap() > 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(both.tracks.count(Scope::All).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_keep_goes_soon_after_the_cache_was_opened() {
    let store = Arc::new(MemoryStore::default());
    let clock = TestClock::at(Millis(0));
    let cache = |keep| {
        let builder = Cache::builder().store(store.clone()).clock(clock.clone());
        builder.expire_after(DAY).keep(keep).build()
    };
    let before = cache(DAY).await.unwrap();
    let old = before.create_repository(pages()).await.unwrap();
    old.save("old", &"x".to_owned()).await.unwrap();
    drop((old, before));
    clock.advance(3 * DAY);
    let after = cache(DAY).await.unwrap();
    let pages = after.create_repository(pages()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(pages.sweep().await.unwrap(), 0, "nothing is left to sweep");
    assert_eq!(store.trim(Budget::default(), 0).await.unwrap().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_keep_is_removed_in_a_tenth_of_the_time() {
    const STEP: Duration = Duration::from_millis(10);
    let store = Arc::new(SlowStore::new(STEP, 50));
    let cache = Cache::builder().store(store.clone()).build().await.unwrap();
    let _pages = cache.create_repository(pages()).await.unwrap();
    store.done().await;
    let steps = store.steps();
    assert_eq!(steps.len(), 50);
    for pair in steps.windows(2) {
        let share = STEP.as_secs_f64() / (pair[1] - pair[0]).as_secs_f64();
        assert!((0.09..0.11).contains(&share), "{share}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_exceeded_is_kept_in_half_of_the_time() {
    const STEP: Duration = Duration::from_millis(10);
    let store = Arc::new(SlowStore::new(STEP, 50));
    let cache = Cache::builder().store(store.clone()).build().await.unwrap();
    let pages = cache
        .create_repository(pages().budget(entries(1)))
        .await
        .unwrap();
    pages.save("1", &"x".to_owned()).await.unwrap();
    store.done().await;
    let steps = store.steps();
    let took = steps[steps.len() - 1] - steps[0];
    assert!(took < STEP * 110, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_was_dropped_is_no_longer_swept() {
    let store = Arc::new(SlowStore::new(Duration::from_millis(10), u64::MAX));
    let cache = Cache::builder().store(store.clone()).build().await.unwrap();
    let pages = cache.create_repository(pages()).await.unwrap();
    while store.steps().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((pages, cache));
    let before = store.steps().len();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(store.steps().len() <= before + 1);
    assert_eq!(
        Arc::strong_count(&store),
        1,
        "nothing keeps the store alive"
    );
}
