//! A server that dies, stands still, moves, or is not there.

use crate::support::*;
use restow::{
    ErrorKind,
    store::{Parts, PostgresOptions, PostgresStore, Table},
};
use restow_testkit::{Postgres, Relay};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};

/// What a load has seen.
#[derive(Clone, Default)]
struct Seen {
    written: usize,
    failed: usize,
    ended: bool,
}

/// Tasks that write and read without end.
struct Load {
    seen: watch::Sender<Seen>,
    acknowledged: Mutex<Vec<String>>,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    fn start(table: &Arc<dyn Table>) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let load = Arc::new(Self {
            seen: watch::Sender::default(),
            acknowledged: Mutex::default(),
            wrong: Mutex::default(),
        });
        let tasks = (0..8).map(|task| {
            let (load, table) = (load.clone(), table.clone());
            tokio::spawn(async move { load.run(&*table, task).await })
        });
        (load.clone(), tasks.collect())
    }

    async fn run(&self, table: &dyn Table, task: usize) {
        for n in 0.. {
            if self.seen.borrow().ended {
                return;
            }
            let id = format!("{task}-{n}");
            let done = save(table, &id, &id).await;
            let read = body(table, &id).await;
            match (done, read) {
                (Ok(()), Ok(Some(text))) if text == id => {
                    self.acknowledged.lock().unwrap().push(id);
                    self.seen.send_modify(|seen| seen.written += 1);
                }
                (Ok(()), Ok(other)) => self
                    .wrong
                    .lock()
                    .unwrap()
                    .push(format!("{id} is {other:?}")),
                (done, read) => {
                    if done.is_ok() {
                        self.acknowledged.lock().unwrap().push(id);
                    }
                    for error in done.err().into_iter().chain(read.err()) {
                        if !matches!(error.kind(), ErrorKind::Store | ErrorKind::Busy) {
                            self.wrong
                                .lock()
                                .unwrap()
                                .push(format!("{:?}: {error:?}", error.kind()));
                        }
                    }
                    self.seen.send_modify(|seen| seen.failed += 1);
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn until(&self, what: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(30), seen.wait_for(|seen| what(seen))).await;
        waited.expect("it comes to that").unwrap();
    }

    async fn more_writes(&self) {
        let written = self.seen.borrow().written;
        self.until(|seen| seen.written > written + 50).await;
    }

    async fn more_failures(&self) {
        let failed = self.seen.borrow().failed;
        self.until(|seen| seen.failed > failed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_dies_or_stands_still_costs_typed_errors_and_no_entry() {
    let server = Postgres::start();
    let store = open(&format!("{}&server_timeout=500ms", server.fresh()))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let (load, tasks) = Load::start(&table);
    for round in 0..10 {
        load.more_writes().await;
        if round % 2 == 0 {
            server.kill();
            load.more_failures().await;
            server.restart();
        } else {
            server.freeze();
            load.more_failures().await;
            server.thaw();
        }
        let back = Instant::now();
        let written = load.seen.borrow().written;
        load.until(|seen| seen.written > written).await;
        let took = back.elapsed();
        assert!(
            took < Duration::from_secs(2),
            "round {round}: it took {took:?} to recover"
        );
    }
    load.seen.send_modify(|seen| seen.ended = true);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*load.wrong.lock().unwrap(), [""; 0]);
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    for id in &acknowledged {
        assert_eq!(
            body(&*table, id).await.unwrap().as_ref(),
            Some(id),
            "it was acknowledged"
        );
    }
    println!(
        "{} acknowledged, {} failed",
        acknowledged.len(),
        load.seen.borrow().failed
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_typed_error() {
    let server = Postgres::start();
    let url = server.fresh();
    server.kill();
    let error = open(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error:?}");
    server.restart();
    open(&url).await.unwrap();
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_without_the_password() {
    let server = Postgres::shared();
    server.sql("CREATE ROLE nobody_knows");
    let url = server.fresh();
    for (from, to, kind) in [
        ("restow@", "no_such_role:hunter2@", ErrorKind::Config),
        (
            "/postgres?",
            "/no_such_database?password=&",
            ErrorKind::Config,
        ),
        ("/postgres?", "/no_such_database?", ErrorKind::Config),
        ("restow@", "nobody_knows:hunter2@", ErrorKind::Config),
    ] {
        let error = open(&url.replace(from, to)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn who_has_no_password_where_one_is_wanted_is_told_where_to_put_it() {
    let server = Postgres::with_user("locked", "hunter2");
    let url = server.fresh().replace("restow@", "locked@");
    let error = PostgresStore::format(PostgresOptions::parse(&url).unwrap()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("PGPASSWORD"), "{error}");
    // It is no server that is down, and may be back.
    let error = restow::store::connect(&url).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let with = url.replace("locked@", "locked:hunter2@");
    let format = PostgresStore::format(PostgresOptions::parse(&with).unwrap()).await;
    assert_eq!(format.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_far_away_keeps_what_the_first_requests_save() {
    let server = Postgres::start();
    let address = format!("127.0.0.1:{}", server.port());
    // As a server 10 ms away is to the usual 50 ms of a call, with ten times the room for a machine that is busy.
    let relay = Relay::far(address.parse().unwrap(), Duration::from_millis(100)).await;
    let url = server
        .fresh()
        .replace(&address, &relay.address().to_string());
    let store = restow::store::connect(&format!("{url}&timeout=500ms"))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    for id in ["1", "2", "3", "4", "5"] {
        save(&*table, id, id).await.unwrap();
        assert_eq!(body(&*table, id).await.unwrap().as_deref(), Some(id));
    }
    assert!(store.health().unwrap().is_up());
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let server = Postgres::shared();
    let url = server.fresh();
    let schema = url.split_once("schema=").unwrap().1;
    let store = open(&url).await.unwrap();
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, "a", "body").await.unwrap();
    server.sql(&format!(
        "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA {schema} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"
    ));
    let reader = open(&url.replace("restow@", "reader@")).await.unwrap();
    let read = reader.open(&tracks()).await.unwrap();
    assert_eq!(body(&*read, "a").await.unwrap().as_deref(), Some("body"));
    let error = save(&*read, "b", "body").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_is_read_from_and_is_not_needed() {
    let server = Postgres::start();
    let replica = server.replica();
    let url = server.fresh();
    let plain = open(&url).await.unwrap();
    let written = plain.open(&tracks()).await.unwrap();
    save(&*written, "a", "first").await.unwrap();
    let store = open(&format!("{url}&replica=127.0.0.1:{}", replica.port()))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let behind = || async { body(&*table, "a").await.unwrap() };
    caught_up(&server, &replica);
    // From now on only the replica still has the old body.
    pause(&replica).await;
    save(&*written, "a", "second").await.unwrap();
    // It is asked as soon as there is a connection, which nobody waits for.
    let asked = async { while behind().await.as_deref() != Some("first") {} };
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    asked.expect("the replica is asked");
    let latest = table.read_latest(&at("a"), Parts::Whole, T0).await.unwrap();
    let latest: Vec<_> = latest.iter().map(|e| e.body.clone()).collect();
    assert_eq!(latest, ["second"], "it may not say what is the latest");
    replica.kill();
    assert_eq!(
        behind().await.as_deref(),
        Some("second"),
        "without it, the server is"
    );
}

/// Waits until a replica has all that is written.
pub fn caught_up(server: &Postgres, replica: &Postgres) {
    let written = server.sql("SELECT pg_current_wal_lsn()");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
    while replica.sql(&replayed) != "t" {}
}

/// Lets a replica fall behind from now on.
pub async fn pause(replica: &Postgres) {
    // That is only asked for; it is so once what is being replayed has been.
    replica.sql("SELECT pg_wal_replay_pause()");
    let begun = Instant::now();
    while replica.sql("SELECT pg_get_wal_replay_pause_state()") != "paused" {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the replica does not pause"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_read_from(replica: &Postgres) -> bool {
    let clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    replica.sql(clients) != "0"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_a_replica_that_stands_still() {
    let server = Postgres::start();
    let replica = server.replica();
    let url = server.fresh();
    // Long enough that the test would not end.
    let url = format!(
        "{url}&replica=127.0.0.1:{}&server_timeout=3600s",
        replica.port()
    );
    let store = open(&url).await.unwrap();
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, "a", "first").await.unwrap();
    let connected =
        async { while !is_read_from(&replica) || body(&*table, "a").await.unwrap().is_none() {} };
    let connected = tokio::time::timeout(Duration::from_secs(20), connected).await;
    connected.expect("it is connected to");
    let read = async |times: usize| {
        let reads = (0..times).map(|_| body(&*table, "a"));
        let all = futures_util::future::try_join_all(reads).await.unwrap();
        assert!(all.iter().all(|body| body.as_deref() == Some("first")));
    };
    replica.freeze();
    let asked = async {
        read(200).await;
        // Those that begin one after the other, too.
        for _ in 0..20 {
            read(1).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    asked.expect("the server is read from");
    replica.thaw();
    read(1).await;
}

/// Who waits for the fetch of another process looks where that one writes.
#[cfg(feature = "reqwest")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_is_behind_costs_no_second_request_for_what_is_fetched_once() {
    use restow::{Cache, RouteEndpoint, Text, endpoint::Coalesce};
    use restow_testkit::{Gate, Origin, Reply, http_client};
    let server = Postgres::start();
    let replica = server.replica();
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::ok("body")
            .header("cache-control", "max-age=60")
            .behind(&held)
    })
    .await;
    let url = server.fresh();
    let open = async |url: &str| {
        let cache = Cache::builder().url(url).build().await.unwrap();
        let pages = RouteEndpoint::<String, Text>::get("pages", &origin.url("/{id}")).unwrap();
        let pages = pages.coalesce(Coalesce::Shared);
        cache.create_repository(pages).await.unwrap();
        cache
    };
    let url = format!("{url}&timeout=5s");
    let one = open(&url).await;
    let other = open(&format!("{url}&replica=127.0.0.1:{}", replica.port())).await;
    caught_up(&server, &replica);
    let ask = |cache: &Cache, id: &str| {
        let client = cache.client(http_client().build().unwrap());
        let url = origin.url(&format!("/{id}"));
        tokio::spawn(async move {
            let answer = client.get(url).send().await.unwrap();
            answer.text().await.unwrap()
        })
    };
    let connected = async {
        while !is_read_from(&replica) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(20), connected).await;
    connected.expect("it is connected to");
    pause(&replica).await;
    // One that waits, and one that comes later.
    let first = ask(&one, "a");
    gate.reached(1).await;
    let second = ask(&other, "a");
    gate.open();
    assert_eq!(first.await.unwrap(), "body");
    assert_eq!(second.await.unwrap(), "body");
    for id in ["b", "c", "d"] {
        assert_eq!(ask(&one, id).await.unwrap(), "body");
        assert_eq!(ask(&other, id).await.unwrap(), "body");
    }
    assert_eq!(origin.asked(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_connected_to_before_anybody_reads_and_one_that_is_not_there_is_no_error() {
    let server = Postgres::shared();
    let relay = Relay::to(([127, 0, 0, 1], server.port()).into()).await;
    let (near, gone) = (relay.address(), "127.0.0.1:1");
    let url = format!("{}&replica={near}&replica={gone}", server.fresh());
    let store = open(&url).await.unwrap();
    let connected = async {
        while relay.asked() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(20), connected).await;
    connected.expect("it connects by itself");
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, "a", "body").await.unwrap();
    for _ in 0..4 {
        assert_eq!(body(&*table, "a").await.unwrap().as_deref(), Some("body"));
    }
    assert_eq!(relay.asked(), 1, "who reads need not connect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_another_takes_over_for_is_found_there() {
    let server = Postgres::start();
    let replica = server.replica();
    let url = server.fresh().replace(
        &format!("127.0.0.1:{}", server.port()),
        &format!("127.0.0.1:{},127.0.0.1:{}", server.port(), replica.port()),
    );
    let store = open(&format!("{url}&target_session_attrs=read-write"))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    save(&*table, "a", "before").await.unwrap();
    caught_up(&server, &replica);
    server.kill();
    let error = save(&*table, "b", "lost").await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Store | ErrorKind::Busy),
        "{error:?}"
    );
    replica.promote();
    let back = Instant::now();
    while save(&*table, "b", "after").await.is_err() {}
    assert!(
        back.elapsed() < Duration::from_secs(2),
        "{:?}",
        back.elapsed()
    );
    assert_eq!(body(&*table, "a").await.unwrap().as_deref(), Some("before"));
    assert_eq!(body(&*table, "b").await.unwrap().as_deref(), Some("after"));
}
