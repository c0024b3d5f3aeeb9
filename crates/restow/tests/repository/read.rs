use crate::support::{DAY, URLS, answer, every_store, get, key, track, tracks};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{Request, StatusCode};
use restow::{
    Binary, Error, ErrorKind, FieldRef, Lookup, RawKey, Repository, RouteEndpoint, Scope, Text,
    exchange::Saved, store,
};

#[tokio::test]
async fn what_is_saved_is_found_by_its_key_and_by_its_request() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        assert_eq!(
            tracks.save(&key("a"), &track("Nina")).await.unwrap(),
            Saved::Stored,
            "{}",
            at.url
        );
        let request = Request::get("https://api.example.com/tracks/a")
            .body(())
            .unwrap();
        let parts = request.into_parts().0;
        assert_eq!(
            tracks.get(&key("a")).await.unwrap(),
            Some(track("Nina")),
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get(&parts).await.unwrap(),
            Some(track("Nina")),
            "{}",
            at.url
        );
        assert_eq!(tracks.get(&key("b")).await.unwrap(), None, "{}", at.url);
    }
}

#[tokio::test]
async fn answers_come_in_the_order_asked_with_none_for_a_miss() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        for id in ["a", "b", "c"] {
            tracks.save(&key(id), &track(id)).await.unwrap();
        }
        let got = tracks
            .get_many(&["c", "x", "a", "c"].map(key))
            .await
            .unwrap();
        assert_eq!(
            got,
            [Some(track("c")), None, Some(track("a")), Some(track("c"))],
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn many_requests_of_which_some_have_no_key_keep_their_order() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let asked = [
            "https://api.example.com/elsewhere",
            "https://api.example.com/tracks/a",
        ]
        .map(|url| get(url, &[]));
        assert_eq!(
            tracks.get_many(&asked).await.unwrap(),
            [None, Some(track("a"))],
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_request_without_a_key_finds_nothing_and_stores_nothing() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let other = get("https://api.example.com/artists/a", &[]);
        assert_eq!(tracks.get(&other).await.unwrap(), None, "{}", at.url);
        assert!(!tracks.contains(&other).await.unwrap(), "{}", at.url);
        assert!(!tracks.delete(&other).await.unwrap(), "{}", at.url);
        assert_eq!(
            tracks.save(&other, &track("a")).await.unwrap(),
            Saved::NoKey,
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

#[tokio::test]
async fn an_absent_field_and_its_default_are_one_key() {
    for at in every_store().await {
        let tracks = at
            .cache
            .create_repository(tracks().default("market", "GB"))
            .await
            .unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let british = ("a".to_owned(), Some("GB".to_owned()));
        assert_eq!(
            tracks.get(&british).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
        let american = ("a".to_owned(), Some("US".to_owned()));
        assert_eq!(tracks.get(&american).await.unwrap(), None, "{}", at.url);
    }
}

#[tokio::test]
async fn a_lookup_tells_a_hit_from_a_stale_a_negative_and_a_missing_answer() {
    for at in every_store().await {
        let endpoint = tracks()
            .expire_after(DAY)
            .negative(StatusCode::NOT_FOUND, DAY);
        let tracks = at.cache.create_repository(endpoint).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let gone = get("https://api.example.com/tracks/gone", &[]);
        tracks
            .save_response(&gone, &answer(404, &[], &track("no")))
            .await
            .unwrap();
        let lookup = async |id| tracks.lookup(&key(id)).await.unwrap();

        assert!(
            matches!(lookup("a").await, Lookup::Hit { value, .. } if value == track("a")),
            "{}",
            at.url
        );
        let negative = lookup("gone").await;
        assert!(
            matches!(
                negative,
                Lookup::Negative {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
            ),
            "{}",
            at.url
        );
        assert_eq!(tracks.get(&key("gone")).await.unwrap(), None, "{}", at.url);
        assert!(matches!(lookup("b").await, Lookup::Missing), "{}", at.url);

        at.clock.advance(DAY);
        assert!(
            matches!(lookup("a").await, Lookup::Stale { value, .. } if value == track("a")),
            "{}",
            at.url
        );
        assert!(
            matches!(lookup("gone").await, Lookup::Missing),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_a_miss_and_an_error_in_a_stream() {
    for at in every_store().await {
        // Two views of one table: what one stores, the other cannot read.
        let raw = at
            .cache
            .create_repository(
                RouteEndpoint::<String, Binary>::get("raw", "https://example.com/{id}").unwrap(),
            )
            .await
            .unwrap();
        raw.save("bad", &Bytes::from_static(b"\xff\xfe"))
            .await
            .unwrap();
        raw.save("good", &Bytes::from_static(b"good"))
            .await
            .unwrap();
        let text = at.cache.typed::<String, Text>("raw").unwrap();

        assert_eq!(text.get("bad").await.unwrap(), None, "{}", at.url);
        assert_eq!(
            text.get_many(&["bad".to_owned(), "good".to_owned()])
                .await
                .unwrap(),
            [None, Some("good".to_owned())],
            "{}",
            at.url
        );
        let items: Vec<_> = text.stream(Scope::All).collect().await;
        assert_eq!(items.len(), 2, "{}", at.url);
        let errors: Vec<&Error> = items.iter().filter_map(|i| i.as_ref().err()).collect();
        assert_eq!(
            errors.iter().map(|e| e.kind()).collect::<Vec<_>>(),
            [ErrorKind::Codec],
            "{}",
            at.url
        );
        assert_eq!(errors[0].repository(), Some("raw"), "{}", at.url);
    }
}

#[tokio::test]
async fn of_several_variants_the_newest_that_decodes_is_the_value() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        for (language, name) in [("de", "eins"), ("en", "one")] {
            let request = get(
                "https://api.example.com/tracks/1",
                &[("accept-language", language)],
            );
            let saved = tracks
                .save_response(
                    &request,
                    &answer(200, &[("vary", "accept-language")], &track(name)),
                )
                .await
                .unwrap();
            assert_eq!(saved, Saved::Stored, "{}", at.url);
            at.clock.advance(DAY / 24);
        }
        assert_eq!(
            tracks.variants(&key("1")).await.unwrap().len(),
            2,
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get(&key("1")).await.unwrap(),
            Some(track("one")),
            "{}",
            at.url
        );
        assert!(tracks.delete(&key("1")).await.unwrap(), "{}", at.url);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

#[tokio::test]
async fn an_entry_shows_what_is_stored() {
    for at in every_store().await {
        let endpoint = tracks().label_at("/name").column("name", "/name");
        let tracks = at.cache.create_repository(endpoint).await.unwrap();
        tracks
            .save(&("a b".to_owned(), Some("GB".to_owned())), &track("Nina"))
            .await
            .unwrap();
        let entry = tracks
            .entry(&("a b".to_owned(), Some("GB".to_owned())))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            entry.meta.head.url(),
            Some("https://api.example.com/tracks/a%20b?market=GB"),
            "{}",
            at.url
        );
        assert_eq!(entry.meta.head.status(), StatusCode::OK, "{}", at.url);
        assert_eq!(
            entry.meta.head.headers()["content-type"],
            "application/json",
            "{}",
            at.url
        );
        assert_eq!(entry.meta.label.as_deref(), Some("Nina"), "{}", at.url);
        assert_eq!(*entry.meta.columns, ["Nina".into()], "{}", at.url);
        assert!(entry.id.address.partition.is_public(), "{}", at.url);
        assert_eq!(entry.body, track("Nina").to_string(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_stream_gives_every_pair_and_leaves_negative_answers_out() {
    for at in every_store().await {
        let tracks = at
            .cache
            .create_repository(tracks().negative(StatusCode::NOT_FOUND, DAY))
            .await
            .unwrap();
        let pairs: Vec<_> = (0..600)
            .map(|i| (key(&format!("{i:03}")), track("t")))
            .collect();
        tracks.save_many(&pairs).await.unwrap();
        tracks
            .save_response(
                &get("https://api.example.com/tracks/gone", &[]),
                &answer(404, &[], &track("no")),
            )
            .await
            .unwrap();
        let mut got: Vec<_> = tracks.stream(Scope::Live).try_collect().await.unwrap();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(got == pairs, "{}", at.url);
        assert_eq!(tracks.entries(Scope::Live).count().await, 601, "{}", at.url);
    }
}

#[tokio::test]
async fn a_stream_can_be_left_and_moved_to_another_task() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let pairs: Vec<_> = (0..600)
            .map(|i| (key(&i.to_string()), track("t")))
            .collect();
        tracks.save_many(&pairs).await.unwrap();
        let stream = tracks.stream(Scope::All);
        drop(tracks);
        let taken = tokio::spawn(async move { stream.take(3).count().await })
            .await
            .unwrap();
        assert_eq!(taken, 3, "{}", at.url);
    }
}

#[tokio::test]
async fn entries_carry_address_and_meta_without_bodies() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let entries: Vec<_> = tracks.entries(Scope::All).try_collect().await.unwrap();
        assert_eq!(entries.len(), 1, "{}", at.url);
        let fields: Vec<_> = entries[0].id.address.key.fields().collect();
        assert_eq!(
            fields,
            [FieldRef::Text("a"), FieldRef::Absent],
            "{}",
            at.url
        );
        assert_eq!(
            entries[0].meta.seal.len,
            track("a").to_string().len() as u64,
            "{}",
            at.url
        );
        let whole: Vec<_> = tracks.select().whole_entries().try_collect().await.unwrap();
        assert_eq!(whole[0].body, track("a").to_string(), "{}", at.url);
    }
}

#[tokio::test]
async fn an_untyped_handle_reads_what_a_typed_one_stored() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        let any = at.cache.repository("tracks").unwrap();
        let raw = RawKey::new([FieldRef::Text("a"), FieldRef::Absent], "").unwrap();
        assert_eq!(
            any.get(&raw).await.unwrap(),
            Some(Bytes::from(track("a").to_string())),
            "{}",
            at.url
        );
        let misfit = RawKey::new([FieldRef::Integer(1)], "").unwrap();
        assert_eq!(
            any.get(&misfit).await.unwrap_err().kind(),
            ErrorKind::Key,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_repository_stands_by_itself() {
    for url in URLS {
        let store = store::connect(url).await.unwrap();
        let tracks = Repository::open(&store, tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        assert_eq!(
            tracks.get(&key("a")).await.unwrap(),
            Some(track("a")),
            "{url}"
        );
        tracks.close().await.unwrap();
        // Its handle is closed, the store is not.
        assert_eq!(
            tracks.get(&key("a")).await.unwrap_err().kind(),
            ErrorKind::Closed,
            "{url}"
        );
        assert_eq!(store.tables().await.unwrap().len(), 1, "{url}");
    }
}

#[tokio::test]
async fn an_answer_to_undeclared_parameters_is_found_by_its_request_and_by_no_typed_key() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let part = get("https://api.example.com/tracks/a?fields=name", &[]);
        tracks
            .save_response(&part, &answer(200, &[], &track("part")))
            .await
            .unwrap();
        assert_eq!(
            tracks.get(&part).await.unwrap(),
            Some(track("part")),
            "{}",
            at.url
        );
        assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
        assert_eq!(tracks.stream(Scope::All).count().await, 0, "{}", at.url);
        let any = at.cache.repository("tracks").unwrap();
        assert_eq!(any.stream(Scope::All).count().await, 1, "{}", at.url);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 1, "{}", at.url);
    }
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn reqwests_own_requests_and_responses_find_their_entry() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks
            .save(&("a".to_owned(), Some("GB".to_owned())), &track("a"))
            .await
            .unwrap();
        let url = "https://api.example.com/tracks/a?market=GB"
            .parse()
            .unwrap();
        let request = reqwest::Request::new(http::Method::GET, url);
        assert_eq!(
            tracks.get(&request).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );

        let response = reqwest::Response::from(at.cache.get(&request).await.unwrap().unwrap());
        assert_eq!(
            tracks.get(&response).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
        let foreign = reqwest::Response::from(http::Response::new("x"));
        assert_eq!(tracks.get(&foreign).await.unwrap(), None, "{}", at.url);
        assert!(at.cache.delete(&response).await.unwrap(), "{}", at.url);
    }
}
