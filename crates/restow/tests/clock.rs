//! Clocks that jump: nothing is fresh beyond its lifetime, by whatever clock, on every store and through a client.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use restow::{
    BoxFuture, Cache, Clock, Expiry, Fetch, Lookup, Millis, Mode, Repository, RouteEndpoint, Scope,
    TestClock, Text,
    client::{Body, Got},
    exchange::{Answered, Missed, OutcomeKind, Staleness},
};
use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

type Items = Repository<RouteEndpoint<String, Text>>;

const URLS: [&str; 4] = [
    "memory:",
    "sqlite::memory:",
    "sqlite::temp:",
    "sqlite::temp:?memory=1MiB",
];

/// In the year 2027.
const T0: Millis = Millis(1_800_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(3_652 * 86_400);
/// How far two clocks may differ before an age is unknown.
const SKEW: Duration = Duration::from_secs(5);
const URL: &str = "https://api.example.com/items/a";

fn endpoint() -> RouteEndpoint<String, Text> {
    RouteEndpoint::get("items", "https://api.example.com/items/{id}").unwrap()
}

async fn open(url: &str, clock: &TestClock, expiry: impl Into<Expiry>) -> (Cache, Items) {
    let builder = Cache::builder().url(url).mode(Mode::Live);
    let cache = builder.clock(clock.clone()).build().await.unwrap();
    let items = endpoint().expire_after(expiry);
    let items = cache.create_repository(items).await.unwrap();
    (cache, items)
}

/// An API that counts, answers with a tag, confirms it, and can say that it is too busy.
#[derive(Clone, Debug, Default)]
struct Api {
    asked: Arc<AtomicUsize>,
    busy: Arc<AtomicBool>,
}

impl Api {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn answer(&self, conditional: bool) -> Response<&'static str> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new("fetched");
        let headers = response.headers_mut();
        headers.insert(header::ETAG, "\"1\"".parse().unwrap());
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        if self.busy.load(Ordering::SeqCst) {
            headers.insert(header::RETRY_AFTER, "60".parse().unwrap());
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        } else if conditional {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }

    fn client(&self, cache: &Cache) -> ClientWithMiddleware {
        _ = rustls::crypto::ring::default_provider().install_default();
        let beneath = ClientBuilder::new(reqwest::Client::new()).with(self.clone());
        cache.client(beneath.build())
    }
}

impl Fetch for Api {
    fn fetch(&self, request: Request<Bytes>) -> BoxFuture<'_, restow::Result<Response<Body>>> {
        let answer = self.answer(request.headers().contains_key(header::IF_NONE_MATCH));
        Box::pin(async { Ok(answer.map(|text| Body::whole(text.into()))) })
    }
}

#[async_trait::async_trait]
impl Middleware for Api {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let answer = self.answer(request.headers().contains_key(header::IF_NONE_MATCH));
        let (head, body) = answer.into_parts();
        let mut response = http::Response::builder();
        response = reqwest::ResponseBuilderExt::url(response, request.url().clone());
        let mut response = response.status(head.status).body(body).unwrap();
        *response.headers_mut() = head.headers;
        Ok(response.into())
    }
}

async fn ask(client: &ClientWithMiddleware, url: &str) -> (OutcomeKind, Option<u64>) {
    let response = client.get(url).send().await.unwrap();
    let answered = response.extensions().get::<Answered>().unwrap();
    let kind = answered.outcome.kind;
    let age = response.headers().get(header::AGE);
    let age = age.map(|age| age.to_str().unwrap().parse().unwrap());
    response.text().await.unwrap();
    (kind, age)
}

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Step {
    Forward(Duration),
    Back(Duration),
    Save(u8),
    Fetch(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    const JUMPS: [Duration; 8] = [
        Duration::from_millis(1),
        SECOND,
        Duration::from_secs(6),
        MINUTE,
        Duration::from_secs(86_399),
        DAY,
        Duration::from_secs(40 * 86_400),
        TEN_YEARS,
    ];
    let jump = || select(JUMPS.as_slice());
    prop::collection::vec(
        prop_oneof![
            2 => jump().prop_map(Step::Forward),
            2 => jump().prop_map(Step::Back),
            2 => (0..3_u8).prop_map(Step::Save),
            2 => (0..3_u8).prop_map(Step::Fetch),
        ],
        1..24,
    )
}

/// When a key was stored or confirmed, and until when it may be served.
type Lives = HashMap<String, (Millis, Millis)>;

/// Takes the steps, and looks after each at every key.
async fn walk(url: &str, expiry: Expiry, steps: &[Step]) {
    let clock = TestClock::at(T0);
    let (cache, items) = open(url, &clock, expiry).await;
    let (api, mut lives) = (Api::default(), Lives::new());
    let client = api.client(&cache);
    for step in steps {
        match step {
            Step::Forward(by) => clock.advance(*by),
            Step::Back(by) => clock.set(clock.now().minus(*by)),
            Step::Save(key) => {
                let key = key.to_string();
                items.save(&key, &"saved".to_owned()).await.unwrap();
                lives.insert(key, (clock.now(), expiry.after(clock.now())));
            }
            Step::Fetch(key) => {
                let (key, now) = (key.to_string(), clock.now());
                let url = format!("https://api.example.com/items/{key}");
                let (kind, age) = ask(&client, &url).await;
                match (kind, lives.get(&key)) {
                    (OutcomeKind::Hit, Some(life)) => {
                        assert!(is_fresh(*life, now), "{life:?} was a hit at {now:?}");
                        // What a client is told of the age is never more than the lifetime either.
                        let lifetime = life.1.since(life.0).as_secs();
                        assert!(age.unwrap() <= lifetime, "{age:?} of {lifetime}");
                    }
                    (OutcomeKind::Hit, None) => panic!("{key} was never stored"),
                    _ => _ = lives.insert(key, (now, expiry.after(now))),
                }
            }
        }
        look(&items, &lives, clock.now()).await;
    }
    cache.close().await.unwrap();
}

fn is_fresh((since, until): (Millis, Millis), now: Millis) -> bool {
    now < until && since.minus(SKEW) <= now
}

/// Every call that reads what is fresh reads exactly that.
async fn look(items: &Items, lives: &Lives, now: Millis) {
    let keys = ["0", "1", "2"].map(String::from);
    let got = items.get_many(&keys).await.unwrap();
    let offline = items.clone();
    for (key, got) in keys.iter().zip(got) {
        let life = lives.get(key).copied();
        let fresh = life.is_some_and(|life| is_fresh(life, now));
        let what = format!("{key}, {life:?} at {now:?}");
        assert_eq!(got.is_some(), fresh, "{what}");
        assert_eq!(offline.get(key).await.unwrap().is_some(), fresh, "{what}");
        assert_eq!(offline.contains(key).await.unwrap(), fresh, "{what}");
        let hit = matches!(offline.lookup(key).await.unwrap(), Lookup::Hit { .. });
        assert_eq!(hit, fresh, "{what}");
    }
    // The scopes go by the expiry alone.
    let live = lives.values().filter(|life| now < life.1).count();
    assert_eq!(items.count(Scope::Live).await.unwrap(), live as u64);
}

/// Walks at random, on one store.
fn walks(url: &'static str, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let lives = select(
        &[
            "1 second", "1 minute", "1 day", "1 month", "10 years", "never",
        ][..],
    );
    let mut runner = TestRunner::new(config);
    let walked = runner.run(&(lives, steps()), |(life, steps)| {
        runtime.block_on(walk(url, life.parse().unwrap(), &steps));
        Ok(())
    });
    walked.unwrap();
}

#[test]
fn in_memory_nothing_is_fresh_beyond_its_lifetime_whichever_way_the_clock_jumps() {
    walks(URLS[0], 256);
}

#[test]
fn on_sqlite_in_memory_nothing_is_fresh_beyond_its_lifetime_whichever_way_the_clock_jumps() {
    walks(URLS[1], 32);
}

#[test]
fn in_a_file_nothing_is_fresh_beyond_its_lifetime_whichever_way_the_clock_jumps() {
    walks(URLS[2], 64);
}

#[test]
fn behind_memory_nothing_is_fresh_beyond_its_lifetime_whichever_way_the_clock_jumps() {
    walks(URLS[3], 64);
}

#[tokio::test]
async fn what_the_clock_was_set_back_behind_is_asked_for_once_and_then_served_again() {
    for url in URLS {
        for back in [SKEW + SECOND, DAY, TEN_YEARS] {
            let clock = TestClock::at(T0);
            let (cache, items) = open(url, &clock, 7 * DAY).await;
            let (api, what) = (Api::default(), format!("{url}, back by {back:?}"));
            let client = api.client(&cache);
            ask(&client, URL).await;
            clock.set(T0.minus(back));
            // It may be years beyond its lifetime, and nobody can tell.
            assert_eq!(items.get("a").await.unwrap(), None, "{what}");
            assert!(
                matches!(items.lookup("a").await.unwrap(), Lookup::Stale { .. }),
                "{what}"
            );
            assert_eq!(ask(&client, URL).await.0, OutcomeKind::Validated, "{what}");
            assert_eq!(ask(&client, URL).await.0, OutcomeKind::Hit, "{what}");
            assert_eq!(items.get("a").await.unwrap().unwrap(), "fetched", "{what}");
            assert_eq!(api.asked(), 2, "{what}");
            // From now its life is that of an answer of today.
            clock.set(T0.minus(back).plus(7 * DAY));
            assert_eq!(items.get("a").await.unwrap(), None, "{what}");
        }
    }
}

#[tokio::test]
async fn one_typed_read_and_many_ask_the_api_for_what_comes_from_the_future() {
    for url in URLS {
        let clock = TestClock::at(T0);
        let (_cache, items) = open(url, &clock, 7 * DAY).await;
        let api = Api::default();
        let key = "a".to_owned();
        items.save(&key, &"saved".to_owned()).await.unwrap();
        clock.set(T0.minus(TEN_YEARS));
        let many = items
            .get_or_fetch_many(&["a".to_owned()], &api)
            .await
            .unwrap();
        assert!(
            matches!(&many[..], [Got::Fetched(text)] if text == "fetched"),
            "{url}"
        );
        clock.set(T0);
        items.save(&key, &"saved".to_owned()).await.unwrap();
        clock.set(T0.minus(TEN_YEARS));
        let one = items.get_or_fetch(&key, &api).await.unwrap();
        assert_eq!(
            one.outcome.kind,
            OutcomeKind::Miss(Missed::Expired),
            "{url}"
        );
        assert_eq!(one.value.unwrap(), "fetched", "{url}");
    }
}

#[tokio::test]
async fn a_typed_read_says_how_old_and_how_stale_its_answer_may_be() {
    for url in URLS {
        let clock = TestClock::at(T0);
        let (_cache, items) = open(url, &clock, 10 * MINUTE).await;
        let (api, keys) = (Api::default(), ["a".to_owned()]);
        let key = &keys[0];
        // What is saved is as old as its saving.
        items.save(key, &"saved".to_owned()).await.unwrap();
        clock.advance(MINUTE);
        let young = items.get_or_fetch(key, &api).max_age(MINUTE).await.unwrap();
        assert_eq!(young.outcome.kind, OutcomeKind::Hit, "{url}");
        let many = items.get_or_fetch_many(&keys, &api).max_age(MINUTE);
        assert!(matches!(&many.await.unwrap()[..], [Got::Hit(_)]), "{url}");
        clock.advance(SECOND);
        let many = items.get_or_fetch_many(&keys, &api).max_age(MINUTE);
        let many = many.await.unwrap();
        assert!(
            matches!(&many[..], [Got::Fetched(text)] if text == "fetched"),
            "{url}"
        );
        let half = SECOND / 2;
        let rounded = items.get_or_fetch(key, &api).max_age(half).await.unwrap();
        assert_eq!(rounded.outcome.kind, OutcomeKind::Validated, "{url}");
        assert_eq!(
            rounded.outcome.rule.unwrap().name,
            "request-max-age",
            "{url}"
        );
        clock.advance(11 * MINUTE);
        let stale = items
            .get_or_fetch(key, &api)
            .stale_ok(MINUTE)
            .await
            .unwrap();
        assert_eq!(
            stale.outcome.kind,
            OutcomeKind::Stale(Staleness::Window),
            "{url}"
        );
        let many = items.get_or_fetch_many(&keys, &api).stale_ok(MINUTE);
        assert!(matches!(&many.await.unwrap()[..], [Got::Stale(_)]), "{url}");
        assert_eq!(api.asked(), 2, "{url}");
        let too_stale = items.get_or_fetch(key, &api).stale_ok(MINUTE - SECOND);
        let too_stale = too_stale.await.unwrap().outcome.kind;
        assert_eq!(too_stale, OutcomeKind::Validated, "{url}");
    }
}

#[tokio::test]
async fn clocks_that_differ_by_a_few_seconds_trust_each_other() {
    for url in URLS {
        let clock = TestClock::at(T0);
        let (cache, items) = open(url, &clock, DAY).await;
        let api = Api::default();
        let client = api.client(&cache);
        ask(&client, URL).await;
        for back in [SECOND, SKEW] {
            clock.set(T0.minus(back));
            assert_eq!(
                ask(&client, URL).await,
                (OutcomeKind::Hit, Some(0)),
                "{url}"
            );
            assert!(items.contains("a").await.unwrap(), "{url}");
        }
        assert_eq!(api.asked(), 1, "{url}");
    }
}

#[tokio::test]
async fn an_api_that_asked_for_a_pause_is_asked_again_after_the_clock_was_set_back() {
    let clock = TestClock::at(T0);
    let builder = Cache::builder().url("memory:").mode(Mode::Live);
    let builder = builder.expire_after(MINUTE).stale_while_revalidate(DAY);
    let cache = builder.clock(clock.clone()).build().await.unwrap();
    cache.create_repository(endpoint()).await.unwrap();
    let api = Api::default();
    let client = api.client(&cache);
    ask(&client, URL).await;
    api.busy.store(true, Ordering::SeqCst);
    clock.advance(2 * MINUTE);
    let stale = OutcomeKind::Stale(Staleness::Window);
    assert_eq!(ask(&client, URL).await.0, stale);
    while api.asked() < 2 {
        tokio::task::yield_now().await;
    }
    // It asked for a minute, by a clock that was ten years ahead.
    api.busy.store(false, Ordering::SeqCst);
    clock.set(T0.minus(TEN_YEARS));
    ask(&client, "https://api.example.com/items/b").await;
    clock.advance(2 * MINUTE);
    assert_eq!(
        ask(&client, "https://api.example.com/items/b").await.0,
        stale
    );
    let refreshed = async {
        while api.asked() < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(10 * SECOND, refreshed).await.unwrap();
}

#[tokio::test]
async fn what_another_process_changes_is_seen_within_a_second_of_either_way() {
    for jump in [SECOND, DAY, TEN_YEARS] {
        for to in [T0.plus(jump), T0.minus(jump)] {
            let folder = tempfile::tempdir().unwrap();
            let file = format!("sqlite://{}/a.db", folder.path().display());
            let clock = TestClock::at(T0);
            let (ours, items) = open(&format!("{file}?memory=1MiB"), &clock, Expiry::NEVER).await;
            let (theirs, others) = open(&file, &clock, Expiry::NEVER).await;
            items.save("a", &"one".to_owned()).await.unwrap();
            items.get("a").await.unwrap();
            clock.set(to);
            others.save("a", &"two".to_owned()).await.unwrap();
            assert_eq!(items.get("a").await.unwrap().unwrap(), "two", "at {to}");
            others.save("a", &"three".to_owned()).await.unwrap();
            clock.advance(SECOND);
            assert_eq!(items.get("a").await.unwrap().unwrap(), "three", "at {to}");
            ours.close().await.unwrap();
            theirs.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_clock_at_either_end_of_time_breaks_nothing() {
    for url in URLS {
        for end in [Millis(i64::MIN), Millis(0), Millis::MAX] {
            let clock = TestClock::at(end);
            let (cache, items) = open(url, &clock, DAY).await;
            let api = Api::default();
            let client = api.client(&cache);
            items.save("b", &"saved".to_owned()).await.unwrap();
            ask(&client, URL).await;
            for at in [T0, end, Millis(i64::MIN), Millis::MAX] {
                clock.set(at);
                ask(&client, URL).await;
                items.get("b").await.unwrap();
                items.count(Scope::Live).await.unwrap();
                items.sweep().await.unwrap();
            }
            clock.set(T0);
            items.save("b", &"saved".to_owned()).await.unwrap();
            assert!(items.contains("b").await.unwrap(), "{url} from {end:?}");
            cache.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn stored_times_are_milliseconds_of_utc() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let clock = TestClock::at(Millis(T0.0 + 7));
    let (cache, items) = open(&format!("sqlite://{}", path.display()), &clock, DAY).await;
    items.save("a", &"saved".to_owned()).await.unwrap();
    cache.close().await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    for column in ["stored_at", "checked_at", "changed_at", "used_at"] {
        let sql = format!("SELECT {column} FROM items");
        let at: i64 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(at, T0.0 + 7, "{column}");
    }
    let sql = "SELECT expires_at FROM items";
    let end: i64 = file.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(Millis(end), Millis(T0.0 + 7).plus(DAY));
}

/// Moments around which clocks on walls are changed, lifetimes, and their ends.
const CHANGES: [(&str, &str, &str); 8] = [
    ("2026-03-29T00:59:59Z", "1 day", "2026-03-30T00:59:59Z"),
    ("2026-03-28T01:30:00Z", "1 day", "2026-03-29T01:30:00Z"),
    ("2026-10-24T00:30:00Z", "1 day", "2026-10-25T00:30:00Z"),
    ("2026-10-25T00:30:00Z", "24 hours", "2026-10-26T00:30:00Z"),
    ("2026-10-25T01:00:00Z", "1 week", "2026-11-01T01:00:00Z"),
    ("2026-11-01T05:59:59Z", "1 month", "2026-12-01T05:59:59Z"),
    ("2027-01-31T23:59:59Z", "1 month", "2027-02-28T23:59:59Z"),
    ("2028-02-29T12:00:00Z", "1 year", "2029-02-28T12:00:00Z"),
];

#[tokio::test]
async fn calendar_lifetimes_count_in_utc() {
    for (from, life, end) in CHANGES {
        let at = |text: &str| Millis::from(text.parse::<jiff::Timestamp>().unwrap());
        let clock = TestClock::at(at(from));
        let (_cache, items) = open("sqlite::temp:", &clock, life.parse::<Expiry>().unwrap()).await;
        assert_eq!(items.expires_at(), at(end), "{life} from {from}");
        items.save("a", &"saved".to_owned()).await.unwrap();
        clock.set(Millis(at(end).0 - 1));
        assert!(items.contains("a").await.unwrap(), "{life} from {from}");
        clock.set(at(end));
        assert!(!items.contains("a").await.unwrap(), "{life} from {from}");
    }
}

#[test]
fn calendar_lifetimes_are_the_same_wherever_the_process_runs() {
    // Written out, so that no list of time zones is needed.
    for zone in [
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
    ] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "calendar_lifetimes_count_in_utc"])
            .env("TZ", zone);
        assert!(child.output().unwrap().status.success(), "{zone}");
    }
}
