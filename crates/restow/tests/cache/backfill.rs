use crate::support::{At, Tracks, every_store, tracks};
use restow::{FieldValue, Repository, Scope, store::OnSchemaChange};
use serde_json::json;
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(86_400);

/// Stores tracks without columns, and opens the repository again with one.
async fn with_a_column_added(at: &At) -> Repository<Tracks> {
    let before = at.cache.create_repository(tracks()).await.unwrap();
    let pairs: Vec<_> = (0..700)
        .map(|i| {
            (
                i.to_string(),
                json!({ "artist": if i % 7 == 0 { "Nina" } else { "Otis" } }),
            )
        })
        .collect();
    before.save_many(&pairs).await.unwrap();
    before
        .principal("alice")
        .unwrap()
        .save("hers", &json!({ "artist": "Nina" }))
        .await
        .unwrap();
    at.cache.remove("tracks");
    let after = tracks()
        .column("artist", "/artist")
        .on_schema_change(OnSchemaChange::Migrate);
    at.cache.create_repository(after).await.unwrap()
}

#[tokio::test]
async fn an_added_column_finds_the_older_entries_of_everyone() {
    for at in every_store().await {
        let tracks = with_a_column_added(&at).await;
        assert_eq!(
            tracks.select().eq("artist", "Nina").count().await.unwrap(),
            100,
            "{}",
            at.url
        );
        assert_eq!(
            tracks
                .everyone()
                .select()
                .eq("artist", "Nina")
                .count()
                .await
                .unwrap(),
            101,
            "{}",
            at.url
        );
        assert_eq!(
            tracks
                .select()
                .eq("artist", FieldValue::Absent)
                .count()
                .await
                .unwrap(),
            0,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_column_is_filled_once() {
    for at in every_store().await {
        let tracks = with_a_column_added(&at).await;
        let spec = restow::Endpoint::declaration(&**tracks.endpoint())
            .spec("", KEEP)
            .unwrap();
        let table = at.cache.store().open(&spec).await.unwrap();
        assert!(
            table.pending_columns().await.unwrap().is_empty(),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn filling_a_column_leaves_bodies_and_times_as_they_were() {
    for at in every_store().await {
        let stored = at.clock.clone();
        let tracks = with_a_column_added(&at).await;
        let entry = tracks.entry("7").await.unwrap().unwrap();
        assert_eq!(
            entry.meta.stored_at,
            restow::Clock::now(&stored),
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get("7").await.unwrap(),
            Some(json!({ "artist": "Nina" })),
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::Live).await.unwrap(), 700, "{}", at.url);
    }
}

#[tokio::test]
async fn a_filling_that_was_cut_short_is_made_up_for_at_the_next_opening() {
    for at in every_store().await {
        with_a_column_added(&at).await;
        at.cache.remove("tracks");
        // The store alone takes a second column over: nobody fills it.
        let two = || {
            tracks()
                .column("artist", "/artist")
                .column("first", "/artist")
                .on_schema_change(OnSchemaChange::Migrate)
        };
        let spec = restow::Endpoint::declaration(&two())
            .spec("", KEEP)
            .unwrap();
        at.cache.store().open(&spec).await.unwrap();
        let tracks = at.cache.create_repository(two()).await.unwrap();
        assert_eq!(
            tracks.select().eq("first", "Nina").count().await.unwrap(),
            100,
            "{}",
            at.url
        );
    }
}
