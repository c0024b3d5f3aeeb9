//! A cache with a few entries, an API beneath it, and what has to be true after any call.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream::select_all};
use http::{HeaderMap, Request, Response, StatusCode, header, request::Parts};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use restow::{
    BoxFuture, Cache, Fetch, Field, FieldRef, Millis, Mode, RawKey, Repository, Result,
    RouteEndpoint, TestClock, Text,
    client::Body,
    endpoint::{Coalesce, RequestHead},
    entry::{Address, Entry, EntryId, Head, Partition, Variant},
    exchange::{Background, Begin, Ticket},
    store::{Parts as Which, Table, TableSpec, Write},
};
use restow_testkit::dropping::in_time;
use std::{sync::Arc, time::Duration};

pub const URLS: [&str; 4] = [
    "memory:",
    "sqlite::memory:",
    "sqlite::temp:",
    "sqlite::temp:?memory=1MiB",
];

pub type Items = Repository<RouteEndpoint<String, Text>>;

pub const T0: Millis = Millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// The keys of a bulk save: all of them are there, or none.
pub const BULK: [&str; 5] = ["bulk-0", "bulk-1", "bulk-2", "bulk-3", "bulk-4"];

/// Who else is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody: a call does on the spot what can be done there.
    None,
    /// Some who save all the time, so that calls have to wait for their turn.
    Writers,
}

pub struct Place {
    pub cache: Cache,
    pub clock: TestClock,
    pub items: Items,
    pub table: Arc<dyn Table>,
}

impl Place {
    pub async fn open(url: &str, company: Company) -> Self {
        let clock = TestClock::at(T0);
        let builder = Cache::builder().url(url).mode(Mode::Live);
        let cache = builder.clock(clock.clone()).build().await.unwrap();
        let items = cache.create_repository(endpoint("items")).await.unwrap();
        for made in [stale(), leased()] {
            cache.create_repository(made).await.unwrap();
        }
        let table = cache.store().open(&spec()).await.unwrap();
        if company == Company::Writers {
            let noise = cache.create_repository(endpoint("noise")).await.unwrap();
            for nth in 0..2 {
                tokio::spawn(write(noise.clone(), nth));
            }
        }
        Self {
            cache,
            clock,
            items,
            table,
        }
    }

    /// Puts back what calls find: `held`, which is live, and `old`, which has expired and can be confirmed.
    pub async fn ready(&mut self) {
        self.items = self.cache.open_or_get(endpoint("items")).await.unwrap();
        let stale = self.cache.open_or_get(stale()).await.unwrap();
        // A call may have opened it as it was declared, without its types.
        self.cache.remove("spare");
        self.cache
            .create_repository(endpoint("spare"))
            .await
            .unwrap();
        self.table = self.cache.store().open(&spec()).await.unwrap();
        for name in ["items", "spare", "stale"] {
            let items = self
                .cache
                .repository_as::<RouteEndpoint<String, Text>>(name)
                .unwrap();
            items.everyone().clear(restow::Scope::All).await.unwrap();
        }
        self.clock.set(T0);
        let old = answer(&self.request("old"));
        let old = old.map(|text| Bytes::from_static(text.as_bytes()));
        self.items
            .save_response(&self.request("old"), &old)
            .await
            .unwrap();
        let request = request_of("stale", "old").into_parts().0;
        stale.save_response(&request, &old).await.unwrap();
        self.clock.advance(8 * DAY);
        self.items.save("held", &"saved".to_owned()).await.unwrap();
        self.table
            .write(&writes(&["held"]), self.now())
            .await
            .unwrap();
        self.table.delete(&BULK.map(at), self.now()).await.unwrap();
    }

    pub fn now(&self) -> Millis {
        restow::Clock::now(&self.clock)
    }

    /// What has to be true after any call that was dropped.
    pub async fn is_well(&mut self, what: &str) {
        if self.cache.is_closed() {
            // It was told to close: then it closes.
            self.cache.close().await.unwrap();
            let late = self.items.get("held").await.unwrap_err();
            assert_eq!(late.kind(), restow::ErrorKind::Closed, "{what}");
            return;
        }
        // What was accepted is done now.
        self.cache.commit().await.unwrap();
        self.items = self.cache.open_or_get(endpoint("items")).await.unwrap();
        let bulk = self.items.get_many(&BULK.map(String::from)).await.unwrap();
        let there = bulk.iter().flatten().count();
        assert!(
            there == 0 || there == BULK.len(),
            "{there} of a bulk save are there: {what}"
        );
        self.is_whole(what).await;
        self.answers(what).await;
        self.items.save("after", &"saved".to_owned()).await.unwrap();
        assert_eq!(
            self.items.get("after").await.unwrap().unwrap(),
            "saved",
            "{what}"
        );
        self.table_is_well(what).await;
    }

    /// Every entry is one that somebody meant to be there.
    async fn is_whole(&self, what: &str) {
        let stale = self.cache.open_or_get(stale()).await.unwrap();
        let all = [&self.items, &stale].map(|r| r.everyone().select().whole_entries());
        for entry in select_all(all).try_collect::<Vec<_>>().await.unwrap() {
            assert!(entry.is_intact(), "{entry:?}: {what}");
            assert!(
                matches!(&*entry.body, b"saved" | b"fetched"),
                "{entry:?}: {what}"
            );
        }
    }

    /// A request for what the call may have had in hand is answered, by two at once.
    async fn answers(&self, what: &str) {
        for key in ["held", "old", "new"].map(String::from) {
            let waits = format!("the request for {key:?} after {what}");
            let both = async {
                tokio::join!(
                    self.items.get_or_fetch(&key, &Api),
                    self.items.get_or_fetch(&key, &Api)
                )
            };
            let (one, other) = in_time(&waits, both).await;
            for fetched in [one, other] {
                let value = fetched.unwrap().value.unwrap();
                assert!(value == "saved" || value == "fetched", "{value}: {waits}");
            }
        }
    }

    async fn table_is_well(&mut self, what: &str) {
        self.table = self.cache.store().open(&spec()).await.unwrap();
        let found = self
            .table
            .read_many(&BULK.map(at), Which::Whole, self.now())
            .await
            .unwrap();
        let there = found.iter().filter(|found| !found.is_empty()).count();
        assert!(
            there == 0 || there == BULK.len(),
            "{there} of a bulk write are there: {what}"
        );
        let all = found.iter().flat_map(|found| found.iter());
        assert!(all.into_iter().all(|entry| entry.is_intact()), "{what}");
        self.table
            .write(&writes(&["after"]), self.now())
            .await
            .unwrap();
        let after = self
            .table
            .read(&at("after"), Which::Whole, self.now())
            .await
            .unwrap();
        assert_eq!(after.len(), 1, "{what}");
    }

    pub fn request(&self, key: &str) -> Parts {
        request(key).into_parts().0
    }

    /// Takes the right to fetch a key, whatever is held.
    pub async fn ticket(&self, key: &str, mode: Mode) -> Ticket {
        let mut parts = self.request(key);
        parts.extensions.insert(mode);
        let exchange = self.cache.exchange();
        match exchange
            .begin(RequestHead::from(&parts), Background::Impossible)
            .await
        {
            Begin::Fetch(ticket) => *ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Stores what is served stale by one process of several, and refreshed behind.
    pub async fn ready_leased(&self) {
        let leased = self.cache.open_or_get(leased()).await.unwrap();
        let request = request_of("leased", "old").into_parts().0;
        let old = answer(&request).map(|text| Bytes::from_static(text.as_bytes()));
        leased.save_response(&request, &old).await.unwrap();
        self.clock.advance(8 * DAY);
    }

    /// Takes the right to refresh it.
    pub async fn refresh(&self) -> Ticket {
        let parts = request_of("leased", "old").into_parts().0;
        let exchange = self.cache.exchange();
        let begun = exchange.begin(RequestHead::from(&parts), Background::Possible);
        match begun.await {
            Begin::Answer {
                refresh: Some(ticket),
                ..
            } => *ticket,
            other => panic!("{other:?}"),
        }
    }

    /// A client with the cache in it that owns what is beneath.
    pub fn owning(&self) -> ClientWithMiddleware {
        self.cache.client(beneath().with(Api).build())
    }

    /// A client with the cache in it that borrows what is beneath.
    pub fn borrowing(&self) -> ClientWithMiddleware {
        beneath().with(self.cache.middleware()).with(Api).build()
    }
}

/// Saves until the cache is closed.
async fn write(noise: Items, nth: u32) {
    let (key, value) = (nth.to_string(), "noise".repeat(200));
    while noise.save(&key, &value).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

pub fn endpoint(name: &str) -> RouteEndpoint<String, Text> {
    let template = format!("https://api.example.com/{name}/{{id}}");
    RouteEndpoint::get(name, &template).unwrap()
}

/// A repository whose entries are served when they have expired, and refreshed behind.
fn stale() -> RouteEndpoint<String, Text> {
    endpoint("stale").rules(|rules| rules.stale_while_revalidate = Some(60 * DAY))
}

/// The same for processes that wait for each other.
fn leased() -> RouteEndpoint<String, Text> {
    let stale = endpoint("leased").rules(|rules| rules.stale_while_revalidate = Some(60 * DAY));
    stale.coalesce(Coalesce::Shared)
}

pub fn url(key: &str) -> String {
    url_of("items", key)
}

pub fn url_of(repository: &str, key: &str) -> String {
    format!("https://api.example.com/{repository}/{key}")
}

pub fn request(key: &str) -> Request<()> {
    request_of("items", key)
}

pub fn request_of(repository: &str, key: &str) -> Request<()> {
    Request::get(url_of(repository, key)).body(()).unwrap()
}

pub fn spec() -> TableSpec {
    TableSpec::new("table", [Field::text("id")]).unwrap()
}

pub fn at(id: &str) -> Address {
    Address {
        key: RawKey::new([FieldRef::Text(id)], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

pub fn writes(ids: &[&str]) -> Vec<Write> {
    let entry = |id: &&str| {
        let head = Head::new(StatusCode::OK, &HeaderMap::new(), None, T0, T0);
        let id = EntryId {
            address: at(id),
            variant: Variant::NONE,
        };
        Arc::new(Entry::new(id, head, "saved".into(), T0, T0.plus(9 * DAY)))
    };
    ids.iter()
        .map(|id| Write {
            entry: entry(id),
            fence: None,
        })
        .collect()
}

/// An API that takes its time: each request waits twice, each body once.
#[derive(Clone, Copy, Debug)]
pub struct Api;

/// What it answers: the same for each key, with a tag that it confirms.
pub fn answer(request: &Parts) -> Response<&'static str> {
    let confirms = request.headers.contains_key(header::IF_NONE_MATCH);
    let mut response = Response::new(if confirms { "" } else { "fetched" });
    if confirms {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::ETAG, "\"1\"".parse().unwrap());
    headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    response
}

pub async fn slowly() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}

impl Fetch for Api {
    fn fetch(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>>> {
        Box::pin(async move {
            slowly().await;
            let answer = answer(&request.into_parts().0);
            Ok(answer.map(|text| Body::whole(text.into())))
        })
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
        slowly().await;
        let mut parts = self::request("").into_parts().0;
        parts.headers = request.headers().clone();
        let (head, body) = answer(&parts).into_parts();
        let mut response = http::Response::builder();
        response = reqwest::ResponseBuilderExt::url(response, request.url().clone());
        let mut response = response.status(head.status).body(body).unwrap();
        *response.headers_mut() = head.headers;
        Ok(response.into())
    }
}

fn beneath() -> ClientBuilder {
    _ = rustls::crypto::ring::default_provider().install_default();
    ClientBuilder::new(reqwest::Client::new())
}
