use crate::support::{URLS, get, pages, tracks};
use bytes::Bytes;
use restow::{Cache, FieldRef, Json, RawKey, Scope, Text, store};
use serde_json::{Value, json};
use std::time::Duration;

/// A cache over the same store, by a program that knows nothing of its endpoints.
async fn strange_cache(store: &std::sync::Arc<dyn store::Store>) -> Cache {
    Cache::builder().store(store.clone()).build().await.unwrap()
}

#[tokio::test]
async fn a_store_is_read_without_the_program_that_filled_it() {
    for url in URLS {
        let store = store::connect(url).await.unwrap();
        let cache = Cache::builder()
            .store(store.clone())
            .principal("me")
            .build()
            .await
            .unwrap();
        cache
            .create_repository(pages())
            .await
            .unwrap()
            .save("home", &"Welcome".to_owned())
            .await
            .unwrap();
        cache
            .create_repository(tracks().column("artist", "/artist"))
            .await
            .unwrap()
            .save("a", &json!({ "artist": "Nina" }))
            .await
            .unwrap();

        let strange = strange_cache(&store).await;
        let all = strange.everyone().open_stored().await.unwrap();
        assert_eq!(
            all.iter().map(|r| r.name()).collect::<Vec<_>>(),
            ["pages", "tracks"],
            "{url}"
        );
        for repository in &all {
            assert_eq!(
                repository.count(Scope::Live).await.unwrap(),
                1,
                "{url} {}",
                repository.name()
            );
        }
        let home = RawKey::new([FieldRef::Text("home")], "").unwrap();
        assert_eq!(
            all[0].get(&home).await.unwrap(),
            Some(Bytes::from_static(b"Welcome")),
            "{url}"
        );
        assert_eq!(
            all[1].select().eq("artist", "Nina").count().await.unwrap(),
            1,
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_stored_repository_is_routed_and_typed_as_it_was_declared() {
    for url in URLS {
        let store = store::connect(url).await.unwrap();
        let cache = Cache::builder().store(store.clone()).build().await.unwrap();
        let endpoint = tracks()
            .require("/id")
            .expire_after(Duration::from_secs(60));
        cache
            .create_repository(endpoint)
            .await
            .unwrap()
            .save("a", &json!({ "id": "a" }))
            .await
            .unwrap();

        let strange = strange_cache(&store).await;
        strange.open_stored().await.unwrap();
        assert_eq!(
            strange.route(&get("/tracks/a")).unwrap().name(),
            "tracks",
            "{url}"
        );
        let typed = strange.typed::<String, Json<Value>>("tracks").unwrap();
        assert_eq!(
            typed.get("a").await.unwrap(),
            Some(json!({ "id": "a" })),
            "{url}"
        );
        assert!(
            matches!(
                typed.save("b", &json!({})).await.unwrap(),
                restow::exchange::Saved::Rejected(_)
            ),
            "{url}"
        );
        let lifetime = typed.endpoint().clone();
        assert_eq!(
            restow::Endpoint::declaration(&*lifetime).rules.expire_after,
            Some(Duration::from_secs(60).into()),
            "{url}"
        );
    }
}

#[tokio::test]
async fn opening_what_is_stored_twice_changes_nothing() {
    for url in URLS {
        let store = store::connect(url).await.unwrap();
        let cache = Cache::builder().store(store.clone()).build().await.unwrap();
        cache
            .create_repository(pages().label_at("/name"))
            .await
            .unwrap();
        let before = store.tables().await.unwrap();
        assert!(
            before[0].declaration.contains("/name"),
            "{url}: {}",
            before[0].declaration
        );
        for _ in 0..2 {
            assert_eq!(
                strange_cache(&store)
                    .await
                    .open_stored()
                    .await
                    .unwrap()
                    .len(),
                1,
                "{url}"
            );
        }
        // One that is open already is returned as it is.
        assert_eq!(cache.open_stored().await.unwrap().len(), 1, "{url}");
        cache
            .repository_as::<crate::support::Pages>("pages")
            .unwrap();
        assert_eq!(store.tables().await.unwrap(), before, "{url}");
    }
}

#[tokio::test]
async fn stored_routes_that_clash_are_still_opened_to_be_read() {
    for url in URLS {
        let store = store::connect(url).await.unwrap();
        let cache = Cache::builder().store(store.clone()).build().await.unwrap();
        cache.create_repository(pages()).await.unwrap();
        cache.remove("pages");
        let renamed =
            restow::RouteEndpoint::<String, Text>::get("sites", "https://example.com/pages/{id}")
                .unwrap();
        cache
            .create_repository(renamed)
            .await
            .unwrap()
            .save("home", &"x".to_owned())
            .await
            .unwrap();

        let strange = strange_cache(&store).await;
        assert_eq!(strange.open_stored().await.unwrap().len(), 2, "{url}");
        assert_eq!(
            strange
                .typed::<String, Text>("sites")
                .unwrap()
                .get("home")
                .await
                .unwrap()
                .as_deref(),
            Some("x"),
            "{url}"
        );
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_file_that_was_closed_opens_again_with_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("music.db").display());
    let cache = restow::connect(&url).await.unwrap();
    cache
        .create_repository(pages())
        .await
        .unwrap()
        .save("home", &"Welcome".to_owned())
        .await
        .unwrap();
    cache.close().await.unwrap();

    let again = restow::connect(&url).await.unwrap();
    let pages = again.create_repository(pages()).await.unwrap();
    assert_eq!(pages.get("home").await.unwrap().as_deref(), Some("Welcome"));
}
