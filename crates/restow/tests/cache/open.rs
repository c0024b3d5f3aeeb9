use crate::support::{Pages, Tracks, every_store, get, pages, tracks};
use restow::{
    Binary, DeclaredEndpoint, ErrorKind, Json, Key, RouteEndpoint, Scope, Text,
    store::OnSchemaChange,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_name_that_is_open_is_not_opened_twice() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let error = at.cache.create_repository(pages()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.repository()),
            (ErrorKind::RepositoryExists, Some("pages")),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn of_eight_that_create_one_repository_at_once_one_does() {
    for at in every_store().await {
        let tasks = (0..8).map(|_| {
            let cache = at.cache.clone();
            tokio::spawn(async move { cache.create_repository(pages()).await.map(drop) })
        });
        let mut made = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(()) => made += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::RepositoryExists, "{}", at.url),
            }
        }
        assert_eq!((made, at.cache.len()), (1, 1), "{}", at.url);
    }
}

#[tokio::test]
async fn who_comes_second_does_not_touch_the_table_of_the_first() {
    for at in every_store().await {
        let tasks = (0..8).map(|i| {
            let cache = at.cache.clone();
            let template = [
                "https://example.com/pages/{id}",
                "https://example.com/{site}/{id}",
            ][i % 2];
            let endpoint = DeclaredEndpoint::get("pages", template)
                .unwrap()
                .on_schema_change(OnSchemaChange::SetAside);
            tokio::spawn(async move { cache.create_repository(endpoint).await.map(drop) })
        });
        for task in tasks.collect::<Vec<_>>() {
            _ = task.await.unwrap();
        }
        let tables = at.cache.store().tables().await.unwrap();
        assert_eq!(tables.len(), 1, "{}: {tables:?}", at.url);
    }
}

#[tokio::test]
async fn open_or_get_opens_once_and_gives_the_same_repository_after() {
    for at in every_store().await {
        at.cache
            .open_or_get(pages())
            .await
            .unwrap()
            .save("home", &"x".to_owned())
            .await
            .unwrap();
        let again = at.cache.open_or_get(pages()).await.unwrap();
        assert_eq!(
            again.get("home").await.unwrap().as_deref(),
            Some("x"),
            "{}",
            at.url
        );
        let error = at.cache.open_or_get(pages().share()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RepositoryExists, "{}", at.url);
    }
}

#[tokio::test]
async fn names_of_every_kind_hold_entries() {
    for at in every_store().await {
        let names = [
            "my repo",
            "order",
            "tracks-v2",
            "日本",
            "a\"b",
            "it's",
            "SELECT",
            "x;y",
            "100%",
            "Name",
            "[brackets]",
            "a.b",
        ];
        for name in names {
            let endpoint = Pages::get(
                name,
                &format!(
                    "https://example.com/{}/{{id}}",
                    names.iter().position(|n| *n == name).unwrap()
                ),
            )
            .unwrap();
            let repository = at.cache.create_repository(endpoint).await.unwrap();
            repository.save("home", &name.to_owned()).await.unwrap();
        }
        for name in names {
            let repository = at.cache.repository_as::<Pages>(name).unwrap();
            assert_eq!(
                repository.get("home").await.unwrap().as_deref(),
                Some(name),
                "{}",
                at.url
            );
            assert_eq!(
                repository.count(Scope::Live).await.unwrap(),
                1,
                "{} {name}",
                at.url
            );
        }
    }
}

#[tokio::test]
async fn the_open_repositories_are_found_by_name_and_in_order() {
    for at in every_store().await {
        assert!(at.cache.is_empty(), "{}", at.url);
        at.cache.create_repository(tracks()).await.unwrap();
        at.cache.create_repository(pages()).await.unwrap();
        assert_eq!(
            at.cache
                .iter()
                .map(|r| r.name().to_owned())
                .collect::<Vec<_>>(),
            ["pages", "tracks"],
            "{}",
            at.url
        );
        assert!(
            at.cache.contains_repository("pages") && !at.cache.contains_repository("page"),
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.repository("tracks").unwrap().name(),
            "tracks",
            "{}",
            at.url
        );
        assert!(at.cache.repository("albums").is_none(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_repository_is_taken_as_the_type_it_was_opened_with() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        at.cache.repository_as::<Pages>("pages").unwrap();
        let error = at.cache.repository_as::<Tracks>("pages").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{}", at.url);
        let error = at.cache.repository_as::<Pages>("albums").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSuchRepository, "{}", at.url);
        assert!(error.message().contains("\"pages\""), "{error}");
    }
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    id: String,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct OtherKey {
    id: String,
    market: Option<String>,
}

#[tokio::test]
async fn a_typed_view_of_a_declared_endpoint_shares_its_entries_and_its_rules() {
    for at in every_store().await {
        let declared = DeclaredEndpoint::get("tracks", "https://example.com/tracks/{id}")
            .unwrap()
            .require("/id");
        at.cache.create_repository(declared).await.unwrap();
        let typed = at.cache.typed::<TrackKey, Json<Value>>("tracks").unwrap();
        let key = TrackKey { id: "a".into() };
        typed.save(&key, &json!({ "id": "a" })).await.unwrap();
        assert_eq!(
            typed.get(&get("/tracks/a")).await.unwrap(),
            Some(json!({ "id": "a" })),
            "{}",
            at.url
        );
        assert_eq!(
            at.cache
                .repository("tracks")
                .unwrap()
                .count(Scope::Live)
                .await
                .unwrap(),
            1,
            "{}",
            at.url
        );
        assert!(
            matches!(
                typed.save(&key, &json!({})).await.unwrap(),
                restow::exchange::Saved::Rejected(_)
            ),
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_typed_view_with_other_fields_is_refused_with_both_lists() {
    for at in every_store().await {
        let declared = DeclaredEndpoint::get("tracks", "https://example.com/tracks/{id}").unwrap();
        at.cache.create_repository(declared).await.unwrap();
        let error = at
            .cache
            .typed::<OtherKey, Json<Value>>("tracks")
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.repository()),
            (ErrorKind::SchemaMismatch, Some("tracks")),
            "{}",
            at.url
        );
        assert!(
            error.message().contains("(id)") && error.message().contains("(id, market?)"),
            "{error}"
        );
        assert_eq!(
            at.cache.typed::<String, Text>("albums").unwrap_err().kind(),
            ErrorKind::NoSuchRepository,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_removed_repository_is_forgotten_and_can_be_put_back() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        pages.save("home", &"x".to_owned()).await.unwrap();
        let removed = at.cache.remove("pages").unwrap();
        assert!(
            !at.cache.contains_repository("pages") && at.cache.route(&get("/pages/home")).is_none(),
            "{}",
            at.url
        );
        assert_eq!(
            pages.get("home").await.unwrap().as_deref(),
            Some("x"),
            "{}",
            at.url
        );
        assert!(at.cache.remove("pages").is_none(), "{}", at.url);

        at.cache.insert(&removed).unwrap();
        assert_eq!(
            at.cache.route(&get("/pages/home")).unwrap().name(),
            "pages",
            "{}",
            at.url
        );
        assert_eq!(
            at.cache.insert(&removed).unwrap_err().kind(),
            ErrorKind::RepositoryExists,
            "{}",
            at.url
        );
        let stranger = restow::connect("memory:").await.unwrap();
        assert_eq!(
            stranger.insert(&removed).unwrap_err().kind(),
            ErrorKind::Unsupported,
            "{}",
            at.url
        );
    }
}

#[tokio::test]
async fn a_dropped_repository_is_gone_with_its_entries() {
    for at in every_store().await {
        at.cache
            .create_repository(pages())
            .await
            .unwrap()
            .save("home", &"x".to_owned())
            .await
            .unwrap();
        assert!(
            at.cache.drop_repository("pages").await.unwrap(),
            "{}",
            at.url
        );
        assert!(
            !at.cache.drop_repository("pages").await.unwrap(),
            "{}",
            at.url
        );
        let again = at.cache.create_repository(pages()).await.unwrap();
        assert_eq!(again.get("home").await.unwrap(), None, "{}", at.url);
    }
}

#[tokio::test]
async fn a_table_with_other_fields_is_not_opened_and_both_lists_are_shown() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        at.cache.remove("pages");
        let other = RouteEndpoint::<(String, String), Binary>::get(
            "pages",
            "https://example.com/{site}/pages/{id}",
        )
        .unwrap();
        let error = at.cache.create_repository(other).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.repository()),
            (ErrorKind::SchemaMismatch, Some("pages")),
            "{}",
            at.url
        );
        assert!(
            error.message().contains("(site, id)") && error.message().contains("(id)"),
            "{error}"
        );
        assert!(at.cache.is_empty(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_route_that_clashes_with_anothers_is_refused_and_both_are_named() {
    for at in every_store().await {
        at.cache.create_repository(pages()).await.unwrap();
        let clash = Pages::get("other", "https://example.com/pages/{name}").unwrap();
        let error = at.cache.create_repository(clash).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.repository()),
            (ErrorKind::Route, Some("other")),
            "{}",
            at.url
        );
        assert!(!at.cache.contains_repository("other"), "{}", at.url);
    }
}
