//! Requests to an API whose answers are known, through a store that lies.

use futures_util::TryStreamExt as _;
use restow::{
    Cache, ErrorKind, RouteEndpoint, Scope, Text,
    endpoint::Coalesce,
    exchange::{Answered, OutcomeKind},
};
use restow_testkit::{Origin, Reply, http_client};
use std::{fmt::Debug, time::Duration};

pub(crate) type Pages = RouteEndpoint<String, Text>;

const NAMES: [&str; 3] = ["pages", "texts", "notes"];

/// What the API answers. Some of it is beside the values of its address.
pub(crate) fn right(target: &str) -> String {
    target.repeat(if target == "/pages/1" { 5_000 } else { 1 })
}

/// A cache, and requests through it.
pub(crate) struct Asks {
    pub(crate) cache: Cache,
    origin: Origin,
    client: reqwest_middleware::ClientWithMiddleware,
}

impl Asks {
    /// Opens a cache with repositories whose addresses are alike.
    pub(crate) async fn open(url: &str) -> Self {
        let origin = Origin::start(|call| Reply::ok(right(&call.target))).await;
        let cache = Cache::builder().url(url).build().await.unwrap();
        for name in NAMES {
            let endpoint = Pages::get(name, &origin.url(&format!("/{name}/{{id}}"))).unwrap();
            let endpoint = match name {
                "pages" => endpoint.coalesce(Coalesce::Shared),
                _ => endpoint,
            };
            cache.create_repository(endpoint).await.unwrap();
        }
        let client = cache.client(http_client().build().unwrap());
        Self {
            cache,
            origin,
            client,
        }
    }

    /// Makes a request, whose answer is right whatever the store says.
    pub(crate) async fn ask(&self, target: &str) -> OutcomeKind {
        let answer = self.client.get(self.origin.url(target)).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
        assert_eq!(answer.text().await.unwrap(), right(target));
        outcome
    }

    pub(crate) async fn hits(&self, target: &str) -> bool {
        let hits = async { while self.ask(target).await != OutcomeKind::Hit {} };
        tokio::time::timeout(Duration::from_secs(20), hits)
            .await
            .is_ok()
    }

    pub(crate) async fn ask_all(&self) {
        for target in targets() {
            self.ask(&target).await;
        }
    }

    /// Calls a repository as a program does: what comes is right, and errors are those of a store.
    pub(crate) async fn call(&self, lie: impl Debug, kinds: &[ErrorKind]) {
        let pages = self.cache.repository_as::<Pages>("pages").unwrap();
        let failed = |error: restow::Error| {
            let is_down = error.kind() == ErrorKind::Down;
            assert!(
                is_down || kinds.contains(&error.kind()),
                "{lie:?}: {error:?}"
            );
        };
        let ids: Vec<_> = (0..4).map(|n: usize| n.to_string()).collect();
        let body = |id: &str| right(&format!("/pages/{id}"));
        match pages.get("0").await {
            Ok(found) => assert!(found.is_none_or(|found| found == body("0")), "{lie:?}"),
            Err(error) => failed(error),
        }
        match pages.get_many(&ids).await {
            Ok(all) => {
                assert_eq!(all.len(), ids.len());
                for (found, id) in all.iter().zip(&ids) {
                    let is_its = found.as_ref().is_none_or(|found| *found == body(id));
                    assert!(is_its, "{lie:?}: {found:?}");
                }
            }
            Err(error) => failed(error),
        }
        pages.save("0", &body("0")).await.map_or_else(failed, drop);
        let pairs: Vec<_> = ids.iter().map(|id| (id.clone(), body(id))).collect();
        pages.save_many(&pairs).await.map_or_else(failed, drop);
        pages.count(Scope::All).await.map_or_else(failed, drop);
        match pages.stream(Scope::All).try_collect::<Vec<_>>().await {
            Ok(all) => {
                for (id, found) in all {
                    assert_eq!(found, body(&id), "{lie:?}");
                }
            }
            Err(error) => failed(error),
        }
        pages.clear(Scope::All).await.map_or_else(failed, drop);
    }
}

/// What is asked for of each repository.
pub(crate) fn targets() -> impl Iterator<Item = String> {
    let each = |n| NAMES.map(|name| format!("/{name}/{n}"));
    (0..2).flat_map(each)
}
