//! Programs that start while their store is down.

use crate::{
    faulty::{Faulty, Mood},
    settle,
};
use restow::{
    Cache, ErrorKind, RouteEndpoint, Text,
    endpoint::Coalesce,
    exchange::{Missed, OutcomeKind, Saved},
    store::{BreakerOptions, Capabilities, GuardedStore, Store},
};
use restow_testkit::{Gate, Origin, Reply, http_client};
use std::{sync::Arc, time::Duration};

type Pages = RouteEndpoint<String, Text>;

/// Opens a guarded store over one that may be down.
async fn open(faulty: &Faulty) -> restow::Result<Arc<dyn Store>> {
    let faulty = faulty.clone();
    let open = move || {
        let faulty = faulty.clone();
        async move {
            faulty.answer(false).await?;
            Ok(Arc::new(faulty) as Arc<dyn Store>)
        }
    };
    let capabilities = Capabilities::default();
    let options = BreakerOptions::default();
    let store = GuardedStore::connect("faulty", "faulty:", capabilities, options, open).await?;
    Ok(Arc::new(store))
}

#[tokio::test]
async fn a_program_starts_while_its_store_is_down_and_uses_it_once_it_is_back() {
    for mood in [
        Mood::Fails(ErrorKind::Store),
        Mood::Fails(ErrorKind::Format),
        Mood::Fails(ErrorKind::Busy),
        Mood::Fails(ErrorKind::Corrupt),
    ] {
        let origin = Origin::start(|call| Reply::ok(call.nth.to_string())).await;
        let faulty = Faulty::new(mood);
        let cache = Cache::builder()
            .store(open(&faulty).await.unwrap())
            .build()
            .await
            .unwrap();
        let pages = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
        let pages = cache.create_repository(pages).await.unwrap();
        let health = cache.health().unwrap();
        assert!(!health.opened && !health.is_up());
        let client = cache.client(http_client().build().unwrap());
        let url = origin.url("/pages/a");
        let ask = || async {
            // A credential: whose entry it is needs the store's secret.
            let answer = client
                .get(&url)
                .header("authorization", "Bearer x")
                .send()
                .await
                .unwrap();
            let answered = answer
                .extensions()
                .get::<restow::exchange::Answered>()
                .unwrap()
                .clone();
            (answer.text().await.unwrap(), answered)
        };
        for n in 0..3 {
            let (text, answered) = ask().await;
            assert_eq!(text, n.to_string());
            assert_eq!(answered.outcome.kind, OutcomeKind::Miss(Missed::StoreDown));
            assert_eq!(answered.saved(), Some(&Saved::StoreDown));
        }
        assert_eq!(pages.get("a").await.unwrap_err().kind(), ErrorKind::Down);
        faulty.set(Mood::Well);
        // What is handed over meanwhile is refused, or found later on.
        let offer = http::Request::get(origin.url("/pages/b")).header("authorization", "Bearer y");
        let offer = offer.body(()).unwrap().into_parts().0;
        let handed_over = async {
            loop {
                match cache.save(&offer, &http::Response::new("b".into())).await {
                    Ok(saved) => return assert_eq!(saved, Saved::Stored),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Down, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), handed_over)
            .await
            .unwrap();
        let stored = async {
            loop {
                let (_, answered) = ask().await;
                if answered.outcome.kind == OutcomeKind::Hit {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), stored)
            .await
            .unwrap();
        assert!(cache.health().unwrap().opened);
        // What was fetched before the secret was known is nowhere.
        let count = pages.everyone().count(restow::Scope::All).await.unwrap();
        assert_eq!(count, 2, "{mood:?}");
        assert!(cache.get(&offer).await.unwrap().is_some(), "{mood:?}");
        cache.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_at_the_start_holds_nobody_up_for_long() {
    let faulty = Faulty::new(Mood::Hangs);
    let begun = tokio::time::Instant::now();
    let cache = Cache::builder()
        .store(open(&faulty).await.unwrap())
        .build()
        .await
        .unwrap();
    for n in 0..20 {
        let template = format!("https://api.example.com/{n}/{{id}}");
        let pages = Pages::get(&format!("pages{n}"), &template).unwrap();
        cache.create_repository(pages).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    faulty.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(10)).await;
    settle().await;
    let open = cache.iter().next().unwrap();
    assert_eq!(open.count(restow::Scope::All).await.unwrap(), 0);
}

#[tokio::test]
async fn processes_fetch_for_themselves_where_the_store_has_no_leases_or_is_down() {
    for mood in [Mood::Well, Mood::Fails(ErrorKind::Store)] {
        let gate = Gate::closed();
        let closed = gate.clone();
        let origin = Origin::start(move |_| Reply::ok("answer").behind(&closed)).await;
        let faulty = Faulty::new(Mood::Well);
        let store = open(&faulty).await.unwrap();
        let mut waiting = Vec::new();
        let mut caches = Vec::new();
        for _ in 0..2 {
            let cache = Cache::builder().store(store.clone()).build().await.unwrap();
            let pages = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
            cache
                .create_repository(pages.coalesce(Coalesce::Shared))
                .await
                .unwrap();
            caches.push(cache);
        }
        faulty.set(mood);
        for cache in &caches {
            let client = cache.client(http_client().build().unwrap());
            for _ in 0..10 {
                let (client, url) = (client.clone(), origin.url("/pages/a"));
                waiting.push(tokio::spawn(async move {
                    client.get(url).send().await.unwrap().text().await.unwrap()
                }));
            }
        }
        gate.reached(2).await;
        gate.open();
        for one in waiting {
            assert_eq!(one.await.unwrap(), "answer");
        }
        assert_eq!(origin.asked(), 2, "{mood:?}");
    }
}

#[tokio::test]
async fn what_time_does_not_heal_is_an_error_at_the_start() {
    let faulty = Faulty::new(Mood::Fails(ErrorKind::Config));
    assert_eq!(open(&faulty).await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_fit_once_the_store_is_back_says_so() {
    let faulty = Faulty::new(Mood::Fails(ErrorKind::Store));
    faulty
        .inner
        .open(&restow::store::TableSpec::new("pages", [restow::Field::integer("n")]).unwrap())
        .await
        .unwrap();
    let cache = Cache::builder()
        .store(open(&faulty).await.unwrap())
        .build()
        .await
        .unwrap();
    let pages = Pages::get("pages", "https://api.example.com/{id}").unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    faulty.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let error = pages.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
}
