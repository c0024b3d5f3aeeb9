use crate::support::{answer, asked_with, every_store, every_store_with, get, key, track, tracks};
use http::{HeaderMap, StatusCode};
use restow::{
    ErrorKind, Principal, Scope,
    exchange::{Background, Begin, Landing, Saved},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[tokio::test]
async fn two_users_never_share_an_answer() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        for token in ["one", "two"] {
            let saved = tracks
                .save_response(&asked_with(token, "a"), &answer(200, &[], &track(token)))
                .await
                .unwrap();
            assert_eq!(saved, Saved::Stored, "{}", at.url);
        }
        for token in ["one", "two"] {
            assert_eq!(
                tracks.get(&asked_with(token, "a")).await.unwrap(),
                Some(track(token)),
                "{}",
                at.url
            );
        }
        assert_eq!(
            tracks.get(&asked_with("three", "a")).await.unwrap(),
            None,
            "{}",
            at.url
        );
        assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
    }
}

#[tokio::test]
async fn principals_are_apart_in_every_call() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let (alice, bob) = (
            tracks.principal("alice").unwrap(),
            tracks.principal("bob").unwrap(),
        );
        alice.save(&key("a"), &track("Alice's")).await.unwrap();
        bob.save(&key("a"), &track("Bob's")).await.unwrap();
        bob.save(&key("b"), &track("Bob's")).await.unwrap();

        assert_eq!(
            alice.get(&key("a")).await.unwrap(),
            Some(track("Alice's")),
            "{}",
            at.url
        );
        assert_eq!(alice.count(Scope::All).await.unwrap(), 1, "{}", at.url);
        assert!(!alice.delete(&key("b")).await.unwrap(), "{}", at.url);
        assert_eq!(alice.clear(Scope::All).await.unwrap(), 1, "{}", at.url);
        assert_eq!(bob.count(Scope::All).await.unwrap(), 2, "{}", at.url);
        assert_eq!(
            bob.select().eq("id", "a").count().await.unwrap(),
            1,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_principals_handle_never_reaches_another_by_a_response() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks
            .principal("alice")
            .unwrap()
            .save(&key("a"), &track("Alice's"))
            .await
            .unwrap();
        let mine = at
            .cache
            .principal("alice")
            .unwrap()
            .get(&get("https://api.example.com/tracks/a", &[]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            tracks.get(&mine).await.unwrap(),
            Some(track("Alice's")),
            "{}",
            at.url
        );
        assert_eq!(
            tracks.principal("bob").unwrap().get(&mine).await.unwrap(),
            None,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_token_that_rotates_still_hits_under_a_principal() {
    for at in every_store_with(|b| b.principal("me")).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks
            .save_response(&asked_with("monday", "a"), &answer(200, &[], &track("a")))
            .await
            .unwrap();
        assert_eq!(
            tracks.get(&asked_with("tuesday", "a")).await.unwrap(),
            Some(track("a")),
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
async fn a_principal_on_the_request_comes_before_the_handles() {
    for at in every_store_with(|b| b.principal("me")).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let mut request = asked_with("token", "a");
        request.extensions.insert(Principal::new("alice").unwrap());
        tracks
            .save_response(&request, &answer(200, &[], &track("a")))
            .await
            .unwrap();
        assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
        assert_eq!(
            tracks
                .principal("alice")
                .unwrap()
                .get(&key("a"))
                .await
                .unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn everyones_handle_counts_reads_and_removes_all() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("public")).await.unwrap();
        tracks
            .principal("alice")
            .unwrap()
            .save(&key("a"), &track("Alice's"))
            .await
            .unwrap();
        tracks
            .principal("bob")
            .unwrap()
            .save(&key("b"), &track("Bob's"))
            .await
            .unwrap();
        let all = tracks.everyone();

        assert_eq!(all.count(Scope::All).await.unwrap(), 3, "{}", at.url);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 1, "{}", at.url);
        assert_eq!(
            all.get(&key("b")).await.unwrap(),
            Some(track("Bob's")),
            "{}",
            at.url
        );
        assert_eq!(
            all.get_many(&["b", "x"].map(key)).await.unwrap(),
            [Some(track("Bob's")), None],
            "{}",
            at.url
        );
        assert!(all.delete(&key("a")).await.unwrap(), "{}", at.url);
        assert_eq!(all.count(Scope::All).await.unwrap(), 1, "{}", at.url);
        assert_eq!(
            all.delete_many(&["a", "b"].map(key)).await.unwrap(),
            1,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn everyones_handle_does_not_guess_for_whom_to_save() {
    for at in every_store().await {
        let all = at
            .cache
            .create_repository(tracks())
            .await
            .unwrap()
            .everyone();
        let error = all.save(&key("a"), &track("a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", at.url);
        assert!(error.message().contains("principal()"), "{error}");
    }
}

#[tokio::test]
async fn a_shared_endpoint_gives_everyone_one_answer() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks().share()).await.unwrap();
        tracks
            .principal("alice")
            .unwrap()
            .save(&key("a"), &track("a"))
            .await
            .unwrap();
        assert_eq!(
            tracks.get(&key("a")).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
        assert_eq!(
            tracks.get(&asked_with("any", "a")).await.unwrap(),
            Some(track("a")),
            "{}",
            at.url
        );
        assert_eq!(
            tracks
                .principal("bob")
                .unwrap()
                .count(Scope::All)
                .await
                .unwrap(),
            1,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn no_credential_is_stored() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let request = get(
            "https://api.example.com/tracks/a?access_token=sesame",
            &[("authorization", "Bearer sesame")],
        );
        assert_eq!(
            tracks
                .save_response(&request, &answer(200, &[], &track("a")))
                .await
                .unwrap(),
            Saved::Stored
        );
        let entry = tracks.entry(&request).await.unwrap().unwrap();
        assert!(
            !format!("{entry:?}").contains("sesame"),
            "{}: {entry:?}",
            at.url
        );
    }
}

#[tokio::test]
async fn no_credential_of_a_fetched_url_is_stored() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let request = get("https://api.example.com/tracks/a?access_token=sesame", &[]);
        let Begin::Fetch(ticket) = at
            .cache
            .exchange()
            .begin((&request).into(), Background::Impossible)
            .await
        else {
            panic!("{}: it is held", at.url)
        };
        let url = "https://api.example.com/tracks/a?access_token=sesame&page=1";
        let Landing::Collect(mut body, _) = ticket
            .head(StatusCode::OK, HeaderMap::new(), Some(url.to_owned()))
            .await
        else {
            panic!("{}: it is not to be stored", at.url)
        };
        assert!(body.push(track("a").to_string().as_bytes()), "{}", at.url);
        assert_eq!(body.finish().await, Saved::Stored, "{}", at.url);
        let entry = tracks.entry(&request).await.unwrap().unwrap();
        assert_eq!(
            entry.meta.head.url(),
            Some("https://api.example.com/tracks/a?page=1"),
            "{}",
            at.url
        );
    }
}

/// Counts the warnings that a thread's events hold.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, meta: &tracing::Metadata<'_>) -> bool {
        meta.target() == "restow" && *meta.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_miss_that_another_partition_could_answer_warns_once() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let warnings = Arc::new(AtomicUsize::new(0));
        let _guard = tracing::subscriber::set_default(Warnings(warnings.clone()));
        assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
        assert_eq!(warnings.load(Ordering::Relaxed), 0, "{}", at.url);
        tracks
            .save_response(&asked_with("token", "a"), &answer(200, &[], &track("a")))
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
        }
        assert_eq!(warnings.load(Ordering::Relaxed), 1, "{}", at.url);
    }
}
