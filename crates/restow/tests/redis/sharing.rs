//! Several stores in one place: what one changes, the others hear of.

use crate::support::*;
use futures_util::{StreamExt, poll};
use restow::{
    BoxStream, Selection,
    store::{Budget, Change, TableSpec, TierOptions, TieredStore},
};
use restow_testkit::redis::{Redis, RedisCluster};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Within this time a change is heard of.
const SOON: Duration = Duration::from_secs(1);

async fn next(changes: &mut BoxStream<'static, Change>) -> Change {
    let heard = timeout(SOON, changes.next()).await;
    heard.expect("it is heard of soon").expect("it goes on")
}

async fn hears(url: &str) {
    let (ours, theirs) = (open(url).await.unwrap(), open(url).await.unwrap());
    let (our_table, their_table) = (
        ours.open(&spec()).await.unwrap(),
        theirs.open(&spec()).await.unwrap(),
    );
    let mut changes = ours.changes().expect("it can tell");
    assert!(matches!(next(&mut changes).await, Change::Everything));
    let before = our_table.foreign_changes().expect("it listens");
    // What we do ourselves is no news.
    our_table.write(&numbered(0..1, 10), T0).await.unwrap();
    their_table.write(&numbered(1..2, 10), T0).await.unwrap();
    match next(&mut changes).await {
        Change::Address(table, at) => assert_eq!((table, at), (spec().name, address("1"))),
        other => panic!("{other:?}"),
    }
    assert!(our_table.foreign_changes().unwrap() > before);
    let read = their_table
        .read(&address("0"), restow::store::Parts::Whole, T0)
        .await
        .unwrap();
    let read = read.iter().next().unwrap();
    let renewal = restow::store::Renewal {
        id: read.id.clone(),
        read: read.generation,
        meta: read.meta.clone(),
    };
    assert_eq!(their_table.renew(&[renewal], T0).await.unwrap(), 1);
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("0")));
    their_table.delete(&[address("1")], T0).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("1")));
    their_table
        .clear(&Selection::default(), 10, T0)
        .await
        .unwrap();
    assert!(matches!(next(&mut changes).await, Change::Table(name) if name == spec().name));
    theirs.remove(&spec().name).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Table(name) if name == spec().name));
}

#[tokio::test]
async fn what_others_change_is_heard_of() {
    let server = Redis::start();
    hears(&server.url()).await;
}

#[tokio::test]
async fn what_others_change_in_a_cluster_is_heard_of() {
    let cluster = RedisCluster::start();
    hears(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_anything_may_have_changed() {
    let mut server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let mut changes = store.changes().unwrap();
    assert!(matches!(next(&mut changes).await, Change::Everything));
    server.kill();
    let again = tokio::spawn(async move { (changes.next().await, changes.next().await) });
    let deaf = async {
        while table.foreign_changes().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, deaf)
        .await
        .expect("it knows that it hears nothing");
    server.restart();
    let heard = timeout(Duration::from_secs(5), again).await.unwrap();
    assert!(matches!(
        heard.unwrap(),
        (Some(Change::Silence), Some(Change::Everything))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_tier_forgets_what_others_change() {
    let server = Redis::start();
    let theirs = open(&server.url()).await.unwrap();
    let their_table = theirs.open(&spec()).await.unwrap();
    their_table
        .write(&writes([entry("1", "before")]), T0)
        .await
        .unwrap();
    let beneath = open(&server.url()).await.unwrap();
    // Longer than this test: only what is heard makes it forget.
    let options = TierOptions::new(1 << 20).recheck(Duration::from_secs(3_600));
    let tiered: Arc<dyn restow::store::Store> =
        Arc::new(TieredStore::new(beneath, options).unwrap());
    let table = tiered.open(&spec()).await.unwrap();
    let listens = async {
        while table.foreign_changes().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, listens).await.unwrap();
    assert_eq!(bodies(&table, "1").await.unwrap(), ["before"]);
    their_table
        .write(&writes([entry("1", "after")]), T0)
        .await
        .unwrap();
    let seen = async {
        while bodies(&table, "1").await.unwrap() != ["after"] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, seen)
        .await
        .expect("it is seen within a second");
}

/// A removal that nobody waits for any more once the server has done it.
#[tokio::test]
async fn a_removal_is_heard_of_though_its_caller_is_gone() {
    let server = Redis::start();
    let (ours, theirs) = (
        open(&server.url()).await.unwrap(),
        open(&server.url()).await.unwrap(),
    );
    ours.open(&spec()).await.unwrap();
    let their_table = theirs.open(&spec()).await.unwrap();
    their_table.write(&numbered(0..2, 10), T0).await.unwrap();
    // From now on the server knows the script, so that one question is all.
    their_table.delete(&[address("0")], T0).await.unwrap();
    let mut changes = ours.changes().unwrap();
    assert!(matches!(next(&mut changes).await, Change::Everything));
    let at = [address("1")];
    let mut delete = Box::pin(async { their_table.delete(&at, T0).await });
    assert!(poll!(&mut delete).is_pending());
    let removed = async {
        while !server.ask::<Vec<Vec<u8>>>(&["KEYS", "*}e*"]).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, removed).await.expect("it is removed");
    drop(delete);
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("1")));
}

#[tokio::test]
async fn what_the_server_removed_by_itself_is_told_when_it_is_deleted() {
    let server = Redis::start();
    let (ours, theirs) = (
        open(&server.url()).await.unwrap(),
        open(&server.url()).await.unwrap(),
    );
    ours.open(&spec()).await.unwrap();
    let table = theirs.open(&spec()).await.unwrap();
    table.write(&numbered(0..1, 10), T0).await.unwrap();
    let mut changes = ours.changes().unwrap();
    assert!(matches!(next(&mut changes).await, Change::Everything));
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "*}e*"]);
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(keys).exec(&mut server.connection()).unwrap();
    assert_eq!(table.delete(&[address("0")], T0).await.unwrap(), 0);
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("0")));
}

#[tokio::test]
async fn of_what_goes_beyond_a_budget_each_is_told_and_of_what_is_past_its_keep_none() {
    let server = Redis::start();
    let (ours, theirs) = (
        open(&server.url()).await.unwrap(),
        open(&server.url()).await.unwrap(),
    );
    let budget = Budget {
        entries: Some(8),
        bytes: None,
    };
    let few = TableSpec { budget, ..spec() };
    ours.open(&few).await.unwrap();
    let table = theirs.open(&few).await.unwrap();
    for n in 0..10 {
        let now = T0.plus(Duration::from_millis(n as u64));
        table.write(&numbered(n..n + 1, 10), now).await.unwrap();
    }
    let mut past = entry("past", "x");
    past.meta.expires_at = T0.plus(Duration::from_secs(1));
    table.write(&writes([past]), T0).await.unwrap();
    let mut changes = ours.changes().unwrap();
    assert!(matches!(next(&mut changes).await, Change::Everything));
    // Past the keep of the last, by this clock, and of no other.
    let later = T0.plus(Duration::from_secs(2)).plus(few.keep);
    assert_eq!(table.sweep(100, later).await.unwrap(), 3);
    let mut told = Vec::new();
    for _ in 0..2 {
        match next(&mut changes).await {
            Change::Address(_, at) => told.push(at),
            other => panic!("{other:?}"),
        }
    }
    for n in ["0", "1"] {
        assert!(told.contains(&address(n)), "{told:?}");
    }
    // Nothing else is told before this.
    table.delete(&[address("9")], later).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Address(_, at) if at == address("9")));
}

/// Who is dropped after a script has nothing left to tell.
#[tokio::test]
async fn what_a_script_removes_it_tells_of_itself() {
    let server = Redis::start();
    let store = open(&format!("{}?buckets=16", server.url())).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..20, 10), T0).await.unwrap();
    let mut monitor = server.connection();
    let asked = redis::cmd("MONITOR").get_packed_command();
    monitor.send_packed_command(&asked).unwrap();
    let mut until = |end: &str| -> Vec<String> {
        let lines = std::iter::repeat_with(|| {
            let line = monitor.recv_response().unwrap();
            redis::from_redis_value::<String>(line).unwrap()
        });
        lines.take_while(|line| !line.contains(end)).collect()
    };
    let everything = Selection::default();
    table.clear(&everything, 10, T0).await.unwrap();
    let _: String = server.ask(&["ECHO", "cleared"]);
    let cleared = until("cleared");
    store.remove(&spec().name).await.unwrap();
    let _: String = server.ask(&["ECHO", "removed"]);
    let removed = until("removed");
    let is = |line: &str, command: &str| line.to_lowercase().contains(&format!("\"{command}\""));
    let told: Vec<_> = cleared.iter().filter(|l| is(l, "publish")).collect();
    assert!(!told.is_empty() && told.iter().all(|line| line.contains("lua]")));
    let told = removed.iter().position(|l| is(l, "publish")).unwrap();
    let gone = removed.iter().position(|l| is(l, "unlink")).unwrap();
    assert!(removed[told].contains("lua]") && told < gone);
}
