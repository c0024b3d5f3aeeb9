//! Servers that die, stand still, come back, refuse, or talk nonsense.

use crate::support::*;
use restow::{
    ErrorKind, Result,
    store::{
        Fence, Parts, Store, Table, Write,
        redis::{RedisOptions, RedisStore},
    },
};
use restow_testkit::redis::{Redis, RedisSentinel, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// Tasks that read and write until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) done: Arc<AtomicU64>,
    pub(crate) failed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(table: &Arc<dyn Table>) -> Self {
        let load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            tasks: Vec::new(),
        };
        let tasks = (0..16).map(|n| {
            let (table, stop) = (table.clone(), load.stop.clone());
            let (done, failed) = (load.done.clone(), load.failed.clone());
            tokio::spawn(async move {
                let id = (n % 8).to_string();
                while !stop.load(Ordering::Acquire) {
                    match once(&table, n, &id).await {
                        Ok(()) => drop(done.fetch_add(1, Ordering::AcqRel)),
                        Err(error) => {
                            let kinds = [ErrorKind::Store, ErrorKind::Busy];
                            assert!(kinds.contains(&error.kind()), "{error:?}");
                            failed.fetch_add(1, Ordering::AcqRel);
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self { tasks, ..load }
    }

    /// Waits until more was done than now.
    pub(crate) async fn goes_on(&self) {
        let before = self.done.load(Ordering::Acquire);
        let goes_on = async {
            while self.done.load(Ordering::Acquire) < before + 100 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), goes_on).await;
        waited.expect("it goes on");
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn once(table: &Arc<dyn Table>, n: usize, id: &str) -> Result<()> {
    if n.is_multiple_of(2) {
        return table
            .write(&writes([entry(id, body(n % 8, 500))]), T0)
            .await;
    }
    for found in bodies(table, id).await? {
        assert_eq!(found, body(n % 8, 500), "an entry is whole and its own");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_die_and_stand_still_under_load() {
    let mut server = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let url = format!("{}?server_timeout=300ms", server.url());
    let store = open(&url).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let load = Load::start(&table);
    load.goes_on().await;
    for _ in 0..5 {
        server.kill();
        until("somebody notices", || {
            load.failed.load(Ordering::Acquire) > 0
        });
        server.restart();
        load.goes_on().await;
        load.failed.store(0, Ordering::Release);
        server.pause();
        until("somebody notices", || {
            load.failed.load(Ordering::Acquire) > 0
        });
        server.resume();
        load.goes_on().await;
    }
    load.end().await;
    assert_eq!(agrees(&table, 0..8).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_saved_survives_a_kill_where_the_server_writes_each_time() {
    let mut server = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    for n in 0..50 {
        table
            .write(&numbered(n * 10..(n + 1) * 10, 200), T0)
            .await
            .unwrap();
    }
    server.kill();
    let error = bodies(&table, "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    server.restart();
    until_answered(&table).await;
    assert_eq!(agrees(&table, 0..500).await, 500);
}

async fn until_answered(table: &Arc<dyn Table>) {
    let answered = async {
        while bodies(table, "1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), answered).await;
    waited.expect("it is there again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_that_sentinels_name_is_followed() {
    let mut all = RedisSentinel::start();
    let store = open(&format!("{}?server_timeout=500ms", all.url()))
        .await
        .unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..8, 500), T0).await.unwrap();
    let load = Load::start(&table);
    load.goes_on().await;
    all.first.kill();
    all.wait_for_failover();
    load.goes_on().await;
    load.end().await;
    let keys: u64 = all.second.ask(&["DBSIZE"]);
    assert!(keys > 0);
    assert_eq!(agrees(&table, 0..8).await, 8);
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_given_it_again() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    table.write(&numbered(0..3, 10), T0).await.unwrap();
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    table.write(&numbered(3..6, 10), T0).await.unwrap();
    assert_eq!(agrees(&table, 0..6).await, 6);
}

#[tokio::test]
async fn another_format_is_refused_and_left_as_it_is() {
    let server = Redis::start();
    let store = open(&server.url()).await.unwrap();
    let _: i64 = server.ask(&["HSET", "restow:meta", "format", "2"]);
    for error in [
        open(&server.url()).await.map(drop).unwrap_err(),
        store.open(&spec()).await.map(drop).unwrap_err(),
        store.secret().await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("restow migrate"), "{error}");
    }
    let format: String = server.ask(&["HGET", "restow:meta", "format"]);
    assert_eq!(format, "2");
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let server = Redis::with(&["--requirepass", "s3cret-word"]);
    let host = format!("127.0.0.1:{}", server.port());
    let store = open(&format!("redis://:s3cret-word@{host}")).await.unwrap();
    let said = format!("{store} {store:?}");
    assert!(!said.contains("s3cret"), "{said}");
    store.open(&spec()).await.unwrap();
    for url in [
        format!("redis://{host}"),
        format!("redis://:s3cret-other@{host}"),
        format!("redis://nobody:s3cret-word@{host}"),
    ] {
        let error = open(&url).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("password_env="), "{error}");
        // It is no server that is down, and may be back.
        let guarded = restow::store::connect(&url).await.map(drop).unwrap_err();
        assert_eq!(guarded.kind(), ErrorKind::Config, "{guarded:?}");
        assert!(
            !format!("{error:?} {error}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_a_url_has_wrong_about_its_server_is_said_and_not_waited_for() {
    let server = Redis::start();
    let locked = Redis::with(&["--requirepass", "s3cret-word"]);
    for (url, says) in [
        (
            format!("redis://127.0.0.1:{}/99", server.port()),
            "database",
        ),
        (
            format!("redis-cluster://127.0.0.1:{}", server.port()),
            "write redis://",
        ),
        (
            format!("redis-cluster://127.0.0.1:{}", locked.port()),
            "password_env=",
        ),
        (
            format!("redis-cluster://:s3cret-no@127.0.0.1:{}", locked.port()),
            "password_env=",
        ),
    ] {
        let error = restow::store::connect(&url).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error:?}");
        assert!(error.to_string().contains(says), "{url}: {error}");
        assert!(
            !format!("{error:?} {error}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_handle_to_what_was_removed_says_so() {
    let server = Redis::start();
    let (ours, theirs) = (
        open(&server.url()).await.unwrap(),
        open(&server.url()).await.unwrap(),
    );
    let table = ours.open(&spec()).await.unwrap();
    table.write(&numbered(0..10, 10), T0).await.unwrap();
    assert!(theirs.remove(&spec().name).await.unwrap());
    let error = table.write(&numbered(0..1, 10), T0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchRepository);
    assert!(bodies(&table, "1").await.unwrap().is_empty());
    // Nothing is left but what says that it is gone.
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(
        keys.iter()
            .all(|key| key == "restow:meta" || key.ends_with('c')),
        "{keys:?}"
    );
}

/// A server that answers everything with the same bytes.
async fn liar(says: &'static [u8]) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    let commands = buffer[..n].windows(3).filter(|w| w.starts_with(b"\n*"));
                    let answers = says.repeat(1 + commands.count());
                    if stream.write_all(&answers).await.is_err() || says.is_empty() {
                        return;
                    }
                }
            });
        }
    });
    (port, task)
}

#[tokio::test]
async fn whatever_a_server_says_is_an_error_that_names_it() {
    for (says, kind) in [
        (
            &b"-LOADING Redis is loading the dataset in memory\r\n"[..],
            ErrorKind::Busy,
        ),
        (
            b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            ErrorKind::Store,
        ),
        (
            b"-READONLY You can't write against a read only replica.\r\n",
            ErrorKind::Store,
        ),
        (b"-MOVED 3999 127.0.0.1:1\r\n", ErrorKind::Busy),
        (b"-CLUSTERDOWN The cluster is down\r\n", ErrorKind::Store),
        (
            b"-BUSY Redis is busy running a script.\r\n",
            ErrorKind::Busy,
        ),
        (b"-NOAUTH Authentication required.\r\n", ErrorKind::Config),
        (b"+OK\r\n", ErrorKind::Store),
        (b"*-1\r\n", ErrorKind::Store),
        (b"$5\r\nab", ErrorKind::Store),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::Store),
        (b"\x00\xff\x16\x03", ErrorKind::Store),
        (b"", ErrorKind::Store),
    ] {
        let (port, task) = liar(says).await;
        let url = format!("redis://127.0.0.1:{port}?server_timeout=200ms");
        let error = RedisStore::open(RedisOptions::parse(&url).unwrap())
            .await
            .map(drop)
            .unwrap_err();
        let said = String::from_utf8_lossy(says);
        assert_eq!(error.kind(), kind, "{said:?}: {error:?}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        task.abort();
    }
}

#[tokio::test]
async fn a_lease_lost_on_one_handle_fences_its_holder_on_another() {
    let server = Redis::start();
    let (ours, theirs) = (
        open(&server.url()).await.unwrap(),
        open(&server.url()).await.unwrap(),
    );
    let table = ours.open(&spec()).await.unwrap();
    let (at, name) = (address("1"), spec().name);
    let hold = Duration::from_secs(1);
    let take = |store: Arc<dyn Store>, now| {
        let (at, name) = (at.clone(), name.clone());
        async move {
            match store.leases().unwrap().acquire(&name, &at, hold, now).await {
                Ok(restow::store::Lease::Held(fence)) => fence,
                other => panic!("{other:?}"),
            }
        }
    };
    let first = take(ours.clone(), T0).await;
    let second = take(theirs, T0.plus(hold)).await;
    let write = |fence: Fence| Write {
        entry: Arc::new(entry("1", "x")),
        fence: Some(fence),
    };
    // A fence that is no longer the newest writes nothing of what comes with it either.
    let mut both = writes([entry("2", "y")]);
    both.push(write(first));
    let error = table.write(&both, T0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(held(&table).await, 0);
    table.write(&[write(second)], T0).await.unwrap();
    // A counter that was lost goes on all the same.
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "restow{*c"]);
    let mut unlink = redis::cmd("UNLINK");
    for key in keys {
        unlink.arg(key);
    }
    unlink.exec(&mut server.connection()).unwrap();
    let third = take(ours, T0.plus(3 * hold)).await;
    assert!(third > second);
    assert_eq!(table.read(&at, Parts::Meta, T0).await.unwrap().len(), 1);
}
