//! Memory before a store on a network, as a URL asks for it.

use reqwest_middleware::ClientWithMiddleware;
use restow::{
    Cache, Millis, Repository, RouteEndpoint, TestClock, Text,
    exchange::{Answered, Missed, OutcomeKind, Saved},
};
use restow_testkit::{Origin, Reply, http_client};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

type Endpoint = RouteEndpoint<String, Text>;

/// However busy a machine is, what is told is heard by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long memory is believed where it hears nothing.
const SECOND: Duration = Duration::from_secs(1);

/// A cache and its clients.
struct Process {
    pages: Repository<Endpoint>,
    client: ClientWithMiddleware,
}

/// Two of them in one place, at one API, whose time stands still.
struct Two {
    one: Process,
    other: Process,
    origin: Origin,
    clock: TestClock,
    /// Whether the store tells what others change.
    tells: bool,
}

impl Two {
    async fn at(url: &str, tells: bool) -> Self {
        let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock = TestClock::at(Millis(now.as_millis() as i64));
        let open = async || {
            let cache = Cache::builder().url(url).clock(clock.clone());
            let cache = cache.build().await.unwrap();
            let pages = Endpoint::get("pages", &origin.url("/pages/{id}")).unwrap();
            Process {
                pages: cache.create_repository(pages).await.unwrap(),
                client: cache.client(http_client().build().unwrap()),
            }
        };
        Self {
            one: open().await,
            other: open().await,
            origin,
            clock,
            tells,
        }
    }

    /// What the other one is answered.
    async fn ask(&self, id: &str) -> (String, OutcomeKind) {
        let url = self.origin.url(&format!("/pages/{id}"));
        let answer = self.other.client.get(url).send().await.unwrap();
        let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
        (answer.text().await.unwrap(), outcome)
    }

    /// Waits for an answer; where nothing is told, it is there a second later.
    async fn until(&self, id: &str, text: &str, outcome: OutcomeKind) {
        let wanted = (text.to_owned(), outcome);
        if !self.tells {
            self.clock.advance(SECOND);
            assert_eq!(self.ask(id).await, wanted);
            return;
        }
        let mut last = None;
        let heard = async {
            while last.as_ref() != Some(&wanted) {
                last = Some(self.ask(id).await);
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        assert!(heard.is_ok(), "{wanted:?} is never answered, but {last:?}");
    }

    /// What one changes, the other sees.
    async fn share(&self) {
        for n in 0..3 {
            // It is in the memory of the other.
            self.ask("a").await;
            assert_eq!(self.ask("a").await.1, OutcomeKind::Hit);
            let text = format!("saved {n}");
            let saved = self.one.pages.save("a", &text).await.unwrap();
            assert_eq!(saved, Saved::Stored);
            self.until("a", &text, OutcomeKind::Hit).await;
            assert!(self.one.pages.delete("a").await.unwrap());
            let miss = OutcomeKind::Miss(Missed::Absent);
            self.until("a", "/pages/a", miss).await;
        }
        // What is no news is not asked for again.
        let asked = self.origin.asked();
        assert_eq!(self.ask("a").await.1, OutcomeKind::Hit);
        assert_eq!(self.origin.asked(), asked);
    }

    /// What is in memory is answered without the store, for as long as it is believed.
    async fn outlast(&self, fail: impl FnOnce(), mend: impl FnOnce()) {
        let hit = ("/pages/a".to_owned(), OutcomeKind::Hit);
        let down = OutcomeKind::Miss(Missed::StoreDown);
        assert_eq!(self.ask("a").await, hit);
        fail();
        assert_eq!(self.ask("a").await, hit);
        assert_eq!(self.ask("elsewhere").await.1, down);
        for _ in 0..100 {
            assert_eq!(self.ask("a").await, hit);
        }
        self.clock.advance(SECOND);
        assert_eq!(self.ask("a").await, (hit.0.clone(), down));
        mend();
        let back = async { while self.ask("a").await != hit {} };
        let back = tokio::time::timeout(PATIENCE, back).await;
        assert!(back.is_ok(), "it never comes back");
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_before_redis() {
    use restow_testkit::redis::Redis;
    use std::cell::RefCell;
    let server = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let url = format!("{}?memory=8MiB&timeout=2s", server.url());
    let (two, server) = (Two::at(&url, true).await, RefCell::new(server));
    two.share().await;
    let (fail, mend) = (
        || server.borrow_mut().kill(),
        || server.borrow_mut().restart(),
    );
    two.outlast(fail, mend).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_before_postgres() {
    use restow_testkit::Postgres;
    let server = Postgres::start();
    let url = format!("{}&memory=8MiB&timeout=2s", server.fresh());
    let two = Two::at(&url, true).await;
    two.share().await;
    two.outlast(|| server.kill(), || server.restart()).await;
}

/// Behind it nobody can listen.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_before_pgbouncer() {
    use restow_testkit::{PgBouncer, Postgres};
    let server = Postgres::start();
    let pooler = PgBouncer::before(&server);
    let url = pooler.through(&server.fresh());
    let url = format!("{url}&pgbouncer=true&memory=8MiB&timeout=2s");
    let two = Two::at(&url, false).await;
    two.share().await;
    two.outlast(|| server.freeze(), || server.thaw()).await;
}
