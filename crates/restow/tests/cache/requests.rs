use crate::support::{answer, every_store, get, get_with, pages, tracks};
use bytes::Bytes;
use http::{Request, Response};
use restow::{ErrorKind, RouteEndpoint, Scope, Text, endpoint::Rejection, exchange::Saved};

#[tokio::test]
async fn a_request_finds_its_repository() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        at.cache.create_repository(tracks()).await.unwrap();
        let named = |path| at.cache.route(&get(path)).map(|r| r.name().to_owned());
        assert_eq!(named("/tracks/a").as_deref(), Some("tracks"), "{}", at.url);
        assert_eq!(named("/pages/a").as_deref(), Some("pages"), "{}", at.url);
        assert_eq!(named("/albums/a"), None, "{}", at.url);
    }
}

#[tokio::test]
async fn many_requests_have_one_repository_or_are_mixed() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        at.cache.create_repository(tracks()).await.unwrap();
        let all = |paths: &[&str]| {
            at.cache
                .route_all(&paths.iter().map(|p| get(p)).collect::<Vec<_>>())
        };
        assert_eq!(
            all(&["/tracks/a", "/tracks/b"]).unwrap().unwrap().name(),
            "tracks",
            "{}",
            at.url
        );
        assert!(
            all(&["/albums/a", "/albums/b"]).unwrap().is_none(),
            "{}",
            at.url
        );
        assert!(all(&[]).unwrap().is_none(), "{}", at.url);
        for mixed in [
            ["/tracks/a", "/pages/a"],
            ["/tracks/a", "/albums/a"],
            ["/albums/a", "/tracks/a"],
        ] {
            assert_eq!(
                all(&mixed).unwrap_err().kind(),
                ErrorKind::MixedRepositories,
                "{} {mixed:?}",
                at.url
            );
        }
    }
}

#[tokio::test]
async fn bulk_calls_with_mixed_requests_do_nothing() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        at.cache.create_repository(tracks()).await.unwrap();
        pages.save("a", &"x".to_owned()).await.unwrap();
        let mixed = [get("/pages/a"), get("/tracks/a")];
        assert_eq!(
            at.cache.get_many(&mixed).await.unwrap_err().kind(),
            ErrorKind::MixedRepositories,
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.delete_many(&mixed).await.unwrap_err().kind(),
            ErrorKind::MixedRepositories,
            "{}",
            at.url
        );
        let pairs = [
            (get("/pages/b"), answer("y")),
            (get("/tracks/b"), answer("{}")),
        ];
        assert_eq!(
            at.cache.save_many(&pairs).await.unwrap_err().kind(),
            ErrorKind::MixedRepositories,
            "{}",
            at.url
        );
        assert_eq!(pages.count(Scope::All).await.unwrap(), 1, "{}", at.url);
    }
}

#[tokio::test]
async fn a_response_is_saved_found_and_deleted_by_its_request() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        let request = get("/pages/home");
        let response = Response::builder()
            .status(203)
            .header("etag", "\"1\"")
            .body(Bytes::from_static(b"Welcome"))
            .unwrap();
        assert_eq!(
            at.cache.save(&request, &response).await.unwrap(),
            Saved::Stored,
            "{}",
            at.url
        );
        let got = at.cache.get(&request).await.unwrap().unwrap();
        assert_eq!(
            (
                got.status().as_u16(),
                &got.headers()["etag"],
                &got.body()[..]
            ),
            (203, &"\"1\"".parse().unwrap(), &b"Welcome"[..]),
            "{}",
            at.url
        );
        assert_eq!(
            pages.get("home").await.unwrap().as_deref(),
            Some("Welcome"),
            "{}",
            at.url
        );
        // What came out of the cache leads back to its entry.
        assert_eq!(
            pages.get(&got).await.unwrap().as_deref(),
            Some("Welcome"),
            "{}",
            at.url
        );
        assert_eq!(at.cache.route(&got).unwrap().name(), "pages", "{}", at.url);
        assert!(at.cache.delete(&got).await.unwrap(), "{}", at.url);
        assert!(!at.cache.delete(&request).await.unwrap(), "{}", at.url);
        assert!(
            at.cache.get(&request).await.unwrap().is_none(),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_response_of_one_repository_finds_nothing_in_another() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        pages.save("a", &"page".to_owned()).await.unwrap();
        tracks.save("a", &serde_json::json!("track")).await.unwrap();
        let page = at.cache.get(&get("/pages/a")).await.unwrap().unwrap();
        assert_eq!(tracks.get(&page).await.unwrap(), None, "{}", at.url);
        assert!(!tracks.delete(&page).await.unwrap(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_request_of_no_repository_is_left_alone() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let request = get("/albums/a");
        assert!(
            at.cache.get(&request).await.unwrap().is_none(),
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.save(&request, &answer("x")).await.unwrap(),
            Saved::NotRouted,
            "{}",
            at.url
        );
        assert!(!at.cache.delete(&request).await.unwrap(), "{}", at.url);
        let requests = [request.clone(), request.clone()];
        assert!(
            at.cache
                .get_many(&requests)
                .await
                .unwrap()
                .iter()
                .all(Option::is_none),
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.save_many(&[(request, answer("x"))]).await.unwrap(),
            [Saved::NotRouted],
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.delete_many(&requests).await.unwrap(),
            0,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn many_are_saved_found_in_order_and_deleted() {
    for at in every_store().await {
        at.cache
            .create_repository(tracks().require("/id"))
            .await
            .unwrap();
        let pairs = [
            (get("/tracks/a"), answer(r#"{"id":"a"}"#)),
            (get("/tracks/b"), answer("{}")),
            (get("/tracks/c"), answer(r#"{"id":"c"}"#)),
        ];
        let saved = at.cache.save_many(&pairs).await.unwrap();
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
        let asked = ["/tracks/c", "/tracks/b", "/tracks/a"].map(get);
        let bodies: Vec<_> = at
            .cache
            .get_many(&asked)
            .await
            .unwrap()
            .into_iter()
            .map(|r| r.map(Response::into_body))
            .collect();
        assert_eq!(
            bodies,
            [
                Some(Bytes::from(r#"{"id":"c"}"#)),
                None,
                Some(Bytes::from(r#"{"id":"a"}"#))
            ],
            "{}",
            at.url
        );
        assert_eq!(at.cache.delete_many(&asked).await.unwrap(), 2, "{}", at.url);
    }
}

#[tokio::test]
async fn of_several_variants_a_request_gets_the_one_it_selects() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let asked = |language| get_with("/pages/home", &[("accept-language", language)]);
        for (language, text) in [("de", "Willkommen"), ("en", "Welcome")] {
            let response = Response::builder()
                .header("vary", "accept-language")
                .body(Bytes::from(text))
                .unwrap();
            assert_eq!(
                at.cache.save(&asked(language), &response).await.unwrap(),
                Saved::Stored,
                "{}",
                at.url
            );
        }
        for (language, text) in [
            ("de", Some("Willkommen")),
            ("en", Some("Welcome")),
            ("fr", None),
        ] {
            let got = at.cache.get(&asked(language)).await.unwrap();
            assert_eq!(
                got.map(Response::into_body),
                text.map(Bytes::from),
                "{} {language}",
                at.url
            );
        }
    }
}

#[tokio::test]
async fn two_users_of_one_cache_get_their_own() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let asked = |token| get_with("/pages/home", &[("authorization", token)]);
        at.cache
            .save(&asked("Bearer a"), &answer("a's"))
            .await
            .unwrap();
        assert!(
            at.cache.get(&asked("Bearer b")).await.unwrap().is_none(),
            "{}",
            at.url
        );
        assert!(
            !at.cache.delete(&asked("Bearer b")).await.unwrap(),
            "{}",
            at.url
        );
        assert_eq!(
            at.cache
                .get(&asked("Bearer a"))
                .await
                .unwrap()
                .unwrap()
                .into_body(),
            "a's",
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_router_of_the_program_takes_the_place_of_the_routes_and_can_be_replaced() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let drafts =
            RouteEndpoint::<String, Text>::get("drafts", "https://drafts.example.com/pages/{id}")
                .unwrap();
        let drafts = drafts.alias("https://example.com/{id}/draft").unwrap();
        at.cache.create_repository(drafts).await.unwrap();
        let routed = |path: &str| at.cache.route(&get(path)).map(|r| r.name().to_owned());

        at.cache.router(|head| {
            head.target
                .path
                .ends_with("/draft")
                .then(|| "drafts".to_owned())
        });
        assert_eq!(
            (routed("/x/draft").as_deref(), routed("/pages/x")),
            (Some("drafts"), None),
            "{}",
            at.url
        );
        at.cache.router(|_| Some("pages".to_owned()));
        assert_eq!(routed("/pages/x").as_deref(), Some("pages"), "{}", at.url);
        // What is named has no key for this request.
        assert_eq!(
            at.cache.save(&get("/x/draft"), &answer("x")).await.unwrap(),
            Saved::NoKey,
            "{}",
            at.url
        );
        at.cache.router(|_| Some("nothing".to_owned()));
        assert_eq!(routed("/pages/x"), None, "{}", at.url);
        at.cache.router_by_routes();
        assert_eq!(routed("/pages/x").as_deref(), Some("pages"), "{}", at.url);
    }
}

#[tokio::test]
async fn a_request_with_a_body_that_nobody_can_read_has_no_key() {
    for at in every_store().await {
        let search =
            RouteEndpoint::<String, Text>::post("search", "https://example.com/search").unwrap();
        let search = at.cache.create_repository(search).await.unwrap();
        let post = |body: &'static str| {
            Request::post("https://example.com/search")
                .body(Bytes::from_static(body.as_bytes()))
                .unwrap()
        };
        search
            .save(&post("jazz"), &"Nina".to_owned())
            .await
            .unwrap();
        assert_eq!(
            search.get(&post("jazz")).await.unwrap().as_deref(),
            Some("Nina"),
            "{}",
            at.url
        );
        assert_eq!(search.get(&post("soul")).await.unwrap(), None, "{}", at.url);
        let unreadable = Request::post("https://example.com/search")
            .body(std::io::empty())
            .unwrap();
        assert_eq!(
            search.save(&unreadable, &"x".to_owned()).await.unwrap(),
            Saved::NoKey,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_credential_that_the_cache_declares_is_in_no_key_however_the_request_comes() {
    let credentials = restow::Credentials::parse(["query:pass"]).unwrap();
    let cache = restow::Cache::builder()
        .url("memory:")
        .credentials(credentials)
        .build()
        .await
        .unwrap();
    let pages =
        RouteEndpoint::<String, Text>::get("pages", "https://a.example/pages/{id}").unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    let request = Request::get("https://a.example/pages/home?pass=s3")
        .body(())
        .unwrap();
    let (parts, ()) = request.clone().into_parts();
    let response = Response::new(Bytes::from_static(b"Welcome"));
    assert_eq!(
        pages.save_response(&parts, &response).await.unwrap(),
        Saved::Stored
    );
    assert_eq!(
        pages.get(&request).await.unwrap().as_deref(),
        Some("Welcome")
    );
    assert!(cache.get(&request).await.unwrap().is_some());
    let key = pages.raw_key(&(&parts).into()).unwrap();
    assert_eq!((key.to_string().as_str(), key.query()), ("home", ""));
    let stored = cache.store().tables().await.unwrap();
    assert!(
        stored[0].declaration.contains("query:pass"),
        "{}",
        stored[0].declaration
    );
}
