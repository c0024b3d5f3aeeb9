//! The cache as a tower layer over any service that answers HTTP requests.
//!
//! Run it with `cargo run -p restow --example tower --features tower`.

use bytes::Bytes;
use http::{Request, Response, header::CACHE_CONTROL};
use http_body_util::Full;
use restow::{Cache, RouteEndpoint, Text, exchange::Answered};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder().url("memory:").build().await?;
    let hello =
        RouteEndpoint::<String, Text>::get("hello", "https://api.example.com/hello/{name}")?;
    let hello = cache.create_repository(hello).await?;

    // In the place of an HTTP client: a service that counts what it is asked.
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let api = service_fn(move |request: Request<Bytes>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let name = request.uri().path().rsplit('/').next().unwrap_or("");
            Ok::<_, Infallible>(Response::new(Full::from(format!("Hello, {name}!"))))
        }
    });
    let mut service = ServiceBuilder::new().layer(cache.layer()).service(api);

    for (name, again) in [
        ("Nina", ""),
        ("Otis", ""),
        ("Nina", ""),
        ("Nina", "no-cache"),
    ] {
        let mut request = Request::get(format!("https://api.example.com/hello/{name}"));
        if !again.is_empty() {
            request = request.header(CACHE_CONTROL, again);
        }
        let response = service
            .ready()
            .await?
            .call(request.body(Bytes::new())?)
            .await?;
        let outcome = response
            .extensions()
            .get::<Answered>()
            .map(|answered| answered.outcome.to_string())
            .unwrap_or_default();
        // Read to its end, the answer is stored.
        let body = response
            .into_body()
            .bytes()
            .await
            .map_err(|e| e.to_string())?;
        println!("{}  {outcome}", String::from_utf8_lossy(&body));
    }
    println!(
        "requests that reached the service: {}",
        asked.load(Ordering::SeqCst)
    );

    // The repository has the same entries, typed.
    println!("hello.get(\"Otis\") = {:?}", hello.get("Otis").await?);
    cache.close().await?;
    Ok(())
}
