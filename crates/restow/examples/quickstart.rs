//! Declares an endpoint, reads it through a client, and finds every answer in a typed repository.
//!
//! Run it with `cargo run -p restow --example quickstart --features reqwest`.

mod api;

use api::{Api, Track};
use restow::{Cache, Json, RouteEndpoint, Scope, exchange::Answered};
use std::time::Duration;

/// Two weeks.
const FRESH: Duration = Duration::from_secs(14 * 86_400);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Api::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("music.db");

    // One file holds everything. The principal says whose answers these are, whatever token the requests show.
    let cache = Cache::builder()
        .url(format!("sqlite://{}", file.display()))
        .principal("me")
        .build()
        .await?;

    // An endpoint: a name, a URI template, a key (here one text), a codec, and its rules.
    let tracks = RouteEndpoint::<String, Json<Track>>::get("tracks", &api.url("/v1/tracks/{id}"))?
        .label(|track: &Track| Some(track.name.clone()))
        .column("artist", "/artist")
        .require("/id")
        .expire_after(FRESH);
    let tracks = cache.create_repository(tracks).await?;

    // A reqwest client that answers from the cache and fetches what is missing.
    let client = cache.client(api::http_client());
    for _ in 0..2 {
        let response = client.get(api.url("/v1/tracks/1")).send().await?;
        let outcome = response
            .extensions()
            .get::<Answered>()
            .map(|answered| answered.outcome.to_string());
        println!(
            "GET /v1/tracks/1  {}  {}",
            response.status(),
            outcome.unwrap_or_default()
        );
        // Read to its end, the answer is stored.
        response.bytes().await?;
    }
    println!("requests that reached the API: {}", api.asked());

    // The same entry, typed, without a request.
    let track = tracks.get("1").await?;
    println!("tracks.get(\"1\") = {track:?}");
    // One that is not held is fetched: the route makes a request of the key.
    let fetched = tracks.get_or_fetch(&"2".to_owned(), &client).await?;
    println!(
        "tracks.get_or_fetch(\"2\") = {:?}  ({})",
        fetched.value.map(|track| track.name),
        fetched.outcome
    );
    println!("live entries: {}", tracks.count(Scope::Live).await?);
    println!("requests that reached the API: {}", api.asked());

    cache.close().await?;
    Ok(())
}
