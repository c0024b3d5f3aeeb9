//! The stores that several machines share, each beside its own driver on the same server.

use super::{
    get::get,
    grown::{self, Count},
    save_many::take,
    servers::NETWORKED,
};
use crate::{
    Outcome, Size, api,
    fill::{self, BULK},
    measure::{Contender, Figure, each, race, scatter, together},
    report::{Report, Row, Target},
};
use futures_util::future::try_join_all;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use restow_testkit::{Postgres, redis::Redis};
use std::{cell::Cell, sync::Arc, time::Instant};
use tokio_postgres::{Client, NoTls, Statement};

const REDIS: &str = "networked: redis";
const POSTGRES: &str = "networked: postgres";
const REDIS_GROWN: &str = "networked growth: redis";
const REDIS_INDEX: &str = "networked growth: redis: index, one entry";
const POSTGRES_GROWN: &str = "networked growth: postgres";
const TASKS: usize = 64;
/// Connections of a driver by hand, beside one that all share.
const LANES: usize = 4;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if report.wants_any(&works(REDIS)) {
        redis(size, report).await?;
    }
    if report.wants_any(&works(POSTGRES)) {
        postgres(size, report).await?;
    }
    if report.wants(REDIS_GROWN) {
        let server = Redis::start();
        let place = |entries| format!("{}?prefix={}&timeout=5s", server.url(), grown(entries));
        Box::pin(grown::run(size, REDIS_GROWN, Count::Flat, place, report)).await?;
        Box::pin(grown_by_hand(&server, size, report)).await?;
        Box::pin(counted_by_hand(&server, size, report)).await?;
        let cost = index_cost(&server, &grown(size.large))? / size.large as f64;
        let row = Row::new(REDIS_INDEX, Figure::once("", cost), "bytes");
        report.add(row.target(Target::Within(150.0)));
    }
    if report.wants(POSTGRES_GROWN) {
        // With room for its indexes, as one has who keeps a million entries.
        let server = Postgres::with(&["fsync=off", "shared_buffers=512MB"]);
        let place = |_| format!("{}&timeout=5s", server.fresh());
        Box::pin(grown::run(
            size,
            POSTGRES_GROWN,
            Count::Linear,
            place,
            report,
        ))
        .await?;
    }
    Ok(())
}

/// What the keys of this many entries begin with.
fn grown(entries: usize) -> String {
    format!("grown{entries}")
}

/// How much dearer the server's own GET becomes as it holds more: for information, the least that ours can.
async fn grown_by_hand(server: &Redis, size: Size, report: &mut Report) -> Outcome {
    let client = redis::Client::open(server.url())?;
    let hand = client.get_multiplexed_async_connection().await?;
    let of = |entries: usize, i: usize| format!("hand{entries}:{}", api::key(i));
    for entries in size.grown() {
        for from in (0..entries).step_by(BULK) {
            let mut pipe = redis::pipe();
            for i in from..(from + BULK).min(entries) {
                pipe.set(of(entries, i), &grown::small(i)[..]).ignore();
            }
            pipe.query_async::<()>(&mut hand.clone()).await?;
        }
    }
    let contenders = size.grown().map(|entries| {
        let hand = hand.clone();
        Contender::new(format!("{entries} entries"), move || {
            let hand = hand.clone();
            together(TASKS, size.operations, move |from, n| {
                let mut hand = hand.clone();
                async move {
                    for i in from..from + n {
                        let body: Vec<u8> = hand.get(of(entries, scatter(i, entries))).await?;
                        std::hint::black_box(body);
                    }
                    Ok(())
                }
            })
        })
    });
    let times = race(size, contenders.collect()).await?;
    beside_smallest(report, "GET by hand, 64 tasks", "us", times.iter().cloned())
}

/// How much dearer the server's own ZCOUNT of the same indexes becomes: for information, the least that ours can.
async fn counted_by_hand(server: &Redis, size: Size, report: &mut Report) -> Outcome {
    let client = redis::Client::open(server.url())?;
    let hand = client.get_multiplexed_async_connection().await?;
    let mut contenders = Vec::new();
    for entries in size.grown() {
        let mut pipe = redis::pipe();
        for key in keys_of(server, &grown(entries), "i") {
            pipe.zcount(key, "(0", "+inf");
        }
        let (hand, entries) = (hand.clone(), entries as u64);
        contenders.push(Contender::new(format!("{entries} entries"), move || {
            let (mut hand, pipe) = (hand.clone(), pipe.clone());
            async move {
                let begun = Instant::now();
                let counts: Vec<u64> = pipe.query_async(&mut hand).await?;
                match counts.into_iter().sum::<u64>() {
                    sum if sum == entries => Ok(begun.elapsed()),
                    sum => Err(format!("{sum} of {entries} entries were counted").into()),
                }
            }
        }));
    }
    let times = race(size, contenders).await?;
    let times = times.iter().map(|figure| figure.clone().times(1e-3));
    beside_smallest(report, "ZCOUNT by hand", "ms", times)
}

/// The figures of all sizes beside that of the first.
fn beside_smallest(
    report: &mut Report,
    work: &str,
    unit: &'static str,
    mut figures: impl Iterator<Item = Figure>,
) -> Outcome {
    let smallest = figures.next().ok_or("no sizes")?;
    for figure in figures {
        let work = format!("{REDIS_GROWN}: {work}: {}", figure.name);
        report.add(Row::new(work, figure, unit).beside(smallest.clone()));
    }
    Ok(())
}

/// The memory of all that is not an entry itself, in bytes: by the layout, keys that end in `}i`, `}c` and `}u`.
fn index_cost(server: &Redis, prefix: &str) -> Outcome<f64> {
    let keys = ["i", "c", "u"].map(|kind| keys_of(server, prefix, kind));
    let mut bytes = 0;
    for key in keys.iter().flatten() {
        let usage: Option<u64> = server.ask(&["MEMORY", "USAGE", key, "SAMPLES", "0"]);
        bytes += usage.unwrap_or_default();
    }
    match bytes {
        0 => Err("no index was found".into()),
        _ => Ok(bytes as f64),
    }
}

/// The keys of one kind that are no entries.
fn keys_of(server: &Redis, prefix: &str, kind: &str) -> Vec<String> {
    // Entries end in a digest, which may end so, too.
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", &format!("{prefix}{{*}}{kind}")]);
    let end = format!("}}{kind}");
    let keys = keys.into_iter();
    keys.filter_map(|key| String::from_utf8(key).ok())
        .filter(|key| key.ends_with(&end))
        .collect()
}

fn works(store: &str) -> [&str; 2] {
    [store, NETWORKED]
}

fn rows(report: &mut Report, store: &str, rows: [(Figure, Figure, f64); 3]) {
    let names = [
        "get, 64 tasks",
        "get_many(1000), one key",
        "save_many(1000), one entry",
    ];
    for (name, (ours, hand, target)) in names.into_iter().zip(rows) {
        let row = Row::new(format!("{store}: {name}"), ours, "us").beside(hand);
        report.add(row.target(Target::AtLeast(target)));
    }
}

/// Ours on a store: from 64 tasks, a thousand keys, a thousand entries.
macro_rules! ours {
    ($items:ident, $size:ident, $next:ident) => {
        (
            Contender::new("restow", || {
                let (items, n, entries) = ($items.clone(), $size.operations, $size.entries);
                together(TASKS, n, move |from, n| {
                    let items = items.clone();
                    async move { get(&items, from, n, entries).await }
                })
            }),
            Contender::new("restow", || {
                let keys: Vec<_> = bulk($size).map(api::key).collect();
                let items = $items.clone();
                async move {
                    let begun = Instant::now();
                    let got = items.get_many(&keys).await?;
                    let time = begun.elapsed();
                    if got.iter().any(Option::is_none) {
                        return Err("an entry is missing".into());
                    }
                    Ok(each(time, keys.len()))
                }
            }),
            Contender::new("restow", || {
                let pairs = fill::pairs(take(&$next, BULK.min($size.entries)));
                let items = $items.clone();
                async move {
                    let begun = Instant::now();
                    items.save_many(&pairs).await?;
                    Ok(each(begun.elapsed(), pairs.len()))
                }
            }),
        )
    };
}

/// The places that a call of many reads.
fn bulk(size: Size) -> impl Iterator<Item = usize> {
    (0..BULK.min(size.entries)).map(move |i| scatter(i, size.entries))
}

async fn redis(size: Size, report: &mut Report) -> Outcome {
    let server = Redis::start();
    let items = fill::values(&server.url(), size.entries).await?;
    let client = redis::Client::open(server.url())?;
    let hand = client.get_multiplexed_async_connection().await?;
    save_by_hand(hand.clone(), &fill::pairs(0..size.entries)).await?;
    let next = Cell::new(size.entries);
    let theirs = Cell::new(size.entries);
    let (get, many, save) = ours!(items, size, next);
    let by_hand = Contender::new("GET", || {
        let (hand, entries) = (hand.clone(), size.entries);
        together(TASKS, size.operations, move |from, n| {
            let mut hand = hand.clone();
            async move {
                for i in from..from + n {
                    let body: Vec<u8> = hand.get(place(&api::key(scatter(i, entries)))).await?;
                    std::hint::black_box(body);
                }
                Ok(())
            }
        })
    });
    let get = race(size, vec![get, by_hand]).await?;
    let by_hand = Contender::new("MGET", || {
        let keys: Vec<_> = bulk(size).map(|i| place(&api::key(i))).collect();
        let mut hand = hand.clone();
        async move {
            let begun = Instant::now();
            let bodies: Vec<Vec<u8>> = hand.mget(&keys).await?;
            std::hint::black_box(bodies);
            Ok(each(begun.elapsed(), keys.len()))
        }
    });
    let many = race(size, vec![many, by_hand]).await?;
    let by_hand = Contender::new("a pipeline by hand", || {
        let pairs = fill::pairs(take(&theirs, BULK.min(size.entries)));
        let hand = hand.clone();
        async move {
            let begun = Instant::now();
            save_by_hand(hand, &pairs).await?;
            Ok(each(begun.elapsed(), pairs.len()))
        }
    });
    let save = race(size, vec![save, by_hand]).await?;
    let figures = [
        (get.get("restow")?, get.get("GET")?, 0.85),
        (many.get("restow")?, many.get("MGET")?, 0.85),
        (save.get("restow")?, save.get("a pipeline by hand")?, 0.7),
    ];
    rows(report, REDIS, figures);
    Ok(())
}

fn place(key: &str) -> String {
    format!("hand:{key}")
}

/// A body under its key, with a time to live, and the key in an index by expiry.
async fn save_by_hand(
    mut hand: MultiplexedConnection,
    pairs: &[(String, bytes::Bytes)],
) -> Outcome {
    for chunk in pairs.chunks(BULK) {
        let mut pipe = redis::pipe();
        for (key, body) in chunk {
            let place = place(key);
            pipe.pset_ex(&place, &body[..], 3_600_000).ignore();
            pipe.zadd("hand", &place, 1_800_000_000).ignore();
        }
        pipe.query_async::<()>(&mut hand).await?;
    }
    Ok(())
}

/// Clients by hand, with the statement that reads one body.
type Hands = Arc<Vec<(Client, Statement)>>;

async fn postgres(size: Size, report: &mut Report) -> Outcome {
    let server = Postgres::start();
    // On a busy machine it is slow, and not down.
    let url = format!("{}&timeout=1s", server.fresh());
    let items = fill::values(&url, size.entries).await?;
    let one = hands(&server.url(), 1).await?;
    let several = hands(&server.url(), LANES).await?;
    let copied = &fill::pairs(0..size.entries);
    for chunk in copied.chunks(BULK) {
        copy(&one, chunk).await?;
    }
    let next = Cell::new(size.entries);
    let theirs = Cell::new(size.entries);
    let (get, many, save) = ours!(items, size, next);
    let by_hand = |name: &'static str, hands: &Hands| {
        let hands = hands.clone();
        Contender::new(name, move || {
            let (hands, entries) = (hands.clone(), size.entries);
            let task = Cell::new(0);
            together(TASKS, size.operations, move |from, n| {
                let nth = task.replace(task.get() + 1);
                let hands = hands.clone();
                async move {
                    let (client, select) = hands.get(nth % hands.len()).ok_or("no client")?;
                    for i in from..from + n {
                        let key = api::key(scatter(i, entries));
                        let row = client.query_one(select, &[&key]).await?;
                        let body: Vec<u8> = row.try_get(0)?;
                        std::hint::black_box(body);
                    }
                    Ok(())
                }
            })
        })
    };
    let contenders = vec![
        get,
        by_hand("a prepared SELECT, one connection", &one),
        by_hand("a prepared SELECT, 4 connections", &several),
    ];
    let get = race(size, contenders).await?;
    let by_hand = Contender::new("= ANY by hand", || {
        let keys: Vec<_> = bulk(size).map(api::key).collect();
        let hands = one.clone();
        async move {
            let (client, _) = hands.first().ok_or("no client")?;
            let any = "SELECT key, body FROM hand WHERE key = ANY($1)";
            let any = client.prepare(any).await?;
            let begun = Instant::now();
            for row in client.query(&any, &[&keys]).await? {
                let body: Vec<u8> = row.try_get(1)?;
                std::hint::black_box(body);
            }
            Ok(each(begun.elapsed(), keys.len()))
        }
    });
    let many = race(size, vec![many, by_hand]).await?;
    let by_hand = Contender::new("COPY by hand", || {
        let pairs = fill::pairs(take(&theirs, BULK.min(size.entries)));
        let hands = one.clone();
        async move {
            let begun = Instant::now();
            copy(&hands, &pairs).await?;
            Ok(each(begun.elapsed(), pairs.len()))
        }
    });
    let save = race(size, vec![save, by_hand]).await?;
    let figures = [
        (get.get("restow")?, get.best("a prepared SELECT")?, 0.85),
        (many.get("restow")?, many.get("= ANY by hand")?, 0.85),
        (save.get("restow")?, save.get("COPY by hand")?, 0.7),
    ];
    rows(report, POSTGRES, figures);
    Ok(())
}

async fn hands(url: &str, number: usize) -> Outcome<Hands> {
    let connect = (0..number).map(|_| async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS hand (key text PRIMARY KEY, body bytea NOT NULL)",
            )
            .await
            .or_else(|error| match error.code() {
                // Another one made it at the same moment.
                Some(_) => Ok(()),
                None => Err(error),
            })?;
        let select = client
            .prepare("SELECT body FROM hand WHERE key = $1")
            .await?;
        Outcome::Ok((client, select))
    });
    Ok(Arc::new(try_join_all(connect).await?))
}

/// Copies rows in, as the driver does it fastest.
async fn copy(hands: &Hands, pairs: &[(String, bytes::Bytes)]) -> Outcome {
    use futures_util::pin_mut;
    use tokio_postgres::{binary_copy::BinaryCopyInWriter, types::Type};
    let (client, _) = hands.first().ok_or("no client")?;
    let sink = client
        .copy_in("COPY hand (key, body) FROM STDIN BINARY")
        .await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::TEXT, Type::BYTEA]);
    pin_mut!(writer);
    for (key, body) in pairs {
        writer.as_mut().write(&[key, &&body[..]]).await?;
    }
    writer.finish().await?;
    Ok(())
}
