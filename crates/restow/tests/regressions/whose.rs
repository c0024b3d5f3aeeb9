//! Whose answer it is.

use crate::{
    forms::{self, Client},
    place::{HOUR, Pages, Place, T0, pages},
};
use http::{HeaderMap, header::AUTHORIZATION};
use restow::{
    Cache, RouteEndpoint, Scope, Text,
    endpoint::Rejection,
    exchange::{OutcomeKind, Saved},
};
use restow_testkit::{Call, Gate, Origin, Reply, http_client};

const ALICE: &str = "secret-of-alice";
const BOB: &str = "secret-of-bob";

/// Says whose credential a request shows, wherever it shows it.
fn whose(call: &Call) -> &'static str {
    let all = format!("{:?} {}", call.headers, call.target);
    match (all.contains(ALICE), all.contains(BOB)) {
        (true, false) => "alice's",
        (false, true) => "bob's",
        (false, false) => "nobody's",
        (true, true) => "both",
    }
}

async fn origin(cache_control: &'static str) -> Origin {
    Origin::start(move |call| Reply::ok(whose(call)).header("cache-control", cache_control)).await
}

#[tokio::test]
async fn two_credentials_never_share() {
    // What lets a shared cache share an answer must not make a program's own cache mix its users up.
    let rules = [
        "max-age=60",
        "public, max-age=60",
        "s-maxage=60",
        "must-revalidate, max-age=60",
        "max-age=60, max-age=60",
        "max-age=\"60\", public",
        "private, max-age=60",
    ];
    let shown = [
        ("authorization", "Bearer {}"),
        ("x-api-key", "{}"),
        ("private-token", "{}"),
        ("cookie", "session={}"),
        ("query", "access_token={}"),
        ("query", "api_key={}"),
    ];
    let place = Place::new();
    let cache = place.cache().await;
    for (r, rule) in rules.into_iter().enumerate() {
        let origin = origin(rule).await;
        pages(&cache, &origin.url("")).await;
        for (form, client, _) in forms::all(&cache) {
            // The rule of storing is one for all forms.
            if form != "client" && r > 0 {
                continue;
            }
            for (n, (where_, how)) in shown.into_iter().enumerate() {
                let case = format!("{form}, {rule}, {where_} {how}");
                let ask = async |secret: &str| {
                    let url = origin.url(&format!("/pages/{form}-{n}-{r}"));
                    let value = how.replace("{}", secret);
                    match where_ {
                        "query" => client.get(&format!("{url}?{value}")).await,
                        header => client.get_with(&url, &[(header, &value)]).await,
                    }
                };
                for outcome in ["miss", "hit"] {
                    let alice = ask(ALICE).await;
                    let bob = ask(BOB).await;
                    assert_eq!((alice.text(), bob.text()), ("alice's", "bob's"), "{case}");
                    assert_eq!(alice.outcome().as_strs().0, outcome, "{case}");
                    assert_eq!(bob.outcome().as_strs().0, outcome, "{case}");
                }
                let nobody = client
                    .get(&origin.url(&format!("/pages/{form}-{n}-{r}")))
                    .await;
                assert_eq!(nobody.text(), "nobody's", "{case}");
            }
        }
        cache.remove("pages");
    }
    cache.commit().await.unwrap();
    assert!(place.holds("alice's"));
    assert!(!place.holds("secret-of"), "a credential is in the file");
}

/// What all may share, and varies on who asks, is for nobody else: in a cache that users share, and in a program's own.
#[tokio::test]
async fn what_varies_on_a_credential_is_never_another_s() {
    let rules = [
        "public, max-age=60",
        // A program's own cache goes by the other.
        "s-maxage=60, max-age=60",
        "must-revalidate, max-age=60",
    ];
    for shared in [true, false] {
        let builder = Cache::builder().url("memory:").shared(shared);
        let cache = builder.build().await.unwrap();
        for (nth, rule) in rules.into_iter().enumerate() {
            for vary in ["Authorization", "Cookie", "X-Api-Key"] {
                let origin = Origin::start(move |call| {
                    let reply = Reply::ok(whose(call)).header("cache-control", rule);
                    reply.header("vary", vary)
                })
                .await;
                let pages = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
                cache.create_repository(pages.http()).await.unwrap();
                for (form, client, _) in forms::all(&cache) {
                    let url = origin.url(&format!("/pages/{form}-{vary}-{nth}"));
                    for outcome in ["miss", "hit"] {
                        for (shows, is) in [(ALICE, "alice's"), (BOB, "bob's"), ("", "nobody's")] {
                            let answer = match shows {
                                "" => client.get(&url).await,
                                secret => client.get_with(&url, &[(vary, secret)]).await,
                            };
                            let case = format!("{form}, shared: {shared}, {rule}, {vary}");
                            assert_eq!(answer.text(), is, "{case}");
                            assert_eq!(answer.outcome().as_strs().0, outcome, "{case}: {is}");
                        }
                    }
                }
                cache.remove("pages");
            }
        }
    }
}

/// A client that shows a credential with every request, in a way that nobody sees above it.
fn hidden(secret: &str) -> reqwest::Client {
    http_client()
        .default_headers(bearer(secret))
        .build()
        .unwrap()
}

fn bearer(secret: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())])
}

#[tokio::test]
async fn clients_that_differ_only_in_default_headers_share_no_private_answer() {
    let origin = origin("private, max-age=60").await;
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, &origin.url("")).await;
    let url = origin.url("/pages/me");
    let alice = Client::Reqwest(cache.client(hidden(ALICE)));
    let bob = Client::Reqwest(cache.client(hidden(BOB)));
    for _ in 0..2 {
        let (a, b) = (alice.get(&url).await, bob.get(&url).await);
        assert_eq!((a.text(), b.text()), ("alice's", "bob's"));
        for saved in [a.answered.saved(), b.answered.saved()] {
            let refused = matches!(saved, Some(Saved::Rejected(Rejection::Policy(_))));
            assert!(refused, "{saved:?}");
        }
    }
    assert_eq!(pages.everyone().count(Scope::All).await.unwrap(), 0);
}

#[tokio::test]
async fn clients_whose_default_headers_the_cache_was_given_share_nothing() {
    let origin = origin("max-age=60").await;
    let place = Place::new();
    let cache = place.cache().await;
    pages(&cache, &origin.url("")).await;
    let client = |secret| {
        let inner = restow::client::reqwest::build(http_client(), bearer(secret)).unwrap();
        Client::Reqwest(cache.client(inner))
    };
    let url = origin.url("/pages/me");
    separate(&client(ALICE), &client(BOB), &url).await;
}

#[tokio::test]
async fn clients_of_named_principals_share_nothing_whatever_they_show() {
    for rule in ["max-age=60", "private, max-age=60", "public, max-age=60"] {
        let origin = origin(rule).await;
        let place = Place::new();
        let cache = place.cache().await;
        pages(&cache, &origin.url("")).await;
        let client = |name, secret| {
            let own: Cache = cache.principal(name).unwrap();
            Client::Reqwest(own.client(hidden(secret)))
        };
        let url = origin.url("/pages/me");
        separate(&client("alice", ALICE), &client("bob", BOB), &url).await;
    }
}

async fn separate(alice: &Client, bob: &Client, url: &str) {
    for outcome in ["miss", "hit"] {
        let (a, b) = (alice.get(url).await, bob.get(url).await);
        assert_eq!((a.text(), b.text()), ("alice's", "bob's"));
        assert_eq!(a.outcome().as_strs().0, outcome);
        assert_eq!(b.outcome().as_strs().0, outcome);
    }
}

#[tokio::test]
async fn a_token_that_changes_under_a_principal_still_hits() {
    let origin = origin("private, max-age=60").await;
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, &origin.url("")).await;
    let own = cache.principal("alice").unwrap();
    for (form, client, _) in forms::all(&own) {
        let url = origin.url(&format!("/pages/{form}"));
        let token = |n: u32| format!("Bearer {ALICE}-{n}");
        client.get_with(&url, &[("authorization", &token(1))]).await;
        let later = client.get_with(&url, &[("authorization", &token(2))]).await;
        assert_eq!(later.outcome(), OutcomeKind::Hit, "{form}");
        // The typed calls of the principal see the same entry, and another's do not.
        let alices = pages.principal("alice").unwrap();
        assert_eq!(
            alices.get(form).await.unwrap().as_deref(),
            Some("alice's"),
            "{form}"
        );
        assert_eq!(pages.get(form).await.unwrap(), None, "{form}");
    }
    assert_eq!(origin.asked(), 3);
}

#[tokio::test]
async fn a_late_304_never_touches_a_newer_body() {
    let place = Place::new();
    let cache = place.cache().await;
    for (form, client, _) in forms::all(&cache) {
        let gate = Gate::closed();
        let stands_at = gate.clone();
        let origin = Origin::start(move |call| match (call.nth, call.header("if-none-match")) {
            (0, _) => Reply::ok("old").header("etag", "\"1\""),
            // It was true when the API said it, and arrives when it is not any more.
            (_, "\"1\"") => Reply::status(304)
                .header("etag", "\"1\"")
                .behind(&stands_at),
            _ => Reply::ok("new").header("etag", "\"2\""),
        })
        .await;
        let pages = pages(&cache, &origin.url("")).await;
        let url = origin.url(&format!("/pages/{form}"));
        place.clock.set(T0);
        client.get(&url).await;
        place.clock.advance(2 * HOUR);
        let late = {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move { client.get(&url).await })
        };
        gate.reached(1).await;
        let request = http::Request::get(&url).body(()).unwrap().into_parts().0;
        let answer = http::Response::builder().header("etag", "\"2\"");
        let answer = answer.body("new".into()).unwrap();
        let saved = pages.save_response(&request, &answer).await.unwrap();
        assert_eq!(saved, Saved::Stored, "{form}");
        gate.open();
        let late = late.await.unwrap();

        assert_eq!(
            pages.get(form).await.unwrap().as_deref(),
            Some("new"),
            "{form}"
        );
        let held = client.get(&url).await;
        assert_eq!(held.outcome(), OutcomeKind::Hit, "{form}");
        assert_eq!(
            (held.text(), &held.headers["etag"]),
            ("new", &"\"2\"".parse().unwrap()),
            "{form}"
        );
        // Whoever asked is told either what the API said, or what is newer: one of them whole.
        let told = (late.text(), late.headers["etag"].to_str().unwrap());
        assert!(
            told == ("new", "\"2\"") || told == ("old", "\"1\""),
            "{form}: {told:?}"
        );
        cache.remove("pages");
    }
}

#[tokio::test]
async fn a_shared_endpoint_is_one_entry_for_all() {
    let origin = origin("max-age=60").await;
    let place = Place::new();
    let cache = place.cache().await;
    let endpoint = RouteEndpoint::<String, Text>::get("pages", &origin.url("/pages/{id}"));
    cache
        .create_repository(endpoint.unwrap().share())
        .await
        .unwrap();
    let client = Client::of(&cache);
    let url = origin.url("/pages/a");
    for secret in [ALICE, BOB] {
        let answer = client.get_with(&url, &[("x-api-key", secret)]).await;
        assert_eq!(answer.text(), "alice's");
    }
    assert_eq!(origin.asked(), 1);
}
