use crate::support::{
    DAY, answer, asked_with, every_store, every_store_with, get, key, track, tracks,
};
use bytes::Bytes;
use http::StatusCode;
use restow::{
    Codec, Error, ErrorKind, Mode, RouteEndpoint, Scope, Text, endpoint::Rejection, exchange::Saved,
};
use serde_json::json;

#[tokio::test]
async fn a_value_that_a_rule_refuses_is_not_stored_and_says_which() {
    for at in every_store().await {
        let endpoint = tracks()
            .require("/id")
            .reject("/error")
            .keep_if(|t| t["name"] != "draft")
            .max_body(200);
        let tracks = at.cache.create_repository(endpoint).await.unwrap();
        for (value, rule) in [
            (json!({ "name": "x" }), Rejection::Require("/id".into())),
            (
                json!({ "id": 1, "error": "no" }),
                Rejection::Reject("/error".into()),
            ),
            (json!({ "id": 1, "name": "draft" }), Rejection::KeepIf),
            (json!({ "id": "x".repeat(200) }), Rejection::TooLarge),
        ] {
            assert_eq!(
                tracks.save(&key("a"), &value).await.unwrap(),
                Saved::Rejected(rule),
                "{}",
                at.url
            );
        }
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

/// Text that has no form where it says so.
#[derive(Clone, Debug, Default)]
struct Fussy;

impl Codec for Fussy {
    type Value = String;
    fn name(&self) -> &str {
        "fussy"
    }
    fn content_type(&self) -> &str {
        "text/plain"
    }
    fn encode(&self, value: &String) -> restow::Result<Bytes> {
        if value == "bad" {
            Err(Error::new(ErrorKind::Codec, "no form"))
        } else {
            Text.encode(value)
        }
    }
    fn decode(&self, payload: &Bytes) -> restow::Result<String> {
        Text.decode(payload)
    }
}

#[tokio::test]
async fn many_are_saved_all_or_none() {
    for at in every_store().await {
        let endpoint =
            RouteEndpoint::<String, Fussy>::get("notes", "https://example.com/notes/{id}").unwrap();
        let notes = at.cache.create_repository(endpoint).await.unwrap();
        let good = ("a".to_owned(), "good".to_owned());
        let bad_value = ("b".to_owned(), "bad".to_owned());
        let bad_key = ("k".repeat(70_000), "good".to_owned());
        for (bad, kind) in [(bad_value, ErrorKind::Codec), (bad_key, ErrorKind::Key)] {
            let error = notes.save_many(&[good.clone(), bad]).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{}", at.url);
            assert_eq!(notes.count(Scope::All).await.unwrap(), 0, "{}", at.url);
        }
        assert_eq!(
            notes
                .save_many(&[good.clone(), ("b".to_owned(), "too".to_owned())])
                .await
                .unwrap(),
            [Saved::Stored, Saved::Stored]
        );
        assert_eq!(notes.count(Scope::All).await.unwrap(), 2, "{}", at.url);
        assert_eq!(
            notes.save_many::<String>(&[]).await.unwrap(),
            [],
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn many_that_include_a_refused_one_store_the_others_and_say_so() {
    for at in every_store().await {
        let tracks = at
            .cache
            .create_repository(tracks().require("/id"))
            .await
            .unwrap();
        let saved = tracks
            .save_many(&[
                (key("a"), track("a")),
                (key("b"), json!({})),
                (key("c"), track("c")),
            ])
            .await
            .unwrap();
        assert_eq!(
            saved,
            [
                Saved::Stored,
                Saved::Rejected(Rejection::Require("/id".into())),
                Saved::Stored
            ],
            "{}",
            at.url
        );
        let got = tracks.get_many(&["a", "b", "c"].map(key)).await.unwrap();
        assert_eq!(
            got,
            [Some(track("a")), None, Some(track("c"))],
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_read_only_cache_persists_nothing() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        at.cache.set_mode(Mode::ReadOnly);
        let refused = Saved::Rejected(Rejection::Mode);
        assert_eq!(
            tracks.save(&key("b"), &track("b")).await.unwrap(),
            refused,
            "{}",
            at.url
        );
        assert_eq!(
            tracks.save_many(&[(key("b"), track("b"))]).await.unwrap(),
            std::slice::from_ref(&refused),
            "{}",
            at.url
        );
        assert_eq!(
            tracks
                .save_response(&asked_with("t", "b"), &answer(200, &[], &track("b")))
                .await
                .unwrap(),
            refused,
            "{}",
            at.url
        );
        for error in [
            tracks.delete(&key("a")).await.unwrap_err(),
            tracks.delete_many(&[key("a")]).await.unwrap_err(),
            tracks.clear(Scope::All).await.unwrap_err(),
            tracks.select().delete().await.unwrap_err(),
            tracks.sweep().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::ReadOnly, "{}", at.url);
        }
        assert_eq!(
            tracks.everyone().count(Scope::All).await.unwrap(),
            1,
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get(&key("a")).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn an_offline_cache_is_filled_by_hand() {
    for at in every_store_with(|b| b.mode(Mode::Offline)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        assert_eq!(
            tracks.save(&key("a"), &track("a")).await.unwrap(),
            Saved::Stored,
            "{}",
            at.url
        );
        let request = get("https://api.example.com/tracks/b", &[]);
        assert_eq!(
            tracks
                .save_response(&request, &answer(200, &[], &track("b")))
                .await
                .unwrap(),
            Saved::Stored,
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::Live).await.unwrap(), 2, "{}", at.url);
    }
}

#[tokio::test]
async fn a_saved_response_keeps_its_status_headers_and_body() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let request = get("https://api.example.com/tracks/a", &[]);
        let response = answer(
            203,
            &[
                ("etag", "\"1\""),
                ("link", "<a>; rel=next"),
                ("connection", "close"),
            ],
            &track("a"),
        );
        assert_eq!(
            tracks.save_response(&request, &response).await.unwrap(),
            Saved::Stored,
            "{}",
            at.url
        );
        let entry = tracks.entry(&key("a")).await.unwrap().unwrap();
        assert_eq!(entry.meta.head.status().as_u16(), 203, "{}", at.url);
        let headers = entry.meta.head.headers();
        assert_eq!(
            (&headers["etag"], &headers["link"], headers.len()),
            (
                &"\"1\"".parse().unwrap(),
                &"<a>; rel=next".parse().unwrap(),
                2
            ),
            "{}",
            at.url
        );
        assert_eq!(entry.body, *response.body(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_response_that_http_forbids_to_store_is_refused() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let request = get("https://api.example.com/tracks/a", &[]);
        let refused = [
            answer(200, &[("cache-control", "no-store")], &track("a")),
            answer(200, &[("cache-control", "private")], &track("a")),
            answer(200, &[("vary", "*")], &track("a")),
            answer(200, &[("content-length", "7")], &track("a")),
            answer(206, &[], &track("a")),
            answer(500, &[], &track("a")),
            answer(404, &[], &track("a")),
        ];
        for response in refused {
            let saved = tracks.save_response(&request, &response).await.unwrap();
            assert!(
                matches!(saved, Saved::Rejected(_)),
                "{}: {saved:?} {response:?}",
                at.url
            );
        }
        let head = http::Request::head("https://api.example.com/tracks/a")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let saved = tracks
            .save_response(&head, &answer(200, &[], &track("a")))
            .await
            .unwrap();
        assert!(matches!(saved, Saved::Rejected(_)), "{}: {saved:?}", at.url);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

#[tokio::test]
async fn an_error_never_takes_the_place_of_a_good_answer() {
    for at in every_store().await {
        let endpoint = tracks().negative(StatusCode::SERVICE_UNAVAILABLE, DAY);
        let tracks = at.cache.create_repository(endpoint).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let request = get("https://api.example.com/tracks/a", &[]);
        let saved = tracks
            .save_response(&request, &answer(503, &[], &track("down")))
            .await
            .unwrap();
        assert_eq!(
            saved,
            Saved::Rejected(Rejection::Status(StatusCode::SERVICE_UNAVAILABLE)),
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get(&key("a")).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn many_are_deleted_and_those_that_were_there_are_counted() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks
            .save_many(&[(key("a"), track("a")), (key("b"), track("b"))])
            .await
            .unwrap();
        assert_eq!(
            tracks.delete_many(&["a", "x", "b"].map(key)).await.unwrap(),
            2,
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

#[tokio::test]
async fn a_closed_handle_says_so_and_others_stay_open() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let other = tracks.clone();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        tracks.close().await.unwrap();
        tracks.close().await.unwrap();
        assert!(tracks.is_closed() && !other.is_closed(), "{}", at.url);
        for error in [
            tracks.get(&key("a")).await.unwrap_err(),
            tracks.get_many(&[key("a")]).await.unwrap_err(),
            tracks.lookup(&key("a")).await.unwrap_err(),
            tracks.save(&key("a"), &track("a")).await.unwrap_err(),
            tracks
                .save_many(&[(key("a"), track("a"))])
                .await
                .unwrap_err(),
            tracks.delete(&key("a")).await.unwrap_err(),
            tracks.count(Scope::All).await.unwrap_err(),
            tracks.clear(Scope::All).await.unwrap_err(),
            tracks.stats().await.unwrap_err(),
            tracks.sweep().await.unwrap_err(),
            tracks.commit().await.unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.repository()),
                (ErrorKind::Closed, Some("tracks")),
                "{}",
                at.url
            );
        }
        assert_eq!(
            other.get(&key("a")).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
        at.cache.close().await.unwrap();
        assert_eq!(
            other.get(&key("a")).await.unwrap_err().kind(),
            ErrorKind::Closed,
            "{}",
            at.url
        );
    }
}
