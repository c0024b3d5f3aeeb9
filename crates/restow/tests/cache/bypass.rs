use crate::support::{At, Pages, answer, every_store, get, pages};
use http::Method;
use restow::{
    Declaration, Endpoint, ErrorKind, Mode, RequestHead, Scope, Text,
    exchange::{Background, Begin, Saved},
};

#[tokio::test]
async fn requests_of_an_endpoint_that_does_not_fit_bypass_the_cache_until_it_is_opened_after_all() {
    for At { cache, url, .. } in every_store().await {
        cache.create_repository(pages()).await.unwrap();
        cache.remove("pages");
        let renamed = Pages::get("pages", "https://example.com/pages/{name}").unwrap();
        assert!(cache.open_or_bypass(renamed).await.unwrap().is_none());
        // A more general endpoint has other rules.
        let all = Pages::get("all", "https://example.com{/id*}").unwrap();
        cache.create_repository(all).await.unwrap();
        let why = cache.bypassed();
        assert_eq!(why.len(), 1, "{url}");
        assert_eq!(why[0].repository(), Some("pages"));
        assert_eq!(why[0].kind(), ErrorKind::SchemaMismatch);
        assert!(!cache.contains_repository("pages"));

        let exchange = cache.exchange();
        let begin = async |method: Method| {
            let mut parts = get("/pages/home");
            parts.method = method;
            let head = RequestHead::from(&parts);
            match exchange.begin(head, Background::Possible).await {
                Begin::Bypass(answered, _) => (answered.outcome.to_string(), answered.repository),
                other => panic!("{url}: {other:?}"),
            }
        };
        for method in [Method::GET, Method::HEAD] {
            let (outcome, repository) = begin(method).await;
            assert_eq!(outcome, "bypass; detail=schema-mismatch");
            assert_eq!(repository.as_deref(), Some("pages"));
        }
        assert_eq!(begin(Method::PUT).await.0, "bypass; detail=schema-mismatch");
        cache.set_mode(Mode::Offline);
        let parts = get("/pages/home");
        let head = RequestHead::from(&parts);
        match exchange.begin(head, Background::Possible).await {
            Begin::Refuse(answered) => assert_eq!(answered.repository.as_deref(), Some("pages")),
            other => panic!("{url}: {other:?}"),
        }
        cache.set_mode(Mode::Live);
        assert!(cache.route(&get("/pages/home")).is_none());
        assert_eq!(
            cache
                .save(&get("/pages/home"), &answer("Welcome"))
                .await
                .unwrap(),
            Saved::NotRouted
        );
        // A table that does not fit is not opened by its old declaration either.
        assert_eq!(cache.open_stored().await.unwrap().len(), 1);
        assert_eq!(begin(Method::GET).await.0, "bypass; detail=schema-mismatch");

        assert!(cache.open_or_bypass(pages()).await.unwrap().is_some());
        assert!(cache.bypassed().is_empty());
        assert_eq!(cache.route(&get("/pages/home")).unwrap().name(), "pages");
        cache.remove("pages");
        assert_eq!(cache.route(&get("/pages/home")).unwrap().name(), "all");
    }
}

#[tokio::test]
async fn an_endpoint_without_routes_that_does_not_fit_is_asked_for_its_requests() {
    for At { cache, .. } in every_store().await {
        let other = Pages::get("everything", "https://example.com/pages/{id}").unwrap();
        cache.create_repository(other).await.unwrap();
        cache.remove("everything");
        assert!(
            cache
                .open_or_bypass(Everything::new())
                .await
                .unwrap()
                .is_none()
        );
        let parts = get("/anything");
        let head = RequestHead::from(&parts);
        let begun = cache.exchange().begin(head, Background::Possible).await;
        let Begin::Bypass(answered, _) = begun else {
            panic!("{begun:?}");
        };
        assert_eq!(answered.repository.as_deref(), Some("everything"));
        cache.remove("everything");
        assert!(cache.bypassed().is_empty());
    }
}

#[tokio::test]
async fn what_is_stored_can_be_opened_without_its_routes() {
    for At { cache, .. } in every_store().await {
        let stored = cache.create_repository(pages()).await.unwrap();
        stored.save("home", &"Welcome".to_owned()).await.unwrap();
        cache.remove("pages");
        let all = cache.open_stored_unrouted().await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].count(Scope::All).await.unwrap(), 1);
        assert!(cache.route(&get("/pages/home")).is_none());
        // It says nothing against what was declared.
        cache.remove("pages");
        cache.open_stored().await.unwrap();
        assert_eq!(cache.route(&get("/pages/home")).unwrap().name(), "pages");
    }
}

/// Every request, by its URL.
#[derive(Debug)]
struct Everything(Declaration);

impl Everything {
    fn new() -> Self {
        let fields = [restow::Field::text("url")];
        Self(Declaration::new("everything", fields).unwrap())
    }
}

impl Endpoint for Everything {
    type Key = String;
    type Codec = Text;

    fn declaration(&self) -> &Declaration {
        &self.0
    }

    fn codec(&self) -> &Text {
        &Text
    }

    fn key(&self, request: &RequestHead<'_>) -> Option<String> {
        Some(request.target.to_string())
    }
}
