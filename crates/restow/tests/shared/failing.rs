//! A store on a network that dies, stands still and comes back costs its callers nothing but hits.

use reqwest_middleware::ClientWithMiddleware;
use restow::{
    Cache, RouteEndpoint, Text,
    exchange::{Answered, Missed, OutcomeKind},
};
use restow_testkit::{Origin, Reply, http_client};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

const TASKS: usize = 16;
const PAGES: usize = 50;
/// How long a store that is back may take to be used again, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);

/// How many requests were answered by the store, and how many found it down.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hits: usize,
    down: usize,
}

/// Makes requests, whose answers are right whatever becomes of the store.
struct Asker {
    client: ClientWithMiddleware,
    base: String,
    seen: watch::Sender<Seen>,
    stop: AtomicBool,
}

impl Asker {
    async fn ask(&self, id: usize) -> OutcomeKind {
        let url = format!("{}{id}", self.base);
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
        assert_eq!(answer.text().await.unwrap(), format!("/pages/{id}"));
        self.seen.send_modify(|seen| match outcome {
            OutcomeKind::Hit => seen.hits += 1,
            OutcomeKind::Miss(Missed::StoreDown) => seen.down += 1,
            _ => {}
        });
        outcome
    }

    async fn run(&self, task: usize) {
        for nth in 0.. {
            if self.stop.load(Relaxed) {
                return;
            }
            self.ask((task * 7 + nth) % PAGES).await;
        }
    }
}

/// Tasks that ask for the same pages again and again.
struct Load {
    asker: Arc<Asker>,
    tasks: Vec<JoinHandle<()>>,
    _origin: Origin,
}

impl Load {
    /// Begins, and waits for hits.
    async fn start(url: &str) -> Self {
        let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
        let cache = Cache::builder().url(url).build().await.unwrap();
        let pages =
            RouteEndpoint::<String, Text>::get("pages", &origin.url("/pages/{id}")).unwrap();
        cache.create_repository(pages).await.unwrap();
        let asker = Arc::new(Asker {
            client: cache.client(http_client().build().unwrap()),
            base: origin.url("/pages/"),
            seen: watch::Sender::default(),
            stop: AtomicBool::new(false),
        });
        let tasks = (0..TASKS).map(|task| {
            let asker = asker.clone();
            tokio::spawn(async move { asker.run(task).await })
        });
        let load = Self {
            tasks: tasks.collect(),
            asker,
            _origin: origin,
        };
        load.all_hit("at first").await;
        load
    }

    /// Waits until more of them are seen than were under way.
    async fn more(&self, of: fn(&Seen) -> usize, why: &str) {
        let mut seen = self.asker.seen.subscribe();
        let enough = of(&seen.borrow()) + TASKS + 1;
        let more = timeout(SOON, seen.wait_for(|seen| of(seen) >= enough)).await;
        let more = more.map(drop);
        more.unwrap_or_else(|_| panic!("{why}: it does not come to that"));
    }

    async fn is_down(&self, why: &str) {
        self.more(|seen| seen.down, why).await;
    }

    async fn goes_on(&self, why: &str) {
        self.more(|seen| seen.hits, why).await;
    }

    /// Waits until each page is answered by the store.
    async fn all_hit(&self, why: &str) {
        let all = async {
            for id in 0..PAGES {
                while self.asker.ask(id).await != OutcomeKind::Hit {}
            }
        };
        let all = timeout(SOON, all).await;
        all.unwrap_or_else(|_| panic!("{why}: not every page is a hit"));
    }

    /// Ends it; no request has failed.
    async fn end(self) {
        self.asker.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Asks while `fail` takes the store away and `mend` gives it back; no request may fail or get another page.
async fn survive(url: &str, mut faults: Vec<(&str, impl FnMut(), impl FnMut())>) {
    let load = Load::start(url).await;
    for round in 0..5 {
        for (name, fail, mend) in &mut faults {
            fail();
            load.is_down(&format!("{name}, round {round}")).await;
            mend();
            load.all_hit(&format!("after {name}, round {round}")).await;
        }
    }
    load.end().await;
}

type Act = Box<dyn FnMut()>;

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_die_and_stand_still() {
    use restow_testkit::redis::Redis;
    use std::{cell::RefCell, rc::Rc};
    let server = Redis::start();
    let url = server.url();
    let server = Rc::new(RefCell::new(server));
    let act = |what: fn(&mut Redis)| -> Act {
        let server = server.clone();
        Box::new(move || what(&mut server.borrow_mut()))
    };
    let faults = vec![
        ("a kill", act(|s| s.kill()), act(|s| s.restart())),
        ("a stop", act(|s| s.pause()), act(|s| s.resume())),
    ];
    survive(&url, faults).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_die_and_stand_still() {
    use restow_testkit::Postgres;
    use std::rc::Rc;
    let server = Rc::new(Postgres::start());
    let act = |what: fn(&Postgres)| -> Act {
        let server = server.clone();
        Box::new(move || what(&server))
    };
    let faults = vec![
        ("a kill", act(Postgres::kill), act(Postgres::restart)),
        ("a stop", act(Postgres::freeze), act(Postgres::thaw)),
    ];
    survive(&server.fresh(), faults).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_of_a_cluster_may_be_restarted_one_by_one_and_its_slots_may_move() {
    use restow_testkit::redis::RedisCluster;
    let mut cluster = RedisCluster::with(&["--appendonly", "yes"]);
    let load = Load::start(&format!("{}?buckets=16", cluster.url())).await;
    for node in 0..3 {
        cluster.nodes_mut()[node].kill();
        load.is_down(&format!("without server {node}")).await;
        cluster.nodes_mut()[node].restart();
        cluster.wait();
        load.all_hit(&format!("with server {node} again")).await;
    }
    // The slots of all buckets go to one server and on to the next, key by key.
    let number: u64 = cluster.ask(&["HGET", "restow:meta", "next"]);
    for to in 0..2 {
        for bucket in 0..16 {
            let key = format!("restow{{{number}.{bucket:x}}}i");
            let slot: u16 = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &key]);
            cluster.migrate(slot, to, || {});
            load.goes_on(&format!("bucket {bucket} to {to}")).await;
        }
        load.all_hit(&format!("all at {to}")).await;
    }
    let held: Vec<u64> = cluster.nodes().iter().map(|n| n.ask(&["DBSIZE"])).collect();
    assert!(held[1] > PAGES as u64, "{held:?}");
    load.end().await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_that_sentinels_watch_may_die() {
    use restow_testkit::redis::RedisSentinel;
    let mut all = RedisSentinel::start();
    let load = Load::start(&all.url()).await;
    all.first.kill();
    load.is_down("without the master").await;
    all.wait_for_failover();
    load.all_hit("with another master").await;
    load.end().await;
    let keys: u64 = all.second.ask(&["DBSIZE"]);
    assert!(keys > PAGES as u64);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_postgres_may_take_over() {
    use restow_testkit::Postgres;
    let server = Postgres::start();
    let replica = server.replica();
    let url = server.fresh().replace(
        &format!("127.0.0.1:{}", server.port()),
        &format!("127.0.0.1:{},127.0.0.1:{}", server.port(), replica.port()),
    );
    let load = Load::start(&format!("{url}&target_session_attrs=read-write")).await;
    server.kill();
    load.is_down("without the server").await;
    replica.promote();
    load.all_hit("at the other server").await;
    load.end().await;
}
