//! A store of another format than this program reads counts as down: requests go to the API, and nothing in it changes.

use restow::{
    Cache, RouteEndpoint, Text,
    exchange::{Answered, Missed, OutcomeKind},
    store::format,
};
use restow_testkit::{Origin, Reply, http_client};
use std::time::Duration;

async fn open(url: &str, origin: &Origin) -> Cache {
    let cache = Cache::builder().url(url).build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", &origin.url("/pages/{id}")).unwrap();
    cache.create_repository(pages).await.unwrap();
    cache
}

async fn ask(cache: &Cache, origin: &Origin) -> OutcomeKind {
    let client = cache.client(http_client().build().unwrap());
    let answer = client.get(origin.url("/pages/a")).send().await.unwrap();
    let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
    assert_eq!(answer.text().await.unwrap(), "/pages/a");
    outcome
}

/// Writes other formats into what says which one it is.
async fn counts_as_down(url: &str, set: impl Fn(&str), get: impl Fn() -> String) {
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    assert_eq!(format(url).await.unwrap().stored, None, "nothing is made");
    let cache = open(url, &origin).await;
    ask(&cache, &origin).await;
    assert_eq!(ask(&cache, &origin).await, OutcomeKind::Hit);
    cache.close().await.unwrap();
    let own = format(url).await.unwrap();
    assert_eq!(own.stored, Some(own.own));
    for other in ["0", "2"] {
        set(other);
        let told = format(url).await.unwrap();
        assert_eq!(told.stored, Some(other.parse().unwrap()));
        let cache = open(url, &origin).await;
        for _ in 0..3 {
            let outcome = ask(&cache, &origin).await;
            assert_eq!(outcome, OutcomeKind::Miss(Missed::StoreDown), "{other}");
        }
        let health = cache.health().unwrap();
        assert!(!health.opened && !health.is_up());
        let why = health.reads.last_failure.unwrap();
        assert!(
            why.contains("format") && !why.contains("cannot be reached"),
            "{why}"
        );
        assert_eq!(get(), other, "it was left as it is");
        // Once it is ours again, so is what was stored.
        set(&own.own.to_string());
        let back = async { while ask(&cache, &origin).await != OutcomeKind::Hit {} };
        tokio::time::timeout(Duration::from_secs(20), back)
            .await
            .unwrap();
        cache.close().await.unwrap();
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_format_in_redis_counts_as_down() {
    let server = restow_testkit::redis::Redis::start();
    let set = |format: &str| {
        let _: i64 = server.ask(&["HSET", "restow:meta", "format", format]);
    };
    let get = || server.ask(&["HGET", "restow:meta", "format"]);
    counts_as_down(&server.url(), set, get).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_format_in_postgres_counts_as_down() {
    let server = restow_testkit::Postgres::start();
    let set = |format: &str| {
        server.sql(&format!(
            "UPDATE s.restow_meta SET value = '{format}' WHERE key = 'format'"
        ));
    };
    let get = || server.sql("SELECT value FROM s.restow_meta WHERE key = 'format'");
    counts_as_down(&format!("{}?schema=s", server.url()), set, get).await;
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 't'";
    let other = format!("{}?schema=t", server.url());
    assert_eq!(format(&other).await.unwrap().stored, None);
    assert_eq!(server.sql(made), "0");
}
