use crate::support::{At, DAY, NOON, Tracks, answer, every_store, get, key, track, tracks};
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use restow::{ErrorKind, FieldValue, Repository, Scope};
use serde_json::json;

/// Three tracks of two artists, each stored a day after the one before, the first expired.
async fn catalogue(at: &At) -> Repository<Tracks> {
    let endpoint = tracks()
        .column("artist", "/artist")
        .expire_after(2 * DAY)
        .negative(StatusCode::NOT_FOUND, DAY);
    let tracks = at.cache.create_repository(endpoint).await.unwrap();
    for (id, artist) in [("a", "Nina"), ("b", "Otis"), ("c", "Nina")] {
        tracks
            .save(&key(id), &json!({ "artist": artist }))
            .await
            .unwrap();
        at.clock.advance(DAY);
    }
    at.clock.set(NOON.plus(2 * DAY));
    tracks
}

#[tokio::test]
async fn a_selection_covers_what_all_its_conditions_hold_for() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        let select = || tracks.select();
        for (what, selection, count) in [
            ("all", select(), 3),
            ("a column", select().eq("artist", "Nina"), 2),
            ("a field", select().eq("id", "b"), 1),
            (
                "an absent field",
                select().eq("market", FieldValue::Absent).scan(),
                3,
            ),
            (
                "two conditions",
                select().eq("artist", "Nina").eq("id", "b"),
                0,
            ),
            ("live", select().eq("artist", "Nina").scope(Scope::Live), 1),
            (
                "expired",
                select().eq("artist", "Nina").scope(Scope::Expired),
                1,
            ),
            ("a status", select().status(StatusCode::OK).scan(), 3),
            (
                "stored since",
                select().stored_since(NOON.plus(DAY)).scan(),
                2,
            ),
            (
                "stored before",
                select().stored_before(NOON.plus(DAY)).scan(),
                1,
            ),
            (
                "changed since",
                select().changed_since(NOON.plus(DAY)).scan(),
                2,
            ),
            (
                "changed before",
                select().changed_before(NOON.plus(DAY)).scan(),
                1,
            ),
            ("a tag that nothing carries", select().tag("none"), 0),
        ] {
            assert_eq!(selection.count().await.unwrap(), count, "{} {what}", at.url);
            assert_eq!(
                selection.entries().count().await as u64,
                count,
                "{} {what}",
                at.url
            );
        }
    }
}

#[tokio::test]
async fn a_selection_deletes_what_it_counts_and_nothing_else() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        assert_eq!(
            tracks.select().eq("artist", "Nina").delete().await.unwrap(),
            2,
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 1, "{}", at.url);
        assert!(tracks.contains(&key("b")).await.unwrap(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_selection_streams_keys_and_values() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        let got: Vec<_> = tracks
            .select()
            .eq("artist", "Otis")
            .stream()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(got, [(key("b"), json!({ "artist": "Otis" }))], "{}", at.url);
    }
}

#[tokio::test]
async fn a_selection_by_status_finds_negative_answers() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        tracks
            .save_response(
                &get("https://api.example.com/tracks/gone", &[]),
                &answer(404, &[], &track("no")),
            )
            .await
            .unwrap();
        assert_eq!(
            tracks
                .select()
                .status(StatusCode::NOT_FOUND)
                .scan()
                .count()
                .await
                .unwrap(),
            1,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_is_an_error_with_those_that_are() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        let wrong = tracks.select().eq("album", "Pastel Blues");
        let streamed = wrong.stream().next().await.unwrap().unwrap_err();
        for error in [
            wrong.count().await.unwrap_err(),
            wrong.delete().await.unwrap_err(),
            streamed,
        ] {
            assert_eq!(error.kind(), ErrorKind::Selection, "{}", at.url);
            assert!(
                error.to_string().contains("\"album\"")
                    && error.to_string().contains("id, market, artist"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_condition_without_an_index_needs_leave_to_scan() {
    for at in every_store().await {
        let tracks = catalogue(&at).await;
        let slow = tracks.select().eq("market", "GB");
        let error = slow.count().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Selection, "{}", at.url);
        assert!(error.message().contains("scan()"), "{error}");
        assert_eq!(slow.scan().count().await.unwrap(), 0, "{}", at.url);
    }
}
