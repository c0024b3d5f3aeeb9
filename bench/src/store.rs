//! Typed calls on each store, beside rusqlite by hand on the same file.

use crate::{
    Outcome, Size,
    api::{self, Items},
    measure::{Contender, each, race, scatter},
    report::Report,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use restow::{Cache, Mode, Repository, Scope};
use rusqlite::Connection;
use std::{
    cell::{Cell, RefCell},
    path::Path,
    time::{Duration, Instant},
};

/// Keys of one bulk call.
const BULK: usize = 1_000;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    let works = [
        "get, one at a time",
        "get, 64 tasks",
        "get_many(1000)",
        "save, one at a time",
        "save, 64 tasks",
        "save_many(1000)",
        "stream",
        "count",
    ];
    if !works.iter().any(|w| report.wants(w)) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let memory = open("memory:", size).await?;
    let sqlite = open(&format!("sqlite://{}", path.display()), size).await?;
    let raw = Raw::open(&path, &dir.path().join("raw.db"))?;
    let (memory, sqlite, raw) = (&memory, &sqlite, &raw);
    let (n, entries) = (size.operations, size.entries);
    let bulk = BULK.min(entries);

    if report.wants("get, one at a time") {
        let contenders = vec![
            Contender::new("memory", move || gets(memory.clone(), n, entries)),
            Contender::new("sqlite", move || gets(sqlite.clone(), n, entries)),
            Contender::new("rusqlite by hand", move || {
                std::future::ready(raw.gets(n, entries))
            }),
        ];
        report.add("get, one at a time", &race(size, contenders).await?);
    }
    if report.wants("get, 64 tasks") {
        let contenders = vec![
            Contender::new("memory", move || {
                tasks(memory, n, move |r| gets(r, n / 64, entries))
            }),
            Contender::new("sqlite", move || {
                tasks(sqlite, n, move |r| gets(r, n / 64, entries))
            }),
            Contender::new("rusqlite by hand, 2 threads", move || {
                std::future::ready(raw.threads(n, entries))
            }),
        ];
        report.add("get, 64 tasks", &race(size, contenders).await?);
    }
    if report.wants("get_many(1000)") {
        let contenders = vec![
            Contender::new("memory", move || get_many(memory, bulk, entries)),
            Contender::new("sqlite", move || get_many(sqlite, bulk, entries)),
            Contender::new("json_each by hand", move || {
                std::future::ready(raw.get_many(bulk, entries))
            }),
        ];
        report.add("get_many(1000), one key", &race(size, contenders).await?);
    }
    let (next, saves) = (Cell::new(0), (n / 20).max(64));
    let next = &next;
    if report.wants("save, one at a time") {
        let contenders = vec![
            Contender::new("memory", move || {
                save(memory.clone(), saves, skip(next, saves))
            }),
            Contender::new("sqlite", move || {
                save(sqlite.clone(), saves, skip(next, saves))
            }),
            Contender::new("rusqlite by hand, a transaction each", move || {
                std::future::ready(raw.save(saves, skip(next, saves)))
            }),
        ];
        report.add("save, one at a time", &race(size, contenders).await?);
    }
    if report.wants("save, 64 tasks") {
        let contenders = vec![
            Contender::new("memory", move || {
                tasks(memory, saves, move |r| {
                    save(r, saves / 64, skip(next, saves / 64))
                })
            }),
            Contender::new("sqlite", move || {
                tasks(sqlite, saves, move |r| {
                    save(r, saves / 64, skip(next, saves / 64))
                })
            }),
            Contender::new("rusqlite by hand, a transaction each", move || {
                std::future::ready(raw.save(saves, skip(next, saves)))
            }),
        ];
        report.add("save, 64 tasks", &race(size, contenders).await?);
    }
    if report.wants("save_many(1000)") {
        let contenders = vec![
            Contender::new("memory", move || save_many(memory, bulk, skip(next, bulk))),
            Contender::new("sqlite", move || save_many(sqlite, bulk, skip(next, bulk))),
            Contender::new("a batch by hand", move || {
                std::future::ready(raw.save_many(bulk, skip(next, bulk)))
            }),
        ];
        report.add("save_many(1000), one entry", &race(size, contenders).await?);
    }
    if report.wants("stream") {
        let contenders = vec![
            Contender::new("memory", move || stream(memory)),
            Contender::new("sqlite", move || stream(sqlite)),
            Contender::new("a scan by hand", move || std::future::ready(raw.scan())),
        ];
        report.add(
            "stream, one entry",
            &race(
                Size {
                    rounds: size.rounds.min(5),
                    ..size
                },
                contenders,
            )
            .await?,
        );
    }
    if report.wants("count") {
        let contenders = vec![
            Contender::new("memory", move || count(memory)),
            Contender::new("sqlite", move || count(sqlite)),
            Contender::new("count(*) by the expiry index, by hand", move || {
                std::future::ready(raw.count())
            }),
        ];
        report.add("count", &race(size, contenders).await?);
    }
    Ok(())
}

async fn open(url: &str, size: Size) -> Outcome<Repository<Items>> {
    let cache = Cache::builder().url(url).mode(Mode::Live).build().await?;
    let items = cache.create_repository(api::items()?).await?;
    let all: Vec<_> = (0..size.entries)
        .map(|i| (api::key(i), api::body(i)))
        .collect();
    for chunk in all.chunks(BULK) {
        items.save_many(chunk).await?;
    }
    Ok(items)
}

/// Places that nothing was saved at yet.
fn skip(next: &Cell<usize>, n: usize) -> usize {
    // Far from those that are there already.
    next.replace(next.get() + n) + 50_000_000
}

async fn tasks<F: Future<Output = Outcome<Duration>> + Send + 'static>(
    items: &Repository<Items>,
    n: usize,
    task: impl Fn(Repository<Items>) -> F,
) -> Outcome<Duration> {
    let begun = Instant::now();
    let all: Vec<_> = (0..64).map(|_| tokio::spawn(task(items.clone()))).collect();
    for end in all {
        end.await??;
    }
    Ok(each(begun.elapsed(), n / 64 * 64))
}

async fn gets(items: Repository<Items>, n: usize, entries: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    for i in 0..n {
        let got = items.get(&api::key(scatter(i, entries))).await?;
        std::hint::black_box(got.ok_or("an entry is missing")?);
    }
    Ok(each(begun.elapsed(), n))
}

async fn get_many(items: &Repository<Items>, n: usize, entries: usize) -> Outcome<Duration> {
    let keys: Vec<_> = (0..n).map(|i| api::key(scatter(i, entries))).collect();
    let begun = Instant::now();
    let got = items.get_many(&keys).await?;
    let time = each(begun.elapsed(), n);
    if got.iter().any(Option::is_none) {
        Err("an entry is missing".into())
    } else {
        Ok(time)
    }
}

async fn save(items: Repository<Items>, n: usize, from: usize) -> Outcome<Duration> {
    let all: Vec<_> = (from..from + n)
        .map(|i| (api::key(i), api::body(i)))
        .collect();
    let begun = Instant::now();
    for (key, body) in &all {
        items.save(key, body).await?;
    }
    Ok(each(begun.elapsed(), n))
}

async fn save_many(items: &Repository<Items>, n: usize, from: usize) -> Outcome<Duration> {
    let all: Vec<_> = (from..from + n)
        .map(|i| (api::key(i), api::body(i)))
        .collect();
    let begun = Instant::now();
    items.save_many(&all).await?;
    Ok(each(begun.elapsed(), n))
}

async fn stream(items: &Repository<Items>) -> Outcome<Duration> {
    let begun = Instant::now();
    let n = items
        .stream(Scope::Live)
        .try_fold(0, |n, (_, body)| async move {
            Ok(n + usize::from(!body.is_empty()))
        })
        .await?;
    Ok(each(begun.elapsed(), n))
}

async fn count(items: &Repository<Items>) -> Outcome<Duration> {
    let begun = Instant::now();
    std::hint::black_box(items.count(Scope::Live).await?);
    Ok(begun.elapsed())
}

/// The same file, read by hand; and a second one of the same layout, written by hand.
struct Raw {
    read: Connection,
    second: RefCell<Connection>,
    write: RefCell<Connection>,
}

const ONE: &str =
    "SELECT body FROM items WHERE id = ?1 AND query = '' AND partition = '' AND expires_at > ?2";
const INSERT: &str = "INSERT INTO items (id, query, partition, variant, generation, status, headers, facts, url, stored_at, checked_at, changed_at, expires_at, used_at, size, body) \
    VALUES (?1, '', '', x'', ?2, 200, 'content-type: application/octet-stream\r\n', zeroblob(90), 'https://api.example.com/v1/items/' || ?1, ?2, ?2, ?2, ?2, ?2, length(?3), ?3)";

impl Raw {
    fn open(path: &Path, other: &Path) -> Outcome<Self> {
        let read = Connection::open(path)?;
        let write = Connection::open(other)?;
        write.execute_batch(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        )?;
        let mut tables = read.prepare("SELECT sql FROM sqlite_schema WHERE tbl_name = 'items' AND type IN ('table', 'index') AND sql IS NOT NULL")?;
        for sql in tables.query_map([], |row| row.get::<_, String>(0))? {
            write.execute_batch(&sql?)?;
        }
        drop(tables);
        Ok(Self {
            second: RefCell::new(Connection::open(path)?),
            read,
            write: RefCell::new(write),
        })
    }

    fn gets(&self, n: usize, entries: usize) -> Outcome<Duration> {
        gets_on(&self.read, n, entries)
    }

    fn threads(&self, n: usize, entries: usize) -> Outcome<Duration> {
        let mut second = self.second.try_borrow_mut()?;
        let second = &mut *second;
        let path = self.read.path().ok_or("no path")?.to_owned();
        let begun = Instant::now();
        std::thread::scope(|scope| -> Outcome {
            let other = scope.spawn(move || gets_on(second, n / 2, entries).map(drop));
            let here = Connection::open(path)?;
            gets_on(&here, n / 2, entries)?;
            other.join().map_err(|_| "a thread panicked")?
        })?;
        Ok(each(begun.elapsed(), n))
    }

    fn get_many(&self, n: usize, entries: usize) -> Outcome<Duration> {
        let keys: Vec<_> = (0..n).map(|i| api::key(scatter(i, entries))).collect();
        let begun = Instant::now();
        let list = serde_json::to_string(&keys)?;
        let mut statement = self.read.prepare_cached(
            "SELECT k.key, i.body FROM json_each(?1) AS k CROSS JOIN items AS i ON i.id = k.value AND i.query = '' AND i.partition = '' WHERE i.expires_at > ?2",
        )?;
        let mut rows = statement.query((list, now()))?;
        let mut found = vec![None; n];
        while let Some(row) = rows.next()? {
            let at = usize::try_from(row.get::<_, i64>(0)?)?;
            if let Some(slot) = found.get_mut(at) {
                *slot = Some(Bytes::copy_from_slice(row.get_ref(1)?.as_bytes()?));
            }
        }
        std::hint::black_box(found);
        Ok(each(begun.elapsed(), n))
    }

    fn save(&self, n: usize, from: usize) -> Outcome<Duration> {
        let all: Vec<_> = (from..from + n)
            .map(|i| (api::key(i), api::body(i)))
            .collect();
        let mut conn = self.write.try_borrow_mut()?;
        let begun = Instant::now();
        for (key, body) in &all {
            let transaction =
                conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(INSERT)?
                .execute((key, now(), &body[..]))?;
            transaction.commit()?;
        }
        Ok(each(begun.elapsed(), n))
    }

    fn save_many(&self, n: usize, from: usize) -> Outcome<Duration> {
        let all: Vec<_> = (from..from + n)
            .map(|i| (api::key(i), api::body(i)))
            .collect();
        let mut conn = self.write.try_borrow_mut()?;
        let begun = Instant::now();
        let transaction =
            conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut statement = transaction.prepare_cached(INSERT)?;
            for (key, body) in &all {
                statement.execute((key, now(), &body[..]))?;
            }
        }
        transaction.commit()?;
        Ok(each(begun.elapsed(), n))
    }

    fn scan(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut statement = self
            .read
            .prepare_cached("SELECT id, body FROM items WHERE expires_at > ?1")?;
        let mut rows = statement.query([now()])?;
        let mut n = 0;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            std::hint::black_box((id, Bytes::copy_from_slice(row.get_ref(1)?.as_bytes()?)));
            n += 1;
        }
        Ok(each(begun.elapsed(), n))
    }

    fn count(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        let n: i64 = self
            .read
            .prepare_cached("SELECT count(*) FROM items WHERE expires_at > ?1")?
            .query_row([now()], |row| row.get(0))?;
        std::hint::black_box(n);
        Ok(begun.elapsed())
    }
}

fn gets_on(conn: &Connection, n: usize, entries: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    for i in 0..n {
        let mut statement = conn.prepare_cached(ONE)?;
        let mut rows = statement.query((api::key(scatter(i, entries)), now()))?;
        let row = rows.next()?.ok_or("an entry is missing")?;
        std::hint::black_box(Bytes::copy_from_slice(row.get_ref(0)?.as_bytes()?));
    }
    Ok(each(begun.elapsed(), n))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
