//! One GET, answered without the network and read to its end, through reqwest-middleware.

use crate::{
    Outcome, Size, api,
    fill::{self, sqlite},
    measure::{Contender, Results, race, scatter, together},
    origin::{Origin, PlainMap, loopback},
    report::{Report, Row, Target},
    rivals::{self, HTTP_CACHE, Rival},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use reqwest_middleware::ClientWithMiddleware;
use restow::{Cache, client::tower::CacheService};
use std::{
    path::Path,
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::Layer;
use tower_service::Service;

/// How many tasks ask at once, and what that is called.
const LOADS: [(usize, &str); 2] = [
    (1, "client hit, one at a time"),
    (64, "client hit, 64 tasks"),
];
const BARE: &str = "no memory tier";
const TIER: &str = "memory=64MiB";
const FLOOR: &str = "a plain map";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    let works = works();
    if !works.iter().any(|w| report.wants(w)) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let field = Box::pin(Field::make(dir.path(), size)).await?;
    for (tasks, load) in LOADS {
        if !works.iter().any(|w| w.starts_with(load) && report.wants(w)) {
            continue;
        }
        let times = race(size, field.contenders(size, tasks)).await?;
        field.check()?;
        rows(load, tasks, &times, report)?;
    }
    #[cfg(feature = "allocations")]
    super::allocations::run(&field.ours, report)?;
    Ok(())
}

/// The names of the rows, to know whether any is wanted.
fn works() -> Vec<String> {
    let mut works = Vec::new();
    for (_, load) in LOADS {
        for tier in [BARE, TIER] {
            works.extend([HTTP_CACHE, FLOOR].map(|what| format!("{load}, {tier}, beside {what}")));
        }
        works.extend(OWN.map(|name| format!("{load}: {name}")));
    }
    if cfg!(feature = "allocations") {
        works.push("allocations of one client hit".into());
    }
    works
}

/// What is measured for information.
const OWN: [&str; 6] = [
    "cache.client on sqlite",
    "cache.client on memory",
    "cache.middleware on memory",
    "tower on sqlite",
    "tower on memory",
    "a server on loopback",
];

fn rows(load: &str, tasks: usize, times: &Results, report: &mut Report) -> Outcome {
    let best = times.best(HTTP_CACHE)?;
    let floor = times.get(FLOOR)?;
    let least = if tasks == 1 { 1.6 } else { 1.5 };
    for (tier, beside, target) in [
        (BARE, &best, Some(Target::AtLeast(least))),
        (BARE, &floor, None),
        (TIER, &best, Some(Target::AtLeast(3.5))),
        (TIER, &floor, Some(Target::AtMost(2.0))),
    ] {
        let what = if beside.name == FLOOR {
            FLOOR
        } else {
            HTTP_CACHE
        };
        let work = format!("{load}, {tier}, beside {what}");
        let row = Row::new(work, times.get(tier)?, "us").beside(beside.clone());
        report.add(match target {
            Some(target) => row.target(target),
            None => row,
        });
    }
    for other in times.iter() {
        if OWN.contains(&other.name.as_str()) || other.name.starts_with(HTTP_CACHE) {
            let work = format!("{load}: {}", other.name);
            report.add(Row::new(work, other.clone(), "us").beside(floor.clone()));
        }
    }
    Ok(())
}

/// Who takes part, each with the same answers in it.
struct Field {
    ours: Vec<(String, ClientWithMiddleware)>,
    services: Vec<(String, CacheService<Nothing>)>,
    rivals: Vec<Rival>,
    floor: ClientWithMiddleware,
    loopback: (reqwest::Client, String),
    origin: Origin,
    /// How often ours asked until all was stored.
    asked: u64,
    entries: usize,
    _caches: Vec<Cache>,
}

impl Field {
    async fn make(dir: &Path, size: Size) -> Outcome<Self> {
        let origin = Origin::default();
        let (mut ours, mut services, mut caches) = (Vec::new(), Vec::new(), Vec::new());
        let file = |name: &str| sqlite(&dir.join(name));
        for (store, url) in [
            (BARE, file("bare.db")),
            (TIER, format!("{}?{TIER}", file("tier.db"))),
            ("memory", "memory:".to_owned()),
        ] {
            let cache = fill::cache(&url).await?;
            cache.create_repository(api::items()?).await?;
            let borrowing = origin.behind(cache.middleware());
            fetch_all(&borrowing, size.entries).await?;
            let name = match store {
                "memory" => "cache.middleware on memory",
                tier => tier,
            };
            ours.push((name.to_owned(), borrowing));
            if store != TIER {
                let store = if store == BARE { "sqlite" } else { store };
                let owning = cache.client(origin.client());
                ours.push((format!("cache.client on {store}"), owning));
                services.push((format!("tower on {store}"), cache.layer().layer(Nothing)));
            }
            caches.push(cache);
        }
        let rivals = rivals::all(dir, size.entries)?;
        for rival in &rivals {
            fetch_all(&rival.client, size.entries).await?;
        }
        Ok(Self {
            ours,
            services,
            rivals,
            floor: Origin::default().behind(PlainMap::new(size.entries)),
            loopback: (reqwest::Client::new(), loopback().await?),
            asked: origin.asked(),
            origin,
            entries: size.entries,
            _caches: caches,
        })
    }

    fn contenders(&self, size: Size, tasks: usize) -> Vec<Contender<'_>> {
        let (n, entries) = (size.operations, self.entries);
        let through = |name: &str, client: &ClientWithMiddleware, n| {
            let client = client.clone();
            Contender::new(name, move || ask(client.clone(), 0, tasks, n, entries))
        };
        let mut all: Vec<_> = self
            .ours
            .iter()
            .map(|(name, client)| through(name, client, n))
            .collect();
        all.extend(self.rivals.iter().map(|rival| {
            let n = if rival.slow { n / 10 } else { n };
            through(&rival.name, &rival.client, n)
        }));
        all.push(through(FLOOR, &self.floor, n));
        all.extend(self.services.iter().map(|(name, service)| {
            Contender::new(name, move || call(service.clone(), tasks, n, entries))
        }));
        let (client, url) = &self.loopback;
        all.push(Contender::new("a server on loopback", move || {
            fetch(client.clone(), url.clone(), tasks, n / 10)
        }));
        all
    }

    /// Fails where a hit was none.
    fn check(&self) -> Outcome {
        if self.origin.asked() != self.asked {
            return Err("our caches asked the origin for what they had".into());
        }
        for rival in &self.rivals {
            if rival.origin.asked() != self.entries as u64 {
                let asked = rival.origin.asked();
                return Err(format!("{} asked the origin {asked} times", rival.name).into());
            }
        }
        Ok(())
    }
}

async fn fetch_all(client: &ClientWithMiddleware, entries: usize) -> Outcome {
    for i in 0..entries {
        client.get(api::url(i)).send().await?.bytes().await?;
    }
    Ok(())
}

/// Asks for `n` answers, from place `first` on.
pub(super) async fn ask(
    client: ClientWithMiddleware,
    first: usize,
    tasks: usize,
    n: usize,
    entries: usize,
) -> Outcome<Duration> {
    together(tasks, n, move |from, n| {
        let client = client.clone();
        async move {
            for i in first + from..first + from + n {
                let url = api::url(scatter(i, entries));
                std::hint::black_box(client.get(url).send().await?.bytes().await?);
            }
            Ok(())
        }
    })
    .await
}

async fn call(
    service: CacheService<Nothing>,
    tasks: usize,
    n: usize,
    entries: usize,
) -> Outcome<Duration> {
    together(tasks, n, move |from, n| {
        let mut service = service.clone();
        async move {
            for i in from..from + n {
                let request = http::Request::get(api::url(scatter(i, entries))).body(())?;
                let response = service.call(request).await?;
                std::hint::black_box(response.into_body().collect().await?.to_bytes());
            }
            Ok(())
        }
    })
    .await
}

async fn fetch(client: reqwest::Client, url: String, tasks: usize, n: usize) -> Outcome<Duration> {
    together(tasks, n, move |_, n| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            for _ in 0..n {
                std::hint::black_box(client.get(&url).send().await?.bytes().await?);
            }
            Ok(())
        }
    })
    .await
}

/// A service that is never asked: every request of a bench is a hit.
#[derive(Clone, Debug)]
struct Nothing;

impl Service<http::Request<()>> for Nothing {
    type Response = http::Response<Full<Bytes>>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        let why = "this request should have been a hit";
        std::future::ready(Err(std::io::Error::other(why)))
    }
}
