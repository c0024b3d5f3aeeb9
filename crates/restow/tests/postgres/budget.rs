//! Budgets while several tasks write many entries.

use restow::{Cache, Millis, Repository, RouteEndpoint, TestClock, Text};
use restow_testkit::Postgres;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

type Pages = Repository<RouteEndpoint<String, Text>>;

const MOST: usize = 2_000;
const TASKS: usize = 4;
const WRITES: usize = 20_000;
/// Entries of one save.
const MANY: usize = 20;
/// Entries that are read now and then, all the time.
const USED: usize = 100;
const BODY: usize = 1_000;
/// "A second or so", on a machine that does other things too.
const SOON: Duration = Duration::from_secs(3);
/// However busy it is, it is done by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a task lets pass from one save to the next: some third of the entries are written in [`SOON`].
const PACE: Duration = Duration::from_millis(32);

/// How much was written when.
struct Written {
    begun: AtomicUsize,
    done: Mutex<Vec<(Instant, usize)>>,
}

impl Written {
    /// How many were begun to be written from `since` on.
    fn since(&self, since: Instant) -> usize {
        let done = self.done.lock().unwrap();
        let before = done.iter().rev().find(|(at, _)| *at < since);
        // Of those that were being written at that moment, as many as there are tasks.
        self.begun.load(Relaxed) - before.map_or(0, |(_, n)| *n) + TASKS * MANY
    }
}

/// Writes until all are written; every now and then some time passes, and what is used is used.
async fn write(pages: Pages, used: Vec<String>, clock: TestClock, written: Arc<Written>) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let first = written.begun.fetch_add(MANY, Relaxed);
        if first >= WRITES {
            written.begun.fetch_sub(MANY, Relaxed);
            return;
        }
        if first.is_multiple_of(500) {
            clock.advance(Duration::from_secs(15 * 60));
            let found = pages.get_many(&used).await.unwrap();
            assert!(found.iter().all(Option::is_some), "it is used all the time");
        }
        clock.advance(Duration::from_millis(1));
        let pairs: Vec<_> = (first..first + MANY)
            .map(|n| (format!("page {n:05}"), "x".repeat(BODY)))
            .collect();
        pages.save_many(&pairs).await.unwrap();
        let mut done = written.done.lock().unwrap();
        let sum = done.last().map_or(0, |(_, n)| *n) + MANY;
        done.push((Instant::now(), sum));
    }
}

/// `bounded` bounds a cache to about as many entries as [`MOST`].
async fn holds(bounded: fn(restow::CacheBuilder) -> restow::CacheBuilder) {
    let server = Postgres::start();
    let url = format!("{}?schema=s&timeout=5s", server.url());
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let builder = Cache::builder().url(&*url).clock(clock.clone());
    let cache = bounded(builder).build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{id}").unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    server.sql(
        "CREATE TABLE s.gone (count bigint); \
         CREATE FUNCTION s.note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO s.gone SELECT count(*) FROM gone; RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER DELETE ON s.pages REFERENCING OLD TABLE AS gone \
         FOR EACH STATEMENT EXECUTE FUNCTION s.note()",
    );
    let used: Vec<_> = (0..USED).map(|n| format!("used {n}")).collect();
    let pairs: Vec<_> = used
        .iter()
        .map(|id| (id.clone(), "y".repeat(BODY)))
        .collect();
    pages.save_many(&pairs).await.unwrap();
    let written = Arc::new(Written {
        begun: AtomicUsize::new(0),
        done: Mutex::default(),
    });
    let begun = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (pages, used) = (pages.clone(), used.clone());
            tokio::spawn(write(pages, used, clock.clone(), written.clone()))
        })
        .collect();
    let count = || -> usize { server.sql("SELECT count(*) FROM s.pages").parse().unwrap() };
    let (mut most, mut looks) = (0, 0);
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        let before = Instant::now();
        let (held, late) = (count(), written.since(before.checked_sub(SOON).unwrap()));
        assert!(
            held <= MOST + USED + late,
            "{held} are held, of which {late} were written lately"
        );
        (most, looks) = (most.max(held), looks + 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let took = begun.elapsed();
    let settled = async {
        while count() > MOST {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    assert!(settled.is_ok(), "{} are held long after", count());
    println!(
        "{WRITES} in {took:?}, {looks} looks, at most {most}; {} left",
        count()
    );
    // What is left was used last: nothing of what was written long ago, and no less than the budget allows, but for a chunk.
    let found = pages.get_many(&used).await.unwrap();
    assert!(found.iter().all(Option::is_some));
    let first = server.sql("SELECT min(id) FROM s.pages WHERE id LIKE 'page%'");
    let first: usize = first.strip_prefix("page ").unwrap().parse().unwrap();
    assert!(
        first >= WRITES - MOST - TASKS * MANY,
        "{first} is old, and left"
    );
    assert!(count() > MOST - 300, "more was removed than had to be");
    let [chunks, largest, gone] = ["count(*)", "max(count)", "sum(count)"]
        .map(|what| server.sql(&format!("SELECT {what} FROM s.gone WHERE count > 0")))
        .map(|number| number.parse::<usize>().unwrap());
    assert_eq!(gone, WRITES + USED - count());
    assert!(
        largest <= 200 && chunks >= gone / 200,
        "{chunks} chunks, the largest of {largest}"
    );
    cache.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_entries_is_kept_while_many_are_written() {
    holds(|builder| builder.max_entries(MOST as u64)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_bytes_is_kept_while_many_are_written() {
    // A body, its content type, and no URL.
    holds(|builder| builder.max_bytes((MOST * (BODY + SAVED)) as u64)).await;
}

/// Bytes of a saved page beside its body.
const SAVED: usize = 41;
