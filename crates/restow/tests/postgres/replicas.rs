//! A replica that is behind, and who must not be told by it.

use crate::{
    faults::{caught_up, pause},
    support::*,
};
use futures_util::TryStreamExt as _;
use restow::{
    moving::{CopyOptions, Portion, copy},
    store::{MemoryStore, Parts, Store, Table, TierOptions, TieredStore},
};
use restow_testkit::Postgres;
use std::{sync::Arc, time::Duration};

/// However busy a machine is, it is done by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store that reads from a replica, and a table of one that does not.
struct Place {
    server: Postgres,
    replica: Postgres,
    store: Arc<dyn Store>,
    latest: Arc<dyn Table>,
}

impl Place {
    async fn start() -> Self {
        let server = Postgres::start();
        let replica = server.replica();
        let url = server.fresh();
        let latest = open(&url).await.unwrap().open(&tracks()).await.unwrap();
        let behind = format!("{url}&replica=127.0.0.1:{}", replica.port());
        Self {
            store: open(&behind).await.unwrap(),
            server,
            replica,
            latest,
        }
    }

    /// From now on the replica has what there is now, and is read from.
    async fn fall_behind(&self) {
        let table = self.store.open(&tracks()).await.unwrap();
        save(&*self.latest, "which", "replica").await.unwrap();
        caught_up(&self.server, &self.replica);
        pause(&self.replica).await;
        save(&*self.latest, "which", "server").await.unwrap();
        until("the replica is read from", async || {
            body(&*table, "which").await.unwrap().as_deref() == Some("replica")
        })
        .await;
    }
}

async fn until(why: &str, is: impl AsyncFn() -> bool) {
    let so = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let so = tokio::time::timeout(PATIENCE, so).await;
    so.unwrap_or_else(|_| panic!("{why}"));
}

/// What it holds is believed for minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_memory_tier_holds_nothing_that_a_replica_says() {
    let place = Place::start().await;
    let tier = TieredStore::new(place.store.clone(), TierOptions::new(1 << 20)).unwrap();
    let tiered = tier.open(&tracks()).await.unwrap();
    for id in ["held", "one", "many"] {
        save(&*place.latest, id, "old").await.unwrap();
    }
    // Read from it later: that is compared, and not read anew.
    assert_eq!(
        body(&*tiered, "held").await.unwrap().as_deref(),
        Some("old")
    );
    place.fall_behind().await;
    for id in ["held", "one", "many"] {
        save(&*place.latest, id, "new").await.unwrap();
    }
    assert_eq!(body(&*tiered, "one").await.unwrap().as_deref(), Some("new"));
    let many = tiered.read_many(&[at("many")], Parts::Whole, T0).await;
    let many: Vec<_> = many.unwrap()[0].iter().map(|e| e.body.clone()).collect();
    assert_eq!(many, ["new"]);
    until("it is heard of", async || {
        body(&*tiered, "held").await.unwrap().as_deref() == Some("new")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_copied_to_where_a_replica_is_behind_is_compared_with_the_latest() {
    let place = Place::start().await;
    let stored = |id: &str, body: &str, hours: u32| {
        let mut entry = entry(at(id), body);
        entry.meta.stored_at = T0.plus(HOUR * hours);
        entry.meta.checked_at = entry.meta.stored_at;
        entry.meta.expires_at = T0.plus(HOUR * 100);
        write(entry)
    };
    let write = async |to: &dyn Table, all: &[restow::store::Write]| {
        to.write(all, T0).await.unwrap();
    };
    write(&*place.latest, &[stored("newer there", "old", 0)]).await;
    place.fall_behind().await;
    write(&*place.latest, &[stored("newer there", "newest", 2)]).await;
    let from: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let source = from.open(&tracks()).await.unwrap();
    let all = [stored("newer there", "newer", 1), stored("new", "body", 1)];
    write(&*source, &all).await;
    let everything = Portion::everything(&*from).await.unwrap();
    let steps = copy(
        from,
        place.store.clone(),
        everything,
        CopyOptions::default(),
        T0.plus(HOUR * 3),
    );
    let steps: Vec<_> = steps.try_collect().await.unwrap();
    let last = steps.last().unwrap();
    assert_eq!((last.tally.newer, last.tally.written), (1, 1), "{last:?}");
    assert!(last.verified.as_ref().unwrap().is_clean(), "{last:?}");
    let there = body(&*place.latest, "newer there").await.unwrap();
    assert_eq!(there.as_deref(), Some("newest"));
}

/// Where one process of several refreshes an entry.
#[cfg(feature = "reqwest")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_one_has_refreshed_is_not_refreshed_again_where_a_replica_is_behind() {
    use http::Request;
    use restow::{
        Cache, RouteEndpoint, TestClock, Text,
        endpoint::{Coalesce, RequestHead},
        exchange::{Background, Begin},
    };
    let server = Postgres::start();
    let replica = server.replica();
    let url = format!("{}&timeout=5s", server.fresh());
    let clock = TestClock::at(T0);
    let open = async |url: &str| {
        let cache = Cache::builder().url(url).clock(clock.clone());
        let cache = cache.build().await.unwrap();
        let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{id}");
        let pages = pages.unwrap().coalesce(Coalesce::Shared);
        let pages = pages.rules(|rules| rules.stale_while_revalidate = Some(HOUR * 24 * 60));
        let pages = cache.create_repository(pages).await.unwrap();
        (cache, pages)
    };
    let (one, other) = (
        open(&url).await,
        open(&format!("{url}&replica=127.0.0.1:{}", replica.port())).await,
    );
    let key = "a".to_owned();
    one.1.save(&key, &"old".to_owned()).await.unwrap();
    caught_up(&server, &replica);
    pause(&replica).await;
    clock.advance(HOUR * 24 * 8);
    one.1.save(&key, &"new".to_owned()).await.unwrap();
    let request = Request::get("https://example.com/a").body(()).unwrap();
    let parts = request.into_parts().0;
    let stale = async {
        loop {
            let begun = other.0.exchange();
            let begun = begun.begin(RequestHead::from(&parts), Background::Possible);
            match begun.await {
                Begin::Answer {
                    refresh: Some(ticket),
                    ..
                } => return ticket,
                // The server was asked.
                Begin::Answer { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                unlike => panic!("{unlike:?}"),
            }
        }
    };
    let stale = tokio::time::timeout(PATIENCE, stale).await;
    let mut ticket = stale.expect("the replica is read from");
    assert!(!ticket.may_refresh().await);
}
