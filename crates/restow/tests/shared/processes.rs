//! Several processes that ask for the same over one store, whichever it is.
//!
//! [`over`] makes the tests of a store.

use restow::{
    Cache, Clock as _, FieldRef, Millis, RawKey, RouteEndpoint, SystemClock, Text,
    endpoint::Coalesce,
    entry::{Address, Partition},
    exchange::Answered,
    store::{Lease, TableName},
};
use restow_testkit::{
    Gate, Origin, Reply, http_client,
    process::{self, Process},
};
use std::{process::Command, time::Duration};

/// Makes a test over a store: in a child it does what is asked for, else what is to be tested of the processes. `$server` is a pair of what
/// keeps the store and its URL.
macro_rules! over {
    ($name:ident, $what:ident, $server:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if tokio::task::spawn_blocking(crate::processes::run_child)
                .await
                .unwrap()
            {
                return;
            }
            let (_server, url) = $server;
            // By its path in this program, as a child is asked for it.
            let (_, module) = concat!(module_path!(), "::", stringify!($name))
                .split_once("::")
                .unwrap();
            crate::processes::$what(module, &url).await;
        }
    };
}
pub(crate) use over;

pub const PROCESSES: usize = 4;
const WAITERS: usize = 2_500;
const STORE: &str = "RESTOW_TEST_STORE";
const API: &str = "RESTOW_TEST_API";
const LEASE: &str = "RESTOW_TEST_LEASE";

/// Opens a cache whose processes wait for each other.
pub async fn open(store: &str, api: &str, lease: Duration) -> Cache {
    let cache = Cache::builder().url(store).build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", &format!("{api}/pages/{{id}}"));
    let pages = pages.unwrap().coalesce(Coalesce::Shared);
    let pages = pages.rules(|rules| rules.lease = lease);
    cache.create_repository(pages).await.unwrap();
    cache
}

/// Does the part of a child, in a process that was started as one.
pub fn run_child() -> bool {
    let Ok(store) = std::env::var(STORE) else {
        return false;
    };
    let (api, lease) = (std::env::var(API).unwrap(), std::env::var(LEASE).unwrap());
    let lease = Duration::from_millis(lease.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(ask(&store, &api, lease));
    true
}

async fn ask(store: &str, api: &str, lease: Duration) {
    let cache = open(store, api, lease).await;
    let client = cache.client(http_client().build().unwrap());
    process::wait_to_go();
    let waiting: Vec<_> = (0..WAITERS)
        .map(|_| {
            let (client, url) = (client.clone(), format!("{api}/pages/a"));
            tokio::spawn(async move {
                let answer = client.get(url).send().await.unwrap();
                answer.text().await.unwrap()
            })
        })
        .collect();
    process::say("asked");
    for one in waiting {
        assert_eq!(one.await.unwrap(), "the answer");
    }
    let answer = client.get(format!("{api}/pages/a")).send().await.unwrap();
    let answered = answer.extensions().get::<Answered>().unwrap();
    process::say(&format!("then {}", answered.outcome.kind.as_strs().0));
    cache.close().await.unwrap();
}

/// Starts the test of this name again, as a child.
fn start_one(test: &str, store: &str, api: &str, lease: Duration) -> Process {
    Process::start(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(STORE, store)
            .env(API, api)
            .env(LEASE, lease.as_millis().to_string()),
    )
}

/// Waits until it ends well, after a hit.
fn ends(process: &mut Process) {
    process.says("then hit");
    process.ends();
}

async fn api(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |_| Reply::ok("the answer").behind(&gate)).await
}

fn start(test: &str, store: &str, origin: &Origin, lease: Duration) -> Vec<Process> {
    let start = |_| start_one(test, store, &origin.url(""), lease);
    (0..PROCESSES).map(start).collect()
}

/// Lets each do something; the runtime goes on meanwhile.
fn each(processes: &mut [Process], what: fn(&mut Process)) {
    tokio::task::block_in_place(|| processes.iter_mut().for_each(what));
}

/// Four processes ask 2,500 times each for what none of them has: the API is asked once.
pub async fn one_request(test: &str, store: &str) {
    let gate = Gate::closed();
    let origin = api(&gate).await;
    let lease = Duration::from_secs(60);
    let mut processes = start(test, store, &origin, lease);
    each(&mut processes, Process::go);
    gate.reached(1).await;
    gate.open();
    each(&mut processes, ends);
    assert_eq!(origin.asked(), 1);
}

/// The process that fetches is killed: after its lease another one fetches, and no more than one.
pub async fn leader_killed(test: &str, store: &str) {
    let gate = Gate::closed();
    let origin = api(&gate).await;
    let lease = Duration::from_secs(3);
    let mut processes = start(test, store, &origin, lease);
    let mut leader = processes.pop().unwrap();
    tokio::task::block_in_place(|| leader.go());
    gate.reached(1).await;
    each(&mut processes, Process::go);
    drop(leader);
    gate.reached(2).await;
    gate.open();
    each(&mut processes, ends);
    assert_eq!(origin.asked(), 2);
}

/// A fetch takes longer than a lease, and the process that makes it lives: nobody else makes it.
pub async fn lease_outlived(test: &str, store: &str) {
    let gate = Gate::closed();
    let origin = api(&gate).await;
    let lease = Duration::from_secs(3);
    let mut processes = start(test, store, &origin, lease);
    each(&mut processes, Process::go);
    gate.reached(1).await;
    let watching = open(store, &origin.url(""), lease).await;
    let first = lease_ends(&watching).await;
    while lease_ends(&watching).await < first.plus(lease) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watching.close().await.unwrap();
    gate.open();
    each(&mut processes, ends);
    assert_eq!(origin.asked(), 1);
}

/// When the lease on what all ask for ends: who wants it is told.
async fn lease_ends(cache: &Cache) -> Millis {
    let leases = cache.store().leases().unwrap();
    let at = Address {
        key: RawKey::new([FieldRef::Text("a")], "").unwrap(),
        partition: Partition::PUBLIC,
    };
    let (name, now) = (TableName::new("pages").unwrap(), SystemClock.now());
    match leases
        .acquire(&name, &at, Duration::from_millis(1), now)
        .await
    {
        Ok(Lease::Busy { until }) => until,
        other => panic!("while its holder fetches, it could be taken: {other:?}"),
    }
}
