//! Hits through each client on each store, beside a plain map and beside no cache.

use crate::{
    Outcome, Size,
    api::{self, Origin, PlainMap},
    measure::{Contender, each, race, scatter},
    report::Report,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use restow::{Cache, Mode, client::tower::CacheService};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower_layer::Layer;
use tower_service::Service;

/// How many tasks ask at once.
const TASKS: usize = 64;

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    let alone = report.wants("client hit, one at a time");
    let many = report.wants("client hit, 64 tasks");
    if !(alone || many) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let sqlite = format!("sqlite://{}", dir.path().join("bench.db").display());
    let mut clients = Vec::new();
    let mut caches = Vec::new();
    let mut services = Vec::new();
    for (store, url) in [("memory", "memory:"), ("sqlite", &*sqlite)] {
        let cache = Cache::builder().url(url).mode(Mode::Live).build().await?;
        cache.create_repository(api::items()?).await?;
        let owning = cache.client(
            ClientBuilder::new(reqwest::Client::new())
                .with(Origin)
                .build(),
        );
        fill(&owning, size).await?;
        clients.push((format!("cache.client on {store}"), owning));
        let borrowing = ClientBuilder::new(reqwest::Client::new())
            .with(cache.middleware())
            .with(Origin)
            .build();
        clients.push((format!("cache.middleware on {store}"), borrowing));
        services.push((format!("tower on {store}"), cache.layer().layer(Nothing)));
        caches.push(cache);
    }
    let loopback = loopback().await?;
    let map = (0..size.entries)
        .map(|i| (api::url(i), api::response(i)))
        .collect();
    let floor = ClientBuilder::new(reqwest::Client::new())
        .with(PlainMap(Arc::new(map)))
        .build();
    let contenders = |tasks: usize| {
        let n = size.operations / if tasks == 1 { 1 } else { TASKS };
        let mut all: Vec<Contender<'_>> = clients
            .iter()
            .map(|(name, client)| Contender::new(name, move || ask(client.clone(), size, tasks, n)))
            .collect();
        all.extend(services.iter().map(|(name, service)| {
            Contender::new(name, move || call(service.clone(), size, tasks, n))
        }));
        let ((client, url), floor) = (&loopback, &floor);
        all.push(Contender::new(
            "no cache, a server on loopback",
            move || fetch(client.clone(), url.clone(), tasks, n.min(2_000)),
        ));
        all.push(Contender::new(
            "a plain map behind a middleware",
            move || ask(floor.clone(), size, tasks, n),
        ));
        all
    };
    if alone {
        report.add(
            "client hit, one at a time",
            &race(size, contenders(1)).await?,
        );
    }
    if many {
        report.add(
            "client hit, 64 tasks",
            &race(size, contenders(TASKS)).await?,
        );
    }
    #[cfg(feature = "allocations")]
    allocations(&clients, &floor, report)?;
    Ok(())
}

async fn fill(client: &ClientWithMiddleware, size: Size) -> Outcome {
    for i in 0..size.entries {
        client.get(api::url(i)).send().await?.bytes().await?;
    }
    Ok(())
}

/// Runs `tasks` tasks of `n` operations each; the time of one operation is the whole time by all of them.
async fn together<F: Future<Output = Outcome> + Send + 'static>(
    tasks: usize,
    n: usize,
    task: impl Fn(usize) -> F,
) -> Outcome<Duration> {
    let begun = Instant::now();
    for end in try_join_all((0..tasks).map(|t| tokio::spawn(task(t)))).await? {
        end?;
    }
    Ok(each(begun.elapsed(), tasks * n))
}

async fn ask(
    client: ClientWithMiddleware,
    size: Size,
    tasks: usize,
    n: usize,
) -> Outcome<Duration> {
    together(tasks, n, move |t| {
        let client = client.clone();
        async move {
            for i in 0..n {
                let response = client
                    .get(api::url(scatter(t * n + i, size.entries)))
                    .send()
                    .await?;
                std::hint::black_box(response.bytes().await?);
            }
            Ok(())
        }
    })
    .await
}

async fn call(
    service: CacheService<Nothing>,
    size: Size,
    tasks: usize,
    n: usize,
) -> Outcome<Duration> {
    together(tasks, n, move |t| {
        let mut service = service.clone();
        async move {
            for i in 0..n {
                let request =
                    http::Request::get(api::url(scatter(t * n + i, size.entries))).body(())?;
                let response = service.call(request).await?;
                std::hint::black_box(response.into_body().collect().await?.to_bytes());
            }
            Ok(())
        }
    })
    .await
}

async fn fetch(client: reqwest::Client, url: String, tasks: usize, n: usize) -> Outcome<Duration> {
    together(tasks, n, move |_| {
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
        std::future::ready(Err(std::io::Error::other(
            "this request should have been a hit",
        )))
    }
}

/// A server on loopback that answers every request with one item, and a client that keeps its connection.
async fn loopback() -> Outcome<(reqwest::Client, String)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/item", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(api::response(7).map(Full::new))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok((reqwest::Client::new(), url))
}

/// Allocations of one hit.
#[cfg(feature = "allocations")]
fn allocations(
    clients: &[(String, ClientWithMiddleware)],
    floor: &ClientWithMiddleware,
    report: &mut Report,
) -> Outcome {
    let all = clients
        .iter()
        .map(|(name, client)| (name.as_str(), client))
        .chain([("a plain map behind a middleware", floor)]);
    for (name, client) in all {
        let client = client.clone();
        let count = std::thread::spawn(move || -> Outcome<u64> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let hit = || {
                runtime.block_on(async {
                    client
                        .get(api::url(3))
                        .send()
                        .await?
                        .bytes()
                        .await
                        .map_err(reqwest_middleware::Error::from)
                })
            };
            hit()?;
            let mut end = Ok(Bytes::new());
            let count = allocation_counter::measure(|| end = hit()).count_total;
            end?;
            Ok(count)
        });
        let count = count.join().map_err(|_| "counting panicked")??;
        report.number(
            &format!("allocations of one client hit: {name}"),
            count as f64,
            "allocations",
        );
    }
    Ok(())
}
