//! The cache that is compared with the map.

use super::{
    Backend,
    op::{BRIEF, KEEP, KEYS, LIFE, Who},
};
use anyhow::{Context, Result};
use http::{Request, StatusCode, request::Parts};
use restow::{
    Cache, Endpoint as _, Json, Millis, Mode, RawKey, Repository, RouteEndpoint, TestClock,
    key::Key as _,
};
use restow_testkit::{
    Postgres,
    redis::{Redis, RedisCluster},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

pub(super) type Key = (String, Option<String>);
pub(super) type Items = Repository<RouteEndpoint<Key, Json<Value>>>;

const T0: Millis = Millis(1_800_000_000_000);

#[derive(Debug)]
pub(super) struct World {
    backend: Backend,
    url: String,
    // Removed with it.
    _folder: TempDir,
    pub(super) clock: TestClock,
    seats: Vec<Seat>,
    turn: usize,
}

/// One cache and its handles.
#[derive(Debug)]
struct Seat {
    cache: Cache,
    items: Items,
}

impl World {
    pub(super) async fn open(backend: Backend) -> Result<Self> {
        // A file in memory, where there is such a place, is a file all the same.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let mut world = Self {
            backend,
            url: url(backend, folder.path()),
            _folder: folder,
            clock: TestClock::at(T0),
            seats: Vec::new(),
            turn: 0,
        };
        world.sit().await?;
        Ok(world)
    }

    /// Closes everything and opens it again. What is in memory alone would be lost, so there it is the repository that is opened anew.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        if self.backend == Backend::Memory {
            for seat in &mut self.seats {
                seat.cache.remove("items").context("it is open")?;
                seat.items = seat.cache.create_repository(endpoint()?).await?;
            }
            return Ok(());
        }
        self.close().await?;
        self.sit().await
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        for seat in self.seats.drain(..) {
            seat.cache.close().await?;
        }
        Ok(())
    }

    /// Lets the next cache have its turn.
    pub(super) fn turn(&mut self) {
        self.turn += 1;
    }

    pub(super) fn items(&self, who: Who) -> Result<Items> {
        let items = &self.seat()?.items;
        Ok(match who {
            Who::Public => items.clone(),
            Who::Alice => items.principal("alice")?,
            Who::Bob => items.principal("bob")?,
            Who::Everyone => items.everyone(),
        })
    }

    pub(super) fn cache(&self, who: Who) -> Result<Cache> {
        let cache = &self.seat()?.cache;
        Ok(match who {
            Who::Public => cache.clone(),
            Who::Alice => cache.principal("alice")?,
            Who::Bob => cache.principal("bob")?,
            Who::Everyone => cache.everyone(),
        })
    }

    /// A request of a key, that accepts one kind of answer.
    pub(super) fn request(&self, key: usize, accepts: u8) -> Result<Parts> {
        let url = self.seat()?.items.endpoint().request(&self::key(key)?)?;
        let mut request = Request::get(url.uri());
        if accepts > 0 {
            request = request.header("accept", format!("kind/{accepts}"));
        }
        Ok(request.body(())?.into_parts().0)
    }

    fn seat(&self) -> Result<&Seat> {
        let nth = self.turn % self.seats.len().max(1);
        self.seats.get(nth).context("a cache is open")
    }

    async fn sit(&mut self) -> Result<()> {
        let caches = if self.backend.is_shared() { 2 } else { 1 };
        for _ in 0..caches {
            let cache = Cache::builder()
                .url(&*self.url)
                .mode(Mode::Live)
                .clock(self.clock.clone())
                .build()
                .await?;
            let items = cache.create_repository(endpoint()?).await?;
            self.seats.push(Seat { cache, items });
        }
        Ok(())
    }
}

fn url(backend: Backend, folder: &Path) -> String {
    let file = format!("sqlite://{}/cache.db", folder.display());
    match backend {
        Backend::Memory => "memory:".to_owned(),
        Backend::File | Backend::Shared => file,
        Backend::Tiered => format!("{file}?memory=1MiB"),
        Backend::Redis => {
            static SERVER: LazyLock<Redis> = LazyLock::new(Redis::start);
            place(&SERVER.url())
        }
        Backend::RedisCluster => {
            static SERVERS: LazyLock<RedisCluster> = LazyLock::new(RedisCluster::start);
            place(&SERVERS.url())
        }
        // Whether it is slow on a busy machine is no matter of this promise.
        Backend::Postgres | Backend::PostgresShared => {
            format!("{}&timeout=5s", Postgres::shared().fresh())
        }
    }
}

/// A place of its own for each sequence.
fn place(url: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{url}?prefix=model{n}&buckets=16")
}

fn endpoint() -> restow::Result<RouteEndpoint<Key, Json<Value>>> {
    let endpoint = RouteEndpoint::get("items", "https://example.com/items/{id}{?market}")?;
    Ok(endpoint
        .column("kind", "/kind")
        .expire_after(LIFE)
        .keep(KEEP)
        .negative(StatusCode::NOT_FOUND, BRIEF))
}

pub(super) fn key(nth: usize) -> Result<Key> {
    let (id, market) = KEYS.get(nth).context("keys are few")?;
    Ok(((*id).to_owned(), market.map(str::to_owned)))
}

/// Finds a key in the list.
pub(super) fn nth(key: &RawKey) -> Result<usize> {
    let key = Key::from_raw(key)?;
    nth_of(&key)
}

pub(super) fn nth_of((id, market): &Key) -> Result<usize> {
    KEYS.iter()
        .position(|(i, m)| i == id && *m == market.as_deref())
        .with_context(|| format!("{id:?} and {market:?} are no key that was used"))
}

/// The body of this number.
pub(super) fn value(body: u8) -> Value {
    match super::expected::kind(body) {
        Some(kind) => json!({ "kind": kind, "n": body }),
        None => json!({ "n": body }),
    }
}

/// The number of a body.
pub(super) fn number(value: &Value) -> Result<u8> {
    let n = value
        .get("n")
        .and_then(Value::as_u64)
        .context("a body has a number")?;
    let n = u8::try_from(n)?;
    anyhow::ensure!(
        self::value(n) == *value,
        "{value} is no body that was saved"
    );
    Ok(n)
}
