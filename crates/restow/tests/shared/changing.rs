//! A newer program changes the format of a store under one that runs: that one notices, leaves it alone, and comes back when it is its own again.

use futures_util::StreamExt as _;
use restow::{
    Cache, Error, ErrorKind, Repository, RouteEndpoint, Scope, Text,
    exchange::{Answered, Missed, OutcomeKind, Saved},
    store::{Change, connect},
};
use restow_testkit::{Origin, Reply, http_client};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

type Pages = RouteEndpoint<String, Text>;

/// Far more than it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps warnings, each as one text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn of_format(&self) -> Vec<String> {
        let mut all = self.0.lock().unwrap().clone();
        // How slowly a busy machine answers is another matter.
        all.retain(|warning| !warning.contains("did not answer within"));
        all
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("restow")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct All(String);
        impl field::Visit for All {
            fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut all = All(String::new());
        event.record(&mut all);
        self.0.lock().unwrap().push(all.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A server, as those who look after it see it.
pub(crate) trait Seen {
    /// Writes the format.
    fn set(&self, format: &str);
    /// All that is stored.
    fn all(&self) -> String;
    /// Ends the connections of programs.
    fn cut(&self);
    /// Removes all.
    fn wipe(&self);
}

async fn open(url: &str, origin: &Origin) -> (Cache, Repository<Pages>) {
    let cache = Cache::builder().url(url).build().await.unwrap();
    let pages = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    (cache, pages)
}

async fn ask(cache: &Cache, origin: &Origin, id: usize) -> Answered {
    let client = cache.client(http_client().build().unwrap());
    let answer = client.get(origin.url(&format!("/pages/{id}"))).send();
    let answer = answer.await.unwrap();
    let answered = answer.extensions().get::<Answered>().unwrap().clone();
    assert_eq!(answer.text().await.unwrap(), format!("/pages/{id}"));
    answered
}

async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{what}: not in {PATIENCE:?}"))
}

/// Looks until it is so.
async fn until(what: &str, is: impl AsyncFn() -> bool) {
    in_time(what, async {
        while !is().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Asks for a page until it comes so.
async fn comes(cache: &Cache, origin: &Origin, kind: OutcomeKind) {
    let what = format!("{kind:?}");
    until(&what, async || {
        ask(cache, origin, 0).await.outcome.kind == kind
    })
    .await;
}

pub(crate) async fn is_down_meanwhile(url: &str, seen: &dyn Seen) {
    let warnings = Warnings::default();
    let _logged = tracing::subscriber::set_default(warnings.clone());
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    // No probe is to fail since a machine is busy.
    let (cache, pages) = open(&format!("{url}timeout=2s"), &origin).await;
    comes(&cache, &origin, OutcomeKind::Hit).await;
    let down = OutcomeKind::Miss(Missed::StoreDown);
    seen.set("2");
    comes(&cache, &origin, down).await;
    let before = seen.all();
    in_time("it is asked again and again", async {
        let mut id = 0;
        while cache.health().unwrap().reads.failures < 4 {
            let answered = ask(&cache, &origin, id % 5).await;
            assert_eq!(answered.outcome.kind, down);
            assert_eq!(answered.saved(), Some(&Saved::StoreDown));
            id += 1;
        }
    })
    .await;
    let refused = [
        pages.get("0").await.unwrap_err(),
        pages.save("7", &"7".to_owned()).await.unwrap_err(),
        pages.delete("0").await.unwrap_err(),
        pages.clear(Scope::All).await.unwrap_err(),
    ];
    assert!(refused.iter().all(|e| e.kind() == ErrorKind::Down));
    assert!(refused[0].to_string().contains("format"), "{}", refused[0]);
    assert_eq!(seen.all(), before, "nothing was written");
    let warned = warnings.of_format();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("restow migrate"), "{warned:?}");
    seen.set("1");
    comes(&cache, &origin, OutcomeKind::Hit).await;
    assert_eq!(warnings.of_format().len(), 1, "it is back without another");
    assert!(cache.health().unwrap().is_up());
    cache.close().await.unwrap();
}

/// Without a breaker every call says why.
pub(crate) async fn every_call_says_why(url: &str, seen: &dyn Seen) {
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    let url = format!("{url}breaker=off&timeout=5s");
    let (cache, pages) = open(&url, &origin).await;
    let (id, page) = ("0", "0".to_owned());
    pages.save(id, &page).await.unwrap();
    // It was connected before, and the connection is lost while the format is changed.
    seen.set("2");
    seen.cut();
    let read = pages.get(id).await;
    let refused: [(&str, Error); 9] = [
        ("get", read.unwrap_err()),
        ("save", pages.save("7", &page).await.unwrap_err()),
        ("delete", pages.delete(id).await.unwrap_err()),
        ("get_many", pages.get_many(&[id, "1"]).await.unwrap_err()),
        ("count", pages.count(Scope::Live).await.unwrap_err()),
        ("clear", pages.clear(Scope::All).await.unwrap_err()),
        ("stats", pages.stats().await.unwrap_err()),
        ("sweep", pages.sweep().await.unwrap_err()),
        ("tables", pages.store().tables().await.unwrap_err()),
    ];
    for (what, error) in &refused {
        assert_eq!(error.kind(), ErrorKind::Format, "{what}: {error:?}");
        assert!(
            error.to_string().contains("restow migrate"),
            "{what}: {error}"
        );
    }
    seen.set("1");
    until("it is ours again", async || pages.get(id).await.is_ok()).await;
    assert_eq!(pages.get(id).await.unwrap(), Some(page));
    // Where nothing is left, nothing is of another format.
    seen.set("2");
    until("it is another one", async || pages.get(id).await.is_err()).await;
    seen.wipe();
    until("it is nobody's", async || {
        let read = pages.get(id).await;
        read.is_ok_and(|page| page.is_none())
            || pages
                .get(id)
                .await
                .is_err_and(|e| e.kind() == ErrorKind::NoSuchRepository)
    })
    .await;
    cache.close().await.unwrap();
}

/// Memory before a store believes what it holds only while it hears of changes.
pub(crate) async fn nothing_is_heard(url: &str, seen: &dyn Seen) {
    let store = connect(&format!("{url}breaker=off")).await.unwrap();
    let mut changes = store.changes().unwrap();
    let mut next = async |what: &str| in_time(what, changes.next()).await.unwrap();
    assert!(matches!(next("it listens").await, Change::Everything));
    seen.set("2");
    assert!(matches!(next("it does not").await, Change::Silence));
    seen.set("1");
    assert!(matches!(next("it does again").await, Change::Everything));
    seen.set("2");
    assert!(matches!(next("it does not").await, Change::Silence));
    // Whatever the format is, a store can be closed.
    store.close().await.unwrap();
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;
    use restow_testkit::redis::{Redis, RedisCluster};

    /// All that a server holds, by the server itself.
    const ALL: &str = "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key .. redis.call('DUMP', key) end \
                       table.sort(all) return redis.sha1hex(table.concat(all))";

    impl Seen for &[Redis] {
        fn set(&self, format: &str) {
            let words = ["HSET", "restow:meta", "format", format];
            let done = self.iter().any(|node| node.try_ask::<i64>(&words).is_ok());
            assert!(done, "one of them has it");
        }

        fn all(&self) -> String {
            let all = |node: &Redis| node.ask::<String>(&["EVAL", ALL, "0"]);
            self.iter().map(all).collect()
        }

        fn cut(&self) {
            for node in *self {
                let _: i64 = node.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
        }

        fn wipe(&self) {
            for node in *self {
                let _: String = node.ask(&["FLUSHALL"]);
            }
        }
    }

    #[tokio::test]
    async fn one_that_is_changed_in_redis_is_down_meanwhile() {
        let server = [Redis::start()];
        is_down_meanwhile(&format!("{}?", server[0].url()), &&server[..]).await;
    }

    #[tokio::test]
    async fn one_that_is_changed_in_a_cluster_is_down_meanwhile() {
        let cluster = RedisCluster::start();
        let url = format!("{}?buckets=16&", cluster.url());
        is_down_meanwhile(&url, &cluster.nodes()).await;
    }

    #[tokio::test]
    async fn nothing_is_heard_of_another_format_in_redis() {
        let server = [Redis::start()];
        nothing_is_heard(&format!("{}?", server[0].url()), &&server[..]).await;
    }

    #[tokio::test]
    async fn every_call_says_that_it_was_changed_in_redis() {
        let server = [Redis::start()];
        every_call_says_why(&format!("{}?", server[0].url()), &&server[..]).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use restow_testkit::Postgres;

    impl Seen for Postgres {
        fn set(&self, format: &str) {
            self.sql(&format!(
                "UPDATE s.restow_meta SET value = '{format}' WHERE key = 'format'"
            ));
        }

        fn all(&self) -> String {
            let all = |table| {
                let rows = format!(
                    "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM s.{table} AS t"
                );
                self.sql(&rows)
            };
            ["pages", "restow_meta", "restow_leases"].map(all).join(" ")
        }

        fn cut(&self) {
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
            );
        }

        fn wipe(&self) {
            self.sql("DROP SCHEMA s CASCADE");
        }
    }

    #[tokio::test]
    async fn one_that_is_changed_in_postgres_is_down_meanwhile() {
        let server = Postgres::start();
        is_down_meanwhile(&format!("{}?schema=s&", server.url()), &server).await;
    }

    #[tokio::test]
    async fn nothing_is_heard_of_another_format_in_postgres() {
        let server = Postgres::start();
        nothing_is_heard(&format!("{}?schema=s&", server.url()), &server).await;
    }

    #[tokio::test]
    async fn every_call_says_that_it_was_changed_in_postgres() {
        let server = Postgres::start();
        every_call_says_why(&format!("{}?schema=s&", server.url()), &server).await;
    }
}
