//! The clients against answers of GitHub's API as they were recorded: real bodies, and GitHub's own `Link`, `Vary` and `ETag`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures_util::TryStreamExt;
use http::{HeaderMap, StatusCode};
use reqwest_middleware::ClientWithMiddleware;
use restow::{
    Binary, Cache, Config, DeclaredEndpoint, Json, Key, Millis, Mode, RouteEndpoint, Scope,
    TestClock,
    exchange::{Answered, Missed, OutcomeKind, Saved},
};
use restow_testkit::github::{API, GitHub, recordings};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const REPO: &str = "/repos/octokit-fixture-org/hello-world";
const ISSUES: &str = "/repos/octokit-fixture-org/tmp-scenario-paginate-issues-20220719043836917-izyoe/issues?per_page=3";
const COLLABORATORS: &str = "/repos/octokit-fixture-org/tmp-scenario-add-and-remove-repository-collaborator-20220719043638491-kq8rz/collaborators";

/// GitHub, and a SQLite cache before it.
struct Bench {
    clock: TestClock,
    github: GitHub,
    cache: Cache,
}

impl Bench {
    async fn new() -> Self {
        let clock = TestClock::at(Millis(1_800_000_000_000));
        let cache = Cache::builder().url("sqlite::temp:").mode(Mode::Live);
        let cache = cache.clock(clock.clone()).expire_after(HOUR);
        Self {
            github: GitHub::start().await,
            cache: cache.build().await.unwrap(),
            clock,
        }
    }

    /// Opens one repository for the whole API.
    async fn with_all() -> Self {
        let bench = Self::new().await;
        let all = DeclaredEndpoint::get("all", &format!("{API}{{/path*}}")).unwrap();
        bench.cache.create_repository(all).await.unwrap();
        bench
    }

    /// Returns a client of a principal.
    fn client_of(&self, principal: &str) -> ClientWithMiddleware {
        let own = self.cache.principal(principal).unwrap();
        own.client(self.github.client())
    }
}

/// What a test looks at in an answer.
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: bytes::Bytes,
    answered: Answered,
}

impl Seen {
    fn outcome(&self) -> OutcomeKind {
        self.answered.outcome.kind
    }
}

async fn get(client: &ClientWithMiddleware, url: &str, headers: &[(&str, &str)]) -> Seen {
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    Seen {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        answered: response.extensions().get::<Answered>().unwrap().clone(),
        body: response.bytes().await.unwrap(),
    }
}

#[tokio::test]
async fn every_recorded_answer_comes_back_as_it_came_and_is_renewed_by_304() {
    let bench = Bench::with_all().await;
    let client = bench.client_of("me");
    let mut validated = 0;
    for (target, recorded) in recordings() {
        let recorded = &recorded[0];
        let url = recorded.url();
        let first = get(&client, &url, &[]).await;
        assert_eq!(first.status, recorded.status, "{target}");
        if recorded.status != 200 {
            assert!(
                matches!(first.answered.saved(), Some(Saved::Rejected(_))),
                "{target}"
            );
            continue;
        }
        let hit = get(&client, &url, &[]).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{target}");
        assert_eq!((hit.status, &hit.body), (200, &recorded.body), "{target}");
        for name in ["link", "vary", "etag", "last-modified", "x-ratelimit-limit"] {
            let sent: Vec<_> = first.headers.get_all(name).iter().collect();
            let kept: Vec<_> = hit.headers.get_all(name).iter().collect();
            assert_eq!(kept, sent, "{target}: {name}");
        }
        let Some(etag) = recorded.header("etag") else {
            continue;
        };
        bench.clock.advance(2 * HOUR);
        let renewed = get(&client, &url, &[]).await;
        assert_eq!(renewed.outcome(), OutcomeKind::Validated, "{target}");
        assert_eq!(renewed.body, recorded.body, "{target}");
        let calls = bench.github.calls_to(&target);
        assert_eq!(calls.len(), 2, "{target}");
        assert_eq!(calls[1].header("if-none-match"), etag, "{target}");
        assert_eq!(get(&client, &url, &[]).await.outcome(), OutcomeKind::Hit);
        validated += 1;
    }
    assert!(
        validated > 20,
        "only {validated} of the recordings have an entity tag"
    );
}

#[tokio::test]
async fn vary_on_a_credential_does_not_split_a_principals_entries() {
    let bench = Bench::with_all().await;
    let url = format!("{API}{REPO}");
    let recorded = bench.github.recording(REPO).clone();
    assert_eq!(
        recorded.header("vary"),
        Some("Accept, Authorization, Cookie, X-GitHub-OTP")
    );
    let client = bench.client_of("me");
    for (n, token) in ["one", "two", "three"].into_iter().enumerate() {
        let headers = [
            ("authorization", &*format!("token {token}")),
            ("cookie", token),
        ];
        let answer = get(&client, &url, &headers).await;
        assert_eq!(answer.outcome() == OutcomeKind::Hit, n > 0, "{token}");
    }
    assert_eq!(bench.github.asked(), 1);
    // What else GitHub varies by still tells answers apart.
    let raw = [("accept", "application/vnd.github.raw")];
    let other = get(&client, &url, &raw).await;
    assert_eq!(other.outcome(), OutcomeKind::Miss(Missed::OtherVariant));
    assert_eq!(get(&client, &url, &raw).await.outcome(), OutcomeKind::Hit);
    assert_eq!(get(&client, &url, &[]).await.outcome(), OutcomeKind::Hit);
    assert_eq!(bench.github.asked(), 2);
}

#[tokio::test]
async fn without_a_principal_every_token_has_entries_of_its_own() {
    let bench = Bench::with_all().await;
    let client = bench.cache.client(bench.github.client());
    let url = format!("{API}{REPO}");
    let ask = async |token: &str| {
        get(&client, &url, &[("authorization", token)])
            .await
            .outcome()
    };
    assert_eq!(ask("token one").await, OutcomeKind::Miss(Missed::Absent));
    assert_eq!(
        ask("token two").await,
        OutcomeKind::Miss(Missed::OtherPartition)
    );
    assert_eq!(ask("token one").await, OutcomeKind::Hit);
    assert_eq!(ask("token two").await, OutcomeKind::Hit);
    // GitHub marks its answers as private: nobody's are not stored.
    for _ in 0..2 {
        let nobodys = get(&client, &url, &[]).await;
        assert!(matches!(nobodys.answered.saved(), Some(Saved::Rejected(_))));
    }
    assert_eq!(bench.github.asked(), 4);
}

#[tokio::test]
async fn pages_are_found_by_their_links_with_and_without_the_network() {
    let bench = Bench::with_all().await;
    let client = bench.client_of("me");
    let walk = async || {
        let mut url = Some(format!("{API}{ISSUES}"));
        let mut titles = Vec::new();
        while let Some(next) = url {
            let page = get(&client, &next, &[]).await;
            let issues: Vec<Value> = serde_json::from_slice(&page.body).unwrap();
            titles.extend(
                issues
                    .iter()
                    .map(|i| i["title"].as_str().unwrap().to_owned()),
            );
            url = next_link(&page.headers);
        }
        titles
    };
    let online = walk().await;
    assert_eq!((online.len(), bench.github.asked()), (13, 5));
    assert_eq!(walk().await, online);
    assert_eq!(bench.github.asked(), 5);
    bench.cache.set_mode(Mode::Offline);
    bench.clock.advance(24 * HOUR);
    assert_eq!(walk().await, online);
    assert_eq!(bench.github.asked(), 5);
}

/// Returns the URL that a `Link` header marks as the next page.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get("link")?.to_str().unwrap().split(", ");
    links
        .filter_map(|link| link.strip_suffix(r#">; rel="next""#))
        .map(|url| url[1..].to_owned())
        .next()
}

#[tokio::test]
async fn what_has_changed_is_fetched_anew() {
    let bench = Bench::with_all().await;
    let client = bench.client_of("me");
    let url = format!("{API}{COLLABORATORS}");
    let logins = |seen: &Seen| {
        let people: Vec<Value> = serde_json::from_slice(&seen.body).unwrap();
        people.len()
    };
    assert_eq!(logins(&get(&client, &url, &[]).await), 2);
    bench.github.move_on(COLLABORATORS);
    assert_eq!(logins(&get(&client, &url, &[]).await), 2, "it is fresh");
    bench.clock.advance(2 * HOUR);
    let changed = get(&client, &url, &[]).await;
    assert_eq!(changed.outcome(), OutcomeKind::Miss(Missed::Expired));
    assert_eq!(logins(&changed), 1);
    let hit = get(&client, &url, &[]).await;
    assert_eq!((hit.outcome(), logins(&hit)), (OutcomeKind::Hit, 1));
    assert_eq!(hit.headers["etag"], changed.headers["etag"]);
    assert_eq!(bench.github.asked(), 2);
}

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct RepoKey {
    owner: String,
    repo: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Repo {
    id: u64,
    full_name: String,
    owner: Owner,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Owner {
    login: String,
}

#[tokio::test]
async fn typed_reads_find_what_the_client_stored_and_the_other_way_round() {
    let bench = Bench::new().await;
    let repos = RouteEndpoint::<RepoKey, Json<Repo>>::get(
        "repos",
        &format!("{API}/repos/{{owner}}/{{repo}}"),
    );
    let repos = repos.unwrap().label(|r: &Repo| Some(r.full_name.clone()));
    let repos = repos
        .column("owner_id", "/owner/id")
        .negative(StatusCode::NOT_FOUND, HOUR);
    let repos = bench
        .cache
        .create_repository(repos)
        .await
        .unwrap()
        .principal("me")
        .unwrap();
    let client = bench.client_of("me");
    let key = |repo: &str| RepoKey {
        owner: "octokit-fixture-org".into(),
        repo: repo.into(),
    };
    get(&client, &format!("{API}{REPO}"), &[]).await;
    let held = repos.get(&key("hello-world")).await.unwrap().unwrap();
    assert_eq!(
        (held.id, &*held.owner.login),
        (103_703_892, "octokit-fixture-org")
    );
    assert_eq!(
        repos
            .select()
            .eq("owner_id", 31_898_100)
            .count()
            .await
            .unwrap(),
        1
    );
    let entries: Vec<_> = repos.entries(Scope::Live).try_collect().await.unwrap();
    let label = entries[0].meta.label.as_deref();
    assert_eq!(label, Some("octokit-fixture-org/hello-world"));

    // The key makes the request.
    let inner = bench.github.client();
    let fetched = repos
        .get_or_fetch(&key("hello-world"), &inner)
        .await
        .unwrap();
    assert_eq!(
        (fetched.outcome.kind, fetched.value),
        (OutcomeKind::Hit, Some(held))
    );
    for outcome in ["miss", "hit"] {
        let none = repos.get_or_fetch(&key("no-such"), &inner).await.unwrap();
        assert_eq!((none.value, none.status), (None, StatusCode::NOT_FOUND));
        assert_eq!(none.outcome.kind.as_strs().0, outcome);
    }
    assert_eq!(bench.github.asked(), 2);
}

#[tokio::test]
async fn the_example_file_knows_what_github_answers() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/github.toml");
    let config = Config::load(file).unwrap();
    let builder = config.builder().unwrap().url("sqlite::temp:");
    let cache = builder.mode(Mode::Live).build().await.unwrap();
    for declaration in config.endpoints() {
        let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary);
        cache.create_repository(endpoint.unwrap()).await.unwrap();
    }
    // Which endpoint each recorded URL belongs to; those that are not here belong to none.
    let expected = |target: &str| match target {
        REPO => Some("repos"),
        _ if target.ends_with("-ukeod") => Some("repos"),
        ISSUES => Some("issues"),
        _ if target.contains("/releases/tags/v1.0.0") => Some("release-by-tag"),
        _ if target.contains("/contents/") => Some("contents"),
        _ => None,
    };
    let github = GitHub::start().await;
    let client = cache.client(github.client());
    let mut routed = 0;
    for (target, recorded) in recordings() {
        let recorded = &recorded[0];
        let request = http::Request::get(recorded.url()).body(()).unwrap();
        let found = cache.route(&request).map(|r| r.name().to_owned());
        assert_eq!(found.as_deref(), expected(&target), "{target}");
        if found.is_none() || recorded.status != 200 {
            continue;
        }
        let first = get(&client, &recorded.url(), &[]).await;
        assert_eq!(first.answered.saved(), Some(&Saved::Stored), "{target}");
        let hit = get(&client, &recorded.url(), &[]).await;
        assert_eq!(hit.outcome(), OutcomeKind::Hit, "{target}");
        routed += 1;
    }
    assert!(routed >= 5, "{routed}");
    let everyone = cache.everyone();
    for (repository, label) in [
        ("repos", "octokit-fixture-org/hello-world"),
        ("release-by-tag", "Version 1.0.0"),
    ] {
        let repository = everyone.repository(repository).unwrap();
        let entries: Vec<_> = repository.entries(Scope::Live).try_collect().await.unwrap();
        let labels: Vec<_> = entries
            .iter()
            .filter_map(|e| e.meta.label.as_deref())
            .collect();
        assert!(labels.contains(&label), "{labels:?}");
    }
    let repos = everyone.repository("repos").unwrap();
    assert_eq!(
        repos
            .select()
            .eq("owner_id", 31_898_100)
            .count()
            .await
            .unwrap(),
        1
    );
}
